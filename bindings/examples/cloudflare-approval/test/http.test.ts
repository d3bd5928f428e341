// Orders over HTTP: on D1 and in a Durable Object, through restarts, failing services, and requests that are wrong.

import assert from "node:assert/strict";
import { test } from "node:test";
import { large, Shop, small } from "./shop.js";

for (const store of ["d1", "durable-object"] as const) {
  const using = async (body: (shop: Shop) => Promise<void>, token = ""): Promise<void> => {
    const shop = await new Shop(store, token).start();
    try {
      await body(shop);
    } finally {
      await shop.end();
    }
  };

  test(`${store}: a small order is shipped without asking anybody`, () =>
    using(async (shop) => {
      const started = await shop.fetch("/orders", { id: "small", ...small });
      assert.equal(started.status, 202);
      assert.equal(started.body.status.status, "waiting", JSON.stringify(started.body));
      const { status, history, graph } = await shop.until("small", "completed");
      assert.deepEqual(status.output, { outcome: "shipped", decidedBy: "the machine", total: 300, receipt: "paid" });
      assert.deepEqual(shop.verbs().toSorted(), ["charge", "reserve", "score", "ship"]);
      assert.ok(history.some((row: any) => row.kind === "task_completed" && row.nodePath.endsWith("/ship")));
      assert.match(graph, /class="node done" data-path="close"/);
      const again = await shop.fetch("/orders", { id: "small", ...small });
      assert.equal(again.body.status.status, "completed", "the same request again starts nothing");
      assert.equal(shop.calls.length, 4);
    }));

  test(`${store}: a large order waits for a person, whose answer outlives the worker`, () =>
    using(async (shop) => {
      const started = await shop.fetch("/orders", { id: "large", ...large });
      assert.deepEqual([started.body.status.status, started.body.status.signalName], ["awaiting_signal", "approve"]);
      const waiting = await shop.fetch("/orders/large");
      assert.match(waiting.body.graph, /class="node waiting" data-path="who-decides\/person\/decide\/answer\/decision"/);
      await shop.restart();
      const listed = await shop.fetch("/orders");
      assert.deepEqual(listed.body.orders.map(({ instanceId, status }: any) => [instanceId, status]), [["large", "awaiting_signal"]]);
      const approved = await shop.fetch("/orders/large/approve", { approved: true, by: "grace", note: "known customer" });
      assert.equal(approved.status, 202);
      const { status } = await shop.until("large", "completed");
      assert.deepEqual(status.output, { outcome: "shipped", decidedBy: "grace", total: 50000, receipt: "paid" });
      assert.deepEqual(shop.verbs().toSorted(), ["charge", "reserve", "score", "ship"]);
    }));

  test(`${store}: orders are listed the newest first, page by page`, () =>
    using(async (shop) => {
      for (const id of ["b", "a", "c"]) await shop.fetch("/orders", { id, ...large });
      const ids = (orders: any[]) => orders.map(({ instanceId }) => instanceId);
      const { orders } = (await shop.fetch("/orders")).body;
      assert.deepEqual(ids(orders), ["c", "a", "b"]);
      const older = await shop.fetch(`/orders?before=${orders[0].run}`);
      assert.deepEqual(ids(older.body.orders), ["a", "b"]);
      assert.deepEqual((await shop.fetch(`/orders?before=${orders[2].run}`)).body.orders, []);
    }));

  test(`${store}: a declined order gives its stock back`, () =>
    using(async (shop) => {
      await shop.fetch("/orders", { id: "no", ...small, customer: "mallory" });
      await shop.fetch("/orders/no/approve", { approved: false, by: "grace" });
      const { status } = await shop.until("no", "completed");
      assert.deepEqual(status.output, { outcome: "given up", decidedBy: "grace", total: 300 });
      assert.deepEqual(shop.verbs().toSorted(), ["release", "reserve", "score"]);
    }));

  test(`${store}: services that fail are tried again under the same key, and a declined card is not`, () =>
    using(async (shop) => {
      shop.failures.set("reserve", 1);
      await shop.fetch("/orders", { id: "flaky", ...small });
      await shop.until("flaky", "completed");
      const keys = shop.calls.filter(({ verb }) => verb === "reserve").map(({ key }) => key);
      assert.equal(keys.length, 2);
      assert.equal(keys[0], keys[1]);
      assert.ok(keys[0]);
      shop.declined = "no cover";
      await shop.fetch("/orders", { id: "poor", ...small });
      const { status } = await shop.until("poor", "failed");
      assert.match(status.error, /no cover/);
      assert.equal(shop.calls.filter(({ verb, key }) => verb === "charge" && key?.includes("poor")).length, 1);
    }));

  test(`${store}: an order that waits can be cancelled, once`, () =>
    using(async (shop) => {
      await shop.fetch("/orders", { id: "gone", ...large });
      const cancelled = await shop.fetch("/orders/gone/cancel", { reason: "changed my mind" });
      assert.equal(cancelled.body.status.status, "cancelled");
      const late = await shop.fetch("/orders/gone/approve", { approved: true, by: "grace" });
      assert.deepEqual([late.status, late.body.code], [409, "refused"], JSON.stringify(late.body));
      assert.match(late.body.error, /^[^[]*$/, "the text is for people");
      const { body } = await shop.fetch("/orders/gone");
      assert.deepEqual(body.status, { status: "cancelled", reason: "changed my mind" });
    }));

  test(`${store}: requests that are wrong are refused in words`, () =>
    using(async (shop) => {
      const wrong: ReadonlyArray<[string, unknown, number, RegExp]> = [
        ["/orders", "{", 400, /no JSON/],
        ["/orders", "[]", 400, /JSON object/],
        ["/orders", {}, 400, /`customer`/],
        ["/orders", { customer: "ada", items: [] }, 400, /`items`/],
        ["/orders", { customer: "ada", items: [{ sku: "x", quantity: 0, price: 1 }] }, 400, /`quantity`/],
        ["/orders", { customer: "ada", items: [{ sku: "x", quantity: 1, price: 0.5 }] }, 400, /`price`/],
        ["/orders", { id: "", ...small }, 400, /`id`/],
        ["/orders", { ...small, customer: "x".repeat(70_000) }, 413, /too large/],
        ["/orders/x/approve", { approved: "yes", by: "ada" }, 400, /`approved`/],
        ["/orders/x/approve", { approved: true }, 400, /`by`/],
        ["/nothing", undefined, 404, /nothing here/],
        ["/orders/x/y/z", undefined, 404, /nothing here/],
        ["/orders/unknown", undefined, 404, /^[^[]*not found/],
        ["/orders?before=yesterday", undefined, 400, /`before`/],
        ["/orders/unknown/cancel", {}, 404, /not found/],
        ["/orders/%E0%A4%A/approve", { approved: true, by: "x" }, 400, /no id/],
        ["/orders/x/approve", undefined, 405, /only POST/],
      ];
      for (const [path, body, status, message] of wrong) {
        const answer = await shop.fetch(path, body);
        assert.equal(answer.status, status, `${path} ${JSON.stringify(body)?.slice(0, 80)}: ${JSON.stringify(answer.body)}`);
        assert.match(answer.body.error, message);
      }
      assert.equal(shop.calls.length, 0);
    }));

  test(`${store}: with a token, only who has it changes something`, () =>
    using(async (shop) => {
      for (const headers of [{}, { authorization: "Bearer wrong" }, { authorization: "secret2" }] as Record<string, string>[]) {
        assert.equal((await shop.fetch("/orders", small, headers)).status, 401);
      }
      assert.equal((await shop.fetch("/orders", small, { authorization: "Bearer secret" })).status, 202);
      assert.equal((await shop.fetch("/orders")).status, 200);
    }, "secret"));
}

test("the page runs only its own script", async () => {
  const shop = await new Shop("d1").start();
  try {
    const { status, headers, body } = await shop.fetch("/");
    assert.equal(status, 200);
    const nonce = /script-src 'nonce-([^']+)'/.exec(headers.get("content-security-policy"))?.[1];
    assert.ok(nonce && body.includes(`<script nonce="${nonce}"`) && body.includes(`<style nonce="${nonce}"`));
    assert.doesNotMatch(body, /NONCE|https?:\/\/(?!www\.w3\.org)/);
    assert.notEqual((await shop.fetch("/")).headers.get("content-security-policy"), headers.get("content-security-policy"));
  } finally {
    await shop.end();
  }
});
