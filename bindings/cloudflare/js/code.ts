// The functions of a workflow as the engine calls them: JSON in, JSON out, errors as texts with what they say about a retry.

import type { TaskExecutionContext, Workflow } from "@sayiir/flow-js";
import { decodePayload, encodePayload, runTask } from "@sayiir/flow-js/internal";
import { engine } from "./core.js";
import { within } from "./context.js";
import type { Flow } from "../pkg/sayiir_cloudflare.js";

const built = new WeakMap<Workflow, { generation: number; flow: Flow }>();

/** A workflow as the engine has it; built once for each instance of the engine. */
export function flowOf(workflow: Workflow): Flow {
  const { wasm, generation } = engine();
  const known = built.get(workflow);
  if (known?.generation === generation) return known.flow;
  if (typeof workflow?.definition !== "object" || workflow.definition === null) {
    throw new TypeError("a workflow is expected: what flow(..).build() gives");
  }
  const flow = new wasm.Flow(JSON.stringify(workflow.definition), codeOf(workflow));
  built.set(workflow, { generation, flow });
  return flow;
}

function codeOf({ code }: Workflow) {
  return {
    has: (path: string) => code.has(path),
    async run(path: string, input: string, context: string): Promise<string> {
      try {
        const entry = code.get(path);
        if (!entry) throw new Error(`no function stands at ${JSON.stringify(path)}`);
        const value = decodePayload(input);
        return encodePayload(await within(contextOf(context), () => runTask(entry, value)));
      } catch (error) {
        throw failure(error);
      }
    },
  };
}

function contextOf(json: string): TaskExecutionContext {
  const { workflowMetadataJson, ...context } = JSON.parse(json);
  return Object.freeze(workflowMetadataJson === null ? context : { ...context, workflowMetadataJson });
}

/** What a task threw, as the engine reads it. */
function failure(error: unknown): { text: string; never?: true; afterMs?: number } {
  const { retryable, retryAfterMs } = (error ?? {}) as { retryable?: unknown; retryAfterMs?: unknown };
  return {
    text: described(error, new Set()),
    ...(retryable === false && { never: true as const }),
    ...(typeof retryAfterMs === "number" && { afterMs: retryAfterMs }),
  };
}

/** Message, stack and causes. */
function described(error: unknown, seen: Set<unknown>): string {
  if (!(error instanceof Error)) return typeof error === "string" ? error : `${describe(error)} was thrown`;
  seen.add(error);
  const head = `${error.name}: ${error.message}`;
  const stack = String(error.stack ?? "");
  const frames = stack.split("\n").filter((line) => /^\s+at /.test(line));
  const own = [head, ...frames].join("\n");
  return error.cause === undefined || seen.has(error.cause) ? own : `${own}\nCaused by: ${described(error.cause, seen)}`;
}

function describe(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
