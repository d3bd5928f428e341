// Figures on the local workerd: `node bench/figures.mjs`. Ratios are to be trusted, and what D1 counts; times are this machine's.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { LimitsWorker } from "../test/limits.mjs";

const here = dirname(fileURLToPath(import.meta.url));

async function timed(worker, asked) {
  const began = performance.now();
  const ok = await worker.call(asked);
  return { ok, ms: performance.now() - began };
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const tell = (what, value) => console.log(`${what.padEnd(64)} ${value}`);

const wasm = readFileSync(join(here, "../pkg/sayiir_cloudflare_bg.wasm"));
tell("wasm, KiB", (wasm.length / 1024).toFixed(0));
tell("wasm, KiB as gzip", (gzipSync(wasm, { level: 9 }).length / 1024).toFixed(0));

const cold = [];
const again = [];
for (let round = 0; round < 5; round += 1) {
  const worker = await LimitsWorker.start();
  cold.push((await timed(worker, { method: "warm", input: 1 })).ms);
  again.push((await timed(worker, { method: "warm", input: 1 })).ms);
  await worker.end();
}
tell("first request of an isolate (workflow of 1 step, no store), ms", median(cold).toFixed(1));
tell("the same again, ms", median(again).toFixed(1));

const worker = await LimitsWorker.start();
const run = (flow, id) => timed(worker, { method: "run", flow, id, input: 0, options: { counted: true } });
await run("short", "warm");
const [d1, objects, shorts] = [[], [], []];
let spent;
let spentShort;
for (let round = 0; round < 5; round += 1) {
  const long = await run("steps", `d1-${round}`);
  const short = await run("short", `short-${round}`);
  [spent, spentShort] = [long.ok.spent, short.ok.spent];
  d1.push((long.ms - short.ms) / 99);
  shorts.push(short.ms);
  const begin = await timed(worker, { method: "run", store: "object", flow: "short", id: `object-${round}`, input: 0 });
  const object = await timed(worker, { method: "run", store: "object", flow: "steps", id: `object-${round}-s`, input: 0 });
  objects.push((object.ms - begin.ms) / 99);
}
const perStep = (key) => ((spent[key] - spentShort[key]) / 99).toFixed(2);
tell("D1: a run of 1 step, ms", median(shorts).toFixed(1));
tell("D1: a run of 1 step: batches / statements / rows read / written", Object.values(spentShort).join(" / "));
tell("D1: each step more, ms", median(d1).toFixed(2));
tell("D1: each step more: batches / statements / rows read / written", ["batches", "statements", "read", "written"].map(perStep).join(" / "));
tell("Durable Object: each step more, ms", median(objects).toFixed(2));
await worker.end();
