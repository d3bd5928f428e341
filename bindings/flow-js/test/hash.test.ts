// The identity of definitions. The golden file is checked by sayiir-core too (crates/sayiir-core/tests/outline.rs):
// what is built in JavaScript and in Rust is one definition, with the same paths and the same hash.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { branch, branchFlow, flow, LoopResult, steps, type Workflow } from "../src/index.js";
import { layout } from "../src/internal.js";
import { sha256 } from "../src/sha256.js";

const same = (x: any): any => x;
const go = (x: any): any => LoopResult.done(x);
const start = (name: string, version?: string): any => flow<any>(name, version === undefined ? {} : { version });

const child = start("vat", "3").then("add", same).loop("check", go).fork([branch("one", same), branch("two", "second", same)]).join("both", same).build();

const WORKFLOWS: Readonly<Record<string, () => Workflow>> = {
  "one task": () => start("one").then("a", same).build(),
  "name and version": () => start("order", "2.1").then("a", same, { version: "7", retries: 3, timeout: "1s" }).then("a", same).then("a", same).build(),
  "names to be escaped": () => start("näme/ü").then("a/b[c]%#*\u0007\u0085", same).then("日本", same).build(),
  fork: () => start("fork").fork([branch("a", same), branch("b", "other", same), branchFlow("c", (sub) => sub.then("c", same)), branch("d", steps().then("x", same).then("x", same))]).join("j", same).build(),
  route: () => start("route").route("r", same, ["10", "b", "2"]).branch("b", same).branch("2", "two", same).defaultBranch("rest", same).done().then("end", same).build(),
  "route without default": () => start("route").route("r", same, ["z", "a"]).branch("a", same).branchFlow("z", (arm: any) => arm.delay("d", 5).then("z", same)).done().build(),
  loops: () => start("loops").loop("l", go).loopFlow("l", (body: any) => body.then("l", go)).loopFlow("m", (body: any) => body.loop("n", go).then("o", go)).build(),
  waits: () => start("waits").delay("d", "1h").waitForSignal("s", "go", { timeout: "1d" }).waitForSignal("s", "stop").build(),
  children: () => start("children").thenFlow(child).thenFlow(child).fork([branchFlow("in", (sub) => (sub as any).thenFlow(child))]).join("j", same).build(),
  everything: () =>
    start("everything", "1")
      .then("price", same)
      .fork([
        branchFlow("a", (sub: any) =>
          sub
            .route("r", same, ["x"])
            .branchFlow("x", (arm: any) => arm.loopFlow("l", (body: any) => body.fork([branch("f1", same), branchFlow("f2", (b) => b.delay("d", "1s").then("last", same))]).join("fj", go)))
            .defaultFlow((arm: any) => arm.waitForSignal("w", "go").loop("poll", go).thenFlow(child))
            .done()
            .then("r", same),
        ),
        branch("b", same),
      ])
      .join("told", same)
      .thenFlow(child)
      .build(),
};

const GOLDEN = fileURLToPath(new URL("../../test/golden/definitions.json", import.meta.url));

test("definitions, paths and hashes are those of the golden file", () => {
  const now = Object.entries(WORKFLOWS).map(([name, build]) => {
    const { definition, definitionHash } = build();
    return { name, definition, paths: layout(definition).map(({ path }) => path), hash: definitionHash };
  });
  if (process.env["SAYIIR_WRITE_GOLDEN"] === "1") writeFileSync(GOLDEN, `${JSON.stringify(now, null, 2)}\n`);
  assert.deepEqual(JSON.parse(JSON.stringify(now)), JSON.parse(readFileSync(GOLDEN, "utf8")));
});

test("policies are no part of the identity, structure is", () => {
  const hash = (build: (f: any) => any, version?: string): string => build(start("w", version)).build().definitionHash;
  const plain = hash((f) => f.then("a", same).delay("d", 1).loop("l", go));
  assert.match(plain, /^[0-9a-f]{64}$/);
  assert.equal(hash((f) => f.then("a", same, { retries: 9, timeout: "1h", tags: ["x"], priority: 1, description: "y" }).delay("d", "9d").loop("l", go, { maxIterations: 99 })), plain);
  const others = [
    hash((f) => f.then("b", same).delay("d", 1).loop("l", go)),
    hash((f) => f.delay("d", 1).then("a", same).loop("l", go)),
    hash((f) => f.then("a", same, { version: "2" }).delay("d", 1).loop("l", go)),
    hash((f) => f.then("a", same).delay("d", 1).loopFlow("l", (body: any) => body.then("m", go))),
    hash((f) => f.then("a", same).delay("d", 1).loop("l", go), "2"),
  ];
  assert.equal(new Set([plain, ...others]).size, 6);
});

test("SHA-256 is that of node:crypto, at every length around a block", () => {
  for (const length of [...Array(200).keys(), 1000, 65_537]) {
    const bytes = Uint8Array.from({ length }, (_, n) => (n * 31 + length) & 255);
    assert.equal(Buffer.from(sha256(bytes)).toString("hex"), createHash("sha256").update(bytes).digest("hex"), `${length} bytes`);
  }
});
