//! What runners and workers do at awkward moments: timers beside running tasks, replies that come late or never,
//! requests that come while a task runs. Every wait here has an end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "tests")]

mod hooked;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use hooked::{Call, HookedStore};
use sayiir::core::control::{SignalKind, SignalRequest};
use sayiir::core::journal::EntryKind;
use sayiir::core::transition::Transition;
use sayiir::core::workflow::Typed;
use sayiir::persistence::Store;
use sayiir::prelude::*;
use sayiir_store_testkit::{Fault, FaultStore};
use tokio::sync::{Notify, Semaphore};

/// Long beside what is awaited, short beside a lease.
const SOON: Duration = Duration::from_secs(5);

fn flow<Input>(name: &str) -> WorkflowBuilder<JsonCodec, Input, Typed<Input>> {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

fn retried(millis: u64) -> TaskMetadata {
    let policy = RetryPolicy { initial_delay: Duration::from_millis(millis), ..RetryPolicy::with_max_retries(3) };
    TaskMetadata { retries: Some(policy), ..TaskMetadata::default() }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what}: not within {SOON:?}"))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

fn is_at(transitions: &[Transition], kind: EntryKind, node: &str) -> bool {
    transitions.iter().any(|t| t.entry.as_ref().is_some_and(|entry| entry.kind == kind && &*entry.node == node))
}

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
                    ended.acquire().await.unwrap().forget();
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
