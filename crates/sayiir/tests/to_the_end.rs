//! `run_durable` and `run_to_end`: one call that starts an instance or goes on with it, and waits for all it waits for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sayiir::prelude::*;

/// How often the step ran in the instance `i`.
static ASKED: AtomicU32 = AtomicU32::new(0);

#[task]
async fn ask(days: u32) -> u32 {
    if task_context!().is_some_and(|context| &*context.instance_id == "i") {
        ASKED.fetch_add(1, Ordering::SeqCst);
    }
    days
}

fn vacation() -> Workflow<JsonCodec, u32, (), String> {
    workflow! {
        name: "vacation",
        steps: [ask, delay "5ms", signal "approve", told(days: u32) { format!("{days} days") }]
    }
    .unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.unwrap_or_else(|_| panic!("not within 30 s"))
}

/// Until the instance waits for its event.
async fn awaits(client: &WorkflowClient<SqliteBackend>) {
    within(async {
        while !matches!(client.status("i").await, Ok(WorkflowStatus::AwaitingSignal { .. })) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn it_waits_for_delays_events_and_pauses_and_goes_on_after_it_was_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteBackend::open(dir.path().join("store.db")).await.unwrap();
    let (flow, client) = (vacation(), WorkflowClient::new(store.clone()));
    // Dropped while it waits: the process died.
    let dropped = tokio::spawn({
        let (flow, store) = (flow.clone(), store.clone());
        async move { flow.run_durable(store, "i", 5).await.map_err(|error| error.to_string()) }
    });
    awaits(&client).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    client.pause("i", None, None).await.unwrap();
    let tell = async {
        client.send_event("i", "approve", "3").await.unwrap();
        client.unpause("i").await.unwrap();
    };
    let runner = CheckpointingRunner::from_shared(Arc::new(store.clone()));
    let (output, ()) = within(async { tokio::join!(runner.run_to_end(&flow, "i", 5), tell) }).await;
    assert_eq!(output.unwrap(), "3 days");
    assert_eq!(ASKED.load(Ordering::SeqCst), 1, "the stored step did not run again");
    assert_eq!(within(flow.run_durable(store.clone(), "i", 9)).await.unwrap(), "3 days", "it has ended: the output is the stored one");
    let other = workflow! { name: "other", steps: [ask] }.unwrap();
    assert!(other.run_durable(store, "i", 1).await.unwrap_err().to_string().contains("mismatch"));
}

#[tokio::test]
async fn a_workflow_that_fails_or_is_cancelled_is_an_error() {
    let store = InMemoryBackend::new();
    let fails = workflow! { name: "fails", steps: [fail(_x: u32) { Err::<u32, BoxError>("no".into()) }] }.unwrap();
    for _ in 0..2 {
        let error = fails.run_durable(store.clone(), "f", 1).await.unwrap_err().to_string();
        assert!(error.contains("fail: attempt 1 failed: no"), "{error}");
    }
    let (flow, client) = (vacation(), WorkflowClient::new(store.clone()));
    let cancel = async {
        while client.cancel("c", None, None).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    let (ended, ()) = within(async { tokio::join!(flow.run_durable(store, "c", 1), cancel) }).await;
    assert!(ended.unwrap_err().to_string().contains("cancelled"));
}
