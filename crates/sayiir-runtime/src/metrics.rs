//! What Sayiir counts (feature `metrics`), by name. A program installs a recorder of the [`metrics`](https://docs.rs/metrics) facade, such as an
//! exporter, and calls `describe` once; the rest happens by itself. Without the feature nothing is counted, and it costs nothing.

pub use sayiir_persistence::metric_names::*;

/// Tells the installed recorder what each metric means, and its unit. Call it once, after the recorder was installed.
#[cfg(feature = "metrics")]
pub fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

    describe_counter!(STEPS, Unit::Count, "steps whose results were stored");
    describe_histogram!(STEP_SECONDS, Unit::Seconds, "time from a step's input to its stored result");
    describe_counter!(FAILURES, Unit::Count, "attempts that failed");
    describe_counter!(RETRIES, Unit::Count, "failed attempts that will be retried");
    describe_counter!(INSTANCES, Unit::Count, "runs that ended here");
    describe_counter!(LEASES_LOST, Unit::Count, "branches that another worker took over");
    describe_gauge!(BRANCHES_DRIVEN, Unit::Count, "branches that this process drives");
    describe_gauge!(BRANCHES_DUE, Unit::Count, "branches in the store that a worker could take");
    describe_gauge!(QUEUE_DEPTH, Unit::Count, "requests that wait for the SQLite writer");
    describe_histogram!(COMMIT_BATCH, Unit::Count, "requests in one SQLite transaction");
}
