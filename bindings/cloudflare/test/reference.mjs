// The reference: what a workflow comes to, read off its definition by a plain recursive function. No storage, no time.
// Signals are given by name: a value, or `undefined` for one that never comes (a wait with a timeout then gives null).

export class Stopped extends Error {}

/** The output of a workflow, and how often each node ran (path with iterations -> count). */
export async function reference(workflow, input, signals = {}) {
  const ran = [];
  const queues = new Map(Object.entries(signals).map(([name, values]) => [name, [...values]]));
  const output = await sequence(workflow, workflow.definition.nodes, "", "", input, { ran, queues });
  return { output, ran };
}

async function sequence(workflow, nodes, shown, plain, value, world, only) {
  const counts = new Map();
  for (const node of nodes) {
    const collapsed = nodes.length === 1 && node.kind === "task" && node.id === only;
    const count = (counts.get(node.id) ?? 0) + 1;
    counts.set(node.id, count);
    const name = `${node.id}${count > 1 ? `#${count}` : ""}`;
    const at = (around) => (collapsed ? around : around === "" ? name : `${around}/${name}`);
    value = await step(workflow, node, at(shown), at(plain), value, world);
  }
  return value;
}

async function step(workflow, node, shown, plain, value, world) {
  const call = async (input) => {
    world.ran.push(shown);
    return through(await workflow.code.get(plain).fn(through(input)));
  };
  switch (node.kind) {
    case "task":
      return await call(value);
    case "delay":
      return value;
    case "signal": {
      const queue = world.queues.get(node.name) ?? [];
      if (queue.length > 0) return queue.shift();
      if (node.timeoutMs !== undefined) return null;
      throw new Stopped(`nothing sends ${node.name}`);
    }
    case "fork": {
      const outputs = [];
      for (const { name, nodes } of node.branches) outputs.push(await sequence(workflow, nodes, `${shown}/${name}`, `${plain}/${name}`, value, world, name));
      return await call(outputs);
    }
    case "route": {
      const key = await call(value);
      const arm = node.keys.includes(key) ? node.arms[key] : undefined;
      if (!arm && !node.default) throw new Error(`no arm for ${key}`);
      const [where, plainly] = arm ? [key, key] : [`*[${key}]`, "*"];
      return { branch: key, result: await sequence(workflow, arm ?? node.default, `${shown}/${where}`, `${plain}/${plainly}`, value, world) };
    }
    case "loop":
      for (let iteration = 0; ; iteration++) {
        const body = await sequence(workflow, node.nodes, `${shown}[${iteration}]`, plain, value, world, node.id);
        if (body._loop === "done") return body.value;
        value = body.value;
        if (iteration + 1 < node.maxIterations) continue;
        if (node.onMax === "exit_with_last") return value;
        throw new Error(`${node.id} has had all its iterations`);
      }
    case "child":
      return await sequence(workflow, node.workflow.nodes, shown, plain, value, world);
    default:
      throw new Error(`unknown node ${node.kind}`);
  }
}

/** As a value comes out of a store. */
function through(value) {
  return value === undefined ? null : structuredClone(value);
}
