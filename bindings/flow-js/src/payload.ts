// Payloads: JSON in which bytes stay bytes. What JSON would silently drop or change is refused, with the place where it is.

import { shown } from "./task.js";

type BytesKind = "Uint8Array" | "ArrayBuffer" | "Buffer";

type BufferLike = Uint8Array & { toString(encoding: "base64"): string };

interface BufferClass {
  isBuffer(value: unknown): value is BufferLike;
  from(bytes: ArrayBufferLike, at: number, length: number): BufferLike;
  from(text: string, encoding: "base64"): BufferLike;
}

/** Node's, and that of workers with `nodejs_compat`. */
const NodeBuffer = (globalThis as { Buffer?: BufferClass }).Buffer;

/** The key under which bytes are written. A user's own key of this form gets one more `$`. */
const OWN_KEY = /^\$+bytes$/;

/** Deeper values are refused here, before an engine's JSON parser does. */
const MAX_DEPTH = 100;

/**
 * Writes a value as JSON text. Bytes become `{"$bytes": base64, "as": kind}`, `undefined` becomes `null`.
 *
 * @throws `TypeError` that names the place of a value which JSON cannot hold.
 */
export function encodePayload(value: unknown): string {
  return write(value === undefined ? null : value, "", "$", []) ?? "null";
}

/** Reads what {@link encodePayload} wrote, or any other JSON text. */
export function decodePayload(text: string): unknown {
  return revive(JSON.parse(text));
}

function write(given: unknown, key: string, at: string, around: readonly object[]): string | undefined {
  const bytes = bytesOf(given);
  if (bytes !== undefined) return `{"$bytes":${JSON.stringify(toBase64(bytes.bytes))},"as":"${bytes.as}"}`;
  const value = hasToJson(given) ? given.toJSON(key) : given;
  switch (typeof value) {
    case "undefined":
      return undefined;
    case "string":
    case "boolean":
      return JSON.stringify(value);
    case "number":
      if (Number.isFinite(value)) return JSON.stringify(value);
      return refuse(at, String(value));
    case "bigint":
      return refuse(at, "a bigint; write it as text");
    case "symbol":
    case "function":
      return refuse(at, shown(value));
    case "object":
      return value === null ? "null" : writeObject(value, at, around);
  }
}

function writeObject(value: object, at: string, around: readonly object[]): string {
  if (around.includes(value)) return refuse(at, "the value that it is inside of");
  if (around.length >= MAX_DEPTH) return refuse(`${at.slice(0, 40)}..`, `nested deeper than ${MAX_DEPTH} levels`);
  const inside = [...around, value];
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return JSON.stringify(value);
  if (Array.isArray(value)) {
    return `[${Array.from(value, (item, index) => write(item, String(index), `${at}[${index}]`, inside) ?? "null").join(",")}]`;
  }
  refuseHollow(value, at);
  const members = Object.entries(value).flatMap(([name, member]) => {
    const text = write(member, name, `${at}.${name}`, inside);
    return text === undefined ? [] : [`${JSON.stringify(OWN_KEY.test(name) ? `$${name}` : name)}:${text}`];
  });
  return `{${members.join(",")}}`;
}

/** Objects of which JSON would keep nothing. */
function refuseHollow(value: object, at: string): void {
  if (value instanceof Error) refuse(at, `an error (${value.name}: ${value.message}); throw it, or return its message`);
  if (typeof (value as { then?: unknown }).then === "function") {
    refuse(at, "_nodes" in value ? "steps of a flow; use branchFlow, loopFlow or steps()" : "a promise; await it");
  }
  if (value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)) {
    refuse(at, `${shown(value)}; return ${ArrayBuffer.isView(value) ? "its bytes as a Uint8Array" : "an array of its entries"}`);
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype && Object.keys(value).length === 0 && !isPlain(value)) {
    refuse(at, `${shown(value)}, of which JSON keeps nothing`);
  }
}

/** Objects of another realm are as plain as ours. */
function isPlain(value: object): boolean {
  return (value as { constructor?: { name?: unknown } }).constructor?.name === "Object";
}

function refuse(at: string, what: string): never {
  throw new TypeError(`cannot store the value: ${at} is ${what}`);
}

function hasToJson(value: unknown): value is { toJSON(key: string): unknown } {
  return typeof value === "object" && value !== null && typeof (value as { toJSON?: unknown }).toJSON === "function";
}

function bytesOf(value: unknown): { bytes: Uint8Array; as: BytesKind } | undefined {
  if (value instanceof ArrayBuffer) return { bytes: new Uint8Array(value), as: "ArrayBuffer" };
  if (!(value instanceof Uint8Array)) return undefined;
  return { bytes: value, as: NodeBuffer?.isBuffer(value) === true ? "Buffer" : "Uint8Array" };
}

function revive(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    value.forEach((item, index) => (value[index] = revive(item)));
    return value;
  }
  const object = value as Record<string, unknown>;
  if (Object.hasOwn(object, "$bytes")) return toBytes(object);
  // Only where a key changes is the object made anew, in the same order; `defineProperty` takes `__proto__` for a name.
  if (Object.keys(object).some((name) => OWN_KEY.test(name))) {
    return Object.entries(object).reduce((made, [name, member]) => put(made, OWN_KEY.test(name) ? name.slice(1) : name, revive(member)), {});
  }
  for (const [name, member] of Object.entries(object)) if (typeof member === "object") put(object, name, revive(member));
  return object;
}

function put(object: object, name: string, value: unknown): object {
  return Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}

function toBytes(object: Record<string, unknown>): unknown {
  const { $bytes: text, as } = object;
  if (typeof text !== "string") throw new TypeError(`cannot read the value: "$bytes" is ${shown(text)}, not base64 text`);
  const bytes = fromBase64(text);
  switch (as) {
    case undefined:
    case "Uint8Array":
      return bytes;
    case "ArrayBuffer":
      return bytes.buffer;
    case "Buffer":
      return NodeBuffer ? NodeBuffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes;
    default:
      throw new TypeError(`cannot read the value: bytes as ${shown(as)} are unknown here`);
  }
}

/** `btoa` takes one character for each byte, and `fromCharCode` not too many at a time. */
const CHUNK = 0x8000;

function toBase64(bytes: Uint8Array): string {
  if (NodeBuffer) return NodeBuffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text);
}

/** Always in a buffer of its own, not in Node's pool. */
function fromBase64(text: string): Uint8Array {
  const binary = NodeBuffer ? undefined : atob(text);
  if (binary === undefined) return Uint8Array.from((NodeBuffer as NonNullable<typeof NodeBuffer>).from(text, "base64"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}
