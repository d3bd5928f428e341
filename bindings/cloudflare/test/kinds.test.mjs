// Every node kind on the real workerd, on D1 and in Durable Objects, against the reference: one answer, each step once.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { makeFlows } from "./flows.mjs";
import { newId, World } from "./harness.mjs";
import { reference } from "./reference.mjs";

const flows = makeFlows(async () => {});
const world = new World();
before(() => world.start());
after(() => world.end());

export const CASES = [
  ["linear", 1],
  ["fork", 5],
  ["route", 5],
  ["route", 50],
  ["route", 500],
  ["loop", 2],
  ["delay", 1],
  ["signal", 1, { approve: [{ yes: true }] }],
  ["signal-timeout", 1],
  ["signal-timeout", 1, { approve: ["in time"] }],
  ["children", 1],
  ["everything", 2, { go: [7] }],
  ["bytes", new Uint8Array([1, 2, 3])],
  ["many", 1],
];

for (const store of ["d1", "do"]) {
  for (const [name, input, signals = {}] of CASES) {
    test(`${store}: ${name} of ${JSON.stringify(input)}${Object.keys(signals).length ? " with its signal" : ""}`, async () => {
      const id = newId(name);
      for (const [signal, values] of Object.entries(signals)) for (const value of values) await world.call(store, "sendSignal", [id, signal, value]);
      await world.call(store, "run", [name, id, input]);
      const status = await world.finish(store, name, id);
      const expected = await reference(flows[name], input, signals);
      assert.deepEqual(status, { status: "completed", output: expected.output });
      assert.deepEqual(await world.call(store, "result", [id]), expected.output);
      assert.deepEqual(world.pathsOf(id).toSorted(), expected.ran.toSorted());
    });
  }
}

for (const [name, input] of CASES.filter(([name]) => !["delay", "signal", "signal-timeout", "everything"].includes(name))) {
  test(`without storage: ${name} of ${JSON.stringify(input)}`, async () => {
    const { output } = await reference(flows[name], input);
    assert.deepEqual(await world.call("none", "runWorkflow", [name, input]), output);
  });
}

test("without storage, a failure is an error that names it", async () => {
  world.tasks.set("two", () => ({ fail: "no luck" }));
  await assert.rejects(world.call("none", "runWorkflow", ["linear", 1]), /no luck/);
  world.tasks.delete("two");
});

for (const store of ["d1", "do"]) {
  test(`${store}: the history has each step in order, and the list has the instance`, async () => {
    const id = newId("story");
    await world.call(store, "run", ["linear", id, 1]);
    const history = await world.call(store, "history", [id]);
    assert.deepEqual(history.filter(({ kind }) => kind === "task_completed").map(({ nodePath }) => nodePath), ["one", "two", "three"]);
    assert.equal(history[0].kind, "started");
    for (const { at } of history) assert.match(at, /^\d{4}-\d\d-\d\dT.*Z$/);
    const list = await world.call(store, "list", [{ limit: 100 }], store === "do" ? { object: id } : {});
    const { instanceId, workflowId, status, createdAt } = list.find((one) => one.instanceId === id);
    assert.deepEqual([instanceId, workflowId, status], [id, "linear", "completed"]);
    assert.match(createdAt, /Z$/);
  });

  test(`${store}: an unknown instance is said to be unknown`, async () => {
    await assert.rejects(world.call(store, "status", [newId("nobody")]), /not found/);
  });
}
