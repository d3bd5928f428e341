// Signals before the instance, before the wait, during it, and after the end; in order, each once.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newId, World } from "./harness.mjs";

const world = new World();
before(() => world.start());
after(() => world.end());

for (const store of ["d1", "do"]) {
  test(`${store}: a signal that comes before the instance is kept for it`, async () => {
    const id = newId("early");
    await world.call(store, "sendSignal", [id, "approve", "early"]);
    assert.deepEqual(await world.call(store, "run", ["signal", id, 1]), { status: "completed", output: { approval: "early" } });
  });

  test(`${store}: a signal during the wait`, async () => {
    const id = newId("during");
    const parked = await world.call(store, "run", ["signal", id, 1]);
    assert.deepEqual(parked, { status: "awaiting_signal", signalId: "approval", signalName: "approve" });
    const answered = world.next((told) => told.instanceId === id && told.name === "answered");
    await world.call(store, "sendSignal", [id, "approve", { by: "ada", bytes: new Uint8Array([1, 2]) }]);
    if (store === "d1") await world.scheduled();
    await answered;
    assert.deepEqual(await world.finish(store, "signal", id), { status: "completed", output: { approval: { by: "ada", bytes: new Uint8Array([1, 2]) } } });
  });

  test(`${store}: a signal while the task before the wait runs`, async () => {
    const id = newId("while");
    world.tasks.set("ask", () => new Promise((resolve) => setTimeout(resolve, 100)).then(() => ({})));
    const there = world.next((told) => told.instanceId === id && told.name === "ask");
    const run = world.call(store, "run", ["signal", id, 1]);
    await there;
    await world.call(store, "sendSignal", [id, "approve", 5]);
    await run;
    world.tasks.delete("ask");
    assert.deepEqual(await world.finish(store, "signal", id), { status: "completed", output: { approval: 5 } });
  });

  test(`${store}: a signal after the end is an error`, async () => {
    const id = newId("late");
    await world.call(store, "sendSignal", [id, "approve", 1]);
    await world.call(store, "run", ["signal", id, 1]);
    await assert.rejects(world.call(store, "sendSignal", [id, "approve", 2]), (error) => error.message.includes(id));
  });

  test(`${store}: where the last branch of a fork waits, its signal leads to the end without another wait`, async () => {
    const id = newId("fork");
    // Longer than the test: who waits for a lease to end fails it.
    const options = { engine: { leaseMs: 60_000 }, object: id };
    assert.equal((await world.call(store, "run", ["fork-signal", id, 1], options)).status, "awaiting_signal");
    await world.call(store, "sendSignal", [id, "answer", 2], options);
    // In an object the alarm may be at it already: then this is told that it is in progress.
    const status = store === "d1" ? await world.call(store, "resume", ["fork-signal", id], options) : await world.finish(store, "fork-signal", id, options);
    assert.deepEqual(status, { status: "completed", output: { kept: 1, answer: 2 } });
  });

  test(`${store}: an unused name wakes nobody; with a key, a signal sent twice is one`, async () => {
    const id = newId("names");
    await world.call(store, "run", ["signal", id, 1]);
    await world.call(store, "sendSignal", [id, "other", 1, { key: "k" }]);
    await world.call(store, "sendSignal", [id, "other", 1, { key: "k" }]);
    assert.equal((await world.call(store, "resume", ["signal", id])).status, "awaiting_signal");
    await world.call(store, "sendSignal", [id, "approve", 1]);
    assert.equal((await world.finish(store, "signal", id)).status, "completed");
  });

  test(`${store}: a signal that arrived in time beats a timeout that nobody looked at`, async () => {
    const id = newId("tie");
    await world.call(store, "sendSignal", [id, "approve", "kept"]);
    await world.call(store, "run", ["signal-timeout", id, 1]);
    assert.deepEqual(await world.finish(store, "signal-timeout", id), { status: "completed", output: { approval: "kept" } });
  });
}
