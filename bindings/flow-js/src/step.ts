// Reading the arguments of the methods that take one function.

import type { Draft, DraftTask } from "./draft.js";
import { type StepOptions, isTask, shown, type TaskFn } from "./task.js";

/** @internal `(fn, options?)` or `(id, fn, options?)`; text that says what is wrong with them. */
export function readTask(args: readonly unknown[], defaultId?: string): DraftTask | string {
  const explicit = typeof args[0] === "string" ? args[0] : undefined;
  const [fn, options] = explicit === undefined ? args : args.slice(1);
  if (typeof fn !== "function") return `expected a function, found ${shown(fn)}`;
  if (typeof options === "function") {
    return "expected options, found a second function; was this awaited? A flow is no promise: call build()";
  }
  const given = (options ?? {}) as StepOptions;
  if (isTask(fn)) {
    // Options at the node go before the task's own.
    const { retries, retry } = given;
    const { retries: ownRetries, retry: ownRetry, ...own } = fn._options;
    const policy = retries === undefined && retry === undefined ? { retries: ownRetries, retry: ownRetry } : { retries, retry };
    return { id: explicit ?? fn._taskId, fn: fn._fn, options: defined({ ...own, ...given, ...policy }) };
  }
  return { id: explicit ?? defaultId ?? (fn.name === "" ? undefined : fn.name), fn: fn as TaskFn, options: given };
}

/** @internal A branch or arm that is one function; its id is the branch's name unless it has one. */
export function singleDraft(name: string, args: readonly unknown[]): Draft {
  const read = readTask(args, name);
  return typeof read === "string"
    ? { kind: "mistake", node: String(name), message: `${JSON.stringify(String(name))}: ${read}` }
    : { kind: "task", task: { ...read, implicit: typeof args[0] !== "string" && !isTask(args[0]) } };
}

function defined(options: Record<string, unknown>): StepOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
