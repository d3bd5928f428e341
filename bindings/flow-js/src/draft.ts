// Drafts: what a builder has recorded, unchecked. `build.ts` makes a definition of them and tells every mistake.

import type { Duration } from "./duration.js";
import type { StepOptions, TaskFn } from "./task.js";
import type { Workflow } from "./workflow.js";

/** @internal A function that shall run at a node. Without an id it gets one when it is built. */
export interface DraftTask {
  readonly id: string | undefined;
  readonly fn: TaskFn;
  readonly options: StepOptions;
  /** The id is the branch's name: other branches of this name may run another function. */
  readonly implicit?: boolean;
}

/** @internal */
export type Draft =
  | { readonly kind: "task"; readonly task: DraftTask }
  | { readonly kind: "fork"; readonly branches: readonly DraftBranch[]; join: DraftTask | undefined }
  | {
      readonly kind: "route";
      readonly key: DraftTask;
      readonly keys: readonly string[] | undefined;
      readonly arms: DraftBranch[];
      fallback: Draft[] | undefined;
      done: boolean;
    }
  | { readonly kind: "delay"; readonly id: string; readonly duration: Duration }
  | { readonly kind: "signal"; readonly id: string; readonly name: string; readonly timeout: Duration | undefined }
  | {
      readonly kind: "loop";
      readonly id: string | undefined;
      /** A loop of one function: its body is one with it. */
      readonly single: DraftTask | undefined;
      readonly body: readonly Draft[];
      readonly maxIterations: number | undefined;
      readonly onMax: string | undefined;
    }
  | { readonly kind: "child"; readonly workflow: Workflow<any, any> }
  /** What was written can be no node; the message says why. */
  | { readonly kind: "mistake"; readonly node: string; readonly message: string };

/** @internal */
export interface DraftBranch {
  readonly name: string;
  readonly nodes: readonly Draft[];
}
