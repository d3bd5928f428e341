// The builder: records steps, and lets the types of data follow them. It checks nothing; `build()` does, all at once.

import { type BranchDef, grow } from "./branch.js";
import type { Draft, DraftBranch } from "./draft.js";
import type { Duration } from "./duration.js";
import type { DoneOf, AgainOf, LoopResult } from "./loop.js";
import { readTask, singleDraft } from "./step.js";
import type { AnySchema } from "./schema.js";
import type { MaybePromise, StepOptions } from "./task.js";
import type { BranchEnvelope, Received, Returned, SchemaOptions } from "./types.js";
import type { Workflow } from "./workflow.js";

/** Options of a loop; those of a step are its body's. */
export interface LoopOptions extends Omit<StepOptions, "input" | "output"> {
  /** The most iterations; 10 unless given. */
  readonly maxIterations?: number;
  /** After the last of them: the instance fails, or the last value goes on. */
  readonly onMax?: "fail" | "exit_with_last" | "exitWithLast";
}

/** Options of a wait for a signal. */
export interface SignalOptions {
  /** The longest wait. The next step gets `null` when it is over. */
  readonly timeout?: Duration;
}

type ExitWithLast = { readonly onMax: "exit_with_last" | "exitWithLast" };

/** The builder of which `this` one is, after a step: a flow stays a flow. */
type Next<Self, In, Out> = Self extends { build(): unknown } ? FlowLike<In, Out> : Steps<In, Out>;

/** What `flow()` returns: steps that can be built. */
export interface FlowLike<In, Out> extends Steps<In, Out> {
  /**
   * Checks the whole and makes it a workflow.
   *
   * @throws `BuildErrors` with every mistake there is.
   */
  build(): Workflow<In, Out>;
}

/** A sequence of steps: takes an `In`, and hands a `Cur` to the next step. */
export class Steps<In, Cur> {
  /** @internal */
  readonly _nodes: Draft[];
  /** Never there: holds the types. */
  declare readonly _types?: { readonly input: (input: In) => void; readonly current: Cur };

  /** @internal */
  constructor(nodes: Draft[]) {
    this._nodes = nodes;
  }

  /** Adds a task: a function or a `task(..)`, with an id (else that of the task, or the function's name). */
  then<Out, IS extends AnySchema = never, OS extends AnySchema = never>(
    fn: (input: Received<Cur, IS>) => Out,
    options?: SchemaOptions<Cur, IS, OS>,
  ): Next<this, In, Returned<Out, OS>>;
  then<Out, IS extends AnySchema = never, OS extends AnySchema = never>(
    id: string,
    fn: (input: Received<Cur, IS>) => Out,
    options?: SchemaOptions<Cur, IS, OS>,
  ): Next<this, In, Returned<Out, OS>>;
  then(...args: unknown[]): any {
    const read = readTask(args);
    if (typeof read !== "string") return this._push({ kind: "task", task: read });
    // The rejection of a promise that adopts a builder: `await flow(..)`.
    if (typeof args[0] === "function" && typeof args[1] === "function") throw new TypeError(`then: ${read}`);
    return this._mistake(args[0], "then", read);
  }

  /** Runs branches side by side, each on what flows here. Goes on with `join`. */
  fork<Outs extends readonly [unknown, ...unknown[]] | readonly unknown[]>(
    branches: { readonly [I in keyof Outs]: BranchDef<Cur, Outs[I]> },
  ): Fork<this, In, Outs>;
  fork(branches: readonly BranchDef[]): any {
    const list = Array.isArray(branches) ? branches.filter((one) => Array.isArray((one as Partial<BranchDef> | null)?._nodes)) : [];
    const draft: Draft & { kind: "fork" } = {
      kind: "fork",
      branches: list.map((one: BranchDef) => ({ name: one.name, nodes: one._nodes })),
      join: undefined,
    };
    if (Array.isArray(branches) && list.length === branches.length) this._push(draft);
    else this._mistake("fork", "fork", "takes a list of branches: [branch(name, fn), ..]");
    return new Fork(this as never, draft);
  }

  /** Chooses one arm by the key that a function gives. Each key has an arm, or there is a default. Ends with `done`. */
  route<const K extends string, R extends string = K>(
    keyFn: (input: Cur) => MaybePromise<R>,
    keys: readonly K[] & KeysHold<R, K>,
    options?: StepOptions,
  ): Route<this, In, Cur, K, never>;
  route<const K extends string, R extends string = K>(
    id: string,
    keyFn: (input: Cur) => MaybePromise<R>,
    keys: readonly K[] & KeysHold<R, K>,
    options?: StepOptions,
  ): Route<this, In, Cur, K, never>;
  route(keyFn: (input: Cur) => MaybePromise<string>): Route<this, In, Cur, string, never>;
  route(id: string, keyFn: (input: Cur) => MaybePromise<string>): Route<this, In, Cur, string, never>;
  route(...args: unknown[]): any {
    const at = typeof args[0] === "string" ? 2 : 1;
    const keys = args[at];
    const read = readTask([...args.slice(0, at), args[at + 1]]);
    const draft: Draft & { kind: "route" } = {
      kind: "route",
      key: typeof read === "string" ? { id: "route", fn: () => "", options: {} } : read,
      keys: Array.isArray(keys) ? keys.map(String) : undefined,
      arms: [],
      fallback: undefined,
      done: false,
    };
    if (typeof read === "string") this._mistake(args[0], "route", read);
    if (keys !== undefined && !Array.isArray(keys)) this._mistake(args[0], "route", "the keys are a list of texts");
    this._push(draft);
    return new Route(this as never, draft);
  }

  /** Waits for a time. What flows here goes on. */
  delay(id: string, duration: Duration): this {
    this._push({ kind: "delay", id, duration });
    return this;
  }

  /** Waits for a signal; the next step gets its payload. With a timeout, that is `null` when the time is over. */
  waitForSignal<T = unknown>(id: string, name: string, options: SignalOptions & { readonly timeout: Duration }): Next<this, In, T | null>;
  waitForSignal<T = unknown>(id: string, name: string, options?: { readonly timeout?: undefined }): Next<this, In, T>;
  waitForSignal(id: string, name: string, options?: { readonly timeout?: Duration | undefined }): any {
    return this._push({ kind: "signal", id, name, timeout: options?.timeout });
  }

  /** Runs a task until it returns `LoopResult.done(..)`. */
  loop<R extends LoopResult<Cur, unknown>>(
    fn: (input: Cur) => MaybePromise<R>,
    options: LoopOptions & ExitWithLast,
  ): Next<this, In, DoneOf<R> | AgainOf<R>>;
  loop<R extends LoopResult<Cur, unknown>>(fn: (input: Cur) => MaybePromise<R>, options?: LoopOptions): Next<this, In, DoneOf<R>>;
  loop<R extends LoopResult<Cur, unknown>>(
    id: string,
    fn: (input: Cur) => MaybePromise<R>,
    options: LoopOptions & ExitWithLast,
  ): Next<this, In, DoneOf<R> | AgainOf<R>>;
  loop<R extends LoopResult<Cur, unknown>>(
    id: string,
    fn: (input: Cur) => MaybePromise<R>,
    options?: LoopOptions,
  ): Next<this, In, DoneOf<R>>;
  loop(...args: unknown[]): any {
    const at = typeof args[0] === "string" ? 2 : 1;
    const { maxIterations, onMax, ...options } = (args[at] ?? {}) as LoopOptions;
    const read = readTask([...args.slice(0, at), options]);
    if (typeof read === "string") return this._mistake(args[0], "loop", read);
    return this._push({ kind: "loop", id: read.id, single: read, body: [], maxIterations, onMax });
  }

  /** Runs steps of any kind until the last of them hands on `LoopResult.done(..)`. */
  loopFlow<R extends LoopResult<Cur, unknown>>(
    id: string,
    build: (sub: Steps<Cur, Cur>) => Steps<Cur, R>,
    options: Pick<LoopOptions, "maxIterations" | "onMax"> & ExitWithLast,
  ): Next<this, In, DoneOf<R> | AgainOf<R>>;
  loopFlow<R extends LoopResult<Cur, unknown>>(
    id: string,
    build: (sub: Steps<Cur, Cur>) => Steps<Cur, R>,
    options?: Pick<LoopOptions, "maxIterations" | "onMax">,
  ): Next<this, In, DoneOf<R>>;
  loopFlow(id: string, build: (sub: Steps<Cur, Cur>) => unknown, options: LoopOptions = {}): any {
    const { maxIterations, onMax } = options;
    return this._push({ kind: "loop", id, single: undefined, body: grow(id, build), maxIterations, onMax });
  }

  /** Adds a whole workflow as a step. Its ids are its own: parent and child may use the same ones. */
  thenFlow<ChildIn, Out>(child: Cur extends ChildIn ? Workflow<ChildIn, Out> : Workflow<Cur, Out>): Next<this, In, Out>;
  thenFlow(child: Workflow<any, any>): any {
    if (typeof child?.definition !== "object") {
      return this._mistake("thenFlow", "thenFlow", "takes a built workflow: call build() on the child first");
    }
    return this._push({ kind: "child", workflow: child });
  }

  /** @internal */
  _push(draft: Draft): this {
    this._nodes.push(draft);
    return this;
  }

  private _mistake(node: unknown, method: string, message: string): this {
    const name = typeof node === "string" ? node : method;
    const where = name === method ? method : `${method}(${JSON.stringify(name)})`;
    return this._push({ kind: "mistake", node: name, message: `${where}: ${message}` });
  }
}

/** `unknown` where each key that the function is known to give is in the list. */
type KeysHold<R extends string, K extends string> = string extends R
  ? unknown
  : [R] extends [K]
    ? unknown
    : { readonly "the key function gives a key that is not in the list": Exclude<R, K> };

/** A fork that waits for its join. `Outs` are the outputs of its branches. */
export class Fork<Self, In, Outs> {
  readonly #steps: Self & Steps<In, unknown>;
  readonly #draft: Draft & { kind: "fork" };

  /** @internal */
  constructor(steps: Self & Steps<In, unknown>, draft: Draft & { kind: "fork" }) {
    this.#steps = steps;
    this.#draft = draft;
  }

  /** Runs when all branches are done: gets their outputs in the order of the branches. */
  join<Out, OS extends AnySchema = never>(
    id: string,
    fn: (outputs: Outs) => Out,
    options?: SchemaOptions<Outs, never, OS>,
  ): Next<Self, In, Returned<Out, OS>>;
  join<Out, OS extends AnySchema = never>(
    fn: (outputs: Outs) => Out,
    options?: SchemaOptions<Outs, never, OS>,
  ): Next<Self, In, Returned<Out, OS>>;
  join(...args: unknown[]): any {
    const read = readTask(args);
    const id = typeof args[0] === "string" ? args[0] : "join";
    this.#draft.join = typeof read === "string" ? { id, fn: () => null, options: {} } : read;
    if (typeof read === "string") this.#steps._push({ kind: "mistake", node: id, message: `join: ${read}` });
    return this.#steps;
  }
}

/** A route whose arms are being added. `Left` are the keys that have none yet, `Out` is what the arms hand on so far. */
export class Route<Self, In, Cur, Left extends string, Out> {
  readonly #steps: Self & Steps<In, unknown>;
  readonly #draft: Draft & { kind: "route" };

  /** @internal */
  constructor(steps: Self & Steps<In, unknown>, draft: Draft & { kind: "route" }) {
    this.#steps = steps;
    this.#draft = draft;
  }

  /** Adds the arm of a key: one task, or steps made by `steps()`. */
  branch<K extends Left, ArmOut>(key: K, arm: Steps<Cur, ArmOut>): Route<Self, In, Cur, Rest<Left, K>, Out | BranchEnvelope<ArmOut, K>>;
  branch<K extends Left, ArmOut, IS extends AnySchema = never, OS extends AnySchema = never>(
    key: K,
    fn: (input: Received<Cur, IS>) => ArmOut,
    options?: SchemaOptions<Cur, IS, OS>,
  ): Route<Self, In, Cur, Rest<Left, K>, Out | BranchEnvelope<Returned<ArmOut, OS>, K>>;
  branch<K extends Left, ArmOut, IS extends AnySchema = never, OS extends AnySchema = never>(
    key: K,
    id: string,
    fn: (input: Received<Cur, IS>) => ArmOut,
    options?: SchemaOptions<Cur, IS, OS>,
  ): Route<Self, In, Cur, Rest<Left, K>, Out | BranchEnvelope<Returned<ArmOut, OS>, K>>;
  branch(key: string, ...rest: unknown[]): any {
    return this.#arm(key, armOf(key, rest));
  }

  /** Adds the arm of a key: any steps. */
  branchFlow<K extends Left, ArmOut>(
    key: K,
    build: (sub: Steps<Cur, Cur>) => Steps<Cur, ArmOut>,
  ): Route<Self, In, Cur, Rest<Left, K>, Out | BranchEnvelope<ArmOut, K>> {
    return this.#arm(key, grow(key, build));
  }

  /** Adds the arm of all keys that have none of their own. */
  defaultBranch<ArmOut>(arm: Steps<Cur, ArmOut>): Route<Self, In, Cur, never, Out | BranchEnvelope<ArmOut, Left>>;
  defaultBranch<ArmOut, IS extends AnySchema = never, OS extends AnySchema = never>(
    fn: (input: Received<Cur, IS>) => ArmOut,
    options?: SchemaOptions<Cur, IS, OS>,
  ): Route<Self, In, Cur, never, Out | BranchEnvelope<Returned<ArmOut, OS>, Left>>;
  defaultBranch<ArmOut, IS extends AnySchema = never, OS extends AnySchema = never>(
    id: string,
    fn: (input: Received<Cur, IS>) => ArmOut,
    options?: SchemaOptions<Cur, IS, OS>,
  ): Route<Self, In, Cur, never, Out | BranchEnvelope<Returned<ArmOut, OS>, Left>>;
  defaultBranch(...rest: unknown[]): any {
    return this.#fallback(armOf("default", rest));
  }

  /** Adds the arm of all keys that have none of their own: any steps. */
  defaultFlow<ArmOut>(
    build: (sub: Steps<Cur, Cur>) => Steps<Cur, ArmOut>,
  ): Route<Self, In, Cur, never, Out | BranchEnvelope<ArmOut, Left>> {
    return this.#fallback(grow("default", build));
  }

  /** Ends the route. The next step gets the key and what its arm handed on. */
  done(...missing: [Left] extends [never] ? [] : [error: `no branch for the key ${Left}`]): Next<Self, In, Out>;
  done(): any {
    this.#draft.done = true;
    return this.#steps;
  }

  #arm(name: string, nodes: readonly Draft[]): any {
    this.#draft.arms.push({ name, nodes } satisfies DraftBranch);
    return this;
  }

  #fallback(nodes: readonly Draft[]): any {
    if (this.#draft.fallback !== undefined) {
      this.#steps._push({ kind: "mistake", node: "default", message: "a route has one default branch" });
    }
    this.#draft.fallback = [...nodes];
    return this;
  }
}

/** The keys that are left. Of keys known only at run time, any may be left. */
type Rest<Left extends string, K extends string> = string extends Left ? Left : Exclude<Left, K>;

function armOf(name: string, args: readonly unknown[]): readonly Draft[] {
  return args[0] instanceof Steps ? args[0]._nodes : [singleDraft(name, args)];
}
