// Where orders are kept and driven: in D1, or in a Durable Object that wakes itself. The rest of the worker sees no difference.

import { Engine, type HistoryEntry, type InstanceSummary, type ListOptions, SayiirDurableObject, withTypedErrors } from "@sayiir/cloudflare";
import type { WorkflowStatus } from "@sayiir/flow-js";
import { type Approval, type Order, order } from "./order.js";

export interface Env {
  readonly STORE: "d1" | "durable-object";
  readonly DB: D1Database;
  readonly ORDERS: DurableObjectNamespace<OrdersObject>;
  /** A secret; if it is set, whoever changes something must show it. */
  readonly TOKEN?: string;
}

/** What the worker does with orders. */
export interface Orders {
  run(id: string, input: Order): Promise<WorkflowStatus>;
  resume(id: string): Promise<WorkflowStatus>;
  decide(id: string, approval: Approval): Promise<void>;
  cancel(id: string, reason: string | undefined): Promise<WorkflowStatus>;
  status(id: string): Promise<WorkflowStatus>;
  history(id: string): Promise<HistoryEntry[]>;
  /** The newest first; the next page is what is older than the last one's `run`. */
  list(before: number | undefined): Promise<InstanceSummary[]>;
}

/** How many orders make a page. */
const LISTED = 50;

/** A request that is sent again finds the order that the first one started. */
const conflictPolicy = "use_existing";

export async function ordersOf(env: Env): Promise<Orders> {
  return env.STORE === "durable-object" ? inObject(env) : inDatabase(await Engine.create(env.DB, { conflictPolicy }));
}

function page(before: number | undefined): ListOptions {
  return { order: "newest_first", limit: LISTED, ...(before === undefined ? {} : { before }) };
}

function inDatabase(engine: Engine): Orders {
  return {
    run: (id, input) => engine.run(order, id, input),
    resume: (id) => engine.resume(order, id),
    decide: (id, approval) => engine.sendSignal(id, "approve", approval),
    cancel: (id, reason) => engine.cancel(id, reason === undefined ? {} : { reason }),
    status: (id) => engine.status(id),
    history: (id) => engine.history(id),
    list: (before) => engine.list(page(before)),
  };
}

/** One object for all orders. Where one is too busy, choose it by customer: `getByName(customer)`. */
function inObject(env: Env): Orders {
  const object = withTypedErrors(env.ORDERS.get(env.ORDERS.idFromName("orders")));
  return {
    run: (id, input) => object.run("order", id, input, { conflictPolicy }),
    resume: (id) => object.resume(id),
    decide: (id, approval) => object.sendSignal(id, "approve", approval),
    cancel: (id, reason) => object.cancel(id, reason === undefined ? {} : { reason }),
    status: (id) => object.status(id),
    history: (id) => object.history(id),
    list: (before) => object.list(page(before)),
  };
}

/** Keeps orders in its own SQLite; its alarm wakes delays, retries and timeouts. */
export class OrdersObject extends SayiirDurableObject<Env> {
  override workflows() {
    return [order];
  }
}

/** Goes on with what is due: the cron trigger's work, cheap where there is none. */
export async function goOn(env: Env): Promise<void> {
  if (env.STORE === "durable-object") return;
  const engine = await Engine.create(env.DB, { conflictPolicy });
  const { failed } = await engine.resumeAll([order], { limit: 100, staleAfter: 60 });
  for (const { instanceId, error } of failed) console.error(`order ${instanceId} could not go on: ${error}`);
}
