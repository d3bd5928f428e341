// The two ways to begin: a flow that is built, and steps that become a part of one.

import { buildWorkflow } from "./build.js";
import { type FlowLike, Steps } from "./steps.js";
import type { Workflow } from "./workflow.js";

/** Options of a flow. */
export interface FlowOptions {
  /** Anything that is JSON; tasks read it from their context. */
  readonly metadata?: unknown;
  /** A part of the workflow's identity: workflows of two versions run side by side. */
  readonly version?: string;
}

class FlowBuilder extends Steps<any, any> {
  readonly #name: string;
  readonly #options: FlowOptions;

  constructor(name: string, options: FlowOptions) {
    super([]);
    this.#name = name;
    this.#options = options;
  }

  build(): Workflow<any, any> {
    return buildWorkflow(this.#name, this.#options, this._nodes);
  }
}

/** Begins a workflow that takes an `In`. */
export function flow<In = any>(name: string, options: FlowOptions = {}): FlowLike<In, In> {
  return new FlowBuilder(name, options) as unknown as FlowLike<In, In>;
}

/** Begins steps that take an `In`, for a branch of a fork or an arm of a route. */
export function steps<In = any>(): Steps<In, In> {
  return new Steps<In, In>([]);
}
