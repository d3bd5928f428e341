// A call ends before its work does: by its time budget, or because the engine panics. The work goes on with the next call.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newId, pause } from "./harness.mjs";
import { LimitsWorker } from "./limits.mjs";

let worker;
before(async () => (worker = await LimitsWorker.start()));
after(async () => await worker?.end());

const call = (asked) => worker.call(asked);

/** Calls `resume` until the instance has ended; says how often. */
async function resumed(flow, id, options) {
  for (let calls = 1; calls < 200; calls += 1) {
    const status = await call({ method: "resume", flow, id, options });
    if (status.status !== "in_progress") return { status, calls };
    await pause(25);
  }
  throw new Error(`${id} has not ended`);
}

test("a run stops at its time budget, is stored, and goes on with the next call; no step runs twice", async () => {
  const id = newId("paced");
  assert.deepEqual(await call({ method: "run", flow: "paced", id, input: 0, options: { timeBudgetMs: 250 } }), { status: "in_progress" });
  const history = await call({ method: "history", id });
  const done = history.filter(({ kind }) => kind === "task_completed").length;
  assert.ok(done >= 1 && done < 8, `${done} steps were stored`);
  const { status, calls } = await resumed("paced", id, { timeBudgetMs: 250 });
  assert.deepEqual(status, { status: "completed", output: 8 });
  assert.ok(calls >= 2, `${calls} calls`);
  const paths = (await call({ method: "history", id })).filter(({ kind }) => kind === "task_completed").map(({ nodePath }) => nodePath);
  assert.deepEqual(paths, ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"]);
});

test("a task that takes longer than the budget is given up, and is free for the next call at once", async () => {
  const id = newId("long");
  // A lease far longer than the test: only a branch that was given back can be taken up.
  const engineOptions = { leaseMs: 600_000 };
  assert.deepEqual(await call({ method: "run", flow: "long", id, input: 1500, options: { timeBudgetMs: 100 }, engineOptions }), { status: "in_progress" });
  assert.deepEqual(await call({ method: "resume", flow: "long", id, engineOptions }), { status: "completed", output: "done" });
});

test("a panic of the engine fails the calls that are on their way, and the isolate stays usable", async () => {
  const id = newId("panic");
  const { running, panic } = await call({ method: "panic", id, engineOptions: { leaseMs: 1000 } });
  assert.match(panic, /^WorkflowError: the engine panicked: .*a mistake of ours/s);
  assert.match(running, /^WorkflowError: the engine panicked/);
  const other = newId("other");
  assert.deepEqual(await call({ method: "run", flow: "short", id: other, input: 1 }), { status: "completed", output: 2 });
  const { status } = await resumed("long", id);
  assert.deepEqual(status, { status: "completed", output: "done" });
  // Again, for the second instance of the engine can panic, too.
  await call({ method: "panic", id: newId("panic"), engineOptions: { leaseMs: 1000 } });
  assert.deepEqual(await call({ method: "resume", flow: "short", id: other }), { status: "completed", output: 2 });
});

test("a panic while an object drives: its next call goes on at once, however long the lease", async () => {
  const id = newId("panic");
  const { running } = await call({ method: "panic", store: "object", id, engineOptions: { leaseMs: 600_000 } });
  assert.match(running, /the engine panicked/);
  assert.deepEqual(await call({ method: "resume", store: "object", id }), { status: "completed", output: "done" });
});
