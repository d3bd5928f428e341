// The reference itself, on answers worked out by hand.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFlows } from "./flows.mjs";
import { reference } from "./reference.mjs";

const flows = makeFlows(async () => {});

const ANSWERS = [
  ["linear", 1, {}, "=4", "one two three"],
  ["fork", 5, {}, { a: 6, b: 9, c: [5] }, "join/a join/b/b1 join/b/b2 join/c/other join"],
  ["route", 5, {}, "small:5.5", "size size/small/s end"],
  ["route", 50, {}, "large:52", "size size/large/l1 size/large/l2 end"],
  ["route", 500, {}, "huge:-500", "size size/*[huge]/rest end"],
  ["loop", 2, {}, 8, "poll[0] poll[1] pages[0]/fetch pages[0]/more pages[1]/fetch pages[1]/more pages[2]/fetch pages[2]/more last[0] last[1]"],
  ["delay", 1, {}, 20, "before after"],
  ["signal", 1, { approve: ["yes"] }, { approval: "yes" }, "ask answered"],
  ["signal-timeout", 1, {}, { approval: null }, "answered"],
  ["children", 1, {}, 18, "child/c1 child/c2 c1 child#2/c1 child#2/c2"],
  ["bytes", new Uint8Array([1, 2]), {}, [true, true, true, 2], "double kinds"],
];

for (const [name, input, signals, output, ran] of ANSWERS) {
  test(`${name} of ${JSON.stringify(input)}`, async () => {
    const answer = await reference(flows[name], input, signals);
    assert.deepEqual(answer.output, output);
    assert.deepEqual(answer.ran, ran.split(" "));
  });
}

test("everything, nested", async () => {
  const { output, ran } = await reference(flows.everything, 2, { go: [7] });
  assert.deepEqual(output, { go: 7 });
  assert.ok(ran.includes("told/left/r/deep/l[1]/fj/f2/f2"), ran.join(" "));
});
