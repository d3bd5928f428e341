// Validation: Standard Schema (Zod, Valibot, ArkType, ..) or anything that has a `parse`.

/** The part of the Standard Schema interface that is used here (https://standardschema.dev). */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** What a Standard Schema answers. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: ReadonlyArray<StandardIssue> };

/** One thing that is wrong with a value. */
export interface StandardIssue {
  readonly message: string;
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined;
}

/** A schema that has no more than a `parse`, which returns the value or throws. */
export interface ZodLike<T = unknown> {
  parse(value: unknown): T;
}

/** What `input` and `output` of a task take. */
export type AnySchema = StandardSchema<any, any> | ZodLike<any>;

/** The type of what a schema lets through. */
export type InferOutput<S> =
  S extends StandardSchema<any, infer Output> ? Output : S extends { parse(value: any): infer Output } ? Awaited<Output> : never;

/** The type of what a schema is given. */
export type InferInput<S> =
  S extends StandardSchema<infer Input, any> ? Input : S extends { parse(value: any): infer Output } ? Awaited<Output> : never;

/** @internal */
export function isSchema(value: unknown): value is AnySchema {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  return standardOf(value) !== undefined || typeof (value as { parse?: unknown }).parse === "function";
}

/** @internal */
export function standardOf(schema: object): StandardSchema["~standard"] | undefined {
  const standard = (schema as Partial<StandardSchema>)["~standard"];
  return typeof standard?.validate === "function" ? standard : undefined;
}
