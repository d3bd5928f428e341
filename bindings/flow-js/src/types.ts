// How types flow from one step to the next.

import type { AnySchema, InferInput, InferOutput } from "./schema.js";
import type { StepOptions } from "./task.js";

/** What a step's function gets: what flows there, or what its `input` schema lets through. */
export type Received<Current, IS> = [IS] extends [never] ? Current : InferOutput<IS>;

/** What a step hands on: what its function returned, or what its `output` schema lets through. */
export type Returned<Out, OS> = [OS] extends [never] ? Awaited<Out> : InferOutput<OS>;

/** `unknown` where the schema takes what flows there; else a type that says why not. */
export type Accepts<Current, IS> = unknown extends Current
  ? unknown
  : [Current] extends [InferInput<IS>]
    ? unknown
    : { readonly "what flows here is not what the schema takes": never };

/** Options of a step whose schemas its types follow. */
export type SchemaOptions<Current, IS extends AnySchema, OS extends AnySchema> = Omit<StepOptions, "input" | "output"> & {
  readonly input?: IS & Accepts<Current, IS>;
  readonly output?: OS;
};

/** What a route hands on: the key that was chosen, and what its arm returned. */
export interface BranchEnvelope<T = unknown, Key extends string = string> {
  readonly branch: Key;
  readonly result: T;
}
