// What the body of a loop returns.

/** Whether a loop goes on (`again`, with the next iteration's input) or ends (`done`, with the loop's output). */
export type LoopResult<Again, Done = Again> =
  | { readonly _loop: "again"; readonly value: Again }
  | { readonly _loop: "done"; readonly value: Done };

/** Makes what the body of a loop returns. */
export const LoopResult = {
  /** Runs the body once more, on `value`. */
  again<T>(value: T): LoopResult<T, never> {
    return { _loop: "again", value };
  },

  /** Ends the loop; `value` goes to the next step. */
  done<T>(value: T): LoopResult<never, T> {
    return { _loop: "done", value };
  },

  /** Whether the loop goes on. */
  isAgain<A>(result: LoopResult<A, unknown>): result is { readonly _loop: "again"; readonly value: A } {
    return result._loop === "again";
  },

  /** Whether the loop ends. */
  isDone<D>(result: LoopResult<unknown, D>): result is { readonly _loop: "done"; readonly value: D } {
    return result._loop === "done";
  },
} as const;

/** What a loop hands on when its body says `done`. */
export type DoneOf<R> = R extends { readonly _loop: "done"; readonly value: infer D } ? D : never;

/** What a loop's body hands to its next iteration. */
export type AgainOf<R> = R extends { readonly _loop: "again"; readonly value: infer A } ? A : never;

/** @internal */
export function isLoopResult(value: unknown): value is LoopResult<unknown> {
  if (typeof value !== "object" || value === null) return false;
  const { _loop } = value as { _loop?: unknown };
  return (_loop === "again" || _loop === "done") && "value" in value;
}
