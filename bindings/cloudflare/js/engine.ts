// The engine as users see it.

import type { ConflictPolicy, SearchAttribute, Workflow, WorkflowStatus } from "@sayiir/flow-js";
import { decodePayload, encodePayload } from "@sayiir/flow-js/internal";
import { type AttributeFilter, readAttributes, type SearchAttributes, toldAttributes, toldFilters } from "./attributes.js";
import { flowOf } from "./code.js";
import { call, engine } from "./core.js";
import { d1, type Database } from "./database.js";
import { errorOf } from "./errors.js";
import type { Core } from "../pkg/sayiir_cloudflare.js";

/** How an engine works. */
export interface EngineOptions {
  /** What `run` does if the id belongs to an instance already; `fail` unless set. */
  readonly conflictPolicy?: ConflictPolicy;
  /** How long an instance is held before others may take it over from an isolate that is gone; 10 seconds unless set. */
  readonly leaseMs?: number;
  /** How long a call drives: when it is over, running tasks may end within a quarter of it, and the rest waits for the next wake. */
  readonly timeBudgetMs?: number;
}

/** Options of one call that drives. */
export interface RunOptions {
  readonly timeBudgetMs?: number;
}

/** Options of a start. */
export interface StartOptions extends RunOptions {
  readonly conflictPolicy?: ConflictPolicy;
  /** By what the instance can be found: see `list`. */
  readonly searchAttributes?: SearchAttributes;
}

/** Options of `resumeAll`. */
export interface ResumeAllOptions {
  /** The most that is taken up in one call; 10 unless set. */
  readonly limit?: number;
  /**
   * The most seconds that an instance may lie which an isolate left that is gone; 300, or `leaseMs` where that is longer, unless set. Such an
   * instance is due as soon as its lease has ended, at most `leaseMs` after the isolate went. So this makes nothing due sooner, and an instance
   * that an isolate still drives is never stale, however long its task takes; but what leases of this length cannot keep is refused.
   */
  readonly staleAfter?: number;
  readonly timeBudgetMs?: number;
}

/** What `resumeAll` did. */
export interface Resumed {
  /** The instances that were driven on. */
  readonly resumed: string[];
  /** Those that could not be, and why. */
  readonly failed: { readonly instanceId: string; readonly error: string }[];
}

/** An instance in a list. */
export interface InstanceSummary {
  readonly instanceId: string;
  readonly run: number;
  readonly workflowId: string;
  readonly version: string;
  readonly definitionHash: string;
  readonly status: WorkflowStatus["status"];
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly searchAttributes: Readonly<Record<string, SearchAttribute>>;
}

/** What a running task said about how far it is. */
export interface TaskProgress {
  readonly nodePath: string;
  readonly attempt: number;
  readonly progress: unknown;
  readonly at: string;
}

/** Which instances to list. */
export interface ListOptions {
  readonly status?: WorkflowStatus["status"];
  readonly workflow?: string;
  /** Only instances that have all of these: a value each, or bounds of a number or an instant. */
  readonly searchAttributes?: Readonly<Record<string, AttributeFilter>>;
  /** The most that are listed; 1000 unless set. */
  readonly limit?: number;
  /** In order of ids, unless set: or the run that was started last first. */
  readonly order?: "by_id" | "newest_first";
  /** In order of ids: the last id of the page before. */
  readonly after?: string;
  /** With the newest first: the last `run` of the page before. */
  readonly before?: number;
}

/** A row of an instance's journal. */
export interface HistoryEntry {
  readonly run: number;
  readonly branch: string;
  readonly revision: number;
  /** What happened: `task_completed`, `attempt_failed`, `event_received` and so on. */
  readonly kind: string;
  /** Where, with the iteration of each loop around it. */
  readonly nodePath: string;
  readonly attempt: number;
  readonly output?: unknown;
  /** What the next node got, where that is not the node's own output. */
  readonly handedOn?: unknown;
  readonly error?: string;
  readonly at: string;
}

/** Databases whose tables this isolate has seen. */
const prepared = new WeakSet<object>();

/** Runs workflows over a store. */
export class Engine {
  readonly #database: Database;
  readonly #home: object;
  readonly #options: EngineOptions;
  #core: { generation: number; core: Core } | undefined;

  /** @internal */
  constructor(database: Database, home: object, options: EngineOptions) {
    this.#database = database;
    this.#home = home;
    this.#options = options;
  }

  /** An engine over a D1 database. Its tables are made on first use, under names that begin with `sayiir_`. */
  static async create(db: D1Database, options: EngineOptions = {}): Promise<Engine> {
    if (typeof db?.batch !== "function") throw new TypeError("Engine.create takes a D1 database: the binding of your wrangler configuration");
    return new Engine(d1(db), db, options);
  }

  /** Starts an instance and drives it until it has ended, is paused, or waits for a delay or a signal. */
  async run<In, Out>(workflow: Workflow<In, Out>, instanceId: string, input: In, options: StartOptions = {}): Promise<WorkflowStatus<Out>> {
    const json = this.#startOptions(options);
    return statusOf(await this.#call((core) => core.run(flowOf(workflow), instanceId, encodePayload(input), json, false)));
  }

  /** Stores a new instance, and drives nothing: `resume`, `resumeAll` or an alarm does. */
  async submit<In, Out>(workflow: Workflow<In, Out>, instanceId: string, input: In, options: StartOptions = {}): Promise<WorkflowStatus<Out>> {
    const json = this.#startOptions(options);
    return statusOf(await this.#call((core) => core.submit(flowOf(workflow), instanceId, encodePayload(input), json)));
  }

  /** Drives an instance on from where it stands. Nothing is touched that a live isolate holds. */
  async resume<In, Out>(workflow: Workflow<In, Out>, instanceId: string, options: RunOptions = {}): Promise<WorkflowStatus<Out>> {
    const json = JSON.stringify(this.#runOptions(options));
    return statusOf(await this.#call((core) => core.resume(flowOf(workflow), instanceId, json)));
  }

  /** Drives on what is due, signalled, or was left by an isolate that is gone: call it from a cron trigger. */
  async resumeAll(workflows: Workflow | readonly Workflow[], options: ResumeAllOptions = {}): Promise<Resumed> {
    const { limit = 10, staleAfter, timeBudgetMs = this.#options.timeBudgetMs } = options;
    if (staleAfter !== undefined) this.#checkStale(staleAfter);
    return await this.#call((core) => {
      const flows = new (engine().wasm.Flows)();
      for (const workflow of Array.isArray(workflows) ? workflows : [workflows]) flows.add(flowOf(workflow));
      try {
        return core.resumeAll(flows, limit, timeBudgetMs);
      } finally {
        flows.free();
      }
    });
  }

  /** Cancels an instance at once, wherever it stands. */
  async cancel(instanceId: string, options: { readonly reason?: string; readonly cancelledBy?: string } = {}): Promise<WorkflowStatus> {
    return statusOf(await this.#call((core) => core.cancel(instanceId, options.reason, options.cancelledBy)));
  }

  /** Pauses an instance: what runs may end its step, then everything is held. */
  async pause(instanceId: string, options: { readonly reason?: string; readonly pausedBy?: string } = {}): Promise<WorkflowStatus> {
    return statusOf(await this.#call((core) => core.pause(instanceId, options.reason, options.pausedBy)));
  }

  /** Lets a paused instance go on. */
  async unpause(instanceId: string): Promise<WorkflowStatus> {
    return statusOf(await this.#call((core) => core.unpause(instanceId)));
  }

  /** Lets a failed instance go on from where it failed, with fresh attempts: `resume`, `resumeAll` or an alarm drives it. */
  async retry(instanceId: string): Promise<WorkflowStatus> {
    return statusOf(await this.#call((core) => core.retry(instanceId)));
  }

  /** Sends a signal. It may come before the wait for it, and before the instance; it is used once. With a `key` it is sent once. */
  async sendSignal(instanceId: string, name: string, payload?: unknown, options: { readonly key?: string } = {}): Promise<void> {
    await this.#call((core) => core.send(instanceId, name, encodePayload(payload), options.key));
  }

  /** How an instance stands. */
  async status(instanceId: string): Promise<WorkflowStatus> {
    return statusOf(await this.#call((core) => core.status(instanceId)));
  }

  /** The output of a completed instance; throws if it has none. */
  async result<Out = unknown>(instanceId: string): Promise<Out> {
    return outputOf(await this.status(instanceId), `instance ${JSON.stringify(instanceId)}`) as Out;
  }

  /** What the running tasks of an instance last said with `reportProgress`. */
  async progress(instanceId: string): Promise<TaskProgress[]> {
    const all: { progress: string }[] = await this.#call((core) => core.progress(instanceId));
    return all.map((one) => ({ ...one, progress: decodePayload(one.progress) })) as TaskProgress[];
  }

  /** Instances, in order of their ids or the newest first. */
  async list({ order = "by_id", searchAttributes = {}, ...options }: ListOptions = {}): Promise<InstanceSummary[]> {
    if (order !== "by_id" && order !== "newest_first") throw new TypeError(`the order is "by_id" or "newest_first", not ${JSON.stringify(order)}`);
    const json = JSON.stringify({ ...options, newestFirst: order === "newest_first", searchAttributes: toldFilters(searchAttributes) });
    const all: { searchAttributes: Record<string, Record<string, unknown>> }[] = await this.#call((core) => core.list(json));
    return all.map((one) => ({ ...one, searchAttributes: readAttributes(one.searchAttributes) })) as InstanceSummary[];
  }

  /** All that happened to an instance. */
  async history(instanceId: string): Promise<HistoryEntry[]> {
    const rows: { output?: string; handedOn?: string }[] = await this.#call((core) => core.history(instanceId));
    return rows.map((row) => ({
      ...row,
      ...(row.output !== undefined && { output: decodePayload(row.output) }),
      ...(row.handedOn !== undefined && { handedOn: decodePayload(row.handedOn) }),
    })) as HistoryEntry[];
  }

  /** Removes an instance with all that is known of it; false if it is unknown. */
  async delete(instanceId: string): Promise<boolean> {
    return await this.#call((core) => core.delete(instanceId));
  }

  /** @internal The hash of the definition that an instance was started with. */
  async definitionOf(instanceId: string): Promise<string> {
    return await this.#call((core) => core.definition(instanceId));
  }

  #checkStale(staleAfter: number): void {
    if (typeof staleAfter === "number" && staleAfter * 1000 >= this.#leaseMs) return;
    const why = `instances are held for leaseMs (${this.#leaseMs}), and before that nobody can tell whether their isolate is gone`;
    throw errorOf("wrong", `resumeAll cannot keep a staleAfter of ${staleAfter} s: ${why}. Give Engine.create a shorter leaseMs, or leave staleAfter out`);
  }

  get #leaseMs(): number {
    return this.#options.leaseMs ?? 10_000;
  }

  #startOptions({ conflictPolicy = this.#options.conflictPolicy, searchAttributes = {}, ...options }: StartOptions): string {
    return JSON.stringify({ ...this.#runOptions(options), conflictPolicy, searchAttributes: toldAttributes(searchAttributes) });
  }

  #runOptions({ timeBudgetMs = this.#options.timeBudgetMs }: RunOptions): { timeBudgetMs: number | undefined } {
    return { timeBudgetMs };
  }

  async #call(start: (core: Core) => Promise<string>): Promise<any> {
    const answer = await call(({ wasm, generation }) => {
      if (this.#core?.generation !== generation) {
        const core = new wasm.Core(this.#database, this.#leaseMs, this.#database.remote, prepared.has(this.#home));
        this.#core = { generation, core };
      }
      return start(this.#core.core);
    });
    prepared.add(this.#home);
    return answer;
  }
}

/** Runs a workflow here and now, and keeps nothing of it. Delays are waited for; a signal never comes. */
export async function runWorkflow<In, Out>(workflow: Workflow<In, Out>, input: In): Promise<Out> {
  const status = await call(({ wasm }) => wasm.Core.inMemory().run(flowOf(workflow), "run", encodePayload(input), "{}", true));
  return outputOf(statusOf(status), `the workflow ${JSON.stringify(workflow.workflowId)}`) as Out;
}

/** A status whose output is a text of JSON. */
function statusOf(status: any): any {
  return "output" in status ? { ...status, output: decodePayload(status.output) } : status;
}

function outputOf(status: WorkflowStatus, whose: string): unknown {
  if (status.status === "completed") return status.output;
  if (status.status === "failed") throw errorOf("failed", status.error);
  throw errorOf("no_output", `${whose} has no output: it is ${status.status}`);
}
