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
async fn a_dropped_runner_lets_go_of_its_store() {
    let store = Arc::new(InMemoryBackend::new());
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store)).with_lease(Duration::from_hours(1));
    let one = flow("one").then("one", |x: u32| async move { Ok(x) }).build().unwrap();
    assert!(runner.run(&one, "a", 1).await.unwrap().is_completed());
    drop(runner);
    until("the store is free", || Arc::strong_count(&store) == 1).await;
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
async fn news_of_others_make_no_writes() {
    let (reached, gate, renewals, looks) =
        (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (renewed, looked) = (Arc::clone(&renewals), Arc::clone(&looks));
    let store = HookedStore::new(InMemoryBackend::new(), move |call| {
        match call {
            Call::BeforeRenew => drop(renewed.fetch_add(1, Ordering::SeqCst)),
            Call::BeforeLeased => drop(looked.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }
        Box::pin(std::future::ready(true))
    });
    let (note, wait) = (Arc::clone(&reached), Arc::clone(&gate));
    let slow = flow("slow")
        .then("slow", move |x: u32| {
            let (note, wait) = (Arc::clone(&note), Arc::clone(&wait));
            async move {
                note.notify_one();
                wait.notified().await;
                Ok(x)
            }
        })
        .build()
        .unwrap();
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store)).with_lease(Duration::from_hours(1));
    let run = tokio::spawn(async move { runner.run(&slow, "a", 1).await });
    soon("the task", reached.notified()).await;
    // Two processes that hold branches of one file would answer each other's renewals for ever.
    until("five looks", || {
        store.wakeups().announce_everything();
        looks.load(Ordering::SeqCst) + renewals.load(Ordering::SeqCst) >= 5
    })
    .await;
    assert_eq!(renewals.load(Ordering::SeqCst), 0, "a lease of an hour needs no renewal yet");
    gate.notify_one();
    assert!(soon("the run", run).await.unwrap().unwrap().is_completed());
}

#[tokio::test]
async fn a_late_answer_about_an_earlier_hold_aborts_no_later_task() {
    let (armed, asked, parked, again, rounds) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
        Arc::new(AtomicU32::new(0)),
    );
    let hook = (Arc::clone(&armed), Arc::clone(&asked), Arc::clone(&parked), Arc::clone(&again), Arc::clone(&rounds));
    let store = HookedStore::new(InMemoryBackend::new(), move |call| {
        let (armed, asked, parked, again, rounds) = hook.clone();
        Box::pin(async move {
            match call {
                // Whichever way the keeper asks.
                Call::BeforeRenew | Call::BeforeLeased => {
                    rounds.fetch_add(1, Ordering::SeqCst);
                    if armed.load(Ordering::SeqCst) {
                        asked.notify_one();
                        parked.notified().await;
                    }
                }
                Call::AfterRenew | Call::AfterLeased if armed.swap(false, Ordering::SeqCst) => again.notified().await,
                _ => {}
            }
            true
        })
    });
    let (begun, gate, ran) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let (note, wait, counted) = (Arc::clone(&begun), Arc::clone(&gate), Arc::clone(&ran));
    let twice = flow("twice")
        .then("twice", move |x: u32| {
            let (note, wait, first) = (Arc::clone(&note), Arc::clone(&wait), counted.fetch_add(1, Ordering::SeqCst) == 0);
            async move {
                note.add_permits(1);
                wait.acquire().await?.forget();
                if first { Err("once".into()) } else { Ok(x) }
            }
        })
        .with_metadata(retried(50))
        .build()
        .unwrap();
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store)).with_lease(Duration::from_hours(1));
    let run = tokio::spawn(async move { runner.run(&twice, "a", 1).await });
    soon("the first attempt", begun.acquire()).await.unwrap().forget();
    armed.store(true, Ordering::SeqCst);
    soon("the keeper's question", async {
        while tokio::time::timeout(Duration::from_millis(20), asked.notified()).await.is_err() {
            store.wakeups().announce_control();
        }
    })
    .await;
    // The attempt fails, and the branch is nobody's when the question reaches the store.
    gate.add_permits(1);
    soon("the backoff", async {
        while store.instance("a").await.unwrap().unwrap().branches.iter().any(|branch| branch.lease.is_some()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    parked.notify_one();
    soon("the second attempt", begun.acquire()).await.unwrap().forget();
    // The answer comes now; once the keeper asks again, it has acted on it.
    let before = rounds.load(Ordering::SeqCst);
    again.notify_one();
    until("the next round", || {
        store.wakeups().announce_control();
        rounds.load(Ordering::SeqCst) > before
    })
    .await;
    gate.add_permits(1);
    assert!(soon("the run", run).await.unwrap().unwrap().is_completed());
    assert_eq!(ran.load(Ordering::SeqCst), 2);
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
async fn a_wait_without_end_waits() {
    let store = InMemoryBackend::new();
    let client = WorkflowClient::new(store.clone());
    let one = flow("one").then("one", |x: u32| async move { Ok(x) }).build().unwrap();
    assert!(CheckpointingRunner::new(store).run(&one, "a", 1).await.unwrap().is_completed());
    assert!(client.wait("a", Some(Duration::MAX)).await.unwrap().status.is_completed());
}

#[tokio::test]
async fn a_join_that_is_given_up_can_be_made_again() {
    let gate = Arc::new(Notify::new());
    let (reached, begun, wait) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::clone(&gate));
    let note = Arc::clone(&begun);
    let slow = flow("slow")
        .then("slow", move |x: u32| {
            let (note, wait) = (Arc::clone(&note), Arc::clone(&wait));
            async move {
                note.notify_one();
                wait.notified().await;
                Ok(x)
            }
        })
        .build()
        .unwrap();
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

#[tokio::test]
async fn a_worker_that_is_told_to_stop_ends_with_its_tasks_and_gives_the_rest_back() {
    let (begun, gate, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
    let (note, wait, counted) = (Arc::clone(&begun), Arc::clone(&gate), Arc::clone(&second));
    let two = flow("two")
        .then("one", move |x: u32| {
            let (note, wait) = (Arc::clone(&note), Arc::clone(&wait));
            async move {
                note.notify_one();
                wait.notified().await;
                Ok(x + 1)
            }
        })
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

#[tokio::test]
async fn a_renewal_that_failed_is_tried_again_before_the_lease_ends() {
    const LEASE: Duration = Duration::from_secs(2);
    let (asked, hook) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let told = Arc::clone(&asked);
    let store = HookedStore::new(InMemoryBackend::new(), move |call| {
        let first = call == Call::BeforeRenew && hook.fetch_add(1, Ordering::SeqCst) == 0;
        if call == Call::BeforeRenew {
            told.add_permits(1);
        }
        Box::pin(std::future::ready(!first))
    });
    let gate = Arc::new(Notify::new());
    let wait = Arc::clone(&gate);
    let slow = flow("slow")
        .then("slow", move |x: u32| {
            let wait = Arc::clone(&wait);
            async move {
                wait.notified().await;
                Ok(x)
            }
        })
        .build()
        .unwrap();
    let runner = CheckpointingRunner::from_shared(store).with_lease(LEASE);
    let run = tokio::spawn(async move { runner.run(&slow, "a", 1).await });
    soon("the first renewal", asked.acquire()).await.unwrap().forget();
    tokio::time::timeout(LEASE * 2 / 5, asked.acquire()).await.expect("a second before the lease ends").unwrap().forget();
    gate.notify_one();
    assert!(soon("the run", run).await.unwrap().unwrap().is_completed());
}
