//! A recorded request that somebody else applies, or takes back, between a worker's look and its own write.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod hooked;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hooked::{Call, HookedStore};
use sayiir::core::control::{SignalKind, SignalRequest};
use sayiir::core::journal::EntryKind;
use sayiir::persistence::Store;
use sayiir::prelude::*;

#[tokio::test]
async fn a_pause_that_was_taken_back_before_a_worker_applies_it_holds_up_nothing() {
    let store = Arc::new(InMemoryBackend::new());
    let (theirs, asked) = (WorkflowClient::from_shared(Arc::clone(&store)), Arc::new(AtomicU32::new(0)));
    let asks = Arc::clone(&asked);
    let ours = HookedStore::new(Arc::clone(&store), move |call| {
        let (theirs, asks) = (theirs.clone(), Arc::clone(&asks));
        Box::pin(async move {
            if call == Call::BeforeApply && asks.fetch_add(1, Ordering::SeqCst) == 0 {
                theirs.pause("a", Some("stop".to_owned()), None).await.unwrap();
                theirs.unpause("a").await.unwrap();
            }
            true
        })
    });
    let one = WorkflowBuilder::new(WorkflowContext::new("one", Arc::new(JsonCodec), Arc::new(())));
    let one = one.then("one", |x: u32| async move { Ok(x) }).build().unwrap();
    let client = WorkflowClient::from_shared(Arc::clone(&store));
    client.submit(&one, "a", 7).await.unwrap();
    store.store_signal("a", SignalKind::Pause, SignalRequest::default()).await.unwrap();
    let worker = PooledWorker::new("ours", ours, TaskRegistry::new());
    let worker = worker.spawn(std::time::Duration::from_mins(1), WorkflowSet::new().with(Arc::new(one.clone())));
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), client.wait_for(&one, "a", None));
    assert_eq!(ended.await.unwrap().unwrap(), 7);
    worker.shutdown();
    worker.join().await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let run = store.instance("a").await.unwrap().unwrap().summary.run;
    let journal = store.journal(run, None, 100).await.unwrap();
    assert_eq!(journal.iter().filter(|row| row.kind == EntryKind::Paused).count(), 1, "it was paused once: {journal:?}");
}
