// Apart from `core.ts`, whose types are those of the WebAssembly: what is exported must compile with whatever its user compiles with.

import { call } from "./core.js";

/** Makes the engine panic: for tests that show what comes of it. */
export async function failByPanic(text: string): Promise<void> {
  await call(async ({ wasm }) => {
    wasm.failByPanic(text);
    return "null";
  });
}
