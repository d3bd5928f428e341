// Types that follow the data. This file is compiled, not run: an error that is expected and does not come is an error too.

import * as v from "valibot";
import { z } from "zod";
import {
  type BranchDef,
  type BranchEnvelope,
  type InferBranchOutputs,
  type TaskFn,
  type Workflow,
  branch,
  branchFlow,
  flow,
  LoopResult,
  steps,
  task,
} from "../src/index.js";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <_T extends true>(): void => {};

interface Order {
  readonly id: string;
  readonly total: number;
}

const order = flow<Order>("order");

// 1. Input and output of a workflow.
const w1 = order.then("total", (o) => o.total).build();
is<Equal<typeof w1, Workflow<Order, number>>>();

// 2. Promises are awaited.
const w2 = flow<number>("w").then("a", async (n) => `${n}`).then("b", (text) => text.length).build();
is<Equal<typeof w2, Workflow<number, number>>>();

// 3. A step that does not fit what flows there.
// @ts-expect-error a number flows here, not a string
flow<number>("w").then("a", (text: string) => text);

// 4. A property that is not there.
// @ts-expect-error an order has no price
order.then("a", (o) => o.price);

// 5. Tasks carry their types.
const double = task("double", (n: number) => 2 * n);
const w5 = flow<number>("w").then(double).then(double).then("text", String).build();
is<Equal<typeof w5, Workflow<number, string>>>();
// @ts-expect-error a task for numbers after one that gives text
flow<number>("w").then("text", String).then(double);

// 6. Zod: the function gets what the schema lets through, the step takes what the schema takes.
const Parsed = z.object({ id: z.string(), total: z.coerce.number(), note: z.string().default("") });
const parse = task("parse", (o) => o.note.length + o.total, { input: Parsed });
const w6 = flow<{ id: string; total: unknown; note?: string }>("w").then(parse).build();
is<Equal<typeof w6, Workflow<{ id: string; total: unknown; note?: string }, number>>>();
// @ts-expect-error the id is missing
flow<{ total: number }>("w").then(parse);

// 7. Zod at the step itself, for input and output.
const w7 = flow<unknown>("w")
  .then("parse", (o) => o.total, { input: Parsed })
  .then("out", (n) => ({ n: String(n) }), { output: z.object({ n: z.string().transform((text) => text.length) }) })
  .build();
is<Equal<typeof w7, Workflow<unknown, { n: number }>>>();

// 8. A schema that does not take what flows there.
// @ts-expect-error a number is no such object
flow<number>("w").then("parse", (o) => o.id, { input: Parsed });

// 9. Valibot, as any Standard Schema.
const w9 = flow<string>("w").then("n", (n) => n + 1, { input: v.pipe(v.string(), v.transform(Number)) }).build();
is<Equal<typeof w9, Workflow<string, number>>>();

// 10. Anything with a parse.
const even = { parse: (value: unknown): number => Number(value) };
const w10 = flow<number>("w").then("half", (n) => n / 2, { input: even, output: { parse: (value: unknown) => String(value) } }).build();
is<Equal<typeof w10, Workflow<number, string>>>();

// 11. A task whose output schema is not met by its function.
// @ts-expect-error a number is no text
task("bad", () => 5, { output: z.string() });

// 12. A fork: the join gets a tuple, in order; branches know what flows into the fork.
const w12 = order
  .fork([
    branch("mail", (o) => o.id),
    branch("sum", "sum-up", async (o) => o.total),
    branchFlow("ship", (sub) => sub.then("pack", (o) => ({ box: o.id })).delay("rest", "1h")),
    branch("file", steps<Order>().then("write", () => true)),
  ])
  .join("told", ([mail, sum, ship, file]) => {
    is<Equal<typeof mail, string>>();
    is<Equal<typeof sum, number>>();
    is<Equal<typeof ship, { box: string }>>();
    is<Equal<typeof file, boolean>>();
    return mail;
  })
  .build();
is<Equal<typeof w12, Workflow<Order, string>>>();

// 13. A branch that does not take what flows into the fork.
// @ts-expect-error an order flows here
order.fork([branch("a", (n: number) => n)]);

// 14. A join that reads a branch that is not there.
// @ts-expect-error there is one branch
order.fork([branch("a", (o) => o.id)]).join("j", ([_a, b]) => b);

// 15. A fork is no flow until it is joined.
// @ts-expect-error no build without join
order.fork([branch("a", (o) => o.id)]).build();

// 16. Branch types by themselves.
const defs = [branch("a", (n: number) => n), branch("b", (n: number) => String(n))] as const;
is<Equal<InferBranchOutputs<typeof defs>, [number, string]>>();
const def: BranchDef<number, string, "x"> = branch("x", (n: number) => String(n));

// 17. A route hands on which arm it was, with what that arm gave.
const w17 = order
  .route((o) => (o.total > 100 ? "big" : "small"), ["big", "small"])
  .branch("big", (o) => o.total)
  .branch("small", "wave", (o) => o.id)
  .done();
const b17 = w17.build();
is<Equal<typeof b17, Workflow<Order, BranchEnvelope<number, "big"> | BranchEnvelope<string, "small">>>>();
w17.then("which", (chosen) => (chosen.branch === "big" ? chosen.result.toFixed(2) : chosen.result.toUpperCase()));

// 18. A key without an arm.
const r18 = order.route((o) => (o.total > 100 ? "big" : "small"), ["big", "small"]).branch("big", (o) => o.total);
// @ts-expect-error no branch for the key small
r18.done();

// 19. An arm for no key, and one arm twice.
// @ts-expect-error huge is no key
r18.branch("huge", (o) => o.total);
// @ts-expect-error big has its arm
r18.branch("big", (o) => o.total);

// 20. A default takes the keys that are left.
const b20 = order
  .route((o) => o.id, ["a", "b", "c"])
  .branchFlow("a", (arm) => arm.then("one", (o) => o.total).delay("d", 5))
  .defaultBranch("rest", () => null)
  .done()
  .build();
is<Equal<typeof b20, Workflow<Order, BranchEnvelope<number, "a"> | BranchEnvelope<null, "b" | "c">>>>();

// 21. A key function that gives what is not in the list.
// @ts-expect-error medium is not in the list
order.route((o): "big" | "medium" => (o.total > 100 ? "big" : "medium"), ["big", "small"]);

// 22. Keys known only at run time need a default.
const r22 = order.route((o) => o.id).branch("a", (o) => o.total);
// @ts-expect-error other keys have no branch
r22.done();
r22.defaultFlow((arm) => arm.delay("d", 1)).done();

// 23. A loop: what it is given again is what it takes, what is done goes on.
const w23 = flow<number>("w")
  .loop("poll", (n) => (n > 3 ? LoopResult.done({ ready: n }) : LoopResult.again(n + 1)), { maxIterations: 5 })
  .build();
is<Equal<typeof w23, Workflow<number, { ready: number }>>>();
// @ts-expect-error the next iteration takes a number
flow<number>("w").loop("poll", (n) => (n > 3 ? LoopResult.done(n) : LoopResult.again("x")));
// @ts-expect-error the body of a loop returns a LoopResult
flow<number>("w").loop("poll", (n) => n);

// 24. With exit_with_last, the last value goes on too.
const w24 = flow<number>("w")
  .loop(async (n) => (n > 3 ? LoopResult.done("ready") : LoopResult.again(n + 1)), { onMax: "exit_with_last" })
  .build();
is<Equal<typeof w24, Workflow<number, string | number>>>();

// 25. A loop of many steps.
const w25 = flow<number>("w")
  .loopFlow("pages", (body) => body.then("fetch", (n) => ({ n })).then("more", ({ n }) => (n > 3 ? LoopResult.done(`${n}`) : LoopResult.again(n))))
  .build();
is<Equal<typeof w25, Workflow<number, string>>>();

// 26. A delay hands on what it is given.
const w26 = order.delay("d", "1h").build();
is<Equal<typeof w26, Workflow<Order, Order>>>();

// 27. A signal's payload, which is null when its time is over.
const w27 = order.waitForSignal<{ ok: boolean }>("w", "approve").then("ok", (approval) => approval.ok).build();
is<Equal<typeof w27, Workflow<Order, boolean>>>();
const w28 = order.waitForSignal<{ ok: boolean }>("w", "approve", { timeout: "7d" });
// @ts-expect-error nobody may have answered
w28.then("ok", (approval) => approval.ok);
w28.then("ok", (approval) => approval?.ok ?? false);
// @ts-expect-error a payload of no type is unknown
order.waitForSignal("w", "approve").then("ok", (approval) => approval.ok);

// 28. A child takes what flows there, and hands on its output.
const child = flow<{ id: string }>("child").then("n", ({ id }) => id.length).build();
const w29 = order.thenFlow(child).then("x", (n) => n * 2).build();
is<Equal<typeof w29, Workflow<Order, number>>>();
// @ts-expect-error a number is not what the child takes
flow<number>("w").thenFlow(child);

// 29. Steps inside a branch cannot be built by themselves.
// @ts-expect-error no build
steps<number>().then("a", (n) => n).build();

// 30. Options.
// @ts-expect-error 9 is no priority
flow<number>("w").then("a", (n) => n, { priority: 9 });
// @ts-expect-error a retry needs its attempts
flow<number>("w").then("a", (n) => n, { retry: { initialDelay: "1s" } });
const any: TaskFn = (x) => x;

// 31. Without a type, the input of a flow is anything.
flow("w").then("a", (n: number) => n).build();

// 32. Nested: types go all the way down and up again.
const deep = order
  .fork([
    branchFlow("a", (sub) =>
      sub
        .route((o) => (o.total > 1 ? "x" : "y"), ["x", "y"])
        .branchFlow("x", (arm) => arm.loopFlow("l", (body) => body.then("n", (o) => LoopResult.done(o.total))))
        .defaultFlow((arm) => arm.waitForSignal<string>("w", "go"))
        .done()
        .then("out", ({ result }) => result),
    ),
  ])
  .join("j", ([a]) => a)
  .build();
is<Equal<typeof deep, Workflow<Order, number | string>>>();
