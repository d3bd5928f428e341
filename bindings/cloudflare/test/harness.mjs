// A worker on the real workerd, offline, whose storage outlives it: `stop` throws the isolate away, `start` gives a new one.
// The worker tells the test of each task and of each write (`/ran`, `/gate`), and the test may hold it there for ever.

import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodePayload, encodePayload } from "@sayiir/flow-js";
import { build } from "esbuild";
import { Miniflare, Response } from "miniflare";

const here = dirname(fileURLToPath(import.meta.url));

/** Puts `faulty-database.mjs` between objects and their SQLite. */
const faults = {
  name: "faults",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/database\.js$/ }, ({ importer }) =>
      importer.endsWith("durable-object.js") ? { path: join(here, "faulty-database.mjs") } : undefined,
    );
  },
};

/** The worker as modules: one of JavaScript, and the WebAssembly. */
let modules;
export async function bundle(entry = join(here, "worker.mjs")) {
  const outdir = mkdtempSync(join(tmpdir(), "sayiir-worker-"));
  try {
    const { metafile } = await build({
      entryPoints: { worker: entry },
      outdir,
      bundle: true,
      format: "esm",
      target: "es2022",
      conditions: ["workerd", "worker", "browser"],
      external: ["cloudflare:*", "node:*"],
      plugins: entry.endsWith("/worker.mjs") ? [faults] : [],
      loader: { ".wasm": "copy", ".html": "text" },
      assetNames: "[name]",
      metafile: true,
      logLevel: "warning",
      absWorkingDir: outdir,
    });
    return Object.keys(metafile.outputs).map((path) => ({
      type: path.endsWith(".wasm") ? "CompiledWasm" : "ESModule",
      path,
      contents: readFileSync(join(outdir, path), path.endsWith(".wasm") ? undefined : "utf8"),
    })).toSorted((a, b) => (a.type === b.type ? 0 : a.type === "ESModule" ? -1 : 1));
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}

/** Starts a worker. Where nothing says where its storage is, that ends with it. */
export async function serve(modules, options = {}) {
  const worker = new Miniflare({
    modulesRoot: "/",
    modules: modules.map((module) => ({ ...module, path: `/${module.path}` })),
    compatibilityDate: "2026-04-01",
    compatibilityFlags: ["nodejs_als"],
    cf: false,
    telemetry: { enabled: false },
    host: "127.0.0.1",
    port: 0,
    d1Databases: { DB: "db" },
    ...options,
  });
  await worker.ready;
  return worker;
}

/** What came back as an error from the worker. */
export class Refused extends Error {
  constructor({ name, message, stack, code, classes }) {
    super(message);
    this.name = name;
    this.code = code;
    this.classes = classes;
    this.remoteStack = stack;
  }
}

/** A world with one worker and its storage. */
export class World {
  #mf;
  #persist = mkdtempSync(join(tmpdir(), "sayiir-edge-"));
  #waiting = [];
  /** Every task that ran: { name, instanceId, nodePath, attempt, idempotencyKey, isolate }. */
  ran = [];
  /** By tag: what happens at which gate, { at, when, act, hit() }, and how many were passed. */
  #holds = new Map();
  #passed = new Map();
  /** What a task is told to do when it reports: by name, a function that gives what to do. */
  tasks = new Map();
  /** The same for those that are not named there. */
  anyTask = undefined;
  isolate = 0;
  /** Workflows that objects do not run, from the next start. */
  notServed = [];

  async start() {
    modules ??= await bundle();
    this.isolate += 1;
    const isolate = this.isolate;
    this.#mf = await serve(modules, {
      d1Persist: join(this.#persist, "d1"),
      durableObjects: { INSTANCES: { className: "Instances", useSQLite: true } },
      durableObjectsPersist: join(this.#persist, "do"),
      bindings: { NOT_SERVED: this.notServed },
      serviceBindings: { TEST: (request) => this.#answer(request, isolate) },
    });
    return this;
  }

  /** Throws the isolate away, with all that is under way in it. */
  async stop() {
    await this.#mf?.dispose();
    this.#mf = undefined;
  }

  async restart() {
    await this.stop();
    await this.start();
  }

  async end() {
    await this.stop();
    rmSync(this.#persist, { recursive: true, force: true });
  }

  /** Calls a method of an engine in the worker. */
  async call(store, method, args = [], options = {}) {
    const response = await this.#mf.dispatchFetch("http://worker/", { method: "POST", body: encodePayload({ store, method, args, options }) });
    const answer = decodePayload(await response.text());
    if (answer.error) throw new Refused(answer.error);
    return answer.ok;
  }

  /** The cron trigger. */
  async scheduled() {
    const worker = await this.#mf.getWorker();
    return await worker.scheduled({ cron: "* * * * *" });
  }

  async database() {
    return await this.#mf.getD1Database("DB");
  }

  /**
   * Before or after the `at`th write of the requests with this tag: holds the worker there (`act` is not given), throws the object away
   * (`"abort"`), or loses what was asked or answered (`"lose"`). `meet` is waited for first. Resolves when it is there.
   */
  hold(tag, at, when, act, meet = async () => {}) {
    const { promise, resolve } = deferred();
    this.#holds.set(tag, { at, when, act, meet, hit: resolve });
    return promise;
  }

  /** How many writes the requests with this tag made. */
  writes(tag) {
    return this.#passed.get(tag) ?? 0;
  }

  free(tag) {
    this.#holds.delete(tag);
  }

  /** Resolves with the next report of a task that fits. */
  next(fits) {
    const { promise, resolve } = deferred();
    this.#waiting.push({ fits, resolve });
    return promise;
  }

  async #answer(request, isolate) {
    const { pathname } = new URL(request.url);
    const told = await request.json();
    if (isolate !== this.isolate) return await forever();
    if (pathname === "/ran") {
      this.ran.push({ ...told, isolate });
      this.#waiting = this.#waiting.filter(({ fits, resolve }) => !fits(told) || (resolve(told), false));
      const act = await (this.tasks.get(told.name) ?? this.anyTask)?.(told);
      return Response.json((act === "hang" ? await forever() : act) ?? {});
    }
    const { tag, when } = told;
    // Writes overlap: each is known by its number, from before it to after it.
    if (when === "before") this.#passed.set(tag, this.writes(tag) + 1);
    const number = when === "before" ? this.writes(tag) : told.number;
    const hold = this.#holds.get(tag);
    if (hold && hold.at === number && hold.when === when) {
      this.#holds.delete(tag);
      await hold.meet();
      hold.hit();
      return hold.act ? Response.json({ act: hold.act, number }) : await forever();
    }
    return Response.json({ number });
  }

  /** The names of the tasks that an instance ran, in order. */
  namesOf(instanceId) {
    return this.ran.filter((one) => one.instanceId === instanceId).map(({ name }) => name);
  }

  /** The paths at which an instance ran tasks. */
  pathsOf(instanceId) {
    return this.ran.filter((one) => one.instanceId === instanceId).map(({ nodePath }) => nodePath);
  }

  /**
   * Goes on with an instance until it has ended or waits for what nobody sends, or the world no longer wants to; waits no longer than the
   * times it names.
   */
  async finish(store, workflow, id, options = {}, wanted = () => true) {
    const deadline = Date.now() + 30_000;
    for (;;) {
      if (!wanted()) throw new Error(`${id} is no longer wanted`);
      const status = await this.call(store, "resume", [workflow, id], options);
      if (!["in_progress", "waiting"].includes(status.status) && !(status.status === "awaiting_signal" && status.wakeAt)) return status;
      if (Date.now() > deadline) throw new Error(`${id} has not ended: ${JSON.stringify(status)}`);
      await pause(status.wakeAt ? Math.max(5, Date.parse(status.wakeAt) - Date.now()) : 25);
    }
  }
}

export const newId = (name = "i") => `${name}-${randomUUID().slice(0, 8)}`;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

/** An answer that never comes; the isolate is thrown away meanwhile. */
function forever() {
  return new Promise(() => {});
}
