// The worker: orders over HTTP, a cron trigger that goes on with what is due, and the status page.

import type { EngineErrorCode } from "@sayiir/cloudflare";

import { drawGraph, progressOf } from "./graph.js";
import { type Env, goOn, type Orders, ordersOf } from "./orders.js";
import { order } from "./order.js";
import page from "./page/index.html";
import { BadRequest, mayChange, readApproval, readBefore, readCancel, readOrder } from "./requests.js";

export { OrdersObject } from "./orders.js";

export default {
  async fetch(request, env, ctx): Promise<Response> {
    try {
      return await answer(request, env, ctx);
    } catch (error) {
      return refusal(error);
    }
  },

  async scheduled(_event, env): Promise<void> {
    await goOn(env);
  },
} satisfies ExportedHandler<Env>;

async function answer(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  const [root, encoded, verb, ...more] = pathname.split("/").slice(1);
  if (pathname === "/") return only(request, "GET") ?? html();
  if (root !== "orders" || more.length > 0) return json({ error: "there is nothing here" }, 404);
  const orders = await ordersOf(env);
  if (encoded === undefined) {
    if (request.method === "POST") return await start(request, env, orders);
    return only(request, "GET") ?? json({ orders: await orders.list(readBefore(searchParams.get("before"))) });
  }
  const id = decode(encoded);
  switch (verb) {
    case undefined:
      return only(request, "GET") ?? (await show(orders, id));
    case "approve":
      return only(request, "POST") ?? (await approve(request, env, ctx, orders, id));
    case "cancel":
      return only(request, "POST") ?? (await cancel(request, env, orders, id));
    default:
      return json({ error: "there is nothing here" }, 404);
  }
}

/** Starts an order. With an id of the caller's own, a request that is sent again starts nothing. */
async function start(request: Request, env: Env, orders: Orders): Promise<Response> {
  mayChange(request, env.TOKEN);
  const { id = crypto.randomUUID(), order } = await readOrder(request);
  const status = await orders.run(id, order);
  return json({ id, status }, 202);
}

async function show(orders: Orders, id: string): Promise<Response> {
  const [status, history] = await Promise.all([orders.status(id), orders.history(id)]);
  return json({ id, status, history, graph: drawGraph(order, progressOf(order, history, status)) });
}

/** The decision is stored before this answers; the order goes on behind the answer, or at the next cron trigger. */
async function approve(request: Request, env: Env, ctx: ExecutionContext, orders: Orders, id: string): Promise<Response> {
  mayChange(request, env.TOKEN);
  const approval = await readApproval(request);
  await orders.decide(id, approval);
  ctx.waitUntil(orders.resume(id));
  return json({ id, accepted: approval }, 202);
}

async function cancel(request: Request, env: Env, orders: Orders, id: string): Promise<Response> {
  mayChange(request, env.TOKEN);
  return json({ id, status: await orders.cancel(id, await readCancel(request)) });
}

const STATUS_OF: Readonly<Partial<Record<EngineErrorCode, number>>> = {
  invalid_id: 400,
  not_found: 404,
  already_exists: 409,
  definition_mismatch: 409,
  refused: 409,
};

/** What the engine says no to is the caller's fault, and told; what fails is told to nobody but the log. */
function refusal(error: unknown): Response {
  if (error instanceof BadRequest) return json({ error: error.message }, error.status);
  const { code, message } = (error ?? {}) as { code?: string; message?: string };
  const status = STATUS_OF[code as EngineErrorCode];
  if (status !== undefined) return json({ error: message, code }, status);
  console.error(error);
  return json({ error: "the worker failed" }, 500);
}

function only(request: Request, method: string): Response | undefined {
  return request.method === method ? undefined : json({ error: `only ${method} is allowed here` }, 405, { allow: method });
}

function decode(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    throw new BadRequest(`${id} is no id of an order`);
  }
}

function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return Response.json(body, { status, headers: { "cache-control": "no-store", "x-content-type-options": "nosniff", ...headers } });
}

function html(): Response {
  const nonce = crypto.randomUUID();
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`;
  return new Response(page.replaceAll("NONCE", nonce), {
    headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": policy, "referrer-policy": "no-referrer", "cache-control": "no-store" },
  });
}
