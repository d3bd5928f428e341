// From drafts to a workflow. Every mistake is noted and the rest still checked, so that all are told at once.

import type { Definition, DefinitionNode, DefinitionOptions, OnMax } from "./definition.js";
import type { Draft, DraftBranch, DraftTask } from "./draft.js";
import { BuildError, type BuildErrorCode, BuildErrors } from "./errors.js";
import type { FlowOptions } from "./flow.js";
import { definitionHash } from "./hash.js";
import { layout, type Place } from "./layout.js";
import { nodeInfos } from "./nodes.js";
import { callTask } from "./run.js";
import { checkName, durationOf, isCount, metadataOf, quoted, shown, type TaskMetadata } from "./task.js";
import type { TaskEntry, Workflow } from "./workflow.js";

/** How deep nodes can be nested, and how long a node's path may be: the limits of sayiir-core. */
const MAX_DEPTH = 64;
const MAX_PATH_BYTES = 1024;

/** @internal */
export function buildWorkflow(name: string, options: FlowOptions, drafts: readonly Draft[]): Workflow {
  const builder = new Builder();
  checkName(name, "a name", builder.errors, "");
  if (drafts.length === 0) builder.error("EmptyWorkflow", "", "Workflow must have at least one task");
  const nodes = builder.sequence(drafts, 1);
  const { metadata, version } = options;
  if (version !== undefined && typeof version !== "string") builder.error("InvalidOption", "", `version is ${shown(version)}, not text`);
  const plain = builder.metadata(metadata);
  const definition = frozen<Definition>({
    name,
    ...(version === undefined ? {} : { version }),
    ...(plain === undefined ? {} : { metadata: plain }),
    nodes,
  });
  if (builder.errors.length > 0) throw new BuildErrors(String(name), builder.errors);
  const places = layout(definition);
  const long = places.find(({ path }) => new TextEncoder().encode(path).length > MAX_PATH_BYTES);
  if (long) builder.error("InvalidName", long.path, `invalid name ${shown(long.path)}: a node path has at most ${MAX_PATH_BYTES} bytes`);
  if (builder.errors.length > 0) throw new BuildErrors(name, builder.errors);
  const code = builder.code(places);
  const { tasks } = builder;
  return {
    workflowId: name,
    definitionHash: definitionHash(definition, places),
    metadata,
    definition,
    tasks,
    code,
    _taskRegistry: Object.freeze(Object.fromEntries(Array.from(tasks, ([id, entry]) => [id, (input: unknown) => callTask(entry, input)]))),
    iterNodes: () => nodeInfos(definition),
  };
}

class Builder {
  readonly errors: BuildError[] = [];
  readonly tasks = new Map<string, TaskEntry>();
  /** Which function runs at a node. */
  readonly #entries = new Map<DefinitionNode, TaskEntry>();
  readonly #children = new Map<DefinitionNode, Workflow>();
  /** Those whose id is only the name of their branch. */
  readonly #implicit = new Set<TaskEntry>();
  #unnamed = 0;

  error(code: BuildErrorCode, node: string, message: string): void {
    this.errors.push(new BuildError(code, node, message));
  }

  sequence(drafts: readonly Draft[], depth: number): DefinitionNode[] {
    return drafts.flatMap((draft) => this.#node(draft, depth) ?? []);
  }

  metadata(metadata: unknown): unknown {
    if (metadata === undefined) return undefined;
    try {
      return JSON.parse(JSON.stringify(metadata) ?? "null");
    } catch (error) {
      this.error("InvalidOption", "", `the metadata is no JSON: ${(error as Error).message}`);
      return undefined;
    }
  }

  code(places: readonly Place[]): Map<string, TaskEntry> {
    const code = new Map<string, TaskEntry>();
    for (const { node, path, container } of places) {
      if (isInChild(places, container)) continue;
      const entry = this.#entries.get(node);
      if (entry !== undefined) this.#stands(code, path, entry);
      for (const [inner, entry] of this.#children.get(node)?.code ?? []) this.#stands(code, `${path}/${inner}`, entry);
    }
    return code;
  }

  #stands(code: Map<string, TaskEntry>, path: string, entry: TaskEntry): void {
    code.set(path, entry);
    const known = this.tasks.get(entry.id);
    if (known === undefined) this.tasks.set(entry.id, entry);
    else if (!isSame(known, entry)) this.tasks.set(path, entry);
  }

  #node(draft: Draft, depth: number): DefinitionNode | undefined {
    switch (draft.kind) {
      case "task":
        return this.#task(draft.task);
      case "fork":
        return this.#fork(draft, depth);
      case "route":
        return this.#route(draft, depth);
      case "delay": {
        const { id, duration } = draft;
        checkName(id, "a name", this.errors);
        return { kind: "delay", id, ms: durationOf(id, "delay", duration, this.errors) ?? 0 };
      }
      case "signal": {
        const { id, name, timeout } = draft;
        checkName(id, "a name", this.errors);
        checkName(name, "a signal's name", this.errors, id);
        const timeoutMs = timeout === undefined ? undefined : durationOf(id, "timeout", timeout, this.errors);
        return { kind: "signal", id, name, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
      }
      case "loop":
        return this.#loop(draft, depth);
      case "child": {
        const { workflow } = draft;
        const { definition } = workflow;
        if (depth + depthOf(definition.nodes) > MAX_DEPTH) this.#tooDeep(definition.name);
        const node: DefinitionNode = { kind: "child", id: definition.name, workflow: definition };
        this.#children.set(node, workflow);
        return node;
      }
      case "mistake":
        this.error("InvalidStep", draft.node, draft.message);
        return undefined;
      default:
        return draft satisfies never;
    }
  }

  #task(task: DraftTask): DefinitionNode {
    const { id, entry, options } = this.#register(task, `lambda_${this.#unnamed}`, false);
    const node: DefinitionNode = { kind: "task", id, options };
    this.#entries.set(node, entry);
    return node;
  }

  #fork({ branches, join }: Draft & { kind: "fork" }, depth: number): DefinitionNode {
    const where = join?.id ?? "join";
    if (branches.length === 0) this.error("EmptyFork", where, `the fork before ${quoted(where)} has no branches`);
    if (join === undefined) {
      const names = branches.map(({ name }) => quoted(name)).join(", ");
      this.error("UnfinishedStep", "fork", `the fork of ${names || "nothing"} has no join: end it with join(id, (outputs) => ..)`);
    }
    this.#unique(where, branches);
    const done = branches.map(({ name, nodes }) => ({ name, nodes: this.#inside(name, nodes, depth) }));
    const { id, entry, options } = this.#register(join ?? { id: where, fn: () => null, options: {} }, "join", false, join !== undefined);
    const node: DefinitionNode = { kind: "fork", id, branches: done, join: { id, options } };
    this.#entries.set(node, entry);
    return node;
  }

  #route({ key, keys, arms, fallback, done }: Draft & { kind: "route" }, depth: number): DefinitionNode {
    const { id, entry, options } = this.#register(key, "route", false);
    if (!done) this.error("UnfinishedStep", id, `the route ${quoted(id)} has no end: end it with done()`);
    this.#unique(id, arms);
    const names = arms.map(({ name }) => name);
    const list = (some: readonly string[]): string => `[${some.map(quoted).join(", ")}]`;
    if (arms.length === 0 && fallback === undefined) this.error("EmptyBranch", id, `the route ${quoted(id)} has no branches`);
    else if (keys !== undefined) {
      const twice = keys.filter((one, index) => keys.indexOf(one) !== index);
      if (twice.length > 0) this.error("DuplicateBranch", id, `the route ${quoted(id)} lists ${list(twice)} twice`);
      const missing = keys.filter((one) => !names.includes(one));
      if (missing.length > 0 && fallback === undefined) {
        this.error("MissingBranches", id, `the route ${quoted(id)} has no branch for ${list(missing)}; add them or a default branch`);
      }
      const orphans = names.filter((one) => !keys.includes(one));
      if (orphans.length > 0) this.error("OrphanBranches", id, `the route ${quoted(id)} has branches for ${list(orphans)}, which are no keys of it`);
    } else if (fallback === undefined) {
      this.error("MissingBranches", id, `the route ${quoted(id)} has neither a list of its keys nor a default branch; give one of them`);
    }
    const ordered = keys ?? names;
    const built = new Map(arms.map(({ name, nodes }) => [name, this.#inside(name, nodes, depth)]));
    const node: DefinitionNode = {
      kind: "route",
      id,
      options,
      keys: [...ordered],
      arms: Object.fromEntries(ordered.flatMap((one) => (built.has(one) ? [[one, built.get(one) ?? []]] : []))),
      ...(fallback === undefined ? {} : { default: this.#inside("default", fallback, depth) }),
    };
    this.#entries.set(node, entry);
    return node;
  }

  #loop({ id, single, body, maxIterations = 10, onMax = "fail" }: Draft & { kind: "loop" }, depth: number): DefinitionNode {
    let name = id ?? `lambda_${this.#unnamed}`;
    let nodes: DefinitionNode[];
    if (single === undefined) {
      checkName(name, "a name", this.errors);
      nodes = this.#inside(name, body, depth);
    } else {
      const { id: own, entry, options } = this.#register(single, name, true);
      name = own;
      const node: DefinitionNode = { kind: "task", id: own, options };
      this.#entries.set(node, entry);
      nodes = [node];
    }
    if (!isCount(maxIterations, 1)) {
      this.error("InvalidMaxIterations", name, `the loop ${quoted(name)} must allow at least one iteration, a whole number, not ${shown(maxIterations)}`);
    }
    const policy: OnMax | undefined = onMax === "fail" ? "fail" : onMax === "exit_with_last" || onMax === "exitWithLast" ? "exit_with_last" : undefined;
    if (policy === undefined) this.error("InvalidOption", name, `${quoted(name)}: onMax is "fail" or "exit_with_last", not ${shown(onMax)}`);
    return { kind: "loop", id: name, nodes, maxIterations, onMax: policy ?? "fail" };
  }

  #inside(name: string, drafts: readonly Draft[], depth: number): DefinitionNode[] {
    checkName(name, "a name", this.errors);
    if (drafts.length === 0) this.error("EmptyBranch", name, `the branch ${quoted(name)} has no steps`);
    if (depth < MAX_DEPTH) return this.sequence(drafts, depth + 1);
    this.#tooDeep(name);
    return [];
  }

  #tooDeep(name: string): void {
    this.error("TooDeep", name, `${quoted(name)} is nested deeper than ${MAX_DEPTH} levels`);
  }

  #unique(node: string, branches: readonly DraftBranch[]): void {
    const names = branches.map(({ name }) => name);
    for (const name of new Set(names.filter((one, index) => names.indexOf(one) !== index))) {
      this.error("DuplicateBranch", node, `${quoted(node)} has two branches named ${quoted(name)}`);
    }
  }

  /** Takes note of a function, and gives its id and policies. One id stands for one function. */
  #register(task: DraftTask, fallback: string, loop: boolean, keep = true): { id: string; entry: TaskEntry; options: DefinitionOptions } {
    const id = task.id ?? this.#free(fallback);
    if (task.id === undefined && fallback.startsWith("lambda_")) this.#unnamed += 1;
    checkName(id, "a task's id", this.errors);
    const { input, output } = task.options ?? {};
    const entry: TaskEntry = {
      id,
      fn: task.fn,
      ...(input === undefined ? {} : { input }),
      ...(output === undefined ? {} : { output }),
      ...(loop ? { loop } : {}),
    };
    const known = this.tasks.get(id);
    if (known !== undefined && !isSame(known, entry) && !task.implicit && !this.#implicit.has(known)) {
      this.error("DuplicateTaskId", id, `the task id ${quoted(id)} stands for two different implementations; give one of them another id`);
    }
    if (task.implicit) this.#implicit.add(entry);
    if (keep && known === undefined) this.tasks.set(id, entry);
    return { id, entry, options: plainOptions(metadataOf(id, task.options, this.errors)) };
  }

  /** The name, or `name_2`, `name_3`: the first that no task has. */
  #free(name: string): string {
    let free = name;
    for (let number = 2; this.tasks.has(free); number += 1) free = `${name}_${number}`;
    return free;
  }
}

function isSame(one: TaskEntry, other: TaskEntry): boolean {
  return one.fn === other.fn && one.input === other.input && one.output === other.output;
}

function isInChild(places: readonly Place[], container: Place["container"]): boolean {
  for (let outer = container; outer !== undefined; outer = places[outer.node]?.container) if (outer.kind === 5) return true;
  return false;
}

function depthOf(nodes: readonly DefinitionNode[]): number {
  return nodes.length === 0 ? 0 : 1 + Math.max(...nodes.map((node) => Math.max(0, ...within(node).map(depthOf))));
}

function within(node: DefinitionNode): ReadonlyArray<readonly DefinitionNode[]> {
  switch (node.kind) {
    case "task":
    case "delay":
    case "signal":
      return [];
    case "fork":
      return node.branches.map(({ nodes }) => nodes);
    case "route":
      return [...Object.values(node.arms), ...(node.default ? [node.default] : [])];
    case "loop":
      return [node.nodes];
    case "child":
      return [node.workflow.nodes];
    default:
      return node satisfies never;
  }
}

/** The policies with their times in whole milliseconds. */
function plainOptions({ displayName, description, timeoutSecs, retries, tags, priority, version }: TaskMetadata): DefinitionOptions {
  const ms = (seconds: number): number => Math.round(seconds * 1000);
  return {
    ...(displayName === undefined ? {} : { displayName }),
    ...(description === undefined ? {} : { description }),
    ...(timeoutSecs === undefined ? {} : { timeoutMs: ms(timeoutSecs) }),
    ...(retries === undefined
      ? {}
      : {
          retries: {
            maxRetries: retries.maxRetries,
            initialDelayMs: ms(retries.initialDelaySecs),
            backoffMultiplier: retries.backoffMultiplier,
            ...(retries.maxDelaySecs === undefined ? {} : { maxDelayMs: ms(retries.maxDelaySecs) }),
          },
        }),
    ...(tags === undefined ? {} : { tags }),
    ...(priority === undefined ? {} : { priority }),
    ...(version === undefined ? {} : { version }),
  };
}

/** Nothing may change a definition after its hash was taken. */
function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(frozen);
  }
  return value;
}
