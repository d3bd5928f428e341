// What stands in for `dist/database.js` in objects of the worker under test: the real thing, between gates that the test keeps.

import { env } from "cloudflare:workers";
import { d1, durable as real } from "../dist/database.js";

export { d1 };

/** By storage: the object, and the tag under which the test watches it. */
const watched = new WeakMap();

/** Has the test asked before and after each write of an object. */
export function watch(ctx, tag) {
  watched.set(ctx.storage, { ctx, tag });
}

export function durable(storage, wrote) {
  const database = real(storage, wrote);
  return {
    ...database,
    async batch(statements) {
      await gate(storage, "before");
      const rows = await database.batch(statements);
      await gate(storage, "after");
      return rows;
    },
  };
}

async function gate(storage, when) {
  const { ctx, tag } = watched.get(storage) ?? {};
  if (tag === undefined) return;
  // What was written is on disk: an object that ends in the turn of a write would take the write with it.
  await storage.sync();
  obey(await ask(tag, when), ctx);
}

/** Asks the test what is to happen at a gate. */
export async function ask(tag, when) {
  const response = await env.TEST.fetch("http://test/gate", { method: "POST", body: JSON.stringify({ tag, when }) });
  return (await response.json()).act;
}

export function obey(act, ctx) {
  if (act === "lose") throw new Error("Network connection lost.");
  if (act === "abort") ctx.abort("thrown away by the test");
}
