//! The metrics of Sayiir, by name. They are given to the recorder that the program has installed, through the `metrics` facade
//! (feature `metrics`). Times are by the store's clock. `node` is a node path without iterations.

/// Counter: steps whose results were stored (tasks, joins, route keys). Labels `workflow`, `node`.
pub const STEPS: &str = "sayiir_steps_total";
/// Histogram, seconds: from when a step's input was stored, or its branch was taken, until its result was stored: the task's own time
/// and the commit. Labels `workflow`, `node`.
pub const STEP_SECONDS: &str = "sayiir_step_seconds";
/// Counter: attempts that failed, those that ended the run included. Labels `workflow`, `node`.
pub const FAILURES: &str = "sayiir_failures_total";
/// Counter: failed attempts that will be retried. Labels `workflow`, `node`.
pub const RETRIES: &str = "sayiir_retries_total";
/// Counter: runs that ended here. Labels `workflow`, `status` (`completed` or `failed`; a cancel is a client's).
pub const INSTANCES: &str = "sayiir_instances_total";
/// Counter: branches that another worker took over while this one held them: a lease was too short, or the process stood still.
pub const LEASES_LOST: &str = "sayiir_leases_lost_total";
/// Gauge: branches that this process drives now. At a worker's concurrency, work waits.
pub const BRANCHES_DRIVEN: &str = "sayiir_branches_driven";
/// Gauge: the queue: branches that a worker could take now, in the whole store, when this process last asked for `WorkflowClient::stats`.
pub const BRANCHES_DUE: &str = "sayiir_branches_due";
/// Gauge: requests that wait for the SQLite store's writer, when it last took some.
pub const QUEUE_DEPTH: &str = "sayiir_store_queue_depth";
/// Histogram: requests that one transaction of the SQLite store's writer carried.
pub const COMMIT_BATCH: &str = "sayiir_store_commit_batch";
