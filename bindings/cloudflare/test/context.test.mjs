// What a running task asks of the engine: sub-steps, progress, search attributes, a signal that tells that its attempt is over.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newId, World } from "./harness.mjs";

const world = new World();
before(() => world.start());
after(() => world.end());

const outcome = { rows: { x: 7, bytes: new Uint8Array([1, 2]) }, count: 2 };

for (const store of ["d1", "do"]) {
  test(`${store}: a sub-step that is stored does not run again when its task does`, async () => {
    const id = newId("parts");
    world.tasks.set("load", ({ instanceId }) => (world.namesOf(instanceId).filter((name) => name === "load").length < 2 ? { fail: "not yet" } : {}));
    await world.call(store, "run", ["parts", id, 7]);
    assert.deepEqual(await world.finish(store, "parts", id), { status: "completed", output: outcome });
    assert.deepEqual(world.namesOf(id), ["import", "download", "load", "import", "load"]);
    const stored = (await world.call(store, "history", [id])).filter(({ kind }) => kind === "sub_step_completed").map(({ output }) => output);
    assert.deepEqual(stored, [outcome.rows, 2]);
    world.tasks.delete("load");
  });

  test(`${store}: nor when its isolate is thrown away`, async () => {
    const own = await new World().start();
    try {
      const id = newId("parts");
      own.tasks.set("load", () => (own.isolate === 1 ? "hang" : {}));
      const there = own.next((told) => told.instanceId === id && told.name === "load");
      own.call(store, "run", ["parts", id, 7], { engine: { leaseMs: 500 } }).catch(() => "thrown away");
      await there;
      await own.restart();
      assert.deepEqual(await own.finish(store, "parts", id, { engine: { leaseMs: 500 } }), { status: "completed", output: outcome });
      assert.deepEqual(own.namesOf(id), ["import", "download", "load", "import", "load"]);
    } finally {
      await own.end();
    }
  });

  test(`${store}: a name that is used twice in one attempt fails the task, without another attempt`, async () => {
    const id = newId("twice");
    await world.call(store, "run", ["twice", id, 0]);
    const { status, error } = await world.finish(store, "twice", id);
    assert.equal(status, "failed");
    assert.match(error, /"a".*twice/);
    assert.equal((await world.call(store, "history", [id])).filter(({ kind }) => kind === "attempt_failed").length, 0);
  });

  test(`${store}: progress can be read while the task runs, and is gone afterwards`, async () => {
    const id = newId("report");
    let free;
    world.tasks.set("work", () => new Promise((resolve) => (free = () => resolve({}))));
    const there = world.next((told) => told.instanceId === id && told.name === "work");
    const run = world.call(store, "run", ["report", id, 1]);
    await there;
    const [{ at, ...told }, ...rest] = await world.call(store, "progress", [id]);
    assert.deepEqual([told, rest], [{ nodePath: "work", attempt: 1, progress: { done: 1, of: 3 } }, []]);
    assert.match(at, /^\d{4}-\d\d-\d\dT.*Z$/);
    free();
    assert.equal((await run).status, "completed");
    assert.deepEqual(await world.call(store, "progress", [id]), []);
    world.tasks.delete("work");
  });

  test(`${store}: instances are found by search attributes, given at the start or set by a task`, async () => {
    const customer = newId("customer");
    const due = new Date("2026-05-01T12:00:00Z");
    const ids = [1, 2, 3].map((n) => newId(`found-${n}`));
    const object = ids[0];
    for (const [n, id] of ids.entries()) {
      const searchAttributes = { customer, euros: 100 * (n + 1), vip: n === 1, due: due.getTime() + n };
      await world.call(store, "run", ["report", id, 1, { searchAttributes }], { object });
    }
    const found = async (searchAttributes, options = {}) =>
      (await world.call(store, "list", [{ searchAttributes: { customer, ...searchAttributes }, ...options }], { object })).map(({ instanceId }) => instanceId);
    assert.deepEqual(await found({}), ids);
    assert.deepEqual(await found({}, { order: "newest_first" }), ids.toReversed());
    assert.deepEqual(await found({ euros: { atLeast: 200 } }), ids.slice(1));
    assert.deepEqual(await found({ euros: { atLeast: 150, atMost: 250 } }), [ids[1]]);
    assert.deepEqual(await found({ vip: true }), [ids[1]]);
    assert.deepEqual(await found({ stage: "half" }), ids, "a task has set it");
    assert.deepEqual(await found({ stage: "whole" }), []);
    assert.deepEqual(await found({ euros: "200" }), [], "a text is no number");
    const [{ searchAttributes, run }] = await world.call(store, "list", [{ searchAttributes: { customer, vip: true } }], { object });
    assert.deepEqual(searchAttributes, { customer, euros: 200, vip: true, due: due.getTime() + 1, stage: "half" });
    assert.deepEqual(await found({}, { order: "newest_first", before: run, limit: 5 }), [ids[0]]);
    await assert.rejects(world.call(store, "list", [{ searchAttributes: { euros: {} } }], { object }), /atLeast/);
    await assert.rejects(world.call(store, "run", ["report", newId("bad"), 1, { searchAttributes: { euros: 0.5 } }], { object }), /"euros" is 0.5/);
  });

  test(`${store}: a task whose time is over is told by its signal`, async () => {
    const id = newId("limited");
    const heard = world.next((told) => told.instanceId === id && told.name === "heard AbortError");
    await world.call(store, "run", ["limited", id, 1]);
    assert.equal((await world.finish(store, "limited", id)).status, "failed");
    await heard;
  });

  test(`${store}: a task whose instance is cancelled is told by its signal`, async () => {
    const id = newId("unlimited");
    const begun = world.next((told) => told.instanceId === id && told.name === "begun");
    const heard = world.next((told) => told.instanceId === id && told.name === "heard AbortError");
    const run = world.call(store, "run", ["unlimited", id, 1]);
    await begun;
    await world.call(store, "cancel", [id]);
    await heard;
    assert.equal((await run).status, "cancelled");
  });

  test(`${store}: a task that is given up at the end of a call's time budget is told by its signal`, async () => {
    const id = newId("unlimited");
    const heard = world.next((told) => told.instanceId === id && told.name === "heard AbortError");
    assert.equal((await world.call(store, "run", ["unlimited", id, 1, { timeBudgetMs: 100 }])).status, "in_progress");
    await heard;
    await world.call(store, "cancel", [id]);
  });
}

test("without storage: sub-steps, progress and attributes do no harm", async () => {
  assert.deepEqual(await world.call("none", "runWorkflow", ["parts", 7]), outcome);
  assert.equal(await world.call("none", "runWorkflow", ["report", 1]), 1);
});

test("do: a task that ends its own object leaves the isolate sound, and goes on in the next object", async () => {
  const id = newId("deadly");
  await assert.rejects(world.call("do", "run", ["deadly", id, 1]), /a task ends its object/);
  const other = newId("other");
  assert.deepEqual(await world.call("do", "run", ["linear", other, 1]), { status: "completed", output: "=4" });
  // What was written in the turn that ended the object went with it: who got no answer asks again.
  await world.call("do", "run", ["deadly", id, 1, { conflictPolicy: "use_existing" }]);
  assert.deepEqual(await world.finish("do", "deadly", id), { status: "completed", output: 2 });
});
