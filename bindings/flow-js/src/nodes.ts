// The nodes of a workflow as a list for people and tools.

import type { Definition, DefinitionNode, DefinitionOptions } from "./definition.js";
import { layout, type Place } from "./layout.js";
import type { RetryMetadata } from "./task.js";

/** What kind of node it is. */
export type NodeKind = "task" | "fork" | "delay" | "await_signal" | "branch" | "loop" | "child_workflow";

/** One node of a workflow. */
export interface NodeInfo {
  /** The id given to the builder. */
  readonly id: string;
  /** Where it stands: unique, unlike the id. */
  readonly path: string;
  readonly kind: NodeKind;
  /** The id of the node before it; of what it stands in, for the first node of a branch, arm, body or child. */
  readonly predecessorId?: string;
  readonly displayName?: string;
  readonly description?: string;
  /** The longest an attempt of its task, or a wait for its signal, may take. */
  readonly timeoutSecs?: number;
  readonly retryPolicy?: RetryMetadata;
  readonly priority?: 1 | 2 | 3 | 4 | 5;
  readonly tags: readonly string[];
  readonly version?: string;
}

const KINDS: Readonly<Record<DefinitionNode["kind"], NodeKind>> = {
  task: "task",
  fork: "fork",
  route: "branch",
  delay: "delay",
  signal: "await_signal",
  loop: "loop",
  child: "child_workflow",
};

/** The nodes of a definition, a container before what it contains. A body that is one with its loop is not listed. */
export function nodeInfos(definition: Definition): NodeInfo[] {
  const places = layout(definition);
  const before = new Map<number, string>();
  for (const place of places) if (place.next !== undefined) before.set(place.next, place.node.id);
  return places.flatMap((place, number) => {
    const { container } = place;
    if (place.collapsed && container?.kind === 4) return [];
    return [infoOf(place, before.get(number) ?? (container && places[container.node]?.node.id))];
  });
}

function infoOf({ node, path }: Place, predecessor: string | undefined): NodeInfo {
  const { displayName, description, timeoutMs, retries, priority, tags, version } = optionsOf(node);
  const wait = node.kind === "signal" ? node.timeoutMs : undefined;
  const timeout = timeoutMs ?? wait;
  const own = node.kind === "child" ? node.workflow.version : version;
  return {
    id: node.id,
    path,
    kind: KINDS[node.kind],
    ...(predecessor === undefined ? {} : { predecessorId: predecessor }),
    ...(displayName === undefined ? {} : { displayName }),
    ...(description === undefined ? {} : { description }),
    ...(timeout === undefined ? {} : { timeoutSecs: timeout / 1000 }),
    ...(retries === undefined ? {} : { retryPolicy: secondsOf(retries) }),
    ...(priority === undefined ? {} : { priority }),
    tags: tags ?? [],
    ...(own === undefined ? {} : { version: own }),
  };
}

function optionsOf(node: DefinitionNode): DefinitionOptions {
  if (node.kind === "task" || node.kind === "route") return node.options;
  if (node.kind === "fork") return node.join.options;
  const only = node.kind === "loop" && node.nodes.length === 1 ? node.nodes[0] : undefined;
  return only?.kind === "task" && only.id === node.id ? only.options : {};
}

function secondsOf({ maxRetries, initialDelayMs, backoffMultiplier, maxDelayMs }: NonNullable<DefinitionOptions["retries"]>): RetryMetadata {
  const longest = maxDelayMs === undefined ? {} : { maxDelaySecs: maxDelayMs / 1000 };
  return { maxRetries, initialDelaySecs: initialDelayMs / 1000, backoffMultiplier, ...longest };
}
