// The workflow: stock and risk are looked at side by side, a person decides where a machine should not, and the order is
// shipped or given up.

import { branch, branchFlow, DoNotRetry, flow, task } from "@sayiir/flow-js";
import { getTaskContext } from "@sayiir/cloudflare";
import { inventory, payments, risk } from "./services.js";

export interface Item {
  readonly sku: string;
  readonly quantity: number;
  /** In cents. */
  readonly price: number;
}

export interface Order {
  readonly customer: string;
  readonly items: readonly Item[];
}

export interface Assessed extends Order {
  readonly total: number;
  readonly reservation: string;
  readonly riskScore: number;
}

/** What a person sends as the signal `approve`. */
export interface Approval {
  readonly approved: boolean;
  readonly by: string;
  readonly note?: string;
}

export interface Decided extends Assessed {
  readonly approved: boolean;
  readonly decidedBy: string;
  readonly note?: string;
}

export interface Closed {
  readonly outcome: "shipped" | "given up";
  readonly decidedBy: string;
  readonly total: number;
  readonly receipt?: string;
}

/** Below both, nobody is asked. */
const SMALL = 100_00;
const SAFE = 0.5;

const reserve = task("reserve", async (order: Order) => inventory.reserve(key(), order.items), { retries: 4, timeout: "10s" });

const score = task("score", async (order: Order) => risk.score(order.customer, totalOf(order)), {
  retry: { maxAttempts: 3, initialDelay: "500ms", maxDelay: "5s" },
  timeout: "5s",
});

const charge = task(
  "charge",
  async (order: Decided) => {
    const answer = await payments.charge(key(), order.customer, order.total);
    if (answer.declined) throw new DoNotRetry(`the payment of ${order.customer} was declined: ${answer.declined}`);
    return { ...order, receipt: answer.receipt };
  },
  { description: "takes the money, once, however often it is tried", retries: 5, timeout: "10s" },
);

/** How long a person has. */
export const DECISION_TIME = "3d";

export const order = flow<Order>("order", { version: "1", metadata: { team: "shop" } })
  .then("check", (given) => {
    if (given.items.length === 0) throw new DoNotRetry("an order without items");
    return given;
  })
  .fork([branch("order", "keep", (given) => given), branch("stock", reserve), branch("risk", score)])
  .join("assess", ([given, reservation, riskScore]): Assessed => ({ ...given, total: totalOf(given), reservation, riskScore }))
  .route("who-decides", (it) => (it.total < SMALL && it.riskScore < SAFE ? "machine" : "person"), ["machine", "person"])
  .branch("machine", (it): Decided => ({ ...it, approved: true, decidedBy: "the machine" }))
  .branchFlow("person", (sub) =>
    // A signal's payload takes the place of what flows: a branch beside the wait keeps the order.
    sub
      .fork([
        branch("order", "keep-assessed", (it) => it),
        branchFlow("answer", (ask) => ask.then("ask", (it) => risk.askSomebody(it.customer)).waitForSignal<Approval>("decision", "approve", { timeout: DECISION_TIME })),
      ])
      .join("decide", ([it, answer]): Decided => ({
        ...it,
        approved: answer?.approved ?? false,
        decidedBy: answer?.by ?? "nobody in time",
        ...(answer?.note === undefined ? {} : { note: answer.note }),
      })),
  )
  .done()
  .then("decided", ({ result }) => result)
  .route("go-on", (it) => (it.approved ? "ship" : "give-up"), ["ship", "give-up"])
  .branchFlow("ship", (sub) =>
    sub
      .then(charge)
      .delay("cooling-off", "2s")
      .then("ship", async (it): Promise<Closed> => {
        await inventory.ship(key(), it.reservation);
        return { outcome: "shipped", decidedBy: it.decidedBy, total: it.total, receipt: it.receipt };
      }),
  )
  .branchFlow("give-up", (sub) =>
    sub.then("release", async (it): Promise<Closed> => {
      await inventory.release(key(), it.reservation);
      return { outcome: "given up", decidedBy: it.decidedBy, total: it.total };
    }),
  )
  .done()
  .then("close", ({ result }) => result)
  .build();

function totalOf({ items }: Order): number {
  return items.reduce((sum, { quantity, price }) => sum + quantity * price, 0);
}

/** The same on each attempt at a step: the services do a thing once for it. */
function key(): string {
  const context = getTaskContext();
  if (!context) throw new Error("only a running task has a key");
  return context.idempotencyKey;
}
