// Running one task: its input is checked, the function called, its output checked. Engines call this and nothing else.

import { TaskError, ValidationError } from "./errors.js";
import { isLoopResult } from "./loop.js";
import { type AnySchema, type StandardIssue, standardOf } from "./schema.js";
import { shown } from "./task.js";
import type { TaskEntry } from "./workflow.js";

/** Runs a task on a value. */
export async function runTask(entry: TaskEntry, value: unknown): Promise<unknown> {
  return await callTask(entry, value);
}

/** @internal The same, synchronous where function and schemas are. */
export function callTask(entry: TaskEntry, value: unknown): unknown {
  const checked = entry.input === undefined ? value : check(entry, "input", entry.input, value);
  return chain(chain(checked, (input) => entry.fn(input)), (output) => checkOutput(entry, output));
}

function checkOutput(entry: TaskEntry, output: unknown): unknown {
  if (entry.loop === true && !isLoopResult(output)) {
    throw new TaskError(`the body of the loop ${JSON.stringify(entry.id)} returned ${shown(output)}; return LoopResult.again(..) or LoopResult.done(..)`);
  }
  if (entry.output === undefined) return output;
  if (entry.loop !== true) return check(entry, "output", entry.output, output);
  const result = output as { _loop: string; value: unknown };
  return result._loop === "done" ? chain(check(entry, "output", entry.output, result.value), (value) => ({ _loop: "done", value })) : output;
}

function check(entry: TaskEntry, what: "input" | "output", schema: AnySchema, value: unknown): unknown {
  const standard = standardOf(schema);
  if (standard === undefined) {
    const refused = (cause: unknown): never => {
      throw refusal(entry, what, [(cause as Error | undefined)?.message ?? String(cause)], cause);
    };
    let parsed: unknown;
    try {
      parsed = (schema as { parse(value: unknown): unknown }).parse(value);
    } catch (error) {
      return refused(error);
    }
    return isPromise(parsed) ? parsed.then((done) => done, refused) : parsed;
  }
  return chain(standard.validate(value), (result) => {
    const { issues } = result as { issues?: readonly StandardIssue[] };
    if (issues === undefined) return (result as { value: unknown }).value;
    throw refusal(entry, what, issues.map(issueText), { issues });
  });
}

function refusal({ id }: TaskEntry, what: string, issues: readonly string[], cause: unknown): ValidationError {
  return new ValidationError(`invalid ${what} of task ${JSON.stringify(id)}: ${issues.join("; ")}`, issues, { cause });
}

function issueText({ message, path }: StandardIssue): string {
  const keys = (path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
  return keys.length === 0 ? message : `${keys.join(".")}: ${message}`;
}

function chain(value: unknown, next: (value: unknown) => unknown): unknown {
  return isPromise(value) ? value.then(next) : next(value);
}

function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
