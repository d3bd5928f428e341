// Cancel, pause and unpause, while an instance is parked and while it runs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newId, World } from "./harness.mjs";

const world = new World();
before(() => world.start());
after(() => world.end());

for (const store of ["d1", "do"]) {
  for (const [name, status] of [["long-delay", "waiting"], ["signal", "awaiting_signal"]]) {
    test(`${store}: cancel while ${status}`, async () => {
      const id = newId("cancel");
      assert.equal((await world.call(store, "run", [name, id, 1])).status, status);
      const cancelled = { status: "cancelled", reason: "no longer wanted", cancelledBy: "ada" };
      await world.call(store, "cancel", [id, { reason: "no longer wanted", cancelledBy: "ada" }]);
      assert.deepEqual(await world.call(store, "status", [id]), cancelled);
      await world.call(store, "cancel", [id]);
      assert.deepEqual(await world.call(store, "resume", [name, id]), cancelled, "cancelling twice is fine, resuming changes nothing");
    });

    test(`${store}: pause and unpause while ${status}`, async () => {
      const id = newId("pause");
      const parked = await world.call(store, "run", [name, id, 1]);
      await world.call(store, "pause", [id, { reason: "audit", pausedBy: "bob" }]);
      assert.deepEqual(await world.call(store, "status", [id]), { status: "paused", reason: "audit", pausedBy: "bob" });
      assert.equal((await world.call(store, "resume", [name, id])).status, "paused");
      await world.call(store, "unpause", [id]);
      assert.deepEqual(await world.call(store, "status", [id]), parked, "what it waits for is as it was");
      await world.call(store, "pause", [id]);
      await world.call(store, "cancel", [id]);
      assert.equal((await world.call(store, "status", [id])).status, "cancelled", "a paused instance can be cancelled");
    });
  }

  test(`${store}: what has ended cannot be cancelled or paused`, async () => {
    const id = newId("ended");
    await world.call(store, "run", ["linear", id, 1]);
    await assert.rejects(world.call(store, "cancel", [id]), /Cannot cancel/);
    await assert.rejects(world.call(store, "pause", [id]), /Cannot pause/);
    await assert.rejects(world.call(store, "cancel", [newId("nobody")]), /not found/);
  });

  test(`${store}: cancel while a task runs`, async () => {
    const id = newId("running");
    let free;
    world.tasks.set("two", () => new Promise((resolve) => (free = () => resolve({}))));
    const there = world.next((told) => told.instanceId === id && told.name === "two");
    const run = world.call(store, "run", ["linear", id, 1]).catch((error) => error);
    await there;
    await world.call(store, "cancel", [id, { reason: "stop" }]);
    free();
    await run;
    world.tasks.delete("two");
    assert.deepEqual(await world.call(store, "status", [id]), { status: "cancelled", reason: "stop" });
    assert.deepEqual(world.namesOf(id), ["one", "two"]);
  });

  test(`${store}: pause while a task runs takes effect at the next boundary`, async () => {
    const id = newId("running");
    let free;
    world.tasks.set("two", () => new Promise((resolve) => (free = () => resolve({}))));
    const there = world.next((told) => told.instanceId === id && told.name === "two");
    const run = world.call(store, "run", ["linear", id, 1]);
    await there;
    await world.call(store, "pause", [id]);
    free();
    assert.equal((await run).status, "paused");
    world.tasks.delete("two");
    assert.deepEqual(world.namesOf(id), ["one", "two"]);
    await world.call(store, "unpause", [id]);
    assert.deepEqual(await world.finish(store, "linear", id), { status: "completed", output: "=4" });
    assert.deepEqual(world.namesOf(id), ["one", "two", "three"]);
  });
}
