// The engine's instance of WebAssembly, one for each isolate. A panic ends it: what is on its way fails, and the next call
// gets a fresh one. Objects of an instance that has ended are never used again.

import * as wasm from "../pkg/sayiir_cloudflare.js";
import module from "../pkg/sayiir_cloudflare_bg.wasm";
import { errorOf, typed } from "./errors.js";

/** Counts the instances of the engine. */
let generation = 0;
let state: "none" | "live" | "dead" = "none";
const onTheirWay = new Set<(error: Error) => void>();

/** The engine, fresh if the last one has panicked; `generation` tells objects of one instance from those of another. */
export function engine(): { wasm: typeof wasm; generation: number } {
  if (state !== "live") {
    if (state === "none") wasm.initSync({ module });
    generation += 1;
    state = "live";
    wasm.onPanic(panicked);
  }
  return { wasm, generation };
}

/** Whether objects of this generation may still be used. */
export function isOf(other: number): boolean {
  return state === "live" && generation === other;
}

function panicked(text: string): void {
  state = "dead";
  const failed = [...onTheirWay];
  onTheirWay.clear();
  const said = `the engine panicked: ${text}; what is stored is whole, and the next call finds a fresh engine`;
  for (const reject of failed) reject(errorOf("panic", said));
}

/** Calls the engine and reads the JSON of its answer. */
export async function call(start: (core: ReturnType<typeof engine>) => Promise<string>): Promise<any> {
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  onTheirWay.add(fail);
  try {
    return JSON.parse(await Promise.race([begin(start), failed]));
  } catch (error) {
    throw typed(error);
  } finally {
    onTheirWay.delete(fail);
    failed.catch(() => {});
  }
}

async function begin(start: (core: ReturnType<typeof engine>) => Promise<string>): Promise<string> {
  const before = engine();
  try {
    return await start(before);
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    // The trap that follows a panic, which has told by itself; or one of another kind.
    if (before.generation === generation && state === "live") {
      wasm.restart();
      panicked(error.message);
    }
    return await new Promise<never>(() => {});
  }
}
