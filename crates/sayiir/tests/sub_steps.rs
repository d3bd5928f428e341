//! What a long task leaves while it runs: parts that are stored, progress that can be read, and how it learns that it is over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "tests")]

mod hooked;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use hooked::{Call, HookedStore};
use sayiir::core::branch::BranchId;
use sayiir::core::context::AttemptError;
use sayiir::core::journal::EntryKind;
use sayiir::core::transition::{Entry, EventGuard, Next, Output, Transition};
use sayiir::core::workflow::Typed;
use sayiir::persistence::{ClaimRequest, ClaimScope, CommitOutcome, Process, Store};
use sayiir::prelude::*;
use tokio::sync::Semaphore;

fn flow<Input>(name: &str) -> WorkflowBuilder<JsonCodec, Input, Typed<Input>> {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

fn retried(times: u32) -> TaskMetadata {
    let policy = RetryPolicy { initial_delay: Duration::from_millis(1), ..RetryPolicy::with_max_retries(times) };
    TaskMetadata { retries: Some(policy), ..TaskMetadata::default() }
}

/// Counts how often each part ran.
#[derive(Clone, Default)]
struct Ran(Arc<Mutex<Vec<String>>>);

impl Ran {
    fn note(&self, name: &str) {
        self.0.lock().unwrap().push(name.to_owned());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A task of three parts that fails behind the second of them in its first `failures` attempts.
fn import(ran: &Ran, failures: u32) -> Workflow<JsonCodec, u32, (), u32> {
    let ran = ran.clone();
    let import = move |day: u32| {
        let ran = ran.clone();
        async move {
            let context = get_task_context().ok_or("no context")?;
            let part = |name: &'static str, output: u32| {
                let ran = ran.clone();
                async move {
                    ran.note(name);
                    Ok(output)
                }
            };
            let rows = context.checkpoint("download", part("download", day * 10)).await?;
            let loaded = context.checkpoint("load", part("load", rows + 1)).await?;
            if context.attempt <= failures {
                return Err("the link broke".into());
            }
            context.checkpoint("report", part("report", loaded + 1)).await
        }
    };
    flow("import").then("import", import).with_metadata(retried(5)).build().unwrap()
}

async fn journal(store: &Arc<impl Store>, id: &str) -> Vec<(EntryKind, String)> {
    let rows = WorkflowClient::from_shared(Arc::clone(store)).history(id).await.unwrap();
    rows.into_iter().map(|row| (row.kind, row.node.to_string())).collect()
}

#[tokio::test]
async fn a_retry_repeats_no_part_that_was_stored() {
    let (ran, store) = (Ran::default(), Arc::new(InMemoryBackend::new()));
    let flow = import(&ran, 2);
    let status = CheckpointingRunner::from_shared(Arc::clone(&store)).run(&flow, "i", 4).await.unwrap();
    assert_eq!(status, WorkflowStatus::Completed);
    assert_eq!(ran.all(), ["download", "load", "report"]);
    let output = WorkflowClient::from_shared(Arc::clone(&store)).wait_for(&flow, "i", None).await.unwrap();
    assert_eq!(output, 42);
    let parts: Vec<_> = journal(&store, "i").await.into_iter().filter(|(kind, _)| *kind == EntryKind::SubStepCompleted).collect();
    assert_eq!(parts.iter().map(|(_, node)| node.as_str()).collect::<Vec<_>>(), ["import/download", "import/load", "import/report"]);
}

#[tokio::test]
async fn a_crash_at_every_write_repeats_no_part_that_was_stored() {
    // The run is dropped right before and right after its nth write; another worker resumes it.
    for after in [false, true] {
        for crash_at in 0..5 {
            let (ran, inner) = (Ran::default(), InMemoryBackend::new());
            let flow = import(&ran, 0);
            let writes = Arc::new(AtomicU32::new(0));
            let (dead, seen) = (Arc::new(Semaphore::new(0)), Arc::clone(&writes));
            let died = Arc::clone(&dead);
            let store = HookedStore::new(inner.clone(), move |call| {
                let (seen, died) = (Arc::clone(&seen), Arc::clone(&died));
                Box::pin(async move {
                    let counted = match (&call, after) {
                        (Call::BeforeCommit(_), false) | (Call::AfterCommit(_), true) => seen.fetch_add(1, Ordering::SeqCst),
                        _ => return true,
                    };
                    if counted == crash_at {
                        died.add_permits(1);
                        std::future::pending::<()>().await;
                    }
                    true
                })
            });
            let runner = CheckpointingRunner::from_shared(Arc::clone(&store));
            tokio::select! {
                status = runner.run(&flow, "i", 4) => assert_eq!(status.unwrap(), WorkflowStatus::Completed),
                permit = dead.acquire() => drop(permit),
            }
            drop(runner);
            let done: Vec<_> = inner_parts(&inner).await;
            let other = CheckpointingRunner::new(inner.clone());
            let status = tokio::time::timeout(Duration::from_secs(30), async {
                loop {
                    let status = other.resume(&flow, "i").await.unwrap();
                    if status.is_terminal() {
                        return status;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            assert_eq!(status.await.unwrap(), WorkflowStatus::Completed, "after {after} at {crash_at}");
            for part in ["download", "load", "report"] {
                let times = ran.all().iter().filter(|ran| *ran == part).count();
                let most = if done.contains(&format!("import/{part}")) { 1 } else { 2 };
                assert!((1..=most).contains(&times), "{part} ran {times} times, after {after} at {crash_at}");
            }
        }
    }
}

async fn inner_parts(store: &InMemoryBackend) -> Vec<String> {
    let rows = WorkflowClient::new(store.clone()).history("i").await.unwrap();
    rows.into_iter().filter(|row| row.kind == EntryKind::SubStepCompleted).map(|row| row.node.to_string()).collect()
}

#[tokio::test]
async fn a_part_whose_reply_was_lost_is_stored_once() {
    let (ran, inner) = (Ran::default(), Arc::new(InMemoryBackend::new()));
    let lost = Arc::new(AtomicU32::new(0));
    let store = HookedStore::new((*inner).clone(), move |call| {
        let lost = Arc::clone(&lost);
        Box::pin(async move { !(matches!(call, Call::AfterCommit(_)) && lost.fetch_add(1, Ordering::SeqCst).is_multiple_of(2)) })
    });
    let flow = import(&ran, 0);
    assert_eq!(CheckpointingRunner::from_shared(store).run(&flow, "i", 4).await.unwrap(), WorkflowStatus::Completed);
    assert_eq!(ran.all(), ["download", "load", "report"]);
    assert_eq!(inner_parts(&inner).await.len(), 3);
}

/// The store has the part, but its reply does not come: the task gives the part up meanwhile, and returns. Its result must not be
/// taken for the part's.
#[tokio::test]
async fn a_part_that_is_given_up_while_it_is_stored_confuses_nobody() {
    let (inner, applied) = (Arc::new(InMemoryBackend::new()), Arc::new(Semaphore::new(0)));
    let (told, held) = (Arc::clone(&applied), Arc::new(AtomicBool::new(false)));
    let store = HookedStore::new((*inner).clone(), move |call| {
        let part = |t: &Transition| t.entry.as_ref().is_some_and(|entry| entry.kind == EntryKind::SubStepCompleted);
        let holds = matches!(&call, Call::AfterCommit(all) if all.iter().any(part)) && !held.swap(true, Ordering::SeqCst);
        let told = Arc::clone(&told);
        Box::pin(async move {
            if holds {
                told.add_permits(1);
                std::future::pending::<()>().await;
            }
            true
        })
    });
    let runs = Arc::new(AtomicU32::new(0));
    let (counted, given_up) = (Arc::clone(&runs), Arc::clone(&applied));
    let work = move |x: u32| {
        counted.fetch_add(1, Ordering::SeqCst);
        let given_up = Arc::clone(&given_up);
        async move {
            tokio::select! {
                part = checkpoint("part", async move { Ok(x) }) => drop(part?),
                permit = given_up.acquire() => permit?.forget(),
            }
            Ok(x + 1)
        }
    };
    let flow = flow("given up").then("work", work).then("after", |x: u32| async move { Ok(x + 1) }).build().unwrap();
    let run = CheckpointingRunner::from_shared(store);
    let status = tokio::time::timeout(Duration::from_secs(10), run.run(&flow, "i", 1)).await.unwrap();
    assert_eq!(status.unwrap(), WorkflowStatus::Completed);
    assert_eq!(runs.load(Ordering::SeqCst), 1, "it returned once, and once is enough");
    let nodes: Vec<_> = journal(&inner, "i").await.into_iter().map(|(_, node)| node).collect();
    assert_eq!(nodes, ["work", "work/part", "work", "after"]);
}

/// Its lease ended while the part was on its way; another worker stored the part and died; the first took the branch again.
#[tokio::test]
async fn a_part_that_somebody_else_stored_meanwhile_is_not_stored_again() {
    let inner = Arc::new(InMemoryBackend::new());
    let (on_its_way, again, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (told, taken, held) = (Arc::clone(&on_its_way), Arc::clone(&again), Arc::new(AtomicBool::new(false)));
    let wait = Arc::clone(&go);
    let store = HookedStore::new((*inner).clone(), move |call| {
        let (told, taken, held, wait) = (Arc::clone(&told), Arc::clone(&taken), Arc::clone(&held), Arc::clone(&wait));
        Box::pin(async move {
            match call {
                Call::BeforeCommit(_) if !held.swap(true, Ordering::SeqCst) => {
                    told.add_permits(1);
                    wait.acquire().await.unwrap().forget();
                }
                Call::AfterClaim(views) if views.iter().any(|view| view.crashes > 0) => taken.add_permits(1),
                _ => {}
            }
            true
        })
    });
    let ran = Ran::default();
    let (flow, client) = (import(&ran, 0), WorkflowClient::from_shared(Arc::clone(&inner)));
    client.submit(&flow, "i", 4).await.unwrap();
    let workflows = WorkflowSet::new().with(Arc::new(flow.clone()));
    let worker = LocalWorker::from_shared(store).lease(Duration::from_hours(1)).spawn(workflows).await.unwrap();
    let soon = |semaphore: Arc<Semaphore>| async move {
        let permit = tokio::time::timeout(Duration::from_secs(10), semaphore.acquire_owned());
        permit.await.unwrap().unwrap().forget();
    };
    soon(on_its_way).await;

    let holder = inner.instance("i").await.unwrap().unwrap().branches.into_iter().find_map(|branch| branch.lease).unwrap();
    // Silently, so that the worker does not take it at once.
    let other = inner.open_session(Process { host: "elsewhere".into(), pid: 1, started: 1, worker_id: "other".into() }).await.unwrap();
    let taken_over = async {
        inner.expire_leases(holder).await.unwrap();
        let run = inner.instance("i").await.unwrap().unwrap().summary.run;
        let scope = ClaimScope::Branch { run, branch: BranchId::root() };
        inner.claim(ClaimRequest { lease: other, ttl: Duration::from_hours(1), limit: 1, scope }).await.unwrap()
    };
    let view = taken_over.now_or_never().unwrap().pop().unwrap();
    let entry = Entry {
        kind: EntryKind::SubStepCompleted,
        node: "import/download".into(),
        attempt: 1,
        output: Output::Value("400".into()),
        error: None,
    };
    let stored = Transition {
        instance_id: "i".into(),
        run: view.run,
        branch: view.branch,
        revision: view.revision,
        entry: Some(entry),
        guard: EventGuard::None,
        held: false,
        next: Next::Run { head: view.head },
    };
    let outcomes = inner.commit(other, vec![stored]).await.unwrap();
    assert!(matches!(outcomes[..], [CommitOutcome::Accepted { .. }]));
    inner.expire_leases(other).await.unwrap();
    soon(again).await;
    go.add_permits(1);

    assert_eq!(client.wait_for(&flow, "i", Some(Duration::from_secs(10))).await.unwrap(), 402, "what the other stored stands");
    assert_eq!(inner_parts(&inner).await, ["import/download", "import/load", "import/report"]);
    worker.shutdown();
    worker.join().await.unwrap();
}

#[tokio::test]
async fn a_pause_during_a_task_lets_its_parts_be_stored() {
    let store = Arc::new(InMemoryBackend::new());
    let (begun, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (told, wait) = (Arc::clone(&begun), Arc::clone(&gate));
    let work = move |x: u32| {
        let (told, wait) = (Arc::clone(&told), Arc::clone(&wait));
        async move {
            told.add_permits(1);
            wait.acquire().await?.forget();
            checkpoint("part", async move { Ok(x + 1) }).await
        }
    };
    let flow = flow("paused").then("work", work).then("after", |x: u32| async move { Ok(x + 1) }).build().unwrap();
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store));
    let client = WorkflowClient::from_shared(Arc::clone(&store));
    let pause = async {
        begun.acquire().await.unwrap().forget();
        client.pause("i", None, None).await.unwrap();
        gate.add_permits(1);
    };
    let (status, ()) = tokio::join!(runner.run(&flow, "i", 1), pause);
    assert!(matches!(status.unwrap(), WorkflowStatus::Paused { .. }));
    let nodes: Vec<_> = journal(&store, "i").await.into_iter().map(|(_, node)| node).collect();
    assert!(nodes.contains(&"work/part".to_owned()) && nodes.contains(&"work".to_owned()), "{nodes:?}");
    client.unpause("i").await.unwrap();
    assert_eq!(runner.resume(&flow, "i").await.unwrap(), WorkflowStatus::Completed);
    assert_eq!(client.wait_for(&flow, "i", None).await.unwrap(), 3);
}

#[tokio::test]
async fn parts_may_run_side_by_side_but_each_has_its_own_name() {
    let both = flow("both").then("both", |x: u32| async move {
        let context = get_task_context().ok_or("no context")?;
        let (a, b) = tokio::join!(context.checkpoint("a", async { Ok(x) }), context.checkpoint("b", async { Ok(x + 1) }));
        Ok(a? + b?)
    });
    assert_eq!(both.build().unwrap().run_once(1).await.unwrap(), 3);
    let twice = flow("twice").then("twice", |x: u32| async move {
        checkpoint("a", async { Ok(x) }).await?;
        checkpoint("a", async { Ok(x + 1) }).await
    });
    let error = twice.with_metadata(retried(3)).build().unwrap().run_once(1).await.unwrap_err().to_string();
    assert!(error.contains("attempt 1 failed") && error.contains("\"a\" of twice was asked for twice"), "{error}");
}

#[tokio::test]
async fn a_part_that_fails_or_is_too_large_or_of_another_type_says_so() {
    let failing =
        flow("failing").then("t", |_: u32| async move { checkpoint("p", async { Err::<u32, BoxError>("no network".into()) }).await });
    let error = failing.build().unwrap().run_once(1).await.unwrap_err().to_string();
    assert!(error.contains("no network"), "{error}");
    let large =
        flow("large").then("t", |_: u32| async move { checkpoint("p", async { Ok("x".repeat(5 << 20)) }).await.map(|text| text.len()) });
    let error = large.build().unwrap().run_once(1).await.unwrap_err().to_string();
    assert!(error.contains("could not store the sub-step \"p\"") && error.contains("4194304"), "{error}");
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let changed = flow("changed").then("t", move |x: u32| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                checkpoint("p", async move { Ok(x) }).await?;
                return Err("once".into());
            }
            checkpoint("p", async { Ok(String::new()) }).await.map(|text| u32::try_from(text.len()).unwrap())
        }
    });
    let error = changed.with_metadata(retried(3)).build().unwrap().run_once(1).await.unwrap_err().to_string();
    assert!(error.contains("could not decode a String from the stored sub-step \"p\" of t"), "{error}");
    assert_eq!(attempts.load(Ordering::SeqCst), 2, "another attempt would read the same");
}

#[tokio::test]
async fn a_function_with_parts_is_callable_in_a_plain_test() {
    assert_eq!(checkpoint("p", async { Ok(1_u32) }).await.unwrap(), 1);
}

#[tokio::test]
async fn progress_is_read_by_the_client_while_the_task_runs() {
    let store = Arc::new(InMemoryBackend::new());
    let client = WorkflowClient::from_shared(Arc::clone(&store));
    let reader = client.clone();
    let work = move |x: u32| {
        let reader = reader.clone();
        async move {
            let context = get_task_context().ok_or("no context")?;
            assert_eq!(reader.progress("i").await?, []);
            context.report_progress(&("rows", 10)).await?;
            context.report_progress(&("rows", 20)).await?;
            let shown = reader.progress("i").await?;
            assert_eq!(shown.len(), 1);
            assert_eq!((&*shown[0].node, shown[0].attempt), ("work", 1));
            assert_eq!(shown[0].decode::<(String, u32)>()?, ("rows".to_owned(), 20));
            assert!(shown[0].decode::<bool>().unwrap_err().to_string().contains("the progress of work"));
            Ok(x)
        }
    };
    let flow = flow("reports").then("before", |x: u32| async move { Ok(x) }).then("work", work).build().unwrap();
    let status = CheckpointingRunner::from_shared(store).run(&flow, "i", 1).await.unwrap();
    assert_eq!(status, WorkflowStatus::Completed);
    assert_eq!(client.progress("i").await.unwrap(), []);
    assert!(client.progress("nobody").await.is_err());
}

#[tokio::test]
async fn what_a_task_left_on_a_thread_learns_that_it_is_cancelled() {
    let store = Arc::new(InMemoryBackend::new());
    let client = WorkflowClient::from_shared(Arc::clone(&store));
    let (begun, stopped) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(false)));
    let (told, stops) = (Arc::clone(&begun), Arc::clone(&stopped));
    let work = move |x: u32| {
        let (told, stops) = (Arc::clone(&told), Arc::clone(&stops));
        async move {
            let context = get_task_context().ok_or("no context")?;
            let (thread, late) = (Arc::clone(&context), tokio::runtime::Handle::current());
            tokio::task::spawn_blocking(move || {
                assert!(!thread.is_cancelled());
                told.add_permits(1);
                while !thread.is_cancelled() {
                    std::thread::yield_now();
                }
                let refused = late.block_on(thread.checkpoint("late", async { Ok(1_u32) })).unwrap_err();
                assert!(matches!(refused.downcast_ref(), Some(AttemptError::Over { .. })), "{refused}");
                stops.store(true, Ordering::SeqCst);
            })
            .await?;
            Ok(x)
        }
    };
    let flow = flow("cancelled").then("work", work).build().unwrap();
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store));
    let cancel = async {
        begun.acquire().await.unwrap().forget();
        client.cancel("i", None, None).await.unwrap();
    };
    let (status, ()) =
        tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(runner.run(&flow, "i", 1), cancel) }).await.unwrap();
    assert!(matches!(status.unwrap(), WorkflowStatus::Cancelled { .. }));
    let ended = async {
        while !stopped.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
}
