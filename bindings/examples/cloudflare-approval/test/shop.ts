// The worker as `wrangler deploy` would upload it, on workerd, with storage that outlives it and services that are the test's.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Miniflare, Response } from "miniflare";

const BUILT = fileURLToPath(new URL("../../.build/worker", import.meta.url));

export interface Call {
  readonly service: string;
  readonly verb: string;
  readonly key: string | null;
  readonly body: any;
}

/** A worker with its storage and the services that it calls. */
export class Shop {
  readonly calls: Call[] = [];
  /** How often a service fails before it answers. */
  failures = new Map<string, number>();
  declined: string | undefined;
  /** Where it listens. */
  url = "";
  #mf!: Miniflare;
  readonly #persist = mkdtempSync(join(tmpdir(), "order-approval-"));

  constructor(
    readonly store: "d1" | "durable-object",
    readonly token = "",
  ) {}

  async start(): Promise<this> {
    const files = readdirSync(BUILT).filter((name) => /\.(js|wasm|html)$/.test(name));
    const types = { js: "ESModule", wasm: "CompiledWasm", html: "Text" } as const;
    const modules = files
      .map((name) => ({ name, type: types[name.split(".").at(-1) as keyof typeof types] }))
      .toSorted((a, b) => Number(b.name === "index.js") - Number(a.name === "index.js"))
      .map(({ name, type }) => ({ type, path: `/${name}`, contents: readFileSync(join(BUILT, name)) }));
    this.#mf = new Miniflare({
      modulesRoot: "/",
      modules,
      compatibilityDate: "2026-04-01",
      compatibilityFlags: ["nodejs_als"],
      cf: false,
      telemetry: { enabled: false },
      host: "127.0.0.1",
      port: 0,
      bindings: {
        STORE: this.store,
        STOCK_URL: "http://stock.test/",
        RISK_URL: "http://risk.test/",
        PAYMENT_URL: "http://payment.test/",
        ...(this.token === "" ? {} : { TOKEN: this.token }),
      },
      d1Databases: { DB: "orders" },
      d1Persist: join(this.#persist, "d1"),
      durableObjects: { ORDERS: { className: "OrdersObject", useSQLite: true } },
      durableObjectsPersist: join(this.#persist, "do"),
      outboundService: (request: any) => this.#serve(request),
    } as ConstructorParameters<typeof Miniflare>[0]);
    this.url = String(await this.#mf.ready);
    return this;
  }

  async restart(): Promise<void> {
    await this.#mf.dispose();
    await this.start();
  }

  async end(): Promise<void> {
    await this.#mf.dispose();
    rmSync(this.#persist, { recursive: true, force: true });
  }

  async #serve(request: Request): Promise<Response> {
    const { hostname, pathname } = new URL(request.url);
    const call: Call = { service: hostname.replace(".test", ""), verb: pathname.slice(1), key: request.headers.get("idempotency-key"), body: await request.json() };
    this.calls.push(call);
    const left = this.failures.get(call.verb) ?? 0;
    if (left > 0) {
      this.failures.set(call.verb, left - 1);
      return new Response("out of order", { status: 503 });
    }
    const answers: Record<string, unknown> = {
      reserve: { reservation: "r-1" },
      score: { score: call.body.customer === "mallory" ? 0.9 : 0.1 },
      charge: this.declined === undefined ? { receipt: "paid" } : { declined: this.declined },
    };
    return Response.json(answers[call.verb] ?? {});
  }

  async fetch(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<{ status: number; body: any; headers: any }> {
    const init = body === undefined ? { headers } : { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body), headers };
    const response = await this.#mf.dispatchFetch(`http://shop.test${path}`, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text.startsWith("{") ? JSON.parse(text) : text };
  }

  async scheduled(): Promise<void> {
    await (await this.#mf.getWorker()).scheduled({ cron: "* * * * *" });
  }

  /** Waits until an order has a status: by itself in an object, with the cron trigger on D1. */
  async until(id: string, wanted: string): Promise<any> {
    for (let turn = 0; turn < 200; turn++) {
      const { body } = await this.fetch(`/orders/${id}`);
      if (body.status?.status === wanted) return body;
      if (this.store === "d1") await this.scheduled();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`${id} is ${JSON.stringify((await this.fetch(`/orders/${id}`)).body.status)}, not ${wanted}`);
  }

  verbs(): string[] {
    return this.calls.map(({ verb }) => verb);
  }
}

export const small = { customer: "ada", items: [{ sku: "pen", quantity: 2, price: 150 }] };
export const large = { customer: "ada", items: [{ sku: "desk", quantity: 1, price: 500_00 }] };
