// Reading requests: who may, and what a body must hold. Nothing unread goes further.

import type { Approval, Item, Order } from "./order.js";

/** A request that is refused before anything is done. */
export class BadRequest extends Error {
  constructor(
    message: string,
    readonly status: number = 400,
  ) {
    super(message);
  }
}

const MOST_BYTES = 64 * 1024;
const MOST_ITEMS = 100;

/** Where a token is set (`wrangler secret put TOKEN`), whoever changes something must show it. */
export function mayChange(request: Request, token: string | undefined): void {
  if (token === undefined || token === "") return;
  const given = request.headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
  const [a, b] = [given, token].map((text) => new TextEncoder().encode(text)) as [Uint8Array, Uint8Array];
  // Takes as long for a wrong token as for the right one.
  const same = a.byteLength === b.byteLength && crypto.subtle.timingSafeEqual(a, b);
  if (!same) throw new BadRequest("this needs the token: authorization: Bearer ..", 401);
}

/** `{ id?, customer, items: [{ sku, quantity, price }] }` */
export async function readOrder(request: Request): Promise<{ id?: string; order: Order }> {
  const { id, customer, items } = await readObject(request);
  if (id !== undefined && !isText(id, 100)) throw new BadRequest("`id` is text of at most 100 characters");
  if (!isText(customer, 100)) throw new BadRequest("`customer` is text of at most 100 characters");
  if (!Array.isArray(items) || items.length === 0 || items.length > MOST_ITEMS) throw new BadRequest(`\`items\` is a list of 1 to ${MOST_ITEMS} items`);
  return { ...(id === undefined ? {} : { id }), order: { customer, items: items.map(readItem) } };
}

function readItem(item: unknown): Item {
  const { sku, quantity, price } = (item ?? {}) as Record<string, unknown>;
  if (!isText(sku, 100)) throw new BadRequest("`sku` of an item is text of at most 100 characters");
  if (!isCount(quantity, 1, 10_000)) throw new BadRequest("`quantity` of an item is a whole number from 1 to 10000");
  if (!isCount(price, 0, 1_000_000_00)) throw new BadRequest("`price` of an item is a whole number of cents");
  return { sku, quantity, price };
}

/** `{ approved, by, note? }` */
export async function readApproval(request: Request): Promise<Approval> {
  const { approved, by, note } = await readObject(request);
  if (typeof approved !== "boolean") throw new BadRequest("`approved` is true or false");
  if (!isText(by, 100)) throw new BadRequest("`by` is the name of who decided");
  if (note !== undefined && !isText(note, 500)) throw new BadRequest("`note` is text of at most 500 characters");
  return { approved, by, ...(note === undefined ? {} : { note }) };
}

/** `{ reason? }` */
export async function readCancel(request: Request): Promise<string | undefined> {
  const { reason } = await readObject(request);
  if (reason !== undefined && !isText(reason, 500)) throw new BadRequest("`reason` is text of at most 500 characters");
  return reason;
}

/** `?before=RUN`: the orders that are older than that one. */
export function readBefore(text: string | null): number | undefined {
  if (text === null) return undefined;
  const run = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(run)) throw new BadRequest("`before` is the `run` of an order");
  return run;
}

async function readObject(request: Request): Promise<Record<string, unknown>> {
  if (Number(request.headers.get("content-length") ?? 0) > MOST_BYTES) throw new BadRequest("the body is too large", 413);
  const text = await request.text();
  if (text.length > MOST_BYTES) throw new BadRequest("the body is too large", 413);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new BadRequest("the body is no JSON");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw new BadRequest("the body is a JSON object");
  return body as Record<string, unknown>;
}

function isText(value: unknown, most: number): value is string {
  return typeof value === "string" && value !== "" && value.length <= most && !value.includes("\0");
}

function isCount(value: unknown, least: number, most: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
}
