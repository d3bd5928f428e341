// The worker of limits.test.mjs and of the figures: calls that end before their work does, and a panic of the engine.

import { Engine, failByPanic, flow, runWorkflow, SayiirDurableObject } from "@sayiir/cloudflare";

const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const paced = Array.from({ length: 8 }).reduce(
  (chain, _, n) => chain.then(`s${n}`, async (x) => (await rest(100), x + 1)),
  flow("paced"),
).build();

/** Called when the task of `long` begins. */
let begins = () => {};

const long = flow("long").then("long", async (ms) => (begins(), await rest(ms), "done")).build();

const short = flow("short").then("add", (x) => x + 1).build();

/** Steps that do nothing: what is left is the engine and its store. */
const steps = Array.from({ length: 100 }).reduce((chain, _, n) => chain.then(`n${n}`, (x) => x + 1), flow("steps")).build();

const flows = { paced, long, short, steps };

export class Objects extends SayiirDurableObject {
  workflows() {
    return Object.values(flows);
  }
}

async function perform(env, { method, store, flow, id, input, options, engineOptions }) {
  if (method === "warm") return await runWorkflow(short, input);
  const object = () => env.OBJECTS.get(env.OBJECTS.idFromName(id));
  if (method === "panic") {
    // One run is under way when the engine panics.
    const there = new Promise((resolve) => (begins = resolve));
    const begun = store === "object" ? object().run("long", id, 400, engineOptions) : (await Engine.create(env.DB, engineOptions)).run(long, id, 400);
    const running = begun.then(() => "completed", (error) => `${error.name}: ${error.message}`);
    await Promise.race([there, running]);
    const panic = await failByPanic("a mistake of ours").then(() => "nothing", (error) => `${error.name}: ${error.message}`);
    return { running: await running, panic };
  }
  if (store === "object") return method === "run" ? await object().run(flow, id, input) : await object()[method](id);
  const engine = await Engine.create(counted(env.DB), engineOptions);
  const began = Object.assign({}, counts);
  const answer = await (method === "run" ? engine.run(flows[flow], id, input, options) : method === "resume" ? engine.resume(flows[flow], id, options) : engine[method](id));
  const spent = Object.fromEntries(Object.entries(counts).map(([key, value]) => [key, value - began[key]]));
  return method === "run" && options?.counted ? { answer, spent } : answer;
}

const counts = { batches: 0, statements: 0, read: 0, written: 0 };

/** A database that counts what D1 bills for. */
function counted(db) {
  return new Proxy(db, {
    get(target, key) {
      if (key !== "batch") {
        const value = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      }
      return async (statements) => {
        const results = await target.batch(statements);
        counts.batches += 1;
        counts.statements += statements.length;
        for (const { meta } of results) {
          counts.read += meta.rows_read ?? 0;
          counts.written += meta.rows_written ?? 0;
        }
        return results;
      };
    },
  });
}

export default {
  async fetch(request, env) {
    try {
      return Response.json({ ok: (await perform(env, await request.json())) ?? null });
    } catch (error) {
      return Response.json({ error: `${error.name}: ${error.message}` });
    }
  },
};
