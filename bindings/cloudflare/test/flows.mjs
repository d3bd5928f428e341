// Workflows of every node kind, for workerd and for the reference. `note` tells the test which task runs.

import { branch, branchFlow, flow, LoopResult } from "@sayiir/flow-js";

export function makeFlows(note, { context = () => undefined, die = () => {} } = {}) {
  const task = (name, fn) => async (input) => {
    await note(name);
    return fn(input);
  };

  const linear = flow("linear")
    .then("one", task("one", (x) => x + 1))
    .then("two", task("two", (x) => x * 2))
    .then("three", task("three", (x) => `=${x}`))
    .build();

  const fork = flow("fork")
    .fork([
      branch("a", task("a", (x) => x + 1)),
      branchFlow("b", (sub) => sub.then("b1", task("b1", (x) => x * 2)).then("b2", task("b2", (x) => x - 1))),
      branch("c", "other", task("other", (x) => [x])),
    ])
    .join("join", task("join", ([a, b, c]) => ({ a, b, c })))
    .build();

  const route = flow("route")
    .route("size", task("size", (x) => (x > 100 ? "huge" : x > 10 ? "large" : "small")), ["small", "large", "huge"])
    .branchFlow("small", (arm) => arm.then("s", task("s", (x) => x + 0.5)))
    .branchFlow("large", (arm) => arm.then("l1", task("l1", (x) => x + 1)).then("l2", task("l2", (x) => x + 1)))
    .defaultFlow((arm) => arm.then("rest", task("rest", (x) => -x)))
    .done()
    .then("end", task("end", ({ branch, result }) => `${branch}:${result}`))
    .build();

  const loop = flow("loop")
    .loop("poll", task("poll", (x) => (x >= 3 ? LoopResult.done({ x }) : LoopResult.again(x + 1))), { maxIterations: 10 })
    .loopFlow(
      "pages",
      (body) => body.then("fetch", task("fetch", ({ x }) => ({ x: x + 1 }))).then("more", task("more", ({ x }) => (x > 5 ? LoopResult.done(x) : LoopResult.again({ x })))),
      { maxIterations: 9 },
    )
    .loop("last", task("last", (x) => LoopResult.again(x + 1)), { maxIterations: 2, onMax: "exit_with_last" })
    .build();

  const delay = flow("delay").then("before", task("before", (x) => x + 1)).delay("pause", 150).then("after", task("after", (x) => x * 10)).build();

  const signal = flow("signal")
    .then("ask", task("ask", (x) => x))
    .waitForSignal("approval", "approve")
    .then("answered", task("answered", (approval) => ({ approval })))
    .build();

  const signalTimeout = flow("signal-timeout")
    .waitForSignal("approval", "approve", { timeout: 150 })
    .then("answered", task("answered", (approval) => ({ approval })))
    .build();

  const child = flow("child").then("c1", task("c1", (x) => x + 1)).then("c2", task("c2", (x) => x * 3)).build();
  const children = flow("children").thenFlow(child).then("c1", task("parent", (x) => x - 1)).thenFlow(child).build();

  const everything = flow("everything")
    .then("start", task("start", (x) => x + 1))
    .fork([
      branchFlow("left", (sub) =>
        sub
          .route("r", task("r", (x) => (x > 1 ? "deep" : "flat")), ["deep", "flat"])
          .branchFlow("deep", (arm) =>
            arm.loopFlow("l", (body) =>
              body
                .fork([branch("f1", task("f1", (x) => x + 1)), branchFlow("f2", (b) => b.delay("d", 20).then("f2", task("f2", (x) => x + 2)))])
                .join("fj", task("fj", ([one, two]) => (one + two > 20 ? LoopResult.done(one + two) : LoopResult.again(one + two)))),
            ),
          )
          .defaultFlow((arm) => arm.then("flat", task("flat", (x) => x)))
          .done()
          .then("unwrap", task("unwrap", ({ result }) => result)),
      ),
      branchFlow("right", (sub) => sub.thenFlow(child).delay("wait", 30)),
      branch("bytes", task("bytes", (x) => new Uint8Array([x, 255]))),
    ])
    .join("told", task("told", ([left, right, bytes]) => ({ left, right, bytes })))
    .waitForSignal("go", "go")
    .then("end", task("end", (go) => ({ go })))
    .build();

  const bytes = flow("bytes")
    .then("double", task("double", (given) => ({ view: given, buffer: given.buffer.slice(0), list: [new Uint8Array([1])] })))
    .then("kinds", task("kinds", ({ view, buffer, list }) => [view instanceof Uint8Array, buffer instanceof ArrayBuffer, list[0] instanceof Uint8Array, view.length]))
    .build();

  const big = flow("big").then("grow", task("grow", (size) => "x".repeat(size))).then("measure", task("measure", (text) => text.length)).build();

  const flaky = flow("flaky")
    .then("try", task("try", (x) => x + 1), { retry: { maxAttempts: 4, initialDelay: 20, backoffMultiplier: 1 } })
    .then("then", task("then", (x) => x))
    .build();

  const slow = flow("slow").then("hang", task("hang", (x) => x), { timeout: 200 }).build();

  const longDelay = flow("long-delay").then("before", task("before", (x) => x)).delay("days", "30d").then("after", task("after", (x) => x)).build();

  const many = flow("many")
    .fork(Array.from({ length: 40 }, (_, n) => branch(`b${n}`, task(`b${n}`, (x) => x + n))))
    .join("sum", task("sum", (all) => all.reduce((a, b) => a + b, 0)))
    .build();

  const steps10 = Array.from({ length: 10 }).reduce((chain, _, n) => chain.then(`s${n}`, task(`s${n}`, (x) => x + 1)), flow("steps10")).build();

  const parts = flow("parts")
    .then(
      "import",
      async (x) => {
        await note("import");
        const rows = await context().checkpoint("download", async () => (await note("download"), { x, bytes: new Uint8Array([1, 2]), left: undefined }));
        const count = await context().checkpoint("load", async () => (await note("load"), rows.bytes.length));
        return { rows, count };
      },
      { retry: { maxAttempts: 3, initialDelay: 10 } },
    )
    .build();

  const twice = flow("twice")
    .then("part", async () => (await context().checkpoint("a", () => 1)) + (await context().checkpoint("a", () => 2)), { retries: 5 })
    .build();

  const report = flow("report")
    .then("work", async (x) => {
      await context().reportProgress({ done: 1, of: 3 });
      await context().setSearchAttribute("stage", "half");
      await note("work");
      return x;
    })
    .build();

  /** Ends when its signal says so, and says so. */
  const patient = async (x) => {
    await note("begun");
    const { signal } = context();
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    await note(`heard ${signal.reason.name}`);
    return x;
  };
  const limited = flow("limited").then("patient", patient, { timeout: 100 }).build();
  const unlimited = flow("unlimited").then("patient", patient).build();

  /** Ends its object in the very turn in which it is called, once. */
  const deadly = flow("deadly").then("die", (x) => (die(), x + 1)).build();

  const forkSignal = flow("fork-signal")
    .fork([branch("kept", task("kept", (x) => x)), branchFlow("asked", (sub) => sub.then("question", task("question", (x) => x)).waitForSignal("answer", "answer"))])
    .join("both", task("both", ([kept, answer]) => ({ kept, answer })))
    .build();

  const all = [parts, twice, report, limited, unlimited, deadly, forkSignal, flaky, slow, longDelay, many, steps10, linear, fork, route, loop, delay, signal, signalTimeout, child, children, everything, bytes, big];
  return Object.fromEntries(all.map((workflow) => [workflow.workflowId, workflow]));
}
