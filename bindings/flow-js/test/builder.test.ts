// What the builder makes of each step: the definition, paths, functions, and what tools read.

import assert from "node:assert/strict";
import { test } from "node:test";
import { branch, branchFlow, flow, LoopResult, parseDuration, steps, task } from "../src/index.js";

const same = <T>(x: T): T => x;

test("a task keeps its function, its id and its policies", async () => {
  const charge = task("charge", async (euros: number) => `charged ${euros}`, {
    timeout: "30s",
    retry: { maxAttempts: 4, initialDelay: "100ms", backoffMultiplier: 3, maxDelay: "1m" },
    description: "takes the money",
    displayName: "Charge",
    tags: ["payments", "eu"],
    priority: "high",
    version: "2",
  });
  assert.equal(await charge(5), "charged 5");
  assert.equal(charge._taskId, "charge");
  assert.deepEqual(charge._metadata, {
    displayName: "Charge",
    description: "takes the money",
    version: "2",
    timeoutSecs: 30,
    retries: { maxRetries: 3, initialDelaySecs: 0.1, backoffMultiplier: 3, maxDelaySecs: 60 },
    tags: ["payments", "eu"],
    priority: 2,
  });
  assert.deepEqual(task("plain", same)._metadata, {});
  assert.deepEqual(task("often", same, { retries: 5 })._metadata.retries, { maxRetries: 5, initialDelaySecs: 1, backoffMultiplier: 2 });
});

test("steps are named by their id, their task or their function, and what has no name is counted", () => {
  const named = function double(x: number): number {
    return 2 * x;
  };
  const workflow = flow<number>("names")
    .then(named)
    .then("triple", (x) => 3 * x)
    .then(task("halve", (x: number) => x / 2))
    .then((x) => x + 1)
    .then((x) => x + 2)
    .then("other", task("halve", (x: number) => x / 2))
    .build();
  assert.deepEqual(
    workflow.iterNodes().map((node) => node.id),
    ["double", "triple", "halve", "lambda_0", "lambda_1", "other"],
  );
  assert.equal(workflow._taskRegistry["double"]?.(4), 8);
  assert.equal(workflow._taskRegistry["lambda_1"]?.(4), 6);
});

test("options at a step go before those of the task", () => {
  const charge = task("charge", same<number>, { timeout: "30s", retries: 5, tags: ["eu"] });
  const workflow = flow<number>("over").then("again", charge, { timeout: "1s", retry: { maxAttempts: 1 } }).build();
  assert.deepEqual(workflow.definition.nodes, [
    { kind: "task", id: "again", options: { timeoutMs: 1000, retries: { maxRetries: 0, initialDelayMs: 1000, backoffMultiplier: 2 }, tags: ["eu"] } },
  ]);
});

test("every node kind stands in the definition as the contract has it", () => {
  const vat = flow<number>("vat", { version: "3" }).then("add", (net) => net * 1.2).build();
  const workflow = flow<number>("order", { version: "1", metadata: { team: "shop" } })
    .then("price", same)
    .fork([
      branch("mail", (n) => `mail ${n}`),
      branch("sms", "send-sms", (n) => `sms ${n}`, { retries: 2 }),
      branchFlow("ship", (sub) => sub.then("pack", same).delay("rest", "1h")),
      branch("file", steps<number>().then("write", same)),
    ])
    .join("told", ([mail, sms, ship, file]) => `${mail} ${sms} ${ship} ${file}`)
    .then("length", (text) => text.length)
    .route((n) => (n > 10 ? "long" : "short"), ["short", "long", "7"])
    .branch("long", (n) => n)
    .branch("7", "seven", (n) => n)
    .defaultBranch("rest", (n) => n)
    .done()
    .then("result", ({ result }) => result)
    .loop("poll", (n) => (n > 3 ? LoopResult.done(n) : LoopResult.again(n + 1)), { maxIterations: 5, onMax: "exitWithLast", timeout: "5s" })
    .loopFlow("pages", (sub) => sub.then("fetch", same).then("more", (n) => LoopResult.done(n)))
    .thenFlow(vat)
    .delay("rest", 1500)
    .waitForSignal<boolean>("approval", "approve", { timeout: "7d" })
    .build();
  assert.deepEqual(JSON.parse(JSON.stringify(workflow.definition)), {
    name: "order",
    version: "1",
    metadata: { team: "shop" },
    nodes: [
      { kind: "task", id: "price", options: {} },
      {
        kind: "fork",
        id: "told",
        branches: [
          { name: "mail", nodes: [{ kind: "task", id: "mail", options: {} }] },
          {
            name: "sms",
            nodes: [{ kind: "task", id: "send-sms", options: { retries: { maxRetries: 2, initialDelayMs: 1000, backoffMultiplier: 2 } } }],
          },
          {
            name: "ship",
            nodes: [
              { kind: "task", id: "pack", options: {} },
              { kind: "delay", id: "rest", ms: 3_600_000 },
            ],
          },
          { name: "file", nodes: [{ kind: "task", id: "write", options: {} }] },
        ],
        join: { id: "told", options: {} },
      },
      { kind: "task", id: "length", options: {} },
      {
        kind: "route",
        id: "route",
        options: {},
        keys: ["short", "long", "7"],
        arms: {
          "7": [{ kind: "task", id: "seven", options: {} }],
          long: [{ kind: "task", id: "long", options: {} }],
        },
        default: [{ kind: "task", id: "rest", options: {} }],
      },
      { kind: "task", id: "result", options: {} },
      {
        kind: "loop",
        id: "poll",
        nodes: [{ kind: "task", id: "poll", options: { timeoutMs: 5000 } }],
        maxIterations: 5,
        onMax: "exit_with_last",
      },
      {
        kind: "loop",
        id: "pages",
        nodes: [
          { kind: "task", id: "fetch", options: {} },
          { kind: "task", id: "more", options: {} },
        ],
        maxIterations: 10,
        onMax: "fail",
      },
      {
        kind: "child",
        id: "vat",
        workflow: { name: "vat", version: "3", nodes: [{ kind: "task", id: "add", options: {} }] },
      },
      { kind: "delay", id: "rest", ms: 1500 },
      { kind: "signal", id: "approval", name: "approve", timeoutMs: 604_800_000 },
    ],
  });
  assert.deepEqual(workflow.metadata, { team: "shop" });
  assert.equal(workflow.workflowId, "order");
  assert.deepEqual(
    workflow.iterNodes().map(({ path, kind, predecessorId }) => [path, kind, predecessorId]),
    [
      ["price", "task", undefined],
      ["told", "fork", "price"],
      ["told/mail", "task", "told"],
      ["told/sms/send-sms", "task", "told"],
      ["told/ship/pack", "task", "told"],
      ["told/ship/rest", "delay", "pack"],
      ["told/file/write", "task", "told"],
      ["length", "task", "told"],
      ["route", "branch", "length"],
      ["route/long/long", "task", "route"],
      ["route/7/seven", "task", "route"],
      ["route/*/rest", "task", "route"],
      ["result", "task", "route"],
      ["poll", "loop", "result"],
      ["pages", "loop", "poll"],
      ["pages/fetch", "task", "pages"],
      ["pages/more", "task", "fetch"],
      ["vat", "child_workflow", "pages"],
      ["vat/add", "task", "vat"],
      ["rest", "delay", "vat"],
      ["approval", "await_signal", "rest"],
    ],
  );
  assert.deepEqual(
    [...workflow.code.keys()],
    [
      "price", "told", "told/mail", "told/sms/send-sms", "told/ship/pack", "told/file/write", "length", "route", "route/long/long", "route/7/seven",
      "route/*/rest", "result", "poll", "pages/fetch", "pages/more", "vat/add",
    ],
  );
});

test("node infos carry what a person asks about a node", () => {
  const vat = flow<number>("vat", { version: "3" }).then("add", same).build();
  const infos = flow<number>("infos")
    .loop("poll", (n) => LoopResult.done(n), { retries: 1, timeout: "5s", description: "asks", priority: 4, tags: ["io"] })
    .waitForSignal<number>("approval", "approve", { timeout: "1m" })
    .thenFlow(flow<number | null>("vat", { version: "3" }).then("add", same).build())
    .build()
    .iterNodes();
  assert.deepEqual(infos[0], {
    id: "poll",
    path: "poll",
    kind: "loop",
    description: "asks",
    timeoutSecs: 5,
    retryPolicy: { maxRetries: 1, initialDelaySecs: 1, backoffMultiplier: 2 },
    priority: 4,
    tags: ["io"],
  });
  assert.equal(infos[1]?.timeoutSecs, 60);
  assert.equal(infos[2]?.version, "3");
  assert.equal(vat.iterNodes().length, 1);
});

test("a task may stand at many nodes, and a child may use the ids of its parent for other functions", async () => {
  const twice = task("twice", (x: number) => 2 * x);
  const child = flow<number>("child").then("step", (x) => x - 1).build();
  const workflow = flow<number>("many")
    .then(twice)
    .then(twice)
    .then("step", (x) => x + 1)
    .fork([branch("fast", twice), branch("slow", (x: number) => x)])
    .join("j1", ([a, b]) => a + b)
    .fork([branch("fast", (x: number) => x + 100), branch("slow", (x: number) => x)])
    .join("j2", ([a, b]) => a + b)
    .thenFlow(child)
    .thenFlow(child)
    .build();
  const run = (path: string, value: unknown): unknown => workflow.code.get(path)?.fn(value);
  assert.deepEqual([run("twice", 4), run("twice#2", 4), run("step", 4), run("child/step", 4), run("child#2/step", 4)], [8, 8, 5, 3, 3]);
  assert.deepEqual([run("j1/fast/twice", 4), run("j2/fast", 4)], [8, 104]);
  assert.equal(workflow._taskRegistry["step"]?.(4), 5);
  assert.equal(workflow._taskRegistry["child/step"]?.(4), 3);
});

test("routes without an id are told apart", () => {
  const workflow = flow<number>("routes")
    .route(() => "a" as const, ["a"]).branch("a", same).done()
    .then("r", ({ result }) => result)
    .route(() => "b" as const, ["b"]).branch("b", same).done()
    .build();
  assert.deepEqual(
    workflow.definition.nodes.filter((node) => node.kind === "route").map((node) => node.id),
    ["route", "route_2"],
  );
});

test("nested deep, every kind inside every other", () => {
  const workflow = flow<number>("deep")
    .fork([
      branchFlow("a", (sub) =>
        sub
          .route((n) => (n > 1 ? "x" : "y"), ["x", "y"])
          .branchFlow("x", (arm) =>
            arm
              .loopFlow("l", (body) =>
                body
                  .fork([branch("f1", same<number>), branchFlow("f2", (b) => b.delay("d", "1s").then("last", same))])
                  .join("fj", ([one, two]) => LoopResult.done(one + two)),
              )
              .waitForSignal<number>("w", "go"),
          )
          .defaultFlow((arm) => arm.delay("d", "1s"))
          .done()
          .then("out", ({ result }) => result),
      ),
    ])
    .join("j", ([a]) => a)
    .build();
  assert.deepEqual(
    workflow.iterNodes().map((node) => node.path),
    ["j", "j/a/route", "j/a/route/x/l", "j/a/route/x/l/fj", "j/a/route/x/l/fj/f1", "j/a/route/x/l/fj/f2/d", "j/a/route/x/l/fj/f2/last", "j/a/route/x/w", "j/a/route/*/d", "j/a/out"],
  );
});

test("a definition cannot be changed after its hash was taken", () => {
  const { definition } = flow<number>("frozen").then("a", same).build();
  assert.throws(() => Object.assign(definition.nodes[0] as object, { id: "b" }), TypeError);
});

test("steps may be added in a loop, as a builder is the same object all along", () => {
  let chain = flow<number>("hundred");
  for (let n = 0; n < 100; n++) chain = chain.then(`step-${n}`, (x) => x + 1);
  assert.equal(chain.build().iterNodes().length, 100);
});

test("durations", () => {
  const good: ReadonlyArray<[string | number, number]> = [
    ["250ms", 250], ["30s", 30_000], ["5m", 300_000], ["24h", 86_400_000], ["7d", 604_800_000], ["2w", 1_209_600_000],
    ["1.5h", 5_400_000], ["1h 30m", 5_400_000], ["1h30m", 5_400_000], [" 2 s ", 2000], ["0s", 0], [1500, 1500], [0.6, 1],
  ];
  for (const [text, ms] of good) assert.equal(parseDuration(text), ms, String(text));
  for (const bad of ["", "x", "10", "-1s", "1 year", "1h x", "s", "1..5s", "9999999999999d", -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => parseDuration(bad), { name: "RangeError", message: new RegExp(`^Invalid duration: "${String(bad).replace(/[.+]/g, "\\$&")}"`) });
  }
  assert.throws(() => parseDuration(null as never), /Invalid duration: "null"/);
});
