// Databases on the real workerd for a program that is no worker: D1's and Durable Objects', each list of statements one transaction.
// They are reached as a Worker reaches them, through `database.ts`; texts of JSON go in and out.

import { DurableObject } from "cloudflare:workers";
import { d1, durable } from "../dist/database.js";

export class Home extends DurableObject {
  async fetch(request) {
    return await answer(durable(this.ctx.storage, () => {}), await request.json());
  }
}

export default {
  async fetch(request, env) {
    const { home, wipe, statements } = await request.json();
    const db = env[home];
    if (db === undefined) return await env.HOMES.get(env.HOMES.idFromName(home)).fetch("http://home/", { method: "POST", body: JSON.stringify(statements) });
    if (!wipe) return await answer(d1(db), statements);
    const { results } = await db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'sayiir%'").all();
    if (results.length > 0) await db.batch(results.map(({ name }) => db.prepare(`DROP TABLE "${name}"`)));
    return Response.json({ rows: [] });
  },
};

async function answer(database, statements) {
  try {
    const rows = await database.batch(statements.map(([sql, parameters]) => [sql, parameters.map(fromHex)]));
    return Response.json({ rows: rows.map((all) => all.map((row) => row.map(toHex))) });
  } catch (error) {
    return Response.json({ error: error.message });
  }
}

/** JSON has no bytes. */
function fromHex(value) {
  return typeof value?.hex === "string" ? Uint8Array.from(value.hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)) : value;
}

function toHex(value) {
  return value instanceof Uint8Array ? { hex: Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("") } : value;
}
