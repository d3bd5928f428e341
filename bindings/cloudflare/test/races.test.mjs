// Two requests for one instance at the same time, under each conflict policy.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newId, World } from "./harness.mjs";

const world = new World();
before(() => world.start());
after(() => world.end());

const both = (store, id, conflictPolicy) =>
  Promise.allSettled([1, 10].map((input) => world.call(store, "run", ["linear", id, input, { conflictPolicy }], { engine: { conflictPolicy } })));

for (const store of ["d1", "do"]) {
  for (let round = 0; round < 5; round++) {
    test(`${store}: fail lets exactly one in (${round})`, async () => {
      const id = newId("race");
      const settled = await both(store, id, "fail");
      const refused = settled.filter(({ status }) => status === "rejected");
      assert.equal(refused.length, 1, JSON.stringify(settled));
      assert.match(refused[0].reason.message, new RegExp(id));
      assert.match(refused[0].reason.message, /use_existing.*terminate_existing|resume\(\)/s);
      const status = await world.finish(store, "linear", id);
      assert.ok(["=4", "=22"].includes(status.output));
      assert.deepEqual(world.namesOf(id), ["one", "two", "three"]);
    });

    test(`${store}: use_existing starts one, and both are told of it (${round})`, async () => {
      const id = newId("race");
      const settled = await both(store, id, "useExisting");
      assert.deepEqual(settled.map(({ status }) => status), ["fulfilled", "fulfilled"], JSON.stringify(settled));
      const status = await world.finish(store, "linear", id);
      assert.ok(["=4", "=22"].includes(status.output));
      assert.deepEqual(world.namesOf(id), ["one", "two", "three"]);
    });

    test(`${store}: terminate_existing leaves the last one, whole (${round})`, async () => {
      const id = newId("race");
      await both(store, id, "terminate_existing");
      const status = await world.finish(store, "linear", id);
      assert.ok(["=4", "=22"].includes(status.output), JSON.stringify(status));
      const history = await world.call(store, "history", [id]);
      const last = Math.max(...history.map(({ run }) => run));
      assert.deepEqual(history.filter((row) => row.run === last && row.kind === "task_completed").map(({ nodePath }) => nodePath), ["one", "two", "three"]);
    });
  }

  test(`${store}: an instance of another definition is refused under any policy`, async () => {
    const id = newId("other");
    await world.call(store, "run", ["linear", id, 1]);
    for (const conflictPolicy of ["fail", "use_existing", "terminate_existing"]) {
      await assert.rejects(world.call(store, "run", ["fork", id, 1, { conflictPolicy }], { engine: { conflictPolicy } }), /mismatch/i);
    }
  });
}
