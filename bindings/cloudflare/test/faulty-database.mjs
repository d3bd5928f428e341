// What stands in for `dist/database.js` in objects of the worker under test: the real thing, between gates that the test keeps.

import { env } from "cloudflare:workers";
import { d1, durable as real, expireLeases } from "../dist/database.js";

export { d1, expireLeases };

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
      const number = await gate(storage, "before");
      try {
        return await database.batch(statements);
      } finally {
        await gate(storage, "after", number);
      }
    },
  };
}

async function gate(storage, when, number) {
  const { ctx, tag } = watched.get(storage) ?? {};
  if (tag === undefined) return;
  // What was written is on disk: an object that ends in the turn of a write would take the write with it.
  await storage.sync();
  return await pass(tag, when, number, ctx);
}

/** Asks the test what is to happen at a gate, and does that. Gives the number of the write, by which it is known after it. */
export async function pass(tag, when, number, ctx) {
  const response = await env.TEST.fetch("http://test/gate", { method: "POST", body: JSON.stringify({ tag, when, number }) });
  const told = await response.json();
  obey(told.act, ctx);
  return told.number;
}

function obey(act, ctx) {
  if (act === "lose") throw new Error("Network connection lost.");
  if (act === "abort") ctx.abort("thrown away by the test");
}
