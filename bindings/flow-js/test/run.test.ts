// Running one task: schemas on both sides, sync and async, and what is told when a value does not fit.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as v from "valibot";
import { z } from "zod";
import { DoNotRetry, flow, LoopResult, RetryAfter, TaskError, task, ValidationError, WorkflowError } from "../src/index.js";
import { runTask } from "../src/internal.js";
import type { Workflow } from "../src/index.js";

const entry = (workflow: Workflow, path: string) => {
  const found = workflow.code.get(path);
  assert.ok(found, `${path} is one of ${[...workflow.code.keys()].join()}`);
  return found;
};

const invalid = (message: string) => (error: unknown) => {
  assert.ok(error instanceof ValidationError && error instanceof TaskError && error instanceof WorkflowError);
  assert.equal(error.message, message);
  assert.equal(error.retryable, false);
  assert.equal(error.name, "ValidationError");
  return true;
};

test("zod, on both sides", async () => {
  const parse = task("parse", ({ n }) => n, { input: z.object({ n: z.coerce.number() }), output: z.number().max(5).transform((n) => `#${n}`) });
  const one = entry(flow<{ n: unknown }>("w").then(parse).build(), "parse");
  assert.equal(await runTask(one, { n: "4" }), "#4");
  await assert.rejects(runTask(one, { n: "x" }), invalid('invalid input of task "parse": n: Invalid input: expected number, received NaN'));
  await assert.rejects(runTask(one, { n: 6 }), invalid('invalid output of task "parse": Too big: expected number to be <=5'));
});

test("any Standard Schema, asynchronous ones too", async () => {
  const schema = v.pipeAsync(v.string(), v.checkAsync(async (text) => text !== "no", "not no"), v.transform(Number));
  const one = entry(flow<string>("w").then("n", (n) => n + 1, { input: schema }).build(), "n");
  assert.equal(await runTask(one, "4"), 5);
  await assert.rejects(runTask(one, "no"), invalid('invalid input of task "n": not no'));
});

test("a parse that throws, or rejects", async () => {
  const even = { parse: (value: unknown) => { if (Number(value) % 2 === 0) return Number(value); throw new Error("odd"); } };
  const later = { parse: async (value: unknown) => even.parse(value) };
  const workflow = flow<number>("w").then("now", (n) => n / 2, { input: even }).then("later", (n) => n, { output: later }).build();
  assert.equal(await runTask(entry(workflow, "now"), 4), 2);
  assert.equal(await runTask(entry(workflow, "later"), 4), 4);
  await assert.rejects(runTask(entry(workflow, "now"), 3), invalid('invalid input of task "now": odd'));
  await assert.rejects(runTask(entry(workflow, "later"), 3), invalid('invalid output of task "later": odd'));
});

test("what a task throws is what its caller gets", async () => {
  const boom = new RangeError("boom");
  const workflow = flow("w").then("sync", () => { throw boom; }).then("async", async () => { throw boom; }).build();
  await assert.rejects(runTask(entry(workflow, "sync"), 1), (error) => error === boom);
  await assert.rejects(runTask(entry(workflow, "async"), 1), (error) => error === boom);
});

test("a loop's schema checks what is done; its body must give a LoopResult", async () => {
  const workflow = flow<number>("w")
    .loop("poll", (n) => (n > 3 ? LoopResult.done(n) : LoopResult.again(n + 1)), { maxIterations: 5 })
    .then("cast", (n) => n)
    .loop("bad", (() => 5) as never)
    .build();
  assert.deepEqual(await runTask(entry(workflow, "poll"), 1), { _loop: "again", value: 2 });
  assert.deepEqual(await runTask(entry(workflow, "poll"), 4), { _loop: "done", value: 4 });
  await assert.rejects(runTask(entry(workflow, "bad"), 1), {
    name: "TaskError",
    message: 'the body of the loop "bad" returned 5; return LoopResult.again(..) or LoopResult.done(..)',
  });
  const checked = flow<number>("w").loop("t", task("t", (n: number) => (n > 3 ? LoopResult.done(n) : LoopResult.again(n)))).build();
  const withOutput = { ...entry(checked, "t"), output: z.number().max(9).transform(String) };
  assert.deepEqual(await runTask(withOutput, 4), { _loop: "done", value: "4" });
  assert.deepEqual(await runTask(withOutput, 2), { _loop: "again", value: 2 });
  await assert.rejects(runTask(withOutput, 10), ValidationError);
});

test("the registry calls functions with their checks, synchronously where they are", () => {
  const workflow = flow<number>("w").then("n", (n) => n + 1, { input: z.number() }).build();
  assert.equal(workflow._taskRegistry["n"]?.(1), 2);
  assert.throws(() => workflow._taskRegistry["n"]?.("x"), ValidationError);
});

test("errors that say what shall become of the task", () => {
  const cause = new Error("declined");
  const never = new DoNotRetry("the card was declined", { cause });
  assert.equal(never.retryable, false);
  assert.equal(never.cause, cause);
  assert.equal(new RetryAfter("2s").retryAfterMs, 2000);
  assert.ok(never instanceof TaskError && new RetryAfter(1) instanceof TaskError);
  assert.match(never.stack ?? "", /run\.test/);
});

test("LoopResult tells its kinds apart", () => {
  assert.ok(LoopResult.isDone(LoopResult.done(1)) && !LoopResult.isDone(LoopResult.again(1)));
  assert.ok(LoopResult.isAgain(LoopResult.again(1)) && !LoopResult.isAgain(LoopResult.done(1)));
  assert.equal(JSON.stringify(LoopResult.done({ a: 1 })), '{"_loop":"done","value":{"a":1}}');
});
