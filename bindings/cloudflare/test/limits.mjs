// The worker of limits-worker.mjs, as the tests of limits and the figures call it.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle, serve } from "./harness.mjs";

let modules;

export class LimitsWorker {
  #worker;

  static async start() {
    modules ??= await bundle(join(dirname(fileURLToPath(import.meta.url)), "limits-worker.mjs"));
    const started = new LimitsWorker();
    started.#worker = await serve(modules, { durableObjects: { OBJECTS: { className: "Objects", useSQLite: true } } });
    return started;
  }

  async call(asked) {
    const response = await this.#worker.dispatchFetch("http://worker/", { method: "POST", body: JSON.stringify(asked) });
    const { ok, error } = await response.json();
    if (error) throw new Error(error);
    return ok;
  }

  async end() {
    await this.#worker.dispose();
  }
}
