/**
 * Typed workflows as plain definitions. `@sayiir/cloudflare` and the Node package run them.
 *
 * @module
 */

export { branch, branchFlow, type BranchDef, type InferBranchOutputs } from "./branch.js";
export type * from "./definition.js";
export { type Duration, parseDuration } from "./duration.js";
export {
  BackendError,
  BuildError,
  type BuildErrorCode,
  BuildErrors,
  DoNotRetry,
  RetryAfter,
  TaskError,
  ValidationError,
  WorkflowError,
} from "./errors.js";
export { flow, type FlowOptions, steps } from "./flow.js";
export { LoopResult } from "./loop.js";
export type { NodeInfo, NodeKind } from "./nodes.js";
export { decodePayload, encodePayload } from "./payload.js";
export type { AnySchema, InferInput, InferOutput, StandardSchema, ZodLike } from "./schema.js";
export type {
  ConflictPolicy,
  DurableRunOptions,
  SearchAttribute,
  TaskExecutionContext,
  WorkerOptions,
  WorkflowClientOptions,
  WorkflowStatus,
} from "./status.js";
export type { FlowLike, Fork, LoopOptions, Route, SignalOptions, Steps } from "./steps.js";
export {
  type MaybePromise,
  type Priority,
  type RetryMetadata,
  type RetryPolicy,
  type StepOptions,
  task,
  type Task,
  type TaskFn,
  type TaskMetadata,
  type TaskOptions,
} from "./task.js";
export type { BranchEnvelope } from "./types.js";
export type { TaskEntry, Workflow } from "./workflow.js";
