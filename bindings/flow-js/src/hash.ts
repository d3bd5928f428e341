// The identity of a definition: SHA-256 over the canonical encoding of sayiir-core (crates/sayiir-core/src/plan/hash.rs).
// Name, version, structure and the versions of tasks are in it; policies, lengths of delays and loop bounds are not.

import type { Definition, DefinitionOptions } from "./definition.js";
import { armsOf, type Place } from "./layout.js";
import { sha256 } from "./sha256.js";

/** The hash of a definition whose layout this is, as 64 hex digits. */
export function definitionHash(definition: Definition, places: readonly Place[]): string {
  const encoding = new Encoding();
  encoding.text("sayiir-definition-1");
  encoding.text(definition.name);
  encoding.text(definition.version ?? "");
  encoding.number(places.length);
  for (const place of places) encodeNode(encoding, place);
  return Array.from(sha256(encoding.bytes()), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function encodeNode(encoding: Encoding, place: Place): void {
  const { node, path, next, container, inside } = place;
  encoding.text(path);
  encoding.text(node.id);
  encoding.link(next);
  encoding.number(container?.kind ?? 0);
  encoding.link(container?.node);
  encoding.number(container?.index ?? 0);
  const task = (id: string, options: DefinitionOptions): void => {
    encoding.text(id);
    encoding.text(options.version ?? "");
  };
  switch (node.kind) {
    case "task":
      encoding.text("task");
      task(node.id, node.options);
      return;
    case "fork":
      encoding.text("fork");
      encoding.number(node.branches.length);
      node.branches.forEach((branch, index) => {
        encoding.text(branch.name);
        encoding.link(inside[index]);
      });
      task(node.join.id, node.join.options);
      return;
    case "route": {
      const arms = armsOf(node);
      encoding.text("route");
      task(node.id, node.options);
      encoding.number(arms.length);
      arms.forEach(([key], index) => {
        encoding.text(key);
        encoding.link(inside[index]);
      });
      encoding.link(node.default ? inside[arms.length] : undefined);
      return;
    }
    case "loop":
      encoding.text("loop");
      encoding.link(inside[0]);
      return;
    case "delay":
      encoding.text("delay");
      return;
    case "signal":
      encoding.text("signal");
      encoding.text(node.name);
      return;
    case "child":
      encoding.text("child");
      encoding.link(inside[0]);
      encoding.text(node.workflow.version ?? "");
      return;
    default:
      node satisfies never;
  }
}

/** Numbers are eight bytes, big end first; text is its length in bytes, and its UTF-8. */
class Encoding {
  readonly #parts: Uint8Array[] = [];

  number(value: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
    this.#parts.push(bytes);
  }

  text(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.number(bytes.length);
    this.#parts.push(bytes);
  }

  link(number: number | undefined): void {
    this.number(number === undefined ? 0 : number + 1);
  }

  bytes(): Uint8Array {
    const whole = new Uint8Array(this.#parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }
}
