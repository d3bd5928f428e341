// Errors have a class and a code, also where they come out of a Durable Object, whose RPC keeps neither.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newId, World } from "./harness.mjs";

const world = new World();
before(() => world.start());
after(() => world.end());

const refused = async (work, expected) => {
  await assert.rejects(work, ({ name, code, classes }) => {
    assert.deepEqual({ name, code, classes }, expected);
    return true;
  });
};

const backend = (code) => ({ name: "BackendError", code, classes: ["WorkflowError", "BackendError"] });

for (const store of ["d1", "do"]) {
  test(`${store}: an unknown instance`, async () => {
    await refused(world.call(store, "status", [newId("nobody")]), backend("not_found"));
  });

  test(`${store}: an id that is taken, also by another workflow`, async () => {
    const id = newId("taken");
    await world.call(store, "run", ["linear", id, 1]);
    const expected = { name: "InstanceAlreadyExistsError", code: "already_exists", classes: ["WorkflowError", "BackendError", "InstanceAlreadyExistsError"] };
    await refused(world.call(store, "run", ["linear", id, 1, { conflictPolicy: "fail" }]), expected);
    await refused(world.call(store, "run", ["fork", id, 1, { conflictPolicy: "use_existing" }]), backend("definition_mismatch"));
  });

  test(`${store}: what has ended`, async () => {
    const id = newId("ended");
    await world.call(store, "run", ["linear", id, 1]);
    await refused(world.call(store, "cancel", [id]), backend("refused"));
    await refused(world.call(store, "sendSignal", [id, "approve", 1]), backend("refused"));
  });

  test(`${store}: the result of what has failed, and of what waits`, async () => {
    world.tasks.set("two", () => ({ fail: "no luck" }));
    const failed = newId("failed");
    await world.call(store, "run", ["linear", failed, 1]);
    await refused(world.call(store, "result", [failed]), { name: "TaskError", code: "failed", classes: ["WorkflowError", "TaskError"] });
    world.tasks.delete("two");
    const waits = newId("waits");
    await world.call(store, "run", ["signal", waits, 1]);
    await refused(world.call(store, "result", [waits]), { name: "WorkflowError", code: "no_output", classes: ["WorkflowError"] });
  });

  test(`${store}: an id that can be none, a policy that there is not`, async () => {
    await refused(world.call(store, "run", ["linear", "x".repeat(2000), 1]), { name: "WorkflowError", code: "invalid_id", classes: ["WorkflowError"] });
    await refused(world.call(store, "run", ["linear", newId("p"), 1, { conflictPolicy: "maybe" }]), { name: "WorkflowError", code: "wrong", classes: ["WorkflowError"] });
  });
}

test("do: a workflow that the object does not run", async () => {
  await refused(world.call("do", "run", ["nothing", newId("x"), 1]), { name: "WorkflowError", code: "unknown_workflow", classes: ["WorkflowError"] });
});

test("do: without withTypedErrors the text begins with class and code", async () => {
  const id = newId("nobody");
  await assert.rejects(world.call("do", "status", [id], { untyped: true }), (error) => {
    assert.deepEqual(error.classes, []);
    assert.equal(error.message, `BackendError [not_found]: instance "${id}" was not found`);
    return true;
  });
});

test("d1: a staleAfter that leases cannot keep is refused", async () => {
  const wrong = { name: "WorkflowError", code: "wrong", classes: ["WorkflowError"] };
  await refused(world.call("d1", "resumeAll", [["linear"], { staleAfter: 1 }]), wrong);
  await refused(world.call("d1", "resumeAll", [["linear"], { staleAfter: -1 }]), wrong);
  await world.call("d1", "resumeAll", [["linear"], { staleAfter: 1 }], { engine: { leaseMs: 1000 } });
  await world.call("d1", "resumeAll", [["linear"]], { engine: { leaseMs: 600_000 } });
});
