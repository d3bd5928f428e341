// What engines say about instances, and what tasks can read about themselves: types that both packages share.

import type { Duration } from "./duration.js";
import type { MaybePromise, TaskMetadata } from "./task.js";

/** What to do when an instance of this id is there already. */
export type ConflictPolicy =
  | "fail"
  | "use_existing"
  | "useExisting"
  | "terminate_existing"
  | "terminateExisting";

/** Where an instance is. */
export type WorkflowStatus<Output = unknown> =
  | { readonly status: "completed"; readonly output: Output }
  | { readonly status: "in_progress" }
  | { readonly status: "failed"; readonly error: string }
  | { readonly status: "cancelled"; readonly reason?: string; readonly cancelledBy?: string }
  | { readonly status: "paused"; readonly reason?: string; readonly pausedBy?: string }
  | { readonly status: "waiting"; readonly wakeAt: string; readonly delayId: string }
  | {
      readonly status: "awaiting_signal";
      readonly signalId: string;
      readonly signalName: string;
      readonly wakeAt?: string;
    };

/** What a running task can read about itself. */
export interface TaskExecutionContext {
  /** The workflow's name. */
  readonly workflowId: string;
  /** The instance's id. */
  readonly instanceId: string;
  /** The task's id. */
  readonly taskId: string;
  /** Where the task stands in the workflow, with the iteration of each loop around it. */
  readonly nodePath: string;
  /** Which try this is, counted from 1. */
  readonly attempt: number;
  /** The same on each attempt at this step of this run, and on nothing else. */
  readonly idempotencyKey: string;
  /** The task's own options. */
  readonly metadata: TaskMetadata;
  /** The workflow's metadata as JSON text. */
  readonly workflowMetadataJson?: string;
  /**
   * Aborted when this attempt is over before its function has returned: the instance was cancelled, the task's timeout or the call's time
   * budget has passed, or another isolate has taken the instance over. What the function still does is lost. Hand it to `fetch`.
   */
  readonly signal: AbortSignal;
  /**
   * Runs a part of a long task, and stores its result under `name` before it goes on. If the part was stored before, by an earlier
   * attempt or in an isolate that is gone, its result is given and the part does not run again. A part that *was running* then runs again,
   * as a task does. What is given is what was stored (JSON and bytes), the first time too. Within a task a name is used once: number the
   * parts of a loop.
   */
  checkpoint<T>(name: string, part: () => MaybePromise<T>): Promise<T>;
  /** Says how far the task is, for whoever asks the engine's `progress`. The latest is kept until the attempt ends; costs one write. */
  reportProgress(progress: unknown): Promise<void>;
  /** Sets a search attribute of the instance, by which `list` finds it; one of the same name is overwritten. Costs one write. */
  setSearchAttribute(name: string, value: SearchAttribute): Promise<void>;
}

/** The value of a search attribute: a short text, a whole number, yes or no, an instant. */
export type SearchAttribute = string | number | boolean | Date;

/** Options of a durable run. */
export interface DurableRunOptions {
  readonly conflictPolicy?: ConflictPolicy;
}

/** Options of a client. */
export interface WorkflowClientOptions {
  readonly conflictPolicy?: ConflictPolicy;
}

/** Options of a worker. */
export interface WorkerOptions {
  readonly pollInterval?: Duration;
  readonly claimTtl?: Duration;
  readonly tags?: readonly string[];
  readonly maxConcurrentTasks?: number;
}
