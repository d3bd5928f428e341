// Errors with a code, and their way over the RPC of Durable Objects, which keeps no class and nothing but the text.

import { BackendError, TaskError, WorkflowError } from "@sayiir/flow-js";

/** What went wrong, in a word that does not change. */
export type EngineErrorCode =
  /** The id belongs to an instance that is there already, and the conflict policy is to refuse. */
  | "already_exists"
  /** The instance was started with another definition. */
  | "definition_mismatch"
  /** The id is unknown. */
  | "not_found"
  /** The instance is not in a state for that: it has ended. */
  | "refused"
  /** The text can be no instance's id. */
  | "invalid_id"
  /** The store failed, or did not take something. */
  | "backend"
  /** The instance has failed, for a task has. */
  | "failed"
  /** The instance has no output: it has not been completed. */
  | "no_output"
  /** The object runs no such workflow. */
  | "unknown_workflow"
  /** The call or the definition is wrong. */
  | "wrong"
  /** The attempt is over: what it asks for is not done. */
  | "attempt_over"
  /** A sub-step has no name, or one that was used in this attempt. */
  | "sub_step_name"
  /** The engine panicked. */
  | "panic";

/** The id belongs to an instance that is there already, and the conflict policy is to refuse. */
export class InstanceAlreadyExistsError extends BackendError {
  override name = "InstanceAlreadyExistsError";
}

/** Each class with the codes that its errors have. */
const CLASSES: Readonly<Record<EngineErrorCode, new (message: string) => WorkflowError>> = {
  already_exists: InstanceAlreadyExistsError,
  definition_mismatch: BackendError,
  not_found: BackendError,
  refused: BackendError,
  backend: BackendError,
  failed: TaskError,
  sub_step_name: TaskError,
  invalid_id: WorkflowError,
  no_output: WorkflowError,
  unknown_workflow: WorkflowError,
  wrong: WorkflowError,
  attempt_over: WorkflowError,
  panic: WorkflowError,
};

/** An error of the engine: its class follows from its code, which is its `code`. */
export function errorOf(code: EngineErrorCode, message: string): WorkflowError & { readonly code: EngineErrorCode } {
  // Another attempt would use the same names.
  return Object.assign(new CLASSES[code](message), { code, ...(code === "sub_step_name" && { retryable: false }) });
}

function isCode(code: unknown): code is EngineErrorCode {
  return typeof code === "string" && Object.hasOwn(CLASSES, code);
}

/** An error as the engine tells it: `{ kind, message }`. */
export function typed(error: unknown): Error {
  if (error instanceof Error) return error;
  const { kind, message } = error as { kind?: unknown; message?: string };
  return errorOf(isCode(kind) ? kind : "wrong", message ?? String(error));
}

/** How the text of an error begins that has left an object. */
const LEFT = /^(?:\w+: )?\w*Error \[([a-z_]+)\]: ([^]*)$/;

/** An error as it may leave an object: the name, which goes before the text on the other side, has the code in it. */
export function leaving(error: unknown): unknown {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: string };
  if (error instanceof WorkflowError && isCode(code)) error.name = `${name?.replace(/ \[.*\]$/, "")} [${code}]`;
  return error;
}

/** What came out of an object, with the class and the code that it had in there. Other errors are given back as they are. */
export function workflowErrorOf(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof WorkflowError) return error;
  const [, code, message = ""] = LEFT.exec(error.message) ?? [];
  return isCode(code) ? Object.assign(errorOf(code, message), { cause: error }) : error;
}

/**
 * The stub of a `SayiirDurableObject` whose errors have their classes and codes, as those of an `Engine` have them.
 *
 * ```ts
 * const orders = withTypedErrors(env.ORDERS.getByName("orders"));
 * ```
 */
export function withTypedErrors<Stub extends object>(stub: Stub): Stub {
  return new Proxy(stub, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        const answer: unknown = Reflect.apply(value, target, args);
        if (typeof (answer as { then?: unknown } | undefined)?.then !== "function") return answer;
        return (answer as PromiseLike<unknown>).then(
          (value) => value,
          (error) => {
            throw workflowErrorOf(error);
          },
        );
      };
    },
  });
}
