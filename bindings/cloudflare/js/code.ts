// Workflows as the engine has them: a definition, and the functions at its nodes.

import type { Workflow } from "@sayiir/flow-js";
import { engine } from "./core.js";
import { RunningTask } from "./task.js";
import type { Attempt, Flow } from "../pkg/sayiir_cloudflare.js";

const built = new WeakMap<Workflow, { generation: number; flow: Flow }>();

/** A workflow as the engine has it; built once for each instance of the engine. */
export function flowOf(workflow: Workflow): Flow {
  const { wasm, generation } = engine();
  const known = built.get(workflow);
  if (known?.generation === generation) return known.flow;
  if (typeof workflow?.definition !== "object" || workflow.definition === null) {
    throw new TypeError("a workflow is expected: what flow(..).build() gives");
  }
  const flow = new wasm.Flow(JSON.stringify(workflow.definition), codeOf(workflow, generation));
  built.set(workflow, { generation, flow });
  return flow;
}

function codeOf({ code }: Workflow, generation: number) {
  return {
    has: (path: string) => code.has(path),
    run(path: string, input: string, context: string, attempt: Attempt | undefined) {
      const running = new RunningTask(attempt, generation);
      return { output: running.output(code.get(path), path, input, context), abort: () => running.abort(path) };
    },
  };
}
