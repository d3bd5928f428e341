// One attempt at a task as the engine calls it: JSON in, JSON out, errors as texts with what they say about a retry; and what the
// function asks of the engine meanwhile.

import type { SearchAttribute, TaskExecutionContext } from "@sayiir/flow-js";
import { decodePayload, encodePayload, runTask, type TaskEntry } from "@sayiir/flow-js/internal";
import { toldAttributes } from "./attributes.js";
import { within } from "./context.js";
import { call, isOf } from "./core.js";
import { errorOf } from "./errors.js";
import type { Attempt } from "../pkg/sayiir_cloudflare.js";

/** An attempt from its begin to its end. */
export class RunningTask {
  readonly #generation: number;
  readonly #stop = new AbortController();
  #attempt: Attempt | undefined;

  constructor(attempt: Attempt | undefined, generation: number) {
    this.#attempt = attempt;
    this.#generation = generation;
  }

  /** Calls the function, in a later turn: who ends the isolate in a task must not end it in the middle of the engine. */
  async output(entry: TaskEntry | undefined, path: string, input: string, context: string): Promise<string> {
    await undefined;
    try {
      if (!entry) throw new Error(`no function stands at ${JSON.stringify(path)}`);
      const value = decodePayload(input);
      return encodePayload(await within(this.#contextOf(context), () => runTask(entry, value)));
    } catch (error) {
      throw failure(error);
    } finally {
      this.#end();
    }
  }

  /** Nobody waits for the function any more. */
  abort(path: string): void {
    this.#end();
    this.#stop.abort(new DOMException(`this attempt at ${JSON.stringify(path)} is over: what it still does is lost`, "AbortError"));
  }

  #end(): void {
    // What belongs to an instance of the engine that has ended went with it.
    if (isOf(this.#generation)) this.#attempt?.free();
    this.#attempt = undefined;
  }

  #contextOf(json: string): TaskExecutionContext {
    const { workflowMetadataJson, ...told } = JSON.parse(json);
    return Object.freeze({
      ...told,
      ...(workflowMetadataJson !== null && { workflowMetadataJson }),
      signal: this.#stop.signal,
      checkpoint: async <T>(name: string, part: () => T | Promise<T>): Promise<T> => {
        const stored: string | null = await this.#ask((attempt) => attempt.subStep(name));
        if (stored !== null) return decodePayload(stored) as T;
        const output = encodePayload(await part());
        await this.#ask((attempt) => attempt.storeSubStep(name, output));
        return decodePayload(output) as T;
      },
      reportProgress: async (progress: unknown): Promise<void> => {
        await this.#ask((attempt) => attempt.reportProgress(encodePayload(progress)));
      },
      setSearchAttribute: async (name: string, value: SearchAttribute): Promise<void> => {
        await this.#ask((attempt) => attempt.setSearchAttributes(JSON.stringify(toldAttributes({ [name]: value }))));
      },
    });
  }

  async #ask(ask: (attempt: Attempt) => Promise<string>): Promise<any> {
    const attempt = this.#attempt;
    if (attempt === undefined || !isOf(this.#generation)) throw errorOf("attempt_over", "this attempt is over, and can store nothing more");
    return await call(() => ask(attempt));
  }
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
