// The worker under test: calls engines as it is told over HTTP, and reports every task and every write.

import {
  BackendError,
  Engine,
  getTaskContext,
  InstanceAlreadyExistsError,
  runWorkflow,
  SayiirDurableObject,
  TaskError,
  withTypedErrors,
  WorkflowError,
} from "@sayiir/cloudflare";
import { decodePayload, encodePayload } from "@sayiir/flow-js";
import { env } from "cloudflare:workers";
import { pass, watch } from "./faulty-database.mjs";
import { makeFlows } from "./flows.mjs";

const flows = makeFlows(async (name) => {
  const { instanceId, nodePath, attempt, idempotencyKey, taskId, workflowId } = getTaskContext();
  const response = await env.TEST.fetch("http://test/ran", {
    method: "POST",
    body: JSON.stringify({ name, instanceId, nodePath, attempt, idempotencyKey, taskId, workflowId }),
  });
  const { fail, error } = await response.json();
  if (fail) throw Object.assign(new Error(fail), error);
}, {
  context: getTaskContext,
  die() {
    const { instanceId } = getTaskContext();
    if (died.has(instanceId)) return;
    died.add(instanceId);
    objects.get(instanceId).abort("a task ends its object");
  },
});

/** Instances whose task has ended their object. */
const died = new Set();

/** Objects by the instances that they were asked to run. */
const objects = new Map();

export default {
  async fetch(request) {
    const { store, method, args, options } = decodePayload(await request.text());
    try {
      return new Response(encodePayload({ ok: await perform(store, method, args, options) }));
    } catch (error) {
      const classes = [WorkflowError, TaskError, BackendError, InstanceAlreadyExistsError].filter((one) => error instanceof one).map(({ name }) => name);
      const { name = "none", message = String(error), stack, code } = error ?? {};
      return new Response(encodePayload({ error: { name, message, stack: String(stack), code, classes } }));
    }
  },

  async scheduled() {
    const engine = await Engine.create(env.DB);
    await engine.resumeAll(Object.values(flows), { limit: 50 });
  },
};

export class Instances extends SayiirDurableObject {
  /** So long that a test would fail that waited for its end: a fresh object waits for none of those before it. */
  #leaseMs = 600_000;

  #alarms = 0;

  engineOptions() {
    return { leaseMs: this.#leaseMs };
  }

  workflows() {
    return Object.values(flows).filter(({ workflowId }) => !env.NOT_SERVED.includes(workflowId));
  }

  /** How often its alarm went off. */
  alarms() {
    return this.#alarms;
  }

  async alarm() {
    this.#alarms += 1;
    await super.alarm();
  }

  /** With a tag, the test is asked before and after each write of this object, until the object is thrown away. */
  async run(workflow, id, input, { tag, ...options } = {}) {
    if (tag) watch(this.ctx, tag);
    this.#leaseMs = options.leaseMs ?? this.#leaseMs;
    if (workflow === "deadly") objects.set(id, this.ctx);
    return await super.run(workflow, id, input, options);
  }

  /** How often in a row whoever held a branch of an instance was lost. */
  crashes(id) {
    const sql = "SELECT b.crashes FROM sayiir_branch b JOIN sayiir_instance i ON i.run = b.run WHERE i.instance_id = ?";
    return this.ctx.storage.sql.exec(sql, id).toArray().map(({ crashes }) => crashes);
  }
}

async function perform(store, method, args, { tag, object, untyped, engine: options = {} }) {
  if (method === "runWorkflow") return await runWorkflow(flows[args[0]], args[1]);
  if (store === "do") {
    const id = object ?? (method === "run" || method === "resume" ? args[1] : args[0]);
    const bare = env.INSTANCES.get(env.INSTANCES.idFromName(id));
    const stub = untyped ? bare : withTypedErrors(bare);
    if (method === "run") return await stub.run(args[0], args[1], args[2], { ...options, ...args[3], tag });
    if (method === "resume") return await stub.resume(args[1], args[2]);
    if (method === "list") return await stub.list(...args);
    return await stub[method](...args);
  }
  const counts = { batches: 0, queries: 0 };
  const engine = await Engine.create(tag ? watched(env.DB, tag, counts) : env.DB, options);
  switch (method) {
    case "run":
    case "resume":
      return await engine[method](flows[args[0]], ...args.slice(1));
    case "resumeAll":
      return await engine.resumeAll(args[0].map((name) => flows[name]), args[1]);
    case "counted": {
      const [counted, ...rest] = args;
      const before = { ...counts };
      const result = counted === "resumeAll" ? await engine.resumeAll(rest[0].map((name) => flows[name]), rest[1]) : await engine[counted](flows[rest[0]], ...rest.slice(1));
      return { result, batches: counts.batches - before.batches, queries: counts.queries - before.queries };
    }
    default:
      return await engine[method](...args);
  }
}

/** A database that asks the test before and after each of its batches. */
function watched(db, tag, counts) {
  return new Proxy(db, {
    get(target, key) {
      if (key === "batch") {
        return async (statements) => {
          counts.batches += 1;
          counts.queries += statements.length;
          const number = await pass(tag, "before");
          try {
            return await target.batch(statements);
          } finally {
            await pass(tag, "after", number);
          }
        };
      }
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
