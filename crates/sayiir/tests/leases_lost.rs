//! How many leases a worker lost is counted once each, and a cancel is none. A process has one recorder: one test.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use sayiir::persistence::Store;
use sayiir::prelude::*;
use tokio::sync::Notify;

/// Counters go on from what a snapshot took.
fn lost(snapshotter: &Snapshotter) -> u64 {
    let found = snapshotter.snapshot().into_vec().into_iter().filter(|(key, ..)| key.key().name() == sayiir::metrics::LEASES_LOST);
    let counts = found.map(|(.., value)| if let DebugValue::Counter(count) = value { count } else { panic!("{value:?} is no counter") });
    counts.sum()
}

struct TellDropped(Arc<Notify>);

impl Drop for TellDropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A task that never ends, and tells when it begins and when it is dropped.
fn endless(begun: &Arc<Notify>, dropped: &Arc<Notify>) -> Workflow<JsonCodec, u32, (), u32> {
    let (begun, dropped) = (Arc::clone(begun), Arc::clone(dropped));
    let task = move |x: u32| {
        let guard = TellDropped(Arc::clone(&dropped));
        begun.notify_one();
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok(x)
        }
    };
    WorkflowBuilder::new(WorkflowContext::new("endless", Arc::new(JsonCodec), Arc::new(()))).then("hang", task).build().unwrap()
}

#[tokio::test]
async fn a_lease_that_is_taken_over_is_counted_once_and_a_cancel_is_not() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    let store = InMemoryBackend::new();
    let client = WorkflowClient::new(store.clone());
    let (begun, dropped, elsewhere) = (Arc::<Notify>::default(), Arc::<Notify>::default(), Arc::<Notify>::default());
    let flow = endless(&begun, &dropped);
    // It has no place for what is taken from it.
    let first = PooledWorker::builder(store.clone(), TaskRegistry::new()).max_concurrent_tasks(std::num::NonZeroUsize::MIN).build();
    let first = first.spawn(Duration::from_mins(1), WorkflowSet::new().with(Arc::new(flow.clone())));
    client.submit(&flow, "cancelled", 1).await.unwrap();
    begun.notified().await;
    client.cancel("cancelled", None, None).await.unwrap();
    dropped.notified().await;
    client.submit(&flow, "lost", 1).await.unwrap();
    begun.notified().await;

    let theirs = endless(&elsewhere, &Arc::default());
    let second = PooledWorker::new("second", store.clone(), TaskRegistry::new());
    let second = second.spawn(Duration::from_mins(1), WorkflowSet::new().with(Arc::new(theirs)));
    let lease = store.instance("lost").await.unwrap().unwrap().branches.into_iter().find_map(|branch| branch.lease).unwrap();
    store.expire_leases(lease).await.unwrap();
    elsewhere.notified().await;
    dropped.notified().await;
    let (asked, mut counted) = (Instant::now(), 0);
    while counted == 0 {
        assert!(asked.elapsed() < Duration::from_secs(30), "it is not counted");
        tokio::time::sleep(Duration::from_millis(1)).await;
        counted += lost(&snapshotter);
    }
    for worker in [first, second] {
        worker.shutdown_now();
        worker.join().await.unwrap();
    }
    assert_eq!(counted + lost(&snapshotter), 1);
}
