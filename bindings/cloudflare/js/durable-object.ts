// An object that holds instances in its own SQLite and wakes them by itself: no cron is needed.

import type { Workflow, WorkflowStatus } from "@sayiir/flow-js";
import { DurableObject } from "cloudflare:workers";
import { engine } from "./core.js";
import { durable, expireLeases } from "./database.js";
import {
  Engine,
  type EngineOptions,
  type HistoryEntry,
  type InstanceSummary,
  type ListOptions,
  type Resumed,
  type RunOptions,
  type StartOptions,
  type TaskProgress,
} from "./engine.js";
import { errorOf, leaving } from "./errors.js";

/** So long after an alarm that failed it is tried again. */
const AGAIN_MS = 5_000;

/** The most branches that an alarm takes up before it looks again. */
const AT_ONCE = 100;

/** When the first branch of the definitions `?1` (a list of hashes) is due: one look into the index for each lane and priority. */
const NEXT =
  "SELECT min((SELECT min(run_at) FROM sayiir_branch WHERE lane = l.id AND priority = p.value AND run_at IS NOT NULL)) AS at " +
  "FROM json_each(?1) h JOIN sayiir_definition d ON d.hash = h.value JOIN sayiir_lane l ON l.definition = d.id, json_each('[1,2,3,4,5]') p";

/** The definitions besides `?1` of which something is due at `?2`. */
const NOT_SERVED =
  "SELECT name, hash FROM sayiir_definition d WHERE hash NOT IN (SELECT value FROM json_each(?1)) AND EXISTS (SELECT 1 FROM sayiir_lane l, " +
  "json_each('[1,2,3,4,5]') p WHERE l.definition = d.id AND EXISTS (SELECT 1 FROM sayiir_branch WHERE lane = l.id AND priority = p.value AND run_at <= ?2))";

/**
 * The base of a Durable Object that holds one instance, or a shard of them. Say which workflows it runs:
 *
 * ```ts
 * export class Orders extends SayiirDurableObject {
 *   workflows() {
 *     return [order];
 *   }
 * }
 * ```
 */
export abstract class SayiirDurableObject<Env = unknown> extends DurableObject<Env> {
  /** When the alarm is set for, as far as is known. */
  #alarmAt: number | undefined;

  /** The instance of the engine that it was last asked with. */
  #generation: number | undefined;

  /** Whether it has looked for what is due: an object before it may have run fewer workflows, and set no alarm for the others. */
  #looked = false;

  /** Definitions of which something is due, and of which that was said. */
  readonly #missed = new Set<string>();

  /** Goes on at once with what an object of this id held before: it was evicted, or its code was replaced, or it crashed. */
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#takeOver();
  }

  /**
   * The workflows whose instances this object runs; of several versions of one, the first starts new instances. An instance goes on with the
   * definition that it was begun with: leave that here until its instances have ended.
   */
  abstract workflows(): readonly Workflow[];

  /** How its engine works. */
  engineOptions(): EngineOptions {
    return {};
  }

  /** Starts an instance and drives it until it has ended, is paused, or waits. */
  async run(workflow: string, instanceId: string, input: unknown, options: StartOptions & EngineOptions = {}): Promise<WorkflowStatus> {
    return await this.#answer((engine) => engine.run(this.#named(workflow), instanceId, input, options), options);
  }

  /** Stores a new instance; the alarm drives it. */
  async submit(workflow: string, instanceId: string, input: unknown, options: StartOptions & EngineOptions = {}): Promise<WorkflowStatus> {
    return await this.#answer((engine) => engine.submit(this.#named(workflow), instanceId, input, options), options);
  }

  /** Drives an instance on from where it stands. */
  async resume(instanceId: string, options: RunOptions = {}): Promise<WorkflowStatus> {
    return await this.#answer(async (engine) => {
      const hash = await engine.definitionOf(instanceId);
      const found = this.workflows().find(({ definitionHash }) => definitionHash === hash) ?? this.workflows()[0];
      if (!found) throw errorOf("unknown_workflow", `this object runs no workflow of the instance ${JSON.stringify(instanceId)}: ${this.#known()}`);
      return await engine.resume(found, instanceId, options);
    });
  }

  async resumeAll(): Promise<Resumed> {
    return await this.#answer((engine) => engine.resumeAll(this.workflows(), { limit: AT_ONCE }));
  }

  async cancel(instanceId: string, options?: { readonly reason?: string; readonly cancelledBy?: string }): Promise<WorkflowStatus> {
    return await this.#answer((engine) => engine.cancel(instanceId, options));
  }

  async pause(instanceId: string, options?: { readonly reason?: string; readonly pausedBy?: string }): Promise<WorkflowStatus> {
    return await this.#answer((engine) => engine.pause(instanceId, options));
  }

  async unpause(instanceId: string): Promise<WorkflowStatus> {
    return await this.#answer((engine) => engine.unpause(instanceId));
  }

  async retry(instanceId: string): Promise<WorkflowStatus> {
    return await this.#answer((engine) => engine.retry(instanceId));
  }

  async sendSignal(instanceId: string, name: string, payload?: unknown, options?: { readonly key?: string }): Promise<void> {
    await this.#answer((engine) => engine.sendSignal(instanceId, name, payload, options));
  }

  async status(instanceId: string): Promise<WorkflowStatus> {
    return await this.#answer((engine) => engine.status(instanceId));
  }

  async result(instanceId: string): Promise<unknown> {
    return await this.#answer((engine) => engine.result(instanceId));
  }

  async progress(instanceId: string): Promise<TaskProgress[]> {
    return await this.#answer((engine) => engine.progress(instanceId));
  }

  async list(options?: ListOptions): Promise<InstanceSummary[]> {
    return await this.#answer((engine) => engine.list(options));
  }

  async history(instanceId: string): Promise<HistoryEntry[]> {
    return await this.#answer((engine) => engine.history(instanceId));
  }

  async delete(instanceId: string): Promise<boolean> {
    return await this.#answer((engine) => engine.delete(instanceId));
  }

  /** Drives on what is due. Called by the runtime; an object of yours with alarms of its own calls `super.alarm()`. */
  override async alarm(): Promise<void> {
    this.#alarmAt = undefined;
    try {
      const { failed } = await this.resumeAll();
      for (const { instanceId, error } of failed) console.error(`instance ${instanceId} could not go on: ${error}`);
      this.#sayMissed();
      this.#setAlarm();
    } catch (error) {
      console.error("the instances of this object could not be driven; trying again soon", error);
      this.#alarmAt = Date.now() + AGAIN_MS;
      await this.ctx.storage.setAlarm(this.#alarmAt);
    }
  }

  /** The hashes of its workflows, as a list of JSON. */
  #served(): string {
    return JSON.stringify(this.workflows().map(({ definitionHash }) => definitionHash));
  }

  /** Says what nobody drives on, each definition once. */
  #sayMissed(): void {
    const found = this.ctx.storage.sql.exec<{ name: string; hash: string }>(NOT_SERVED, this.#served(), Date.now() * 1000).toArray();
    for (const { name, hash } of found.filter(({ hash }) => !this.#missed.has(hash))) {
      this.#missed.add(hash);
      console.error(
        `instances of the workflow ${JSON.stringify(name)} with the definition ${hash} are due, and this object does not run it: ${this.#known()}. ` +
          "They wait until workflows() has that definition again, behind the new one of that name",
      );
    }
  }

  #known(): string {
    const names = this.workflows().map(({ workflowId }) => workflowId);
    return names.length === 0 ? "its workflows() are none" : `its workflows() are ${names.join(", ")}`;
  }

  #named(workflow: string): Workflow {
    const found = this.workflows().find(({ workflowId }) => workflowId === workflow);
    if (!found) throw errorOf("unknown_workflow", `this object runs no workflow ${JSON.stringify(workflow)}: ${this.#known()}`);
    return found;
  }

  /**
   * Frees what is held by those who are gone. An id has one object at a time, so a new one finds only leases of dead ones. Should one of
   * them still be finishing something, the platform refuses its writes; and if it did not, the engine would: whoever takes the branch raises
   * its revision and has the lease from then on, and a renewal before that is a lease as good as any.
   */
  #takeOver(): void {
    if (!expireLeases(this.ctx.storage)) return;
    // In the constructor, workflows() may need fields that are not there yet.
    this.#alarmAt = Date.now();
    void this.ctx.storage.setAlarm(this.#alarmAt);
  }

  /** Asks the engine. An error has its code in its name: on the other side of the RPC it is the begin of the text, and no class is left. */
  async #answer<T>(ask: (engine: Engine) => Promise<T>, options: EngineOptions = {}): Promise<T> {
    const database = durable(this.ctx.storage, () => this.#setAlarm());
    const { generation } = engine();
    // A panic has ended all drives of the engine's last instance.
    if (this.#generation !== undefined && this.#generation !== generation) this.#takeOver();
    this.#generation = generation;
    try {
      const answer = await ask(new Engine(database, this.ctx, { ...this.engineOptions(), ...options }));
      if (!this.#looked) this.#setAlarm();
      this.#looked = true;
      return answer;
    } catch (error) {
      throw leaving(error);
    }
  }

  /**
   * Sets the alarm for what is due first of its workflows (what it cannot drive would wake it for ever): in the very turn of the write, so that both are stored or neither is. An alarm that is
   * set for earlier stays: it finds nothing to do and is set anew, which costs less than to move it with each lease.
   */
  #setAlarm(): void {
    const [row] = this.ctx.storage.sql.exec<{ at: number | null }>(NEXT, this.#served());
    if (row?.at == null) return;
    const at = Math.ceil(row.at / 1000);
    if (this.#alarmAt !== undefined && this.#alarmAt <= at) return;
    this.#alarmAt = at;
    void this.ctx.storage.setAlarm(at);
  }
}
