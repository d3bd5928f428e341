//! Answers of the store that come late, or never.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use sayiir::core::journal::EntryKind;
use sayiir::prelude::*;
use sayiir_store_testkit::{Fault, FaultStore};
use tokio::sync::{Notify, Semaphore};

use super::hooked::{Call, HookedStore};
use super::{SOON, flow, is_at, retried, soon};

#[tokio::test]
async fn after_an_error_in_mid_run_the_same_runner_can_resume_at_once() {
    let two = flow("two").then("a", |x: u32| async move { Ok(x + 1) }).then("b", |x: u32| async move { Ok(x + 1) }).build().unwrap();
    let store = Arc::new(FaultStore::new(Arc::new(InMemoryBackend::new())));
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store)).with_patience(Duration::ZERO);
    // The session, the start, and the step's.
    store.fail_write(3, Fault::RequestLost);
    assert!(runner.run(&two, "a", 1).await.is_err());
    let resumed = soon("the resume", async {
        loop {
            let status = runner.resume(&two, "a").await.unwrap();
            if status != WorkflowStatus::InProgress {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(resumed.await.is_completed());
}

#[tokio::test]
async fn a_branch_that_is_claimed_before_its_last_owner_has_let_go_is_driven() {
    let claimed = Arc::new(Notify::new());
    let hook = Arc::clone(&claimed);
    let store = HookedStore::new(InMemoryBackend::new(), move |call| {
        let claimed = Arc::clone(&hook);
        Box::pin(async move {
            match call {
                // The retry is stored and due, and its owner does not know yet.
                Call::AfterCommit(made) if is_at(&made, EntryKind::AttemptFailed, "twice") => claimed.notified().await,
                Call::AfterClaim(views) if views.iter().any(|view| view.head.attempt == 1) => claimed.notify_one(),
                _ => {}
            }
            true
        })
    });
    let twice = flow("twice")
        .then("twice", |x: u32| async move { if task_context!().unwrap().attempt == 1 { Err("once".into()) } else { Ok(x) } })
        .with_metadata(retried(1))
        .build()
        .unwrap();
    let client = WorkflowClient::from_shared(Arc::clone(&store));
    client.submit(&twice, "a", 7).await.unwrap();
    let workflows = WorkflowSet::new().with(Arc::new(twice.clone()));
    let worker = LocalWorker::from_shared(store).lease(Duration::from_hours(1)).spawn(workflows).await.unwrap();
    assert_eq!(soon("the instance", client.wait_for(&twice, "a", None)).await.unwrap(), 7);
    worker.shutdown();
    soon("the worker", worker.join()).await.unwrap();
}

#[tokio::test]
async fn a_lost_reply_in_one_branch_runs_nothing_of_its_sibling_again() {
    let (lost, begun, ended, ran) =
        (Arc::new(AtomicBool::new(false)), Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let (hook_lost, hook_begun, hook_ended) = (Arc::clone(&lost), Arc::clone(&begun), Arc::clone(&ended));
    let store = HookedStore::new(InMemoryBackend::new(), move |call| {
        let (lost, begun, ended) = (Arc::clone(&hook_lost), Arc::clone(&hook_begun), Arc::clone(&hook_ended));
        Box::pin(async move {
            match call {
                Call::AfterCommit(made) if is_at(&made, EntryKind::TaskCompleted, "join/a/one") => {
                    return lost.swap(true, Ordering::SeqCst);
                }
                Call::AfterCommit(made) if is_at(&made, EntryKind::TaskCompleted, "join/b") => ended.add_permits(1),
                // The sibling ends while the answer is on its way.
                Call::AfterLoad(_) => {
                    begun.add_permits(1);
                    drop(ended.acquire().await.unwrap());
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                _ => {}
            }
            true
        })
    });
    let (wait, counted) = (Arc::clone(&begun), Arc::clone(&ran));
    let forked = flow("forked")
        .fork()
        .branch_flow("a", |s| s.then("one", |x: u32| async move { Ok(x) }).then("two", |x: u32| async move { Ok(x) }))
        .branch("b", move |x: u32| {
            counted.fetch_add(1, Ordering::SeqCst);
            let wait = Arc::clone(&wait);
            async move {
                wait.acquire().await?.forget();
                Ok(x)
            }
        })
        .join("join", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) })
        .build()
        .unwrap();
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store));
    // If it loads nothing but its own, the sibling ends by itself.
    let free = Arc::clone(&begun);
    let opener = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        free.add_permits(1);
    });
    assert!(soon("the run", runner.run(&forked, "a", 1)).await.unwrap().is_completed());
    assert!(lost.load(Ordering::SeqCst));
    assert_eq!(ran.load(Ordering::SeqCst), 1, "what was stored is not run again");
    opener.await.unwrap();
}

#[tokio::test]
async fn a_run_is_started_with_as_much_patience_as_it_is_driven() {
    let one = flow("one").then("one", |x: u32| async move { Ok(x) }).build().unwrap();
    let store = Arc::new(FaultStore::new(Arc::new(InMemoryBackend::new())));
    // The session is the first write.
    for write in 2..12 {
        store.fail_write(write, Fault::RequestLost);
    }
    let runner = CheckpointingRunner::from_shared(store).with_patience(Duration::from_mins(1));
    assert!(tokio::time::timeout(4 * SOON, runner.run(&one, "a", 1)).await.unwrap().unwrap().is_completed());
}
