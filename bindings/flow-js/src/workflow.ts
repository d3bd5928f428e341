// A built workflow: its definition, its functions, its identity.

import type { Definition } from "./definition.js";
import type { NodeInfo } from "./nodes.js";
import type { AnySchema } from "./schema.js";
import type { TaskFn } from "./task.js";

/** A function of a workflow with what checks its values. */
export interface TaskEntry {
  readonly id: string;
  readonly fn: TaskFn;
  readonly input?: AnySchema;
  readonly output?: AnySchema;
  /** It is the body of a loop, whose `output` schema checks the value inside of the `LoopResult`. */
  readonly loop?: boolean;
}

/** A workflow that engines run. */
export interface Workflow<In = any, Out = any> {
  /** The workflow's name. */
  readonly workflowId: string;
  /** What an instance is bound to: SHA-256 over name, version and structure, as 64 hex digits. */
  readonly definitionHash: string;
  /** The metadata given to `flow`. */
  readonly metadata: unknown;
  /** The workflow as plain JSON. */
  readonly definition: Definition;
  /** The functions by the id of their task. Where a child's id is taken, it stands under its node path. */
  readonly tasks: ReadonlyMap<string, TaskEntry>;
  /** The functions by the path of the node that runs them: this is what engines look in. */
  readonly code: ReadonlyMap<string, TaskEntry>;
  /** The functions by task id, with their checks, to be called. */
  readonly _taskRegistry: Readonly<Record<string, (input: any) => any>>;
  /** All nodes, a container before what it contains. */
  iterNodes(): NodeInfo[];
  /** Never there: holds the types. */
  readonly _types?: { readonly input: (input: In) => void; readonly output: Out };
}
