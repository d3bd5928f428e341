// An object that holds instances in its own SQLite and wakes them by itself: no cron is needed.

import type { Workflow, WorkflowStatus } from "@sayiir/flow-js";
import { WorkflowError } from "@sayiir/flow-js";
import { DurableObject } from "cloudflare:workers";
import { durable } from "./database.js";
import { Engine, type EngineOptions, type HistoryEntry, type InstanceSummary, type ListOptions, type Resumed, type RunOptions } from "./engine.js";

/** So long after an alarm that failed it is tried again. */
const AGAIN_MS = 5_000;

/** The most branches that an alarm takes up before it looks again. */
const AT_ONCE = 100;

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

  /** The workflows whose instances this object runs; of several versions of one, the first starts new instances. */
  abstract workflows(): readonly Workflow[];

  /** How its engine works. */
  engineOptions(): EngineOptions {
    return {};
  }

  /** Starts an instance and drives it until it has ended, is paused, or waits. */
  async run(workflow: string, instanceId: string, input: unknown, options: RunOptions & EngineOptions = {}): Promise<WorkflowStatus> {
    const found = this.workflows().find(({ workflowId }) => workflowId === workflow);
    if (!found) throw new WorkflowError(`this object runs no workflow ${JSON.stringify(workflow)}: ${this.#known()}`);
    return await this.#engine(options).run(found, instanceId, input, options);
  }

  /** Drives an instance on from where it stands. */
  async resume(instanceId: string, options: RunOptions = {}): Promise<WorkflowStatus> {
    const engine = this.#engine();
    const hash = await engine.definitionOf(instanceId);
    const found = this.workflows().find(({ definitionHash }) => definitionHash === hash) ?? this.workflows()[0];
    if (!found) throw new WorkflowError(`this object runs no workflow of the instance ${JSON.stringify(instanceId)}: ${this.#known()}`);
    return await engine.resume(found, instanceId, options);
  }

  async resumeAll(): Promise<Resumed> {
    return await this.#engine().resumeAll(this.workflows(), { limit: AT_ONCE });
  }

  async cancel(instanceId: string, options?: { readonly reason?: string; readonly cancelledBy?: string }): Promise<WorkflowStatus> {
    return await this.#engine().cancel(instanceId, options);
  }

  async pause(instanceId: string, options?: { readonly reason?: string; readonly pausedBy?: string }): Promise<WorkflowStatus> {
    return await this.#engine().pause(instanceId, options);
  }

  async unpause(instanceId: string): Promise<WorkflowStatus> {
    return await this.#engine().unpause(instanceId);
  }

  async retry(instanceId: string): Promise<WorkflowStatus> {
    return await this.#engine().retry(instanceId);
  }

  async sendSignal(instanceId: string, name: string, payload?: unknown, options?: { readonly key?: string }): Promise<void> {
    await this.#engine().sendSignal(instanceId, name, payload, options);
  }

  async status(instanceId: string): Promise<WorkflowStatus> {
    return await this.#engine().status(instanceId);
  }

  async result(instanceId: string): Promise<unknown> {
    return await this.#engine().result(instanceId);
  }

  async list(options?: ListOptions): Promise<InstanceSummary[]> {
    return await this.#engine().list(options);
  }

  async history(instanceId: string): Promise<HistoryEntry[]> {
    return await this.#engine().history(instanceId);
  }

  async delete(instanceId: string): Promise<boolean> {
    return await this.#engine().delete(instanceId);
  }

  /** Drives on what is due. Called by the runtime; an object of yours with alarms of its own calls `super.alarm()`. */
  override async alarm(): Promise<void> {
    this.#alarmAt = undefined;
    try {
      const { failed } = await this.resumeAll();
      for (const { instanceId, error } of failed) console.error(`instance ${instanceId} could not go on: ${error}`);
      this.#setAlarm();
    } catch (error) {
      console.error("the instances of this object could not be driven; trying again soon", error);
      await this.ctx.storage.setAlarm(Date.now() + AGAIN_MS);
    }
  }

  #known(): string {
    const names = this.workflows().map(({ workflowId }) => workflowId);
    return names.length === 0 ? "its workflows() are none" : `its workflows() are ${names.join(", ")}`;
  }

  #engine(options: EngineOptions = {}): Engine {
    const database = durable(this.ctx.storage, () => this.#setAlarm());
    return new Engine(database, this.ctx, { ...this.engineOptions(), ...options });
  }

  /**
   * Sets the alarm for what is due first: in the very turn of the write, so that both are stored or neither is. An alarm that is
   * set for earlier stays: it finds nothing to do and is set anew, which costs less than to move it with each lease.
   */
  #setAlarm(): void {
    const [row] = this.ctx.storage.sql.exec<{ at: number | null }>("SELECT min(run_at) AS at FROM sayiir_branch WHERE run_at IS NOT NULL");
    if (row?.at == null) return;
    const at = Math.ceil(row.at / 1000);
    if (this.#alarmAt !== undefined && this.#alarmAt <= at) return;
    this.#alarmAt = at;
    void this.ctx.storage.setAlarm(at);
  }
}
