// Payloads: bytes stay bytes wherever they are, JSON stays JSON, and what JSON would lose is refused.

import assert from "node:assert/strict";
import { test } from "node:test";
import { decodePayload, encodePayload, flow } from "../src/index.js";

const around = (value: unknown): unknown => decodePayload(encodePayload(value));

test("plain values are plain JSON", () => {
  for (const value of [null, true, false, 0, -1.5, 1e300, "", "a\u2028\ud800\"\\", [], {}, [1, [2, [3]]], { a: { b: [null, { c: "x" }] } }]) {
    assert.equal(encodePayload(value), JSON.stringify(value));
    assert.deepEqual(around(value), value);
  }
});

test("what JSON knows how to write is written as JSON does", () => {
  assert.equal(encodePayload(undefined), "null");
  assert.equal(encodePayload({ a: undefined, b: 1 }), '{"b":1}');
  assert.equal(encodePayload([undefined, 1]), "[null,1]");
  assert.equal(encodePayload({ at: new Date(0) }), '{"at":"1970-01-01T00:00:00.000Z"}');
  assert.equal(encodePayload({ toJSON: () => ({ x: new Uint8Array([1]) }) }), '{"x":{"$bytes":"AQ==","as":"Uint8Array"}}');
  class Point {
    constructor(readonly x: number) {}
  }
  assert.equal(encodePayload(new Point(1)), '{"x":1}');
  assert.equal(encodePayload(Object.create(null)), "{}");
});

test("bytes keep their kind, wherever they are", () => {
  const bytes = new Uint8Array([0, 1, 127, 128, 255]);
  const value = { list: [bytes, bytes.buffer, Buffer.from("hällo")], deep: { view: bytes.subarray(1, 3) }, none: new Uint8Array() };
  assert.equal(encodePayload(bytes), '{"$bytes":"AAF/gP8=","as":"Uint8Array"}');
  const back = around(value) as typeof value;
  assert.ok(back.list[0] instanceof Uint8Array && !Buffer.isBuffer(back.list[0]));
  assert.ok(back.list[1] instanceof ArrayBuffer);
  assert.ok(Buffer.isBuffer(back.list[2]));
  assert.deepEqual(back, value);
  assert.deepEqual([...back.deep.view], [1, 127]);
});

test("a megabyte goes there and back", () => {
  const bytes = Uint8Array.from({ length: 1 << 20 }, (_, n) => (n * 7919) & 255);
  assert.deepEqual(around({ bytes }), { bytes });
});

test("a user's own `$bytes` is no bytes", () => {
  for (const value of [
    { $bytes: "AAF/" },
    { $bytes: "AAF/", as: "Uint8Array" },
    { $bytes: 5, other: { $$bytes: [{ $$$bytes: null }] } },
    { a: 1, $bytes: { $bytes: new Uint8Array([7]) }, z: 2 },
    { $bytesize: 1, bytes: 2 },
  ]) {
    assert.deepEqual(around(value), value);
    assert.deepEqual(around(around(value)), value);
  }
  assert.equal(encodePayload({ $bytes: 1 }), '{"$$bytes":1}');
  assert.deepEqual(Object.keys(around({ b: 1, $bytes: 2, a: 3 }) as object), ["b", "$bytes", "a"]);
});

test("names that objects have by themselves are names like others", () => {
  const text = '{"__proto__":{"polluted":true},"constructor":[{"$$bytes":1,"__proto__":5}],"x":{"$bytes":"AQ=="}}';
  const value = decodePayload(text) as Record<string, unknown>;
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.deepEqual(Object.keys(value), ["__proto__", "constructor", "x"]);
  assert.equal(encodePayload(value), text.replace('"AQ=="', '"AQ==","as":"Uint8Array"'));
});

test("what cannot be kept is refused with its place", () => {
  const circle: Record<string, unknown> = {};
  circle["self"] = { circle };
  const deep = Array.from({ length: 101 }).reduce((inner) => [inner], 1 as unknown);
  const refused: ReadonlyArray<[unknown, string]> = [
    [Number.NaN, "$ is NaN"],
    [{ a: [1, Number.POSITIVE_INFINITY] }, "$.a[1] is Infinity"],
    [{ n: 1n }, "$.n is a bigint; write it as text"],
    [{ f: () => 1 }, "$.f is the function f"],
    [[Symbol("x")], "$[0] is Symbol(x)"],
    [new Map([[1, 2]]), "$ is a value of type Map; return an array of its entries"],
    [{ s: new Set() }, "$.s is a value of type Set"],
    [new Float32Array(2), "$ is a value of type Float32Array; return its bytes as a Uint8Array"],
    [new DataView(new ArrayBuffer(1)), "$ is a value of type DataView"],
    [{ e: new RangeError("too far") }, "$.e is an error (RangeError: too far); throw it, or return its message"],
    [{ p: Promise.resolve(1) }, "$.p is a promise; await it"],
    [flow("x").then("a", (x) => x), "$ is steps of a flow; use branchFlow, loopFlow or steps()"],
    [/x/, "$ is a value of type RegExp, of which JSON keeps nothing"],
    [circle, "$.self.circle is the value that it is inside of"],
    [deep, "nested deeper than 100 levels"],
  ];
  for (const [value, message] of refused) {
    assert.throws(() => encodePayload(value), (error: unknown) => error instanceof TypeError && error.message.includes(message), message);
  }
  const shared = { x: 1 };
  assert.deepEqual(around([shared, shared]), [shared, shared], "twice is no circle");
});

test("bytes that are none are refused when they are read", () => {
  assert.throws(() => decodePayload('{"$bytes":5}'), /"\$bytes" is 5, not base64 text/);
  assert.throws(() => decodePayload('{"$bytes":"AQ==","as":"Blob"}'), /bytes as "Blob" are unknown here/);
  assert.throws(() => decodePayload("{"), SyntaxError);
});

test("any JSON goes there and back", () => {
  // A small generator with a fixed seed: the failing value is in the message.
  let seed = 20261126;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const names = ["a", "$bytes", "$$bytes", "as", "__proto__", "toString", "ü", ""];
  const make = (depth: number): unknown => {
    switch (random(depth > 4 ? 5 : 8)) {
      case 0: return null;
      case 1: return random(2) === 0;
      case 2: return (random(2001) - 1000) / 8;
      case 3: return String.fromCharCode(...Array.from({ length: random(5) }, () => random(0x3000)));
      case 4: return Uint8Array.from({ length: random(5) }, () => random(256));
      case 5: return Array.from({ length: random(4) }, () => make(depth + 1));
      default:
        return Array.from({ length: random(4) }).reduce<object>(
          (object) => Object.defineProperty(object, names[random(names.length)] ?? "", { value: make(depth + 1), enumerable: true, configurable: true, writable: true }),
          {},
        );
    }
  };
  for (let round = 0; round < 3000; round++) {
    const value = make(0);
    assert.deepEqual(around(value), value, encodePayload(value));
  }
});
