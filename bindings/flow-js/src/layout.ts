// The layout of a definition: its nodes in one list, each with its unique path, exactly as sayiir-core's plan has them
// (crates/sayiir-core/src/plan). What engines store refers to these paths.

import type { Definition, DefinitionNode } from "./definition.js";

/** Where a node stands: 0 top level, 1 branch, 2 arm, 3 default arm, 4 body, 5 child. */
export interface Container {
  readonly kind: 1 | 2 | 3 | 4 | 5;
  readonly node: number;
  readonly index: number;
}

/** A node of the list. */
export interface Place {
  readonly node: DefinitionNode;
  readonly path: string;
  /** The path's text before, between and after its slots (iterations, keys of default arms). */
  readonly pieces: readonly string[];
  readonly container: Container | undefined;
  /** It shares the path of the branch or loop that it is all of. */
  readonly collapsed: boolean;
  /** The number of the node that follows in the same sequence. */
  next: number | undefined;
  /** The numbers of the first nodes inside: of each branch, each arm in the order of keys, the default arm, the body or the child. */
  readonly inside: number[];
}

/** The arms of a route in their order. */
export function armsOf(node: DefinitionNode & { kind: "route" }): ReadonlyArray<readonly [string, readonly DefinitionNode[]]> {
  return node.keys.flatMap((key) => {
    const arm = Object.hasOwn(node.arms, key) ? node.arms[key] : undefined;
    return arm === undefined ? [] : [[key, arm] as const];
  });
}

/** All nodes of a definition; a container comes before what it contains. */
export function layout(definition: Definition): Place[] {
  const places: Place[] = [];
  sequence(places, new Map(), definition.nodes, undefined, [""], undefined);
  return places;
}

type Counts = Map<string, number>;

function sequence(
  places: Place[],
  counts: Counts,
  nodes: readonly DefinitionNode[],
  container: Container | undefined,
  prefix: readonly string[],
  only: string | undefined,
): number {
  const first = places.length;
  let before: Place | undefined;
  for (const node of nodes) {
    const number = places.length;
    const collapsed = nodes.length === 1 && node.kind === "task" && node.id === only;
    const pieces = collapsed ? prefix : named(counts, prefix, node.id, container !== undefined);
    const place: Place = { node, path: pieces.join(""), pieces, container, collapsed, next: undefined, inside: [] };
    if (before) before.next = number;
    before = place;
    places.push(place);
    inside(places, counts, place, number);
  }
  return first;
}

function inside(places: Place[], counts: Counts, place: Place, number: number): void {
  const { node, pieces } = place;
  const add = (kind: Container["kind"], index: number, nodes: readonly DefinitionNode[], prefix: readonly string[], only?: string): void => {
    place.inside.push(sequence(places, counts, nodes, { kind, node: number, index }, prefix, only));
  };
  switch (node.kind) {
    case "task":
    case "delay":
    case "signal":
      return;
    case "fork":
      node.branches.forEach((branch, index) => add(1, index, branch.nodes, extended(pieces, `/${escape(branch.name)}`), branch.name));
      return;
    case "route":
      armsOf(node).forEach(([key, nodes], index) => add(2, index, nodes, extended(pieces, `/${escape(key)}`)));
      if (node.default) add(3, 0, node.default, [...extended(pieces, "/*"), ""]);
      return;
    case "loop":
      add(4, 0, node.nodes, [...pieces, ""], node.id);
      return;
    case "child":
      add(5, 0, node.workflow.nodes, pieces);
      return;
    default:
      node satisfies never;
  }
}

/** A name that its sequence has already becomes `name#2`, `name#3`. */
function named(counts: Counts, prefix: readonly string[], id: string, nested: boolean): readonly string[] {
  const name = escape(id);
  const key = JSON.stringify([prefix, name]);
  const count = (counts.get(key) ?? 0) + 1;
  counts.set(key, count);
  return extended(prefix, `${nested ? "/" : ""}${name}${count > 1 ? `#${count}` : ""}`);
}

function extended(pieces: readonly string[], text: string): readonly string[] {
  return [...pieces.slice(0, -1), (pieces.at(-1) ?? "") + text];
}

/** Writes a name so that it can stand in a path: what has a meaning there is percent-encoded. */
export function escape(name: string): string {
  return name.replace(/[/[\]%#*\p{Cc}]/gu, (char) =>
    Array.from(new TextEncoder().encode(char), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}
