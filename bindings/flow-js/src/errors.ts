// The errors of all JavaScript packages of Sayiir: one family, so that one `instanceof` serves everywhere.

import { type Duration, parseDuration } from "./duration.js";

/** What every error of Sayiir is. */
export class WorkflowError extends Error {
  override name = "WorkflowError";
}

/** A task failed. */
export class TaskError extends WorkflowError {
  override name = "TaskError";
}

/** A store refused, cannot be reached, or does not know the instance. */
export class BackendError extends WorkflowError {
  override name = "BackendError";
}

/** A value is not what the `input` or `output` schema of a task asks for. The task is not tried again. */
export class ValidationError extends TaskError {
  override name = "ValidationError";
  /** Another attempt would be given the same value. */
  readonly retryable = false;

  constructor(
    message: string,
    /** What the schema found. */
    readonly issues: readonly string[],
    options?: { cause?: unknown },
  ) {
    super(message, options as ErrorOptions);
  }
}

/** Thrown by a task whose failure another attempt would not mend: it is not tried again. */
export class DoNotRetry extends TaskError {
  override name = "DoNotRetry";
  /** Read by the engine. */
  readonly retryable = false;

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options as ErrorOptions);
  }
}

/** Thrown by a task that knows when the next attempt makes sense, as an API with a rate limit says. */
export class RetryAfter extends TaskError {
  override name = "RetryAfter";
  /** Read by the engine. */
  readonly retryAfterMs: number;

  constructor(delay: Duration, message = "try again later", options?: { cause?: unknown }) {
    super(message, options as ErrorOptions);
    this.retryAfterMs = parseDuration(delay);
  }
}

/** What kind of mistake it is. */
export type BuildErrorCode =
  | "DuplicateTaskId"
  | "DuplicateBranch"
  | "EmptyBranch"
  | "EmptyFork"
  | "EmptyWorkflow"
  | "InvalidDuration"
  | "InvalidMaxIterations"
  | "InvalidName"
  | "InvalidOption"
  | "InvalidStep"
  | "MissingBranches"
  | "OrphanBranches"
  | "TooDeep"
  | "UnfinishedStep";

/** One mistake in a workflow. */
export class BuildError extends WorkflowError {
  override name = "BuildError";

  constructor(
    /** What kind of mistake it is. */
    readonly code: BuildErrorCode,
    /** The node, as a path where it has one; empty for the workflow as a whole. */
    readonly node: string,
    message: string,
  ) {
    super(message);
  }
}

/** All mistakes of a workflow, thrown by `build()`. */
export class BuildErrors extends WorkflowError {
  override name = "BuildErrors";

  constructor(
    workflow: string,
    /** One for each mistake, in the order of the nodes. */
    readonly errors: readonly BuildError[],
  ) {
    super(summary(workflow, errors));
  }
}

function summary(workflow: string, errors: readonly BuildError[]): string {
  const [first] = errors;
  const what = `cannot build workflow ${JSON.stringify(workflow)}`;
  if (errors.length === 1 && first) return `${what}: ${first.message}`;
  return [`${what}, which has ${errors.length} mistakes:`, ...errors.map((error) => `- ${error.message}`)].join("\n");
}
