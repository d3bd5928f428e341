//! A worker that is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sayiir::prelude::*;
use tokio::sync::Notify;

use super::{flow, gated, soon};

#[tokio::test]
async fn a_join_that_is_given_up_can_be_made_again() {
    let (begun, gate, reached) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = flow("slow").then("slow", gated(&begun, &gate)).build().unwrap();
    let store = InMemoryBackend::new();
    WorkflowClient::new(store.clone()).submit(&slow, "a", 1).await.unwrap();
    let worker = LocalWorker::builder(store.clone()).spawn(WorkflowSet::new().with(Arc::new(slow.clone()))).await.unwrap();
    soon("the task", begun.notified()).await;
    worker.shutdown();
    assert!(tokio::time::timeout(Duration::from_millis(1), worker.join()).await.is_err(), "its task still runs");
    let (other, note) = (worker.clone(), Arc::clone(&reached));
    let joined = tokio::spawn(async move {
        note.notify_one();
        other.join().await
    });
    reached.notified().await;
    tokio::task::yield_now().await;
    assert!(!joined.is_finished(), "its task still runs");
    gate.notify_one();
    soon("the worker", joined).await.unwrap().unwrap();
    soon("another join", worker.join()).await.unwrap();
    assert!(WorkflowClient::new(store).status("a").await.unwrap().is_completed());
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_ends_with_its_tasks_and_gives_the_rest_back() {
    let (begun, gate, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&second);
    let two = flow("two")
        .then("one", gated(&begun, &gate))
        .then("two", move |x: u32| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move { Ok(x + 1) }
        })
        .build()
        .unwrap();
    let store = InMemoryBackend::new();
    let client = WorkflowClient::new(store.clone());
    client.submit(&two, "a", 1).await.unwrap();
    let workflows = WorkflowSet::new().with(Arc::new(two.clone()));
    let worker = LocalWorker::builder(store.clone()).lease(Duration::from_hours(1)).spawn(workflows).await.unwrap();
    soon("the task", begun.notified()).await;
    worker.shutdown();
    tokio::task::yield_now().await;
    gate.notify_one();
    soon("the worker", worker.join()).await.unwrap();
    assert_eq!(second.load(Ordering::SeqCst), 0, "it began another task");
    assert_eq!(client.get_task_result("a", "one").await.unwrap().as_deref(), Some(&b"2"[..]));
    assert!(soon("the rest", CheckpointingRunner::new(store).resume(&two, "a")).await.unwrap().is_completed());
    assert_eq!(client.wait_for(&two, "a", None).await.unwrap(), 3);
}
