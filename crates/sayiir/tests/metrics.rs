//! What is counted, with the feature `metrics`: see `sayiir::metrics`.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use sayiir::metrics as names;
use sayiir::prelude::*;

#[task(retries = 1, backoff = "1ms")]
async fn flaky(x: u32) -> Result<u32, BoxError> {
    if task_context!().is_some_and(|context| context.attempt == 1) { Err("once".into()) } else { Ok(x) }
}

#[task]
async fn countdown(x: u32) -> LoopResult<u32> {
    if x > 0 { LoopResult::Again(x - 1) } else { LoopResult::Done(x) }
}

/// One test: a process has one recorder.
#[tokio::test]
async fn steps_failures_retries_latencies_and_batches_are_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    names::describe();
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteBackend::open(dir.path().join("store.db")).await.unwrap());
    let runner = CheckpointingRunner::from_shared(store);
    let good = workflow! { name: "good", steps: [flaky, loop countdown 9] }.unwrap();
    assert_eq!(runner.run(&good, "good", 3).await.unwrap(), WorkflowStatus::Completed);
    let bad = workflow! { name: "bad", steps: [fails(_x: u32) { Err::<u32, BoxError>("always".into()) }] }.unwrap();
    assert!(matches!(runner.run(&bad, "bad", 3).await.unwrap(), WorkflowStatus::Failed(_)));

    let client = WorkflowClient::from_shared(Arc::clone(runner.backend()));
    for id in ["waits-1", "waits-2"] {
        client.submit(&good, id, 3).await.unwrap();
    }
    assert_eq!(client.stats().await.unwrap().branches.due, 2);

    let mut found: BTreeMap<String, DebugValue> = BTreeMap::new();
    for (key, unit, description, value) in snapshotter.snapshot().into_vec() {
        let (_, key) = key.into_parts();
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        assert!(unit.is_some() && description.is_some(), "{} is described", key.name());
        found.insert(format!("{} {}", key.name(), labels.join(",")).trim().to_owned(), value);
    }
    let count = |key: &str| match found.get(key) {
        Some(DebugValue::Counter(count)) => *count,
        other => panic!("{key}: {other:?} in {found:?}"),
    };
    let values = |key: &str| match found.get(key) {
        Some(DebugValue::Histogram(values)) => values.iter().map(|value| value.into_inner()).collect::<Vec<f64>>(),
        other => panic!("{key}: {other:?} in {found:?}"),
    };
    assert_eq!(count("sayiir_steps_total workflow=good,node=flaky"), 1);
    assert_eq!(count("sayiir_steps_total workflow=good,node=countdown"), 4, "however often a loop runs, it is one label");
    assert_eq!(count("sayiir_failures_total workflow=good,node=flaky"), 1);
    assert_eq!(count("sayiir_retries_total workflow=good,node=flaky"), 1);
    assert_eq!(count("sayiir_failures_total workflow=bad,node=fails"), 1);
    assert_eq!(count("sayiir_instances_total workflow=good,status=completed"), 1);
    assert_eq!(count("sayiir_instances_total workflow=bad,status=failed"), 1);
    let seconds = values("sayiir_step_seconds workflow=good,node=countdown");
    assert!(seconds.len() == 4 && seconds.iter().all(|seconds| (0.0..60.0).contains(seconds)), "{seconds:?}");
    let batches = values(names::COMMIT_BATCH);
    assert!(!batches.is_empty() && batches.iter().all(|batch| *batch >= 1.0));
    assert!(
        matches!(found.get(names::BRANCHES_DUE), Some(DebugValue::Gauge(due)) if (due.into_inner() - 2.0).abs() < 0.1),
        "nobody has taken them"
    );
    assert!(matches!(found.get(names::QUEUE_DEPTH), Some(DebugValue::Gauge(_))));
    assert!(matches!(found.get(names::BRANCHES_DRIVEN), Some(DebugValue::Gauge(left)) if left.into_inner() == 0.0));
}
