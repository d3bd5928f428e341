// What a running task can read about itself. It follows the task's promises by AsyncLocalStorage, which workerd has under the
// compatibility flag `nodejs_als` (or `nodejs_compat`).

import { AsyncLocalStorage } from "node:async_hooks";
import type { TaskExecutionContext } from "@sayiir/flow-js";

const storage = new AsyncLocalStorage<TaskExecutionContext>();

/** The context of the task that runs; `undefined` outside of tasks. */
export function getTaskContext(): TaskExecutionContext | undefined {
  return storage.getStore();
}

/** Runs a task with its context. */
export function within<T>(context: TaskExecutionContext, task: () => T): T {
  return storage.run(context, task);
}
