// Branches of a fork, made before the fork is known.

import type { Draft } from "./draft.js";
import { Steps } from "./steps.js";
import { singleDraft } from "./step.js";
import type { AnySchema } from "./schema.js";
import type { Received, Returned, SchemaOptions } from "./types.js";

declare const TYPES: unique symbol;

/** A branch of a fork: its name, and what it does with what flows into the fork. */
export interface BranchDef<In = any, Out = any, Name extends string = string> {
  readonly name: Name;
  /** @internal */
  readonly _nodes: readonly Draft[];
  /** Never there: holds the types. */
  readonly [TYPES]: (input: In) => Out;
}

/** What the join of a fork gets: the outputs of its branches, in their order. */
export type InferBranchOutputs<B extends readonly BranchDef[]> = {
  -readonly [I in keyof B]: B[I] extends BranchDef<any, infer Out> ? Out : never;
};

/**
 * A branch that is one task (`branch("mail", fn)`, `branch("mail", "send", fn, options?)`), or any steps
 * (`branch("mail", steps<Order>().then(..).delay(..))`; see {@link branchFlow} too).
 */
export function branch<In, Out, const Name extends string>(name: Name, steps: Steps<In, Out>): BranchDef<In, Out, Name>;
export function branch<In, Out, const Name extends string, IS extends AnySchema = never, OS extends AnySchema = never>(
  name: Name,
  fn: (input: Received<In, IS>) => Out,
  options?: SchemaOptions<In, IS, OS>,
): BranchDef<In, Returned<Out, OS>, Name>;
export function branch<In, Out, const Name extends string, IS extends AnySchema = never, OS extends AnySchema = never>(
  name: Name,
  id: string,
  fn: (input: Received<In, IS>) => Out,
  options?: SchemaOptions<In, IS, OS>,
): BranchDef<In, Returned<Out, OS>, Name>;
export function branch(name: string, ...rest: unknown[]): BranchDef {
  return made(name, rest[0] instanceof Steps ? rest[0]._nodes : [singleDraft(name, rest)]);
}

/** A branch of any steps: `branchFlow("ship", (sub) => sub.then("pack", ..).delay("rest", "1h").then(..))`. */
export function branchFlow<In, Out, const Name extends string>(
  name: Name,
  build: (sub: Steps<In, In>) => Steps<In, Out>,
): BranchDef<In, Out, Name> {
  return made(name, grow(name, build));
}

function made<Name extends string>(name: Name, nodes: readonly Draft[]): BranchDef<any, any, Name> {
  return { name, _nodes: nodes } as unknown as BranchDef<any, any, Name>;
}

/** @internal What a function that is given a sub-builder makes of it. */
export function grow(name: string, build: (sub: Steps<any, any>) => unknown): readonly Draft[] {
  if (typeof build !== "function") {
    return [{ kind: "mistake", node: name, message: `${JSON.stringify(name)} takes a function such as (sub) => sub.then(..)` }];
  }
  const grown = build(new Steps([]));
  if (grown instanceof Steps) return grown._nodes;
  return [
    {
      kind: "mistake",
      node: name,
      message: `the function that builds ${JSON.stringify(name)} must return its steps: (sub) => sub.then(..), with done() after a route and join(..) after a fork`,
    },
  ];
}
