//! What a runner does at awkward moments: timers beside running tasks, more children than it has room for, a run that is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sayiir::core::control::{SignalKind, SignalRequest};
use sayiir::persistence::Store;
use sayiir::prelude::*;
use tokio::sync::{Notify, Semaphore};

use super::{flow, retried, soon, until};

/// A task that fails at first and opens `gate` when it is run again.
fn flaky(gate: &Arc<Semaphore>) -> impl Fn(u32) -> std::future::Ready<Result<u32, BoxError>> + Send + Sync + 'static {
    let gate = Arc::clone(gate);
    move |x| {
        if task_context!().unwrap().attempt == 1 {
            return std::future::ready(Err("once".into()));
        }
        gate.add_permits(1);
        std::future::ready(Ok(x))
    }
}

#[tokio::test]
async fn backoffs_end_on_time_while_another_branch_runs() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let both = flow("both")
        .fork()
        .branch("long", move |x: u32| {
            let gate = Arc::clone(&opened);
            async move {
                gate.acquire_many(2).await?.forget();
                Ok(x)
            }
        })
        .branch_flow("early", |s| s.then("soon", flaky(&gate)).with_metadata(retried(20)))
        .branch_flow("late", |s| s.then("later", flaky(&gate)).with_metadata(retried(100)))
        .branch("quick", |x: u32| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(x)
        })
        .join("count", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) })
        .build()
        .unwrap();
    assert_eq!(soon("the run", both.run_once(1)).await.unwrap(), 4);
}

#[tokio::test]
async fn children_beyond_the_runners_limit_begin_as_places_become_free() {
    const WIDTH: usize = 1100;
    let last = Arc::new(Notify::new());
    let mut wide = flow("wide").fork();
    for number in 0..WIDTH {
        let last = Arc::clone(&last);
        wide = wide.branch(format!("b{number}"), move |x: u32| {
            let last = Arc::clone(&last);
            async move {
                match number {
                    0 => last.notified().await,
                    _ if number == WIDTH - 1 => last.notify_one(),
                    _ => {}
                }
                Ok(x)
            }
        });
    }
    let wide = wide.join("count", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) }).build().unwrap();
    assert_eq!(soon("the run", wide.run_once(1)).await.unwrap(), WIDTH);
}

#[tokio::test]
async fn a_dropped_runner_lets_go_of_its_store() {
    let store = Arc::new(InMemoryBackend::new());
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store)).with_lease(Duration::from_hours(1));
    let one = flow("one").then("one", |x: u32| async move { Ok(x) }).build().unwrap();
    assert!(runner.run(&one, "a", 1).await.unwrap().is_completed());
    drop(runner);
    until("the store is free", || Arc::strong_count(&store) == 1).await;
}

#[tokio::test]
async fn a_cancel_that_is_recorded_while_a_task_runs_aborts_it() {
    let reached = Arc::new(Notify::new());
    let note = Arc::clone(&reached);
    let endless = flow("endless")
        .then("endless", move |_: u32| {
            note.notify_one();
            std::future::pending::<Result<u32, BoxError>>()
        })
        .build()
        .unwrap();
    let store = InMemoryBackend::new();
    let runner = CheckpointingRunner::new(store.clone());
    let run = tokio::spawn(async move { runner.run(&endless, "a", 1).await });
    soon("the task", reached.notified()).await;
    store.store_signal("a", SignalKind::Cancel, SignalRequest::new(Some("enough".to_owned()), None)).await.unwrap();
    let status = soon("the run", run).await.unwrap().unwrap();
    assert!(matches!(&status, WorkflowStatus::Cancelled { reason: Some(reason), .. } if reason == "enough"), "{status:?}");
}

#[tokio::test]
async fn cancels_one_after_the_other_abort_both_tasks() {
    let reached = Arc::new(Semaphore::new(0));
    let note = Arc::clone(&reached);
    let endless = flow("endless")
        .then("endless", move |_: u32| {
            note.add_permits(1);
            std::future::pending::<Result<u32, BoxError>>()
        })
        .build()
        .unwrap();
    let store = InMemoryBackend::new();
    let runner = Arc::new(CheckpointingRunner::new(store.clone()).with_lease(Duration::from_hours(1)));
    let run = |id: &'static str| {
        let (runner, endless) = (Arc::clone(&runner), endless.clone());
        tokio::spawn(async move { runner.run(&endless, id, 1).await })
    };
    let runs = [("a", run("a")), ("b", run("b"))];
    soon("the tasks", reached.acquire_many(2)).await.unwrap().forget();
    let client = WorkflowClient::new(store);
    for (id, run) in runs {
        client.cancel(id, None, None).await.unwrap();
        let status = soon("the run", run).await.unwrap().unwrap();
        assert!(matches!(status, WorkflowStatus::Cancelled { .. }), "{status:?}");
    }
}

#[tokio::test]
async fn a_runner_leaves_the_run_that_replaced_its_own_to_others() {
    let (reached, ran) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
    let (note, counted) = (Arc::clone(&reached), Arc::clone(&ran));
    let endless = flow("endless")
        .then("endless", move |x: u32| {
            counted.fetch_add(1, Ordering::SeqCst);
            note.notify_one();
            async move {
                if x == 1 {
                    std::future::pending::<()>().await;
                }
                Ok(x)
            }
        })
        .build()
        .unwrap();
    let store = InMemoryBackend::new();
    let (runner, first) = (CheckpointingRunner::new(store.clone()).with_lease(Duration::from_hours(1)), endless.clone());
    let run = tokio::spawn(async move { runner.run(&first, "a", 1).await });
    soon("the task", reached.notified()).await;
    let client = WorkflowClient::new(store.clone()).with_conflict_policy(ConflictPolicy::TerminateExisting);
    client.submit(&endless, "a", 1).await.unwrap();
    let error = soon("the replaced run", run).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("replaced"), "{error}");
    assert_eq!(ran.load(Ordering::SeqCst), 1, "the new run is a worker's");
    assert!(store.instance("a").await.unwrap().unwrap().branches.iter().all(|branch| branch.lease.is_none()));
}

#[tokio::test]
async fn a_wait_without_end_waits() {
    let store = InMemoryBackend::new();
    let client = WorkflowClient::new(store.clone());
    let one = flow("one").then("one", |x: u32| async move { Ok(x) }).build().unwrap();
    assert!(CheckpointingRunner::new(store).run(&one, "a", 1).await.unwrap().is_completed());
    assert!(client.wait("a", Some(Duration::MAX)).await.unwrap().status.is_completed());
}
