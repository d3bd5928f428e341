// The picture: which node is how far, and what is drawn.

import assert from "node:assert/strict";
import { test } from "node:test";
import { branch, branchFlow, flow, LoopResult } from "@sayiir/flow-js";
import { drawGraph, progressOf, spell } from "../src/graph.js";

const same = (x: any): any => x;

const workflow = flow<any>("all")
  .then("first", same)
  .fork([branch("a", same), branchFlow("b", (sub) => sub.then("b1", same).waitForSignal("b2", "go"))])
  .join("joined", same)
  .route("pick", () => "x" as "x" | "y", ["x", "y"])
  .branchFlow("x", (arm) => arm.delay("rest", "90s").then("x1", same))
  .defaultBranch("other", same)
  .done()
  .loopFlow("pages", (body) => body.then("fetch", same).then("more", () => LoopResult.done(1)))
  .loop("poll", () => LoopResult.done(1))
  .thenFlow(flow<any>("child").then("leaf <&>", same).build())
  .build();

const done = (...paths: string[]) => paths.map((nodePath) => ({ kind: "task_completed", nodePath }));
const standing = (history: any[], status = "in_progress") =>
  Object.fromEntries([...progressOf(workflow, history, { status })].filter(([, state]) => state !== "done"));

test("the first node is active when nothing has happened", () => {
  assert.deepEqual(standing([]), { first: "active" });
});

test("branches stand where they are, each by itself", () => {
  assert.deepEqual(standing(done("first")), { "joined/a": "active", "joined/b/b1": "active" });
  assert.deepEqual(standing(done("first", "joined/a", "joined/b/b1"), "awaiting_signal"), { "joined/b/b2": "waiting" });
  assert.deepEqual(standing([...done("first", "joined/a", "joined/b/b1"), { kind: "event_received", nodePath: "joined/b/b2" }]), { joined: "active" });
});

test("of a route, the arm that was taken goes on", () => {
  const before = [...done("first", "joined/a", "joined/b/b1"), { kind: "event_received", nodePath: "joined/b/b2" }, { kind: "join_completed", nodePath: "joined" }];
  assert.deepEqual(standing(before), { pick: "active" });
  assert.deepEqual(standing([...before, { kind: "route_taken", nodePath: "pick", output: "x" }], "waiting"), { "pick/x/rest": "waiting" });
  assert.deepEqual(standing([...before, { kind: "route_taken", nodePath: "pick", output: "y" }]), { "pick/*/other": "active" });
  const through = [...before, { kind: "route_taken", nodePath: "pick", output: "y" }, ...done("pick/*[y]/other")];
  assert.deepEqual(standing(through), { "pages/fetch": "active" });
  assert.deepEqual(standing([...through, ...done("pages[0]/fetch", "pages[0]/more", "pages[1]/fetch")]), { "pages/more": "active" }, "the latest iteration is shown");
  const looped = [...through, ...done("pages[0]/fetch", "pages[0]/more")];
  assert.deepEqual(standing([...looped, { kind: "task_completed", nodePath: "poll[0]", output: { _loop: "again", value: 1 } }]), { poll: "active" });
  assert.deepEqual(standing([...looped, { kind: "task_completed", nodePath: "poll[0]", output: { _loop: "done", value: 1 } }]), { "child/leaf <&>": "active" });
});

test("where an instance ended nothing is active", () => {
  assert.deepEqual(standing([...done("first"), { kind: "failed", nodePath: "joined/a" }], "failed"), { "joined/a": "failed" });
  assert.deepEqual(standing(done("first"), "cancelled"), {});
});

test("the picture holds every node once, with its state, and nothing that is not escaped", () => {
  const svg = drawGraph(workflow, progressOf(workflow, done("first"), { status: "in_progress" }));
  const nodes = [...svg.matchAll(/<g class="node (\w+)" data-path="([^"]*)">/g)].map(([, state, path]) => `${path} ${state}`);
  assert.deepEqual(nodes.toSorted(), [
    "child/leaf &#60;&#38;&#62; none", "first done", "joined none", "joined/a active", "joined/b/b1 active", "joined/b/b2 none", "pages/fetch none", "pages/more none",
    "pick none", "pick/*/other none", "pick/x/rest none", "pick/x/x1 none", "poll none",
  ]);
  assert.match(svg, /^<svg class="graph" role="img" aria-label="Workflow all: 1 nodes done, 2 active, 0 waiting, 0 failed"/);
  assert.match(svg, /wait 1m 30s/);
  assert.equal(svg.match(/<[a-z]+/g)?.length, (svg.match(/<\/[a-z]+>/g)?.length ?? 0) + (svg.match(/\/>/g)?.length ?? 0), "every element is closed");
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
});

test("boxes do not lie on each other", () => {
  const svg = drawGraph(workflow, new Map());
  const boxes = [...svg.matchAll(/<rect x="([\d.-]+)" y="([\d.-]+)" width="([\d.]+)" height="([\d.]+)" rx="8"\/>/g)].map((box) => box.slice(1).map(Number) as [number, number, number, number]);
  assert.equal(boxes.length, 13);
  const [, width, height] = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg)?.map(Number) as [number, number, number];
  boxes.forEach(([x, y, w, h], index) => {
    assert.ok(x >= 0 && y >= 0 && x + w <= width && y + h <= height, "inside of the picture");
    for (const [x2, y2, w2, h2] of boxes.slice(index + 1)) {
      assert.ok(x + w <= x2 || x2 + w2 <= x || y + h <= y2 || y2 + h2 <= y, "apart");
    }
  });
});

test("durations are spelled", () => {
  assert.deepEqual([0, 1, 1500, 60_000, 259_200_000, 90_061_000].map(spell), ["0ms", "1ms", "1s 500ms", "1m", "3d", "1d 1h"]);
});
