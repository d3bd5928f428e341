// The picture of a workflow with where an instance is: plain SVG, drawn from the definition and the history.

import type { DefinitionNode, NodeInfo, Workflow } from "@sayiir/flow-js";

/** How far a node is. */
export type NodeProgress = "none" | "active" | "waiting" | "done" | "failed";

/** What the picture needs of a row of the history. */
export interface Happened {
  readonly kind: string;
  readonly nodePath: string;
  readonly output?: unknown;
}

/** What the picture needs of a status. */
export interface Stands {
  readonly status: string;
}

const WIDTH = 168;
const HEIGHT = 44;
const GAP = 28;
const PAD = 14;

interface Box {
  readonly width: number;
  readonly height: number;
  /** Draws it with the middle of its upper edge at (x, y). */
  draw(x: number, y: number, out: string[]): void;
}

/** A node with what is inside of it. */
interface Tree {
  readonly node: DefinitionNode;
  readonly info: NodeInfo;
  /** Its branches, its arms in the order of keys (the default last), its body or its child. */
  readonly inside: ReadonlyArray<{ readonly name: string; readonly nodes: readonly Tree[] }>;
}

/** The nodes as a tree. `iterNodes` lists them in the order in which the definition is walked. */
function treeOf(workflow: Workflow): readonly Tree[] {
  const infos = workflow.iterNodes()[Symbol.iterator]();
  const grow = (nodes: readonly DefinitionNode[]): readonly Tree[] =>
    nodes.map((node) => {
      const info = infos.next().value as NodeInfo;
      return { node, info, inside: partsOf(node).map(({ name, nodes }) => ({ name, nodes: grow(nodes) })) };
    });
  return grow(workflow.definition.nodes);
}

function partsOf(node: DefinitionNode): ReadonlyArray<{ name: string; nodes: readonly DefinitionNode[] }> {
  switch (node.kind) {
    case "task":
    case "delay":
    case "signal":
      return [];
    case "fork":
      return node.branches;
    case "route": {
      const arms = node.keys.flatMap((name) => (node.arms[name] ? [{ name, nodes: node.arms[name] }] : []));
      return node.default ? [...arms, { name: "else", nodes: node.default }] : arms;
    }
    case "loop": {
      const [only] = node.nodes;
      // A body that is one with its loop is not listed.
      return node.nodes.length === 1 && only?.kind === "task" && only.id === node.id ? [] : [{ name: "body", nodes: node.nodes }];
    }
    case "child":
      return [{ name: node.id, nodes: node.workflow.nodes }];
  }
}

/** The progress of every node, by its path without iterations: what the history says, and what follows from it. */
export function progressOf(workflow: Workflow, history: readonly Happened[], status: Stands): Map<string, NodeProgress> {
  const progress = new Map<string, NodeProgress>();
  const keys = new Map<string, string>();
  const iterations = new Map<string, string>();
  for (const { kind, nodePath, output } of history) {
    const path = plain(nodePath);
    forgetEarlier(nodePath, iterations, progress);
    if (kind === "route_taken") keys.set(path, String(output));
    if (DONE.includes(kind)) progress.set(path, (output as { _loop?: unknown } | null | undefined)?._loop === "again" ? "active" : "done");
    else if (kind === "failed") progress.set(path, "failed");
  }
  if (["in_progress", "waiting", "awaiting_signal", "paused"].includes(status.status)) goOn(treeOf(workflow), keys, progress);
  return progress;
}

const DONE: readonly string[] = ["task_completed", "join_completed", "route_taken", "event_received", "signal_timed_out", "delay_elapsed"];

/** Of a loop, the latest iteration is shown. */
function forgetEarlier(nodePath: string, iterations: Map<string, string>, progress: Map<string, NodeProgress>): void {
  for (const slot of nodePath.matchAll(/\[([^\]]*)\]/g)) {
    const loop = plain(nodePath.slice(0, slot.index));
    if (iterations.get(loop) === slot[1]) continue;
    if (iterations.has(loop)) for (const path of [...progress.keys()]) if (path.startsWith(`${loop}/`)) progress.delete(path);
    iterations.set(loop, slot[1] ?? "");
  }
}

/** The path without iterations and without the keys of default arms. */
function plain(path: string): string {
  return path.replace(/\[[^\]]*\]/g, "");
}

/** Marks the nodes at which a started sequence stands; `true` where it is over. */
function goOn(nodes: readonly Tree[], keys: ReadonlyMap<string, string>, progress: Map<string, NodeProgress>): boolean {
  return nodes.every(({ node, info, inside }) => {
    const done = progress.get(info.path) === "done";
    switch (node.kind) {
      case "task":
        if (!done) progress.set(info.path, "active");
        return done;
      case "delay":
      case "signal":
        if (!done) progress.set(info.path, "waiting");
        return done;
      case "fork": {
        if (done) return true;
        const all = inside.map((branch) => goOn(branch.nodes, keys, progress)).every(Boolean);
        if (all) progress.set(info.path, "active");
        return false;
      }
      case "route": {
        if (!done) progress.set(info.path, "active");
        const key = keys.get(info.path);
        const arm = inside.find(({ name }) => name === key) ?? (node.default ? inside.at(-1) : undefined);
        return done && (arm === undefined || goOn(arm.nodes, keys, progress));
      }
      case "loop":
        if (inside.length === 0 && !done) progress.set(info.path, "active");
        return inside.length === 0 ? done : inside.every((body) => goOn(body.nodes, keys, progress));
      case "child":
        return inside.every((child) => goOn(child.nodes, keys, progress));
    }
  });
}

/** The picture. It takes its colours from the page (`.node.done`, ..). */
export function drawGraph(workflow: Workflow, progress: ReadonlyMap<string, NodeProgress>): string {
  const box = sequence(treeOf(workflow), progress);
  const out: string[] = [];
  const width = box.width + 2 * PAD;
  const height = box.height + 2 * PAD;
  box.draw(width / 2, PAD, out);
  const count = (what: NodeProgress): number => [...progress.values()].filter((one) => one === what).length;
  const title = `Workflow ${workflow.workflowId}: ${count("done")} nodes done, ${count("active")} active, ${count("waiting")} waiting, ${count("failed")} failed`;
  return `<svg class="graph" role="img" aria-label="${escape(title)}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" xmlns="http://www.w3.org/2000/svg"><title>${escape(title)}</title>${out.join("")}</svg>`;
}

type Progress = ReadonlyMap<string, NodeProgress>;

function sequence(nodes: readonly Tree[], progress: Progress): Box {
  const boxes = nodes.map((node) => nodeBox(node, progress));
  return {
    width: Math.max(...boxes.map((box) => box.width), WIDTH),
    height: boxes.reduce((sum, box) => sum + box.height, GAP * (boxes.length - 1)),
    draw(x, y, out) {
      boxes.forEach((box, index) => {
        if (index > 0) out.push(line(x, y - GAP, x, y));
        box.draw(x, y, out);
        y += box.height + GAP;
      });
    },
  };
}

function nodeBox({ node, info, inside }: Tree, progress: Progress): Box {
  const state = progress.get(info.path) ?? "none";
  const parts = inside.map(({ name, nodes }) => ({ name, box: sequence(nodes, progress) }));
  switch (node.kind) {
    case "task":
      return leaf("task", state, info);
    case "delay":
      return leaf(`wait ${spell(node.ms)}`, state, info);
    case "signal":
      return leaf(node.timeoutMs === undefined ? "signal" : `signal, ${spell(node.timeoutMs)}`, state, info);
    case "fork":
      return stacked([sides(parts), leaf("join", state, info)]);
    case "route":
      return stacked([leaf("route", state, info), sides(parts)]);
    case "loop": {
      const label = `loop, at most ${node.maxIterations} times`;
      const [body] = parts;
      return body ? framed(`${node.id}: ${label}`, body.box) : leaf(label, state, info);
    }
    case "child":
      return framed(node.id, ...parts.map(({ box }) => box) as [Box]);
  }
}

function leaf(what: string, state: NodeProgress, info: NodeInfo): Box {
  return {
    width: WIDTH,
    height: HEIGHT,
    draw(x, y, out) {
      const left = x - WIDTH / 2;
      const said = state === "none" ? what : `${what}, ${state}`;
      out.push(
        `<g class="node ${state}" data-path="${escape(info.path)}"><title>${escape(`${info.path}: ${info.description ?? said}`)}</title>`,
        `<rect x="${left}" y="${y}" width="${WIDTH}" height="${HEIGHT}" rx="8"/>`,
        `<text class="id" x="${x}" y="${y + 19}">${escape(short(info.id, 22))}</text>`,
        `<text class="what" x="${x}" y="${y + 35}">${escape(short(said, 28))}</text></g>`,
      );
    },
  };
}

/** Boxes under each other, with lines between. */
function stacked(boxes: readonly Box[]): Box {
  return {
    width: Math.max(...boxes.map((box) => box.width)),
    height: boxes.reduce((sum, box) => sum + box.height, 0),
    draw(x, y, out) {
      for (const box of boxes) {
        box.draw(x, y, out);
        y += box.height;
      }
    },
  };
}

/** Branches or arms beside each other, with lines from where they part to where they meet. */
function sides(sides: ReadonlyArray<{ readonly name: string; readonly box: Box }>): Box {
  const tallest = Math.max(...sides.map(({ box }) => box.height));
  const width = sides.reduce((sum, { box }) => sum + box.width, GAP * (sides.length - 1));
  const [above, below] = [GAP + 18, GAP];
  return {
    width,
    height: above + tallest + below,
    draw(x, y, out) {
      let left = x - width / 2;
      for (const { name, box } of sides) {
        const middle = left + box.width / 2;
        out.push(curve(x, y, middle, y + above), curve(middle, y + above + box.height, x, y + above + tallest + below));
        out.push(`<text class="arm" x="${middle}" y="${y + above - 6}">${escape(short(name, 20))}</text>`);
        box.draw(middle, y + above, out);
        left += box.width + GAP;
      }
    },
  };
}

function framed(label: string, box: Box): Box {
  const head = 26;
  return {
    width: box.width + 2 * PAD,
    height: box.height + head + PAD,
    draw(x, y, out) {
      const width = box.width + 2 * PAD;
      out.push(
        `<rect class="frame" x="${x - width / 2}" y="${y}" width="${width}" height="${box.height + head + PAD}" rx="10"/>`,
        `<text class="arm" x="${x}" y="${y + 17}">${escape(short(label, 40))}</text>`,
      );
      box.draw(x, y + head, out);
    },
  };
}

function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<path class="edge" d="M${x1} ${y1}L${x2} ${y2}"/>`;
}

function curve(x1: number, y1: number, x2: number, y2: number): string {
  if (x1 === x2) return line(x1, y1, x2, y2);
  const middle = (y1 + y2) / 2;
  return `<path class="edge" d="M${x1} ${y1}C${x1} ${middle} ${x2} ${middle} ${x2} ${y2}"/>`;
}

/** Milliseconds as people say them. */
export function spell(ms: number): string {
  const units: ReadonlyArray<[number, string]> = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "m"], [1000, "s"]];
  const parts = units.flatMap(([size, unit]) => {
    const count = Math.floor(ms / size);
    ms -= count * size;
    return count > 0 ? [`${count}${unit}`] : [];
  });
  if (ms > 0 || parts.length === 0) parts.push(`${ms}ms`);
  return parts.slice(0, 2).join(" ");
}

function short(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** Text as it may stand in HTML and SVG. */
export function escape(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
