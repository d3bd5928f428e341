/**
 * Durable workflows inside Cloudflare Workers: Sayiir's engine, with state in D1 or in Durable Objects.
 *
 * @module
 */

export * from "@sayiir/flow-js";
export { getTaskContext } from "./context.js";
export type { AttributeFilter, SearchAttributes } from "./attributes.js";
export { failByPanic } from "./panic.js";
export { type EngineErrorCode, InstanceAlreadyExistsError, withTypedErrors, workflowErrorOf } from "./errors.js";
export { SayiirDurableObject } from "./durable-object.js";
export {
  Engine,
  type EngineOptions,
  type HistoryEntry,
  type InstanceSummary,
  type ListOptions,
  type ResumeAllOptions,
  type Resumed,
  type RunOptions,
  runWorkflow,
  type StartOptions,
  type TaskProgress,
} from "./engine.js";
