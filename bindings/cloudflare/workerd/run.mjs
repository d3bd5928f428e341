// Runs a program that asks databases of the real workerd: `node workerd/run.mjs <program> <argument>..`. `SAYIIR_WORKERD` tells it a port
// on the loopback: there each line of JSON is a request (see homes.mjs), and the next line its answer.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { bundle, serve } from "../test/harness.mjs";

/** More than tests run at a time, with what each of them has open. */
const DATABASES = 32;

/** The program is stopped after so long. */
const MOST_MS = 15 * 60_000;

const here = dirname(fileURLToPath(import.meta.url));
const names = Array.from({ length: DATABASES }, (_, n) => `DB${n}`);
const persist = mkdtempSync(join(tmpdir(), "sayiir-workerd-"));
const worker = await serve(await bundle(join(here, "homes.mjs")), {
  d1Databases: Object.fromEntries(names.map((name) => [name, name])),
  d1Persist: join(persist, "d1"),
  durableObjects: { HOMES: { className: "Home", useSQLite: true } },
  durableObjectsPersist: join(persist, "do"),
});

const ask = async (text) => (await worker.dispatchFetch("http://worker/", { method: "POST", body: text })).text();

const free = [...names];
const waiting = [];
let objects = 0;

/** What is not a transaction: `{ "open": "d1" | "object" }` gives an empty database's name, `{ "close": name }` gives it back. */
async function told(line) {
  const { open, close } = JSON.parse(line);
  if (open === "object") return JSON.stringify({ home: `object ${++objects}` });
  if (open === "d1") {
    const home = free.pop() ?? (await new Promise((resolve) => waiting.push(resolve)));
    const answer = await ask(JSON.stringify({ home, wipe: true }));
    if (!/^\{"rows"/.test(answer)) throw new Error(`${home} could not be wiped: ${answer}`);
    return JSON.stringify({ home });
  }
  if (names.includes(close)) (waiting.shift() ?? ((name) => free.push(name)))(close);
  return "{}";
}

const server = createServer(async (socket) => {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  for await (const line of createInterface({ input: socket })) {
    const reply = await (/^\{"(open|close)"/.test(line) ? told(line) : ask(line)).catch((error) => JSON.stringify({ error: String(error) }));
    socket.write(`${reply}\n`);
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const [program, ...args] = process.argv.slice(2);
const env = { ...process.env, SAYIIR_WORKERD: String(server.address().port), RUST_TEST_THREADS: "8" };
// A group of its own: what it starts ends with it.
const child = spawn(program, args, { stdio: "inherit", env, detached: true });
const signal = (name) => {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, name);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
};
const timer = setTimeout(() => (console.error(`${program} took longer than ${MOST_MS} ms`), signal("SIGKILL")), MOST_MS);
// Before Miniflare hears it, which ends this process.
for (const name of ["SIGINT", "SIGTERM"]) process.prependListener(name, () => signal(name));
process.on("exit", () => {
  if (child.exitCode === null && child.signalCode === null) signal("SIGKILL");
  rmSync(persist, { recursive: true, force: true });
});
const code = await new Promise((resolve) => {
  child.on("error", (error) => (console.error(`could not run ${program}: ${error.message}`), resolve(1)));
  child.on("exit", (code, signal) => (signal && console.error(`${program} was ended by ${signal}`), resolve(code ?? 1)));
});
clearTimeout(timer);
await worker.dispose();
process.exit(code);
