// The isolate or the object is thrown away: right before and right after every write, and while every task runs. The work goes on
// from there to the reference's answer, and no step whose result was stored runs again. What is asked or answered can be lost, too.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFlows } from "./flows.mjs";
import { newId, pause, World } from "./harness.mjs";
import { reference } from "./reference.mjs";

const flows = makeFlows(async () => {});

/** Short, so that what an evicted isolate held is soon found. */
const short = { leaseMs: 2000 };

/** A fresh object waits for no lease of the one before it. */
const engineOf = (store) => (store === "do" ? {} : short);

const CASES = [
  ["linear", 1],
  ["fork", 5],
  ["route", 50],
  ["loop", 2],
  ["delay", 1],
  ["children", 1],
  ["signal-timeout", 1],
  ["everything", 2, { go: [7] }],
];

const DONE = ["task_completed", "join_completed", "route_taken"];

/** The paths whose results are stored. */
async function storedPaths(world, store, id) {
  const history = await world.call(store, "history", [id]).catch((error) => {
    // Thrown away before anything was stored.
    if (/not found/.test(error.message)) return [];
    throw error;
  });
  return history.filter(({ kind }) => DONE.includes(kind)).map(({ nodePath }) => nodePath);
}

async function send(world, store, id, signals) {
  for (const [signal, values] of Object.entries(signals)) for (const value of values) await world.call(store, "sendSignal", [id, signal, value]);
}

/** Starts an instance and drives it to its end, unless the isolate goes before. */
function drive(world, store, name, id, input, options, wanted) {
  return world
    .call(store, "run", [name, id, input], options)
    .then(() => world.finish(store, name, id, options, wanted))
    .catch((error) => error);
}

/** Asks again when the object goes meanwhile: it may be its alarm that came to the place where it does. */
async function insist(ask) {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!/thrown away by the test/.test(error.message)) throw error;
    }
  }
}

/** The caller, who got no answer, asks again. Gives the paths that ran in the new isolate. */
async function goOn(world, store, name, input, id, expected) {
  const engine = engineOf(store);
  await insist(() => world.call(store, "run", [name, id, input], { engine: { ...engine, conflictPolicy: "use_existing" } }));
  const status = await insist(() => world.finish(store, name, id, { engine }));
  assert.deepEqual(status, { status: "completed", output: expected.output }, id);
  return world.ran.filter((one) => one.instanceId === id && one.isolate > 1).map(({ nodePath }) => nodePath);
}

/** An undisturbed run's writes, and every place before and after one of them. */
async function placesOf(world, store, name, input, signals, engine = engineOf(store)) {
  const probe = newId("probe");
  await send(world, store, probe, signals);
  const status = await drive(world, store, name, probe, input, { tag: probe, engine });
  assert.equal(status.status, "completed", String(status));
  const writes = world.writes(probe);
  assert.ok(writes >= 2, `${name} made ${writes} writes`);
  const places = Array.from({ length: writes }, (_, n) => ["before", "after"].map((when) => ({ id: newId(`${name}-${when}-${n + 1}`), at: n + 1, when }))).flat();
  return { writes, places };
}

/**
 * Every place was come to, save by those that needed fewer writes: how often one looks whether a time has come varies. A write beside the
 * run (a lease that is kept) may be under way when the run ends, and be cut off with it.
 */
async function allMet(world, places, met) {
  assert.ok(met.size >= 4, `${met.size} of ${places.length} were met`);
  const missed = () => places.filter(({ id, at }) => !met.has(id) && world.writes(id) >= at).map(({ id }) => `${id}, of ${world.writes(id)} writes`);
  for (let looks = 0; looks < 40 && missed().length > 0; looks++) await pause(50);
  assert.ok(missed().length <= 2, `not met: ${missed()}`);
}

/** Some at a time. */
async function each(items, work) {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: 12 }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}

for (const [name, input, signals = {}] of CASES) {
  test(`d1: ${name}, thrown away before and after each of its writes`, { timeout: 240_000 }, async () => {
    const world = await new World().start();
    try {
      const expected = await reference(flows[name], input, signals);
      // One instance for each place, all held there; then the isolate goes, and with it all that was under way.
      const { places } = await placesOf(world, "d1", name, input, signals);
      const held = new Set();
      await each(places, async (place) => {
        const { id, at, when } = place;
        await send(world, "d1", id, signals);
        const hit = world.hold(id, at, when).then(() => held.add(id));
        await Promise.race([hit, drive(world, "d1", name, id, input, { tag: id, engine: short }, () => !held.has(id))]);
        place.stored = await storedPaths(world, "d1", id);
      });
      await allMet(world, places, held);
      await world.restart();

      await each(places, async ({ id, stored }) => {
        const again = await goOn(world, "d1", name, input, id, expected);
        for (const path of stored) assert.ok(!again.includes(path), `${id}: ${path} was stored and ran again`);
        const first = world.ran.filter((one) => one.instanceId === id && one.isolate === 1).map(({ nodePath }) => nodePath);
        assert.deepEqual([...new Set([...first, ...again])].toSorted(), expected.ran.toSorted(), id);
        assert.equal(new Set(again).size, again.length, `${id}: nothing runs twice in one isolate`);
      });
    } finally {
      await world.end();
    }
  });
}

for (const store of ["d1", "do"]) {
  for (const [name, input, signals = {}] of CASES) {
    test(`${store}: ${name}, thrown away while each of its tasks runs`, { timeout: 240_000 }, async () => {
      const world = await new World().start();
      try {
        const expected = await reference(flows[name], input, signals);
        const held = expected.ran.map((path) => ({ id: newId(name), path }));
        const paths = new Map(held.map(({ id, path }) => [id, path]));
        // The first isolate never hears back from the task at that path.
        world.anyTask = ({ instanceId, nodePath }) => (world.isolate === 1 && paths.get(instanceId) === nodePath ? "hang" : undefined);
        await each(held, async (one) => {
          const { id, path } = one;
          await send(world, store, id, signals);
          const there = world.next((told) => told.instanceId === id && told.nodePath === path);
          void drive(world, store, name, id, input, { engine: engineOf(store) });
          await there;
          one.stored = await storedPaths(world, store, id);
        });
        await world.restart();
        await each(held, async ({ id, path, stored }) => {
          assert.ok(!stored.includes(path), `${path} cannot be stored`);
          const again = await goOn(world, store, name, input, id, expected);
          assert.ok(again.includes(path), `${id}: ${path} was never finished`);
          for (const one of stored) assert.ok(!again.includes(one), `${id}: ${one} was stored and ran again`);
        });
      } finally {
        await world.end();
      }
    });
  }
}

for (const [name, input, signals = {}] of CASES) {
  test(`do: ${name}, its object thrown away before and after each of its writes`, { timeout: 240_000 }, async () => {
    const world = await new World().start();
    try {
      const expected = await reference(flows[name], input, signals);
      const { places } = await placesOf(world, "do", name, input, signals);
      const thrown = new Set();
      await each(places, async ({ id, at, when }) => {
        await send(world, "do", id, signals);
        let [stored, ranBefore] = [[], 0];
        void world.hold(id, at, when, "abort", async () => {
          stored = await storedPaths(world, "do", id);
          ranBefore = world.ran.length;
          thrown.add(id);
        });
        await drive(world, "do", name, id, input, { tag: id });
        await goOn(world, "do", name, input, id, expected);
        const again = world.ran.slice(ranBefore).filter((one) => one.instanceId === id).map(({ nodePath }) => nodePath);
        for (const path of stored) assert.ok(!again.includes(path), `${id}: ${path} was stored and ran again`);
        assert.deepEqual([...new Set(world.pathsOf(id))].toSorted(), expected.ran.toSorted(), id);
      });
      await allMet(world, places, thrown);
    } finally {
      await world.end();
    }
  });
}

for (const store of ["d1", "do"]) {
  for (const [name, input, signals = {}] of CASES) {
    test(`${store}: ${name}, each of its requests and each reply to one lost`, { timeout: 240_000 }, async () => {
      const world = await new World().start();
      try {
        const expected = await reference(flows[name], input, signals);
        // Where an answer to a claim is lost, its lease is waited for; but no step may run twice for a machine that is slow.
        const engine = { leaseMs: 4000 };
        const { places } = await placesOf(world, store, name, input, signals, engine);
        const lost = new Set();
        await each(places, async ({ id, at, when }) => {
          await send(world, store, id, signals);
          void world.hold(id, at, when, "lose").then(() => lost.add(id));
          assert.deepEqual(await drive(world, store, name, id, input, { tag: id, engine }), { status: "completed", output: expected.output }, id);
          assert.deepEqual(world.pathsOf(id).toSorted(), expected.ran.toSorted(), `${id}: each step once`);
        });
        await allMet(world, places, lost);
      } finally {
        await world.end();
      }
    });
  }
}
