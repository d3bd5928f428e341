// The definition: what a built workflow is, as plain JSON that any engine reads.

/** A workflow as data. */
export interface Definition {
  readonly name: string;
  readonly version?: string;
  readonly metadata?: unknown;
  readonly nodes: readonly DefinitionNode[];
}

/** The policies of a task. Times are whole milliseconds. */
export interface DefinitionOptions {
  readonly displayName?: string;
  readonly description?: string;
  readonly timeoutMs?: number;
  readonly retries?: DefinitionRetries;
  readonly tags?: readonly string[];
  readonly priority?: 1 | 2 | 3 | 4 | 5;
  readonly version?: string;
}

/** When a task is tried again. */
export interface DefinitionRetries {
  readonly maxRetries: number;
  readonly initialDelayMs: number;
  readonly backoffMultiplier: number;
  readonly maxDelayMs?: number;
}

/** What happens when a loop has had all its iterations. */
export type OnMax = "fail" | "exit_with_last";

/** One node. */
export type DefinitionNode = TaskNode | ForkNode | RouteNode | DelayNode | SignalNode | LoopNode | ChildNode;

/** A task. */
export interface TaskNode {
  readonly kind: "task";
  readonly id: string;
  readonly options: DefinitionOptions;
}

/** Branches side by side, and the task that joins their outputs. */
export interface ForkNode {
  readonly kind: "fork";
  readonly id: string;
  readonly branches: ReadonlyArray<{ readonly name: string; readonly nodes: readonly DefinitionNode[] }>;
  readonly join: { readonly id: string; readonly options: DefinitionOptions };
}

/** A choice between arms, by the key that a task gives. Arms are in the order of `keys`. */
export interface RouteNode {
  readonly kind: "route";
  readonly id: string;
  readonly options: DefinitionOptions;
  readonly keys: readonly string[];
  readonly arms: Readonly<Record<string, readonly DefinitionNode[]>>;
  readonly default?: readonly DefinitionNode[];
}

/** A wait for a time. */
export interface DelayNode {
  readonly kind: "delay";
  readonly id: string;
  readonly ms: number;
}

/** A wait for a signal. */
export interface SignalNode {
  readonly kind: "signal";
  readonly id: string;
  readonly name: string;
  readonly timeoutMs?: number;
}

/** A body that runs until it says that it is done. */
export interface LoopNode {
  readonly kind: "loop";
  readonly id: string;
  readonly nodes: readonly DefinitionNode[];
  readonly maxIterations: number;
  readonly onMax: OnMax;
}

/** A workflow as a step of another. */
export interface ChildNode {
  readonly kind: "child";
  readonly id: string;
  readonly workflow: Definition;
}
