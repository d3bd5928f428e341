// What goes on by itself: on D1 with the cron trigger, in a Durable Object with its alarm.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { deferred, newId, pause, World } from "./harness.mjs";

const world = new World();
before(() => world.start());
after(() => world.end());

/** Waits until it is due. A slow machine may have come to its end already. */
const parkedUntil = ({ status, wakeAt }) => (status === "completed" ? undefined : pause(Math.max(0, Date.parse(wakeAt) - Date.now()) + 5));

test("d1: the cron trigger finds delays and signals whose time is over", async () => {
  const [delay, signal, both] = [newId("delay"), newId("signal"), newId("both")];
  const parked = await world.call("d1", "run", ["delay", delay, 1]);
  assert.ok(parked.status === "completed" || (parked.status === "waiting" && parked.delayId === "pause"), JSON.stringify(parked));
  const asked = await world.call("d1", "run", ["signal-timeout", signal, 1]);
  assert.ok(["awaiting_signal", "completed"].includes(asked.status), JSON.stringify(asked));
  await world.call("d1", "run", ["signal", both, 1]);
  await world.call("d1", "sendSignal", [both, "approve", 1]);
  await parkedUntil(parked);
  await parkedUntil(asked);
  await world.scheduled();
  assert.deepEqual(await world.call("d1", "status", [delay]), { status: "completed", output: 20 });
  assert.deepEqual(await world.call("d1", "status", [signal]), { status: "completed", output: { approval: null } });
  assert.deepEqual(await world.call("d1", "status", [both]), { status: "completed", output: { approval: 1 } });
});

test("d1: the cron trigger leaves alone what is not due", async () => {
  const id = newId("not-due");
  await world.call("d1", "run", ["long-delay", id, 1]);
  const told = await world.call("d1", "resumeAll", [["long-delay", "signal", "linear"], { limit: 10 }]);
  assert.ok(!told.resumed.includes(id));
  assert.equal((await world.call("d1", "status", [id])).status, "waiting");
});

test("d1: what an evicted isolate left is found, of several workflows in one call", async () => {
  const own = await new World().start();
  try {
    const ids = [["linear", newId("linear")], ["fork", newId("fork")]];
    own.tasks.set("two", () => (own.isolate === 1 ? "hang" : {}));
    own.tasks.set("b1", () => (own.isolate === 1 ? "hang" : {}));
    for (const [name, id] of ids) {
      const there = own.next((told) => told.instanceId === id && ["two", "b1"].includes(told.name));
      own.call("d1", "run", [name, id, 5], { engine: { leaseMs: 500 } }).catch(() => "thrown away");
      await there;
    }
    await own.restart();
    const resumed = new Set();
    const deadline = Date.now() + 20_000;
    while (resumed.size < ids.length) {
      for (const id of (await own.call("d1", "resumeAll", [["linear", "fork"], { limit: 10, staleAfter: 1 }], { engine: { leaseMs: 500 } })).resumed) resumed.add(id);
      assert.ok(Date.now() < deadline, `found only ${[...resumed]}`);
      await pause(100);
    }
    assert.equal((await own.call("d1", "status", [ids[0][1]])).output, "=12");
    assert.deepEqual((await own.call("d1", "status", [ids[1][1]])).output, { a: 6, b: 9, c: [5] });
  } finally {
    await own.end();
  }
});

test("d1: staleAfter after its isolate went, the very next call takes an instance up", async () => {
  const own = await new World().start();
  try {
    const id = newId("stale");
    own.tasks.set("two", () => (own.isolate === 1 ? "hang" : {}));
    const there = own.next((told) => told.instanceId === id && told.name === "two");
    own.call("d1", "run", ["linear", id, 1], { engine: { leaseMs: 1000 } }).catch(() => "thrown away");
    await there;
    await own.stop();
    await pause(1000);
    await own.start();
    const told = await own.call("d1", "resumeAll", [["linear"], { staleAfter: 1 }], { engine: { leaseMs: 1000 } });
    assert.deepEqual(told, { resumed: [id], failed: [] });
    assert.equal((await own.call("d1", "status", [id])).status, "completed");
  } finally {
    await own.end();
  }
});

test("d1: what an isolate still drives is not stale, however long its task takes", async () => {
  const id = newId("slow");
  const engine = { leaseMs: 4000 };
  const { promise: ended, resolve: end } = deferred();
  world.tasks.set("two", ({ instanceId }) => (instanceId === id ? ended : {}));
  const there = world.next((told) => told.instanceId === id && told.name === "two");
  const driven = world.call("d1", "run", ["linear", id, 1], { engine });
  await there;
  await pause(6000);
  const { resumed } = await world.call("d1", "resumeAll", [["linear"], { staleAfter: 4 }], { engine });
  assert.ok(!resumed.includes(id), "it was taken from the isolate that drives it");
  end({});
  assert.equal((await driven).status, "completed");
  world.tasks.delete("two");
  assert.deepEqual(world.namesOf(id), ["one", "two", "three"]);
});

test("d1: one broken instance does not stop the rest", async () => {
  const own = await new World().start();
  try {
    const [broken, sound] = [newId("a-broken"), newId("b-sound")];
    const [first, second] = [await own.call("d1", "run", ["delay", broken, 1]), await own.call("d1", "run", ["delay", sound, 1])];
    // A stored position that is no node of the workflow, as a bad deploy or a bad hand leaves it.
    const database = await own.database();
    const { results: tables } = await database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%node%'").all();
    for (const { name } of tables) {
      const { results: columns } = await database.prepare(`SELECT name FROM pragma_table_info('${name}')`).all();
      if (!columns.some((column) => column.name === "node")) continue;
      await database.prepare(`UPDATE "${name}" SET node = 'nowhere' WHERE run = (SELECT run FROM instance WHERE instance_id = ?)`).bind(broken).run().catch(() => {});
    }
    await parkedUntil(first);
    await parkedUntil(second);
    await own.call("d1", "resumeAll", [["delay"], { limit: 10 }]);
    assert.equal((await own.call("d1", "status", [sound])).status, "completed");
  } finally {
    await own.end();
  }
});

test("d1: a limit is kept, and the next call goes on", async () => {
  const own = await new World().start();
  try {
    const ids = Array.from({ length: 5 }, () => newId("few"));
    let last;
    for (const id of ids) last = await own.call("d1", "run", ["delay", id, 1]);
    await parkedUntil(last);
    const seen = [];
    for (let call = 0; call < 3; call++) {
      const { resumed } = await own.call("d1", "resumeAll", [["delay"], { limit: 2 }]);
      assert.ok(resumed.length <= 2);
      seen.push(...resumed);
    }
    assert.deepEqual(seen.toSorted(), ids.toSorted());
  } finally {
    await own.end();
  }
});

test("do: delays, backoff and signal timeouts wake by themselves", async () => {
  const [delay, signal, flaky] = [newId("delay"), newId("signal"), newId("flaky")];
  world.tasks.set("try", ({ attempt }) => (attempt < 3 ? { fail: "not yet" } : {}));
  const after = world.next((told) => told.instanceId === delay && told.name === "after");
  const answered = world.next((told) => told.instanceId === signal && told.name === "answered");
  const then = world.next((told) => told.instanceId === flaky && told.name === "then");
  assert.equal((await world.call("do", "run", ["delay", delay, 1])).status, "waiting");
  await world.call("do", "run", ["signal-timeout", signal, 1]);
  await world.call("do", "run", ["flaky", flaky, 1]);
  // Nobody calls: only the alarms do.
  await Promise.all([after, answered, then]);
  world.tasks.delete("try");
  for (const [id, output] of [[delay, 20], [signal, { approval: null }], [flaky, 2]]) {
    assert.deepEqual(await settled(id), { status: "completed", output });
  }
});

test("do: a fresh object goes on at once with what the last one held, and counts a crash", { timeout: 60_000 }, async () => {
  const own = await new World().start();
  try {
    // Held for ten minutes.
    const id = newId("evicted");
    const { promise: looked, resolve: go } = deferred();
    own.tasks.set("two", () => (own.isolate === 1 ? "hang" : looked));
    const there = own.next((told) => told.instanceId === id && told.name === "two");
    own.call("do", "run", ["linear", id, 1]).catch(() => "thrown away");
    await there;
    assert.deepEqual(await own.call("do", "crashes", [id]), [0]);
    await own.restart();
    const again = own.next((told) => told.instanceId === id && told.name === "two");
    const end = own.next((told) => told.instanceId === id && told.name === "three");
    // Whatever makes the object begin.
    assert.equal((await own.call("do", "status", [id])).status, "in_progress");
    await again;
    assert.deepEqual(await own.call("do", "crashes", [id]), [1]);
    go();
    await end;
    assert.deepEqual(own.namesOf(id), ["one", "two", "two", "three"]);
  } finally {
    await own.end();
  }
});

test("do: what an evicted isolate left goes on by itself in the next one", async () => {
  const own = await new World().start();
  try {
    const id = newId("evicted");
    own.tasks.set("two", () => (own.isolate === 1 ? "hang" : {}));
    const there = own.next((told) => told.instanceId === id && told.name === "two");
    own.call("do", "run", ["linear", id, 1], { engine: { leaseMs: 500 } }).catch(() => "thrown away");
    await there;
    const end = own.next((told) => told.instanceId === id && told.name === "three");
    await own.restart();
    await end;
    assert.deepEqual(own.namesOf(id), ["one", "two", "two", "three"]);
  } finally {
    await own.end();
  }
});

test("do: what is due of a workflow that is not there any more wakes nobody, and goes on when it is back", { timeout: 60_000 }, async () => {
  const own = await new World().start();
  try {
    const id = newId("replaced");
    own.tasks.set("two", () => (own.isolate < 3 ? "hang" : {}));
    const there = own.next((told) => told.instanceId === id && told.name === "two");
    own.call("do", "run", ["linear", id, 1]).catch(() => "thrown away");
    await there;
    own.notServed = ["linear"];
    await own.restart();
    assert.equal((await own.call("do", "status", [id])).status, "in_progress");
    await pause(1000);
    const alarms = await own.call("do", "alarms", [id]);
    assert.ok(alarms >= 1 && alarms <= 3, `${alarms} alarms`);
    // Other workflows of the object go on.
    assert.equal((await own.call("do", "run", ["child", newId("other"), 1], { object: id })).status, "completed");
    own.notServed = [];
    await own.restart();
    const end = own.next((told) => told.instanceId === id && told.name === "three");
    assert.equal((await own.call("do", "status", [id])).status, "in_progress");
    await end;
    assert.deepEqual(own.namesOf(id), ["one", "two", "two", "three"]);
  } finally {
    await own.end();
  }
});

/** The end of an instance whose last task has just reported. */
async function settled(id) {
  for (let turn = 0; ; turn++) {
    const status = await world.call("do", "status", [id]);
    if (status.status !== "in_progress" || turn > 400) return status;
    await pause(25);
  }
}
