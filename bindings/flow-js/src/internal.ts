// For the packages that run workflows; not for users, and not stable.

export { definitionHash } from "./hash.js";
export { layout, type Place } from "./layout.js";
export { decodePayload, encodePayload } from "./payload.js";
export { runTask } from "./run.js";
export type { TaskEntry } from "./workflow.js";
