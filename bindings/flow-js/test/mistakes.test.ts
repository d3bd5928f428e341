// Mistakes in workflows, and what is told of them. Users of plain JavaScript meet them all; the types stop most of the others.

import assert from "node:assert/strict";
import { test } from "node:test";
import { branch, branchFlow, BuildErrors, flow, LoopResult, steps, task, WorkflowError } from "../src/index.js";

const same = (x: any): any => x;
const go = (x: any): any => LoopResult.done(x);

/** As from JavaScript, where no type is checked. */
const start = (name = "order"): any => flow<any>(name);

const MISTAKES: ReadonlyArray<readonly [what: string, build: () => unknown, code: string, message: string]> = [
  ["no step", () => start(), "EmptyWorkflow", "Workflow must have at least one task"],
  ["no name", () => start("").then("a", same), "InvalidName", 'invalid name "": a name must not be empty'],
  ["a name too long", () => start("n".repeat(257)).then("a", same), "InvalidName", "has at most 256 bytes"],
  ["a NUL in an id", () => start().then("a\0b", same), "InvalidName", "must not contain a NUL character"],
  ["an id that is empty", () => start().then("", same), "InvalidName", "a task's id must not be empty"],
  ["two functions under one id", () => start().then("a", same).then("a", (x: any) => x), "DuplicateTaskId", 'the task id "a" stands for two different implementations; give one of them another id'],
  ["a step that is no function", () => start().then("a", 5), "InvalidStep", 'then("a"): expected a function, found 5'],
  ["a step that is missing", () => start().then("a"), "InvalidStep", 'then("a"): expected a function, found undefined'],
  ["a delay of no duration", () => start().delay("d", "soon"), "InvalidDuration", '"d": delay: Invalid duration: "soon"'],
  ["a delay of ages", () => start().delay("d", "400000d"), "InvalidDuration", '"d": delay: at most a thousand years, not "400000d"'],
  ["a negative timeout", () => start().then("a", same, { timeout: -1 }), "InvalidDuration", '"a": timeout: Invalid duration: "-1"'],
  ["a timeout of zero", () => start().then("a", same, { timeout: 0 }), "InvalidDuration", '"a": a timeout of zero would fail every attempt'],
  ["half a retry", () => start().then("a", same, { retries: 0.5 }), "InvalidOption", '"a": retries is a whole number from 0, not 0.5'],
  ["no attempt", () => start().then("a", same, { retry: { maxAttempts: 0 } }), "InvalidOption", '"a": retry.maxAttempts is a whole number from 1 (the first attempt counts), not 0'],
  ["retries and retry", () => start().then("a", same, { retries: 1, retry: { maxAttempts: 2 } }), "InvalidOption", '"a": give `retries` or `retry`, not both'],
  ["a backoff that shrinks below nothing", () => start().then("a", same, { retry: { maxAttempts: 2, backoffMultiplier: -1 } }), "InvalidOption", '"a": retry.backoffMultiplier is a number from 0, not -1'],
  ["a priority that is none", () => start().then("a", same, { priority: 9 }), "InvalidOption", '"a": priority is 1 to 5, or critical, high, normal, low or minimal, not 9'],
  ["tags that are no list", () => start().then("a", same, { tags: "io" }), "InvalidOption", '"a": tags are a list of texts'],
  ["a schema that is none", () => start().then("a", same, { input: { type: "string" } }), "InvalidOption", '"a": input is an object, which is no schema: it needs a `parse` or a `~standard`'],
  ["options that are none", () => start().then("a", same, "30s"), "InvalidOption", '"a": the options are "30s", not an object'],
  ["a fork without branches", () => start().fork([]).join("j", same), "EmptyFork", 'the fork before "j" has no branches'],
  ["a fork without join", () => { const f = start(); f.fork([branch("a", same)]); return f; }, "UnfinishedStep", 'the fork of "a" has no join: end it with join(id, (outputs) => ..)'],
  ["two branches of one name", () => start().fork([branch("a", same), branch("a", "b", same)]).join("j", same), "DuplicateBranch", '"j" has two branches named "a"'],
  ["a branch without steps", () => start().fork([branchFlow("a", (sub) => sub)]).join("j", same), "EmptyBranch", 'the branch "a" has no steps'],
  ["a branch that returns no steps", () => start().fork([branchFlow("a", (() => undefined) as never)]).join("j", same), "InvalidStep", 'the function that builds "a" must return its steps'],
  ["branches that are none", () => start().fork([same]).join("j", same), "InvalidStep", "takes a list of branches: [branch(name, fn), ..]"],
  ["a join that is no function", () => start().fork([branch("a", same)]).join("j", null), "InvalidStep", "join: expected a function, found null"],
  ["a route without an arm for a key", () => start().route(same, ["a", "b", "c"]).branch("a", same).done(), "MissingBranches", 'the route "same" has no branch for ["b", "c"]; add them or a default branch'],
  ["a route with an arm for no key", () => start().route("r", same, ["a"]).branch("a", same).branch("z", same).done(), "OrphanBranches", 'the route "r" has branches for ["z"], which are no keys of it'],
  ["a route of nothing", () => start().route("r", same, ["a"]).done(), "EmptyBranch", 'the route "r" has no branches'],
  ["a route of unknown keys without default", () => start().route("r", same).branch("a", same).done(), "MissingBranches", "has neither a list of its keys nor a default branch"],
  ["a route with a key twice", () => start().route("r", same, ["a", "a"]).branch("a", same).done(), "DuplicateBranch", 'the route "r" lists ["a"] twice'],
  ["two arms of one key", () => start().route("r", same, ["a"]).branch("a", same).branch("a", "b", same).done(), "DuplicateBranch", '"r" has two branches named "a"'],
  ["two defaults", () => start().route("r", same, ["a"]).defaultBranch(same).defaultBranch(same).done(), "InvalidStep", "a route has one default branch"],
  ["a route without end", () => { const f = start(); f.route("r", same, ["a"]).branch("a", same); return f; }, "UnfinishedStep", 'the route "r" has no end: end it with done()'],
  ["a loop that may not run", () => start().loop("l", go, { maxIterations: 0 }), "InvalidMaxIterations", 'the loop "l" must allow at least one iteration, a whole number, not 0'],
  ["a loop with an end that is none", () => start().loop("l", go, { onMax: "explode" }), "InvalidOption", '"l": onMax is "fail" or "exit_with_last", not "explode"'],
  ["a loop of nothing", () => start().loopFlow("l", same), "EmptyBranch", 'the branch "l" has no steps'],
  ["a child that is not built", () => start().thenFlow(flow("child").then(same)), "InvalidStep", "takes a built workflow: call build() on the child first"],
  ["a signal without a name", () => start().waitForSignal("w", ""), "InvalidName", "a signal's name must not be empty"],
  ["metadata that is no JSON", () => flow("order", { metadata: { big: 1n } }).then("a", same), "InvalidOption", "the metadata is no JSON"],
  ["nested too deep", () => {
    let inner = steps<any>().then("leaf", same);
    for (let n = 0; n < 64; n++) inner = steps<any>().fork([branch(`b${n}`, inner)]).join(`j${n}`, same);
    return start().fork([branch("top", inner)]).join("top", same);
  }, "TooDeep", "is nested deeper than 64 levels"],
  ["a path too long", () => {
    let inner = steps<any>().then("leaf", same);
    for (let n = 0; n < 10; n++) inner = steps<any>().fork([branch("b".repeat(200), inner)]).join("j", same);
    return start().fork([branch("top", inner)]).join("top", same);
  }, "InvalidName", "a node path has at most 1024 bytes"],
];

for (const [what, build, code, message] of MISTAKES) {
  test(`told: ${what}`, () => {
    assert.throws(
      () => (build() as any).build(),
      (error: unknown) => {
        assert.ok(error instanceof BuildErrors && error instanceof WorkflowError);
        assert.deepEqual(error.errors.map((one) => one.code), [code], error.message);
        assert.ok(error.message.includes(message), `${error.message}\n  lacks\n${message}`);
        return true;
      },
    );
  });
}

test("all mistakes are told together, in the order of the nodes", () => {
  const wrong = start("wrong")
    .then("a", same, { timeout: "x" })
    .fork([branch("b", same, { retries: -1 })])
    .join("j", same)
    .loop("l", go, { maxIterations: 0 })
    .then("a", (x: any) => x)
    .delay("d", "y");
  assert.throws(
    () => wrong.build(),
    (error: BuildErrors) => {
      assert.deepEqual(error.errors.map(({ code, node }) => [code, node]), [
        ["InvalidDuration", "a"],
        ["InvalidOption", "b"],
        ["InvalidMaxIterations", "l"],
        ["DuplicateTaskId", "a"],
        ["InvalidDuration", "d"],
      ]);
      assert.match(error.message, /^cannot build workflow "wrong", which has 5 mistakes:\n- "a": timeout: Invalid duration: "x"/);
      return true;
    },
  );
});

test("a task's own mistakes are told where it is made", () => {
  assert.throws(() => task("", same, { timeout: "x", retries: -1 }), (error: BuildErrors) => error.errors.length === 3);
  assert.throws(() => task("a", 5 as never), /the task "a" is 5, not a function/);
});

test("a flow that is awaited by mistake says so", async () => {
  await assert.rejects(async () => await (flow<number>("order").then("a", (x) => x) as unknown as Promise<unknown>), /A flow is no promise: call build\(\)/);
});

test("a mistake in a branch does not hide those of the others", () => {
  const wrong = start().fork([branch("a", 1 as never), branch("b", "c", 2 as never)]).join("j", same);
  assert.throws(() => wrong.build(), (error: BuildErrors) => error.errors.length === 2 && error.errors.every(({ code }) => code === "InvalidStep"));
});
