// Tasks: functions with an id and policies. A task is still the function it was made of.

import { type Duration, MAX_DURATION_MS, parseDuration } from "./duration.js";
import { BuildError, BuildErrors } from "./errors.js";
import { type AnySchema, type InferInput, type InferOutput, isSchema } from "./schema.js";

/** A value, or a promise of it. */
export type MaybePromise<T> = T | Promise<T>;

/** A function that can be a task. */
export type TaskFn<In = any, Out = any> = (input: In) => MaybePromise<Out>;

/** When a failed task is tried again. */
export interface RetryPolicy {
  /** How often it is tried in all, the first attempt included. */
  readonly maxAttempts: number;
  /** The wait before the second attempt; 1 s unless given. */
  readonly initialDelay?: Duration;
  /** What each further wait is multiplied by; 2 unless given. */
  readonly backoffMultiplier?: number;
  /** The longest wait. */
  readonly maxDelay?: Duration;
}

/** How urgent a task is: 1 (critical) to 5 (minimal), or the name. */
export type Priority = 1 | 2 | 3 | 4 | 5 | "critical" | "high" | "normal" | "low" | "minimal";

/** What can be said of a step. */
export interface StepOptions {
  /** The longest an attempt may take. */
  readonly timeout?: Duration;
  /** How often it is tried again after a failure: 1 s later at first, twice as long each time. */
  readonly retries?: number;
  /** The same in more detail; give this or `retries`. */
  readonly retry?: RetryPolicy;
  /** A name for people. */
  readonly displayName?: string;
  /** What it does. */
  readonly description?: string;
  /** What a worker must serve to be given this task. */
  readonly tags?: readonly string[];
  readonly priority?: Priority;
  /** The version of the code: part of the workflow's identity. */
  readonly version?: string;
  /** Checks what the function is given: Zod, Valibot, any Standard Schema, or anything with a `parse`. */
  readonly input?: AnySchema;
  /** Checks what the function returned. */
  readonly output?: AnySchema;
}

/** What can be said of a task. */
export interface TaskOptions extends StepOptions {}

/** The retries of a task, as engines read them. */
export interface RetryMetadata {
  readonly maxRetries: number;
  readonly initialDelaySecs: number;
  readonly backoffMultiplier: number;
  readonly maxDelaySecs?: number;
}

/** The policies of a task in their plain form. */
export interface TaskMetadata {
  readonly displayName?: string;
  readonly description?: string;
  readonly timeoutSecs?: number;
  readonly retries?: RetryMetadata;
  readonly tags?: readonly string[];
  readonly priority?: 1 | 2 | 3 | 4 | 5;
  readonly version?: string;
}

/** A function with an id and policies. Call it, as before, or put it into a workflow. */
export interface Task<In = any, Out = any> {
  (input: In): MaybePromise<Out>;
  readonly _taskId: string;
  readonly _metadata: TaskMetadata;
  /** @internal The options as they were given. */
  readonly _options: StepOptions;
}

/**
 * Gives a function an id and policies.
 *
 * With schemas the types follow them: the function gets what `input` lets through, the next step what `output` does.
 *
 * @throws {@link BuildErrors} with all that is wrong with the options.
 */
export function task<IS extends AnySchema, OS extends AnySchema>(
  id: string,
  fn: (input: InferOutput<IS>) => MaybePromise<InferInput<OS>>,
  options: TaskOptions & { readonly input: IS; readonly output: OS },
): Task<InferInput<IS>, InferOutput<OS>>;
export function task<IS extends AnySchema, Out>(
  id: string,
  fn: (input: InferOutput<IS>) => Out,
  options: TaskOptions & { readonly input: IS; readonly output?: never },
): Task<InferInput<IS>, Awaited<Out>>;
export function task<In, OS extends AnySchema>(
  id: string,
  fn: (input: In) => MaybePromise<InferInput<OS>>,
  options: TaskOptions & { readonly input?: never; readonly output: OS },
): Task<In, InferOutput<OS>>;
export function task<In, Out>(
  id: string,
  fn: (input: In) => MaybePromise<Out>,
  options?: TaskOptions & { readonly input?: never; readonly output?: never },
): Task<In, Awaited<Out>>;
export function task(id: string, fn: TaskFn, options: TaskOptions = {}): Task {
  const errors: BuildError[] = [];
  checkName(id, "a task's id", errors);
  if (typeof fn !== "function") errors.push(new BuildError("InvalidStep", id, `the task ${quoted(id)} is ${shown(fn)}, not a function`));
  const metadata = metadataOf(id, options, errors);
  if (errors.length > 0) throw new BuildErrors(String(id), errors);
  const made = function (this: unknown, input: unknown): unknown {
    return fn.call(this, input);
  };
  Object.defineProperty(made, "name", { value: id, configurable: true });
  return Object.assign(made, { _taskId: id, _metadata: metadata, _options: options, _fn: fn });
}

/** @internal */
export function isTask(value: unknown): value is Task & { readonly _fn: TaskFn } {
  return typeof value === "function" && typeof (value as Partial<Task>)._taskId === "string";
}

const PRIORITIES: Readonly<Record<string, 1 | 2 | 3 | 4 | 5>> = { critical: 1, high: 2, normal: 3, low: 4, minimal: 5 };

/** @internal The options in their plain form; what is wrong with them is added to `errors`. */
export function metadataOf(node: string, options: StepOptions, errors: BuildError[]): TaskMetadata {
  const invalid = (message: string): void => void errors.push(new BuildError("InvalidOption", node, `${quoted(node)}: ${message}`));
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    invalid(`the options are ${shown(options)}, not an object`);
    return {};
  }
  const { timeout, retries, retry, displayName, description, tags, priority, version, input, output } = options;
  const metadata: { -readonly [K in keyof TaskMetadata]: TaskMetadata[K] } = {};
  for (const [name, value] of Object.entries({ displayName, description, version })) {
    if (value === undefined) continue;
    if (typeof value === "string") metadata[name as "displayName" | "description" | "version"] = value;
    else invalid(`${name} is ${shown(value)}, not text`);
  }
  if (timeout !== undefined) {
    const ms = durationOf(node, "timeout", timeout, errors);
    if (ms === 0) errors.push(new BuildError("InvalidDuration", node, `${quoted(node)}: a timeout of zero would fail every attempt`));
    if (ms !== undefined) metadata.timeoutSecs = ms / 1000;
  }
  const policy = retriesOf(node, retries, retry, errors);
  if (policy !== undefined) metadata.retries = policy;
  if (tags !== undefined) {
    if (Array.isArray(tags) && tags.every((tag) => typeof tag === "string")) metadata.tags = [...tags];
    else invalid("tags are a list of texts");
  }
  if (priority !== undefined) {
    const number = typeof priority === "string" ? PRIORITIES[priority] : priority;
    if (number !== undefined && [1, 2, 3, 4, 5].includes(number)) metadata.priority = number;
    else invalid(`priority is 1 to 5, or critical, high, normal, low or minimal, not ${shown(priority)}`);
  }
  for (const [name, schema] of Object.entries({ input, output })) {
    if (schema !== undefined && !isSchema(schema)) invalid(`${name} is ${shown(schema)}, which is no schema: it needs a \`parse\` or a \`~standard\``);
  }
  return metadata;
}

function retriesOf(
  node: string,
  retries: number | undefined,
  retry: RetryPolicy | undefined,
  errors: BuildError[],
): RetryMetadata | undefined {
  const invalid = (message: string): void => void errors.push(new BuildError("InvalidOption", node, `${quoted(node)}: ${message}`));
  if (retry === undefined) {
    if (retries === undefined) return undefined;
    if (isCount(retries, 0)) return { maxRetries: retries, initialDelaySecs: 1, backoffMultiplier: 2 };
    invalid(`retries is a whole number from 0, not ${shown(retries)}`);
    return undefined;
  }
  if (retries !== undefined) invalid("give `retries` or `retry`, not both");
  if (typeof retry !== "object" || retry === null) {
    invalid(`retry is ${shown(retry)}, not an object such as { maxAttempts: 3 }`);
    return undefined;
  }
  const { maxAttempts, initialDelay = 1000, backoffMultiplier = 2, maxDelay } = retry;
  if (!isCount(maxAttempts, 1)) invalid(`retry.maxAttempts is a whole number from 1 (the first attempt counts), not ${shown(maxAttempts)}`);
  if (typeof backoffMultiplier !== "number" || !Number.isFinite(backoffMultiplier) || backoffMultiplier < 0) {
    invalid(`retry.backoffMultiplier is a number from 0, not ${shown(backoffMultiplier)}`);
  }
  const initial = durationOf(node, "retry.initialDelay", initialDelay, errors);
  const longest = maxDelay === undefined ? undefined : durationOf(node, "retry.maxDelay", maxDelay, errors);
  return {
    maxRetries: maxAttempts - 1,
    initialDelaySecs: (initial ?? 0) / 1000,
    backoffMultiplier,
    ...(longest === undefined ? {} : { maxDelaySecs: longest / 1000 }),
  };
}

/** @internal */
export function durationOf(node: string, what: string, duration: Duration, errors: BuildError[]): number | undefined {
  let problem: string;
  try {
    const ms = parseDuration(duration);
    if (ms <= MAX_DURATION_MS) return ms;
    problem = `at most a thousand years, not ${shown(duration)}`;
  } catch (error) {
    problem = (error as Error).message;
  }
  errors.push(new BuildError("InvalidDuration", node, `${quoted(node)}: ${what}: ${problem}`));
  return undefined;
}

/** @internal */
export function checkName(name: unknown, what: string, errors: BuildError[], node = String(name)): void {
  const invalid = (reason: string): void => void errors.push(new BuildError("InvalidName", node, `invalid name ${shown(name)}: ${reason}`));
  if (typeof name !== "string") invalid(`${what} is text`);
  else if (name === "") invalid(`${what} must not be empty`);
  else if (new TextEncoder().encode(name).length > 256) invalid(`${what} has at most 256 bytes`);
  else if (name.includes("\0")) invalid(`${what} must not contain a NUL character`);
}

/** @internal */
export function isCount(value: unknown, least: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= least && value <= 0xffff_ffff;
}

/** @internal */
export function quoted(text: unknown): string {
  return JSON.stringify(String(text));
}

/** @internal What a value is, in a few words. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}..` : value);
  if (typeof value === "function") return value.name ? `the function ${value.name}` : "a function";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) {
    const name = (value as { constructor?: { name?: unknown } }).constructor?.name;
    return typeof name === "string" && name !== "" && name !== "Object" ? `a value of type ${name}` : "an object";
  }
  return String(value);
}
