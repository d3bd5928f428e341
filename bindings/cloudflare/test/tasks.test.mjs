// Tasks: retries with backoff, timeouts, errors, the context, payloads at the limit.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newId, World } from "./harness.mjs";

const world = new World();
before(() => world.start());
after(() => world.end());

const of = (id) => world.ran.filter((one) => one.instanceId === id);

for (const store of ["d1", "do"]) {
  test(`${store}: a task that fails twice is tried a third time, under the same key`, async () => {
    const id = newId("flaky");
    world.tasks.set("try", ({ instanceId }) => (of(instanceId).length < 3 ? { fail: "not yet" } : {}));
    await world.call(store, "run", ["flaky", id, 1]);
    assert.deepEqual(await world.finish(store, "flaky", id), { status: "completed", output: 2 });
    const tries = of(id).filter(({ name }) => name === "try");
    assert.deepEqual(tries.map(({ attempt }) => attempt), [1, 2, 3]);
    assert.equal(new Set(tries.map(({ idempotencyKey }) => idempotencyKey)).size, 1);
    assert.notEqual(of(id).at(-1).idempotencyKey, tries[0].idempotencyKey);
    const failures = (await world.call(store, "history", [id])).filter(({ kind }) => kind === "attempt_failed");
    assert.equal(failures.length, 2);
    for (const { error } of failures) assert.match(error, /not yet/);
    world.tasks.delete("try");
  });

  test(`${store}: when all attempts have failed the instance has, with message and stack`, async () => {
    const id = newId("failed");
    world.tasks.set("try", () => ({ fail: "never" }));
    await world.call(store, "run", ["flaky", id, 1]);
    const status = await world.finish(store, "flaky", id);
    assert.equal(status.status, "failed");
    assert.match(status.error, /never/);
    assert.match(status.error, /try/);
    const told = (await world.call(store, "history", [id])).map(({ error }) => error ?? "").join("\n");
    assert.match(told, /flows\.mjs|worker\.js/, "the stack says where");
    assert.equal(of(id).length, 4);
    await assert.rejects(world.call(store, "result", [id]), /never/);
    world.tasks.delete("try");
  });

  test(`${store}: an error that is not worth a retry gets none; one that names its delay gets that`, async () => {
    const [never, later] = [newId("never"), newId("later")];
    world.tasks.set("try", ({ instanceId, attempt }) =>
      instanceId === never ? { fail: "declined", error: { retryable: false } } : attempt === 1 ? { fail: "busy", error: { retryAfterMs: 5 } } : {},
    );
    for (const id of [never, later]) await world.call(store, "run", ["flaky", id, 1]);
    assert.match((await world.finish(store, "flaky", never)).error, /declined/);
    assert.equal(of(never).length, 1);
    assert.equal((await world.finish(store, "flaky", later)).status, "completed");
    assert.deepEqual(of(later).map(({ name }) => name), ["try", "try", "then"]);
    world.tasks.delete("try");
  });

  test(`${store}: a task that hangs is given up after its timeout`, async () => {
    const id = newId("slow");
    world.tasks.set("hang", () => "hang");
    await world.call(store, "run", ["slow", id, 1]);
    const status = await world.finish(store, "slow", id);
    assert.equal(status.status, "failed");
    assert.match(status.error, /hang/);
    assert.match(status.error, /time/i);
    world.tasks.delete("hang");
  });

  test(`${store}: each task reads its own context, however many run at once`, async () => {
    const id = newId("many");
    await world.call(store, "run", ["many", id, 1]);
    await world.finish(store, "many", id);
    const told = of(id);
    assert.equal(told.length, 41);
    assert.equal(new Set(told.map(({ idempotencyKey }) => idempotencyKey)).size, 41);
    for (const { name, nodePath, taskId, workflowId, attempt } of told) {
      assert.deepEqual([nodePath, taskId, workflowId, attempt], [name === "sum" ? "sum" : `sum/${name}`, name, "many", 1]);
    }
  });

  test(`${store}: a megabyte goes through, and what is too large is refused by name`, async () => {
    const fits = newId("fits");
    await world.call(store, "run", ["big", fits, 1_000_000]);
    assert.deepEqual(await world.finish(store, "big", fits), { status: "completed", output: 1_000_000 });
    const large = newId("large");
    await world.call(store, "run", ["big", large, 5_000_000]);
    const status = await world.finish(store, "big", large);
    assert.equal(status.status, "failed");
    assert.match(status.error, /grow/);
    assert.match(status.error, /bytes|MB|limit|large/i);
  });

  test(`${store}: what JSON cannot hold is refused with its place`, async () => {
    const id = newId("nan");
    await world.call(store, "run", ["linear", id, "x"], {});
    assert.equal((await world.finish(store, "linear", id)).status, "failed", "NaN is no JSON");
    assert.match((await world.call(store, "status", [id])).error, /\$ is NaN/);
  });
}
