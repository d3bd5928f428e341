//! The runners, as a program uses them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::similar_names,
    clippy::type_complexity,
    reason = "tests"
)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sayiir::core::workflow::Typed;
use sayiir::persistence::Limits;
use sayiir::prelude::*;

fn flow<Input>(name: &str) -> WorkflowBuilder<JsonCodec, Input, Typed<Input>> {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

fn retried(max_retries: u32) -> TaskMetadata {
    let policy = RetryPolicy { initial_delay: Duration::from_millis(1), ..RetryPolicy::with_max_retries(max_retries) };
    TaskMetadata { retries: Some(policy), ..TaskMetadata::default() }
}

fn assert_send<T: Send>(future: T) -> T {
    future
}

#[tokio::test]
async fn run_once_gives_the_decoded_output_or_a_typed_error() {
    let double = flow("double").then("double", |x: u32| async move { Ok(2 * x) }).build().unwrap();
    assert_eq!(double.run_once(21).await.unwrap(), 42);
    let broken = flow("broken").then("break", |_: u32| async move { Err::<u32, _>("no luck".into()) }).build().unwrap();
    let error = broken.run_once(1).await.unwrap_err();
    assert!(
        matches!(&error, RuntimeError::Workflow(WorkflowError::TaskFailed(text)) if text.contains("break") && text.contains("no luck")),
        "{error}"
    );
}

#[tokio::test]
async fn the_futures_of_the_runners_are_send() {
    let double = flow("double").then("double", |x: u32| async move { Ok(2 * x) }).build().unwrap();
    let runner = CheckpointingRunner::new(InMemoryBackend::new());
    assert!(assert_send(runner.run(&double, "a", 1)).await.unwrap().is_completed());
    assert!(assert_send(runner.resume(&double, "a")).await.unwrap().is_completed());
    assert_eq!(assert_send(double.run_once(1)).await.unwrap(), 2);
    assert!(assert_send(InProcessRunner.run(&double, 1)).await.unwrap().is_completed());
}

#[tokio::test]
async fn fork_branches_run_at_the_same_time() {
    let meet = Arc::new(tokio::sync::Barrier::new(3));
    let branch = |meet: &Arc<tokio::sync::Barrier>| {
        let meet = Arc::clone(meet);
        move |x: u32| {
            let meet = Arc::clone(&meet);
            async move {
                meet.wait().await;
                Ok(x)
            }
        }
    };
    let met = flow("meet")
        .fork()
        .branch("a", branch(&meet))
        .branch("b", branch(&meet))
        .branch("c", branch(&meet))
        .join("all", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) })
        .build()
        .unwrap();
    assert_eq!(met.run_once(1).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fork_branches_run_on_different_threads() {
    let meet = Arc::new(std::sync::Barrier::new(2));
    let branch = |meet: &Arc<std::sync::Barrier>| {
        let meet = Arc::clone(meet);
        move |_: u32| {
            let meet = Arc::clone(&meet);
            async move {
                // Blocks its thread: were both on one, neither would go on.
                meet.wait();
                Ok(format!("{:?}", std::thread::current().id()))
            }
        }
    };
    let met = flow("threads")
        .fork()
        .branch("a", branch(&meet))
        .branch("b", branch(&meet))
        .join("differ", |outputs: BranchOutputs<JsonCodec>| async move {
            Ok(outputs.get_by_id::<String>("a")? != outputs.get_by_id::<String>("b")?)
        })
        .build()
        .unwrap();
    assert!(met.run_once(1).await.unwrap());
}

#[tokio::test]
async fn a_panic_is_a_failure_like_any_other() {
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    let panics = flow("panics")
        .then("panic", move |x: u32| {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            // Both in the closure and in its future.
            assert!(!first, "the first call");
            let second = counted.load(Ordering::SeqCst) == 2;
            async move {
                assert!(!second, "the second future");
                Ok(x)
            }
        })
        .with_metadata(retried(2))
        .build()
        .unwrap();
    assert_eq!(panics.run_once(7).await.unwrap(), 7);
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    let always = flow("always").then("boom", |_: u32| async move { if true { panic!("boom {}", 1) } else { Ok(()) } }).build().unwrap();
    let error = always.run_once(1).await.unwrap_err().to_string();
    assert!(error.contains("boom: attempt 1 failed: the task panicked: boom 1"), "{error}");
}

#[tokio::test]
async fn a_task_over_its_timeout_is_dropped_and_fails() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&dropped);
    let slow = flow("slow")
        .then("sleep", move |_: u32| {
            let guard = Dropped(Arc::clone(&flag));
            async move {
                std::future::pending::<()>().await;
                drop(guard);
                Ok(())
            }
        })
        .with_metadata(TaskMetadata { timeout: Some(Duration::from_millis(20)), ..TaskMetadata::default() })
        .build()
        .unwrap();
    let error = slow.run_once(1).await.unwrap_err().to_string();
    assert!(error.contains("\"sleep\"") && error.contains("timeout of 20ms"), "{error}");
    assert!(dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn the_conflict_policies_do_as_they_say() {
    let ran = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&ran);
    let count = flow("count")
        .then("count", move |x: u32| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move { Ok(x) }
        })
        .build()
        .unwrap();
    let other = flow("other").then("count", |x: u32| async move { Ok(x) }).build().unwrap();
    let store = InMemoryBackend::new();
    let runner = |policy| CheckpointingRunner::new(store.clone()).with_conflict_policy(policy);
    assert!(runner(ConflictPolicy::Fail).run(&count, "a", 1).await.unwrap().is_completed());
    let error = runner(ConflictPolicy::Fail).run(&count, "a", 2).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::InstanceAlreadyExists(id) if id == "a"), "{error}");
    for word in ["\"a\"", "'use_existing'", "'terminate_existing'", "resume()"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(runner(ConflictPolicy::UseExisting).run(&count, "a", 2).await.unwrap().is_completed());
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    assert!(runner(ConflictPolicy::TerminateExisting).run(&count, "a", 2).await.unwrap().is_completed());
    assert_eq!(ran.load(Ordering::SeqCst), 2);
    for policy in [ConflictPolicy::Fail, ConflictPolicy::UseExisting, ConflictPolicy::TerminateExisting] {
        let error = runner(policy).run(&other, "a", 1).await.unwrap_err();
        assert!(matches!(&error, RuntimeError::Workflow(WorkflowError::DefinitionMismatch { instance_id: Some(id), .. }) if &**id == "a"));
        assert!(error.to_string().contains("mismatch of instance \"a\""), "{error}");
    }
    let error = runner(ConflictPolicy::Fail).resume(&other, "a").await.unwrap_err();
    assert!(error.to_string().contains("mismatch"), "{error}");
    assert!(matches!(runner(ConflictPolicy::Fail).run(&count, "", 1).await, Err(RuntimeError::InvalidInstanceId(_))));
    assert!(matches!(runner(ConflictPolicy::Fail).resume(&count, "nobody").await, Err(RuntimeError::Backend(BackendError::NotFound(_)))));
}

#[tokio::test]
async fn a_replaced_runner_writes_nothing_and_says_so() {
    let (reached, gate) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let (note, wait) = (Arc::clone(&reached), Arc::clone(&gate));
    let slow = flow("slow")
        .then("wait", move |x: u32| {
            let (note, wait) = (Arc::clone(&note), Arc::clone(&wait));
            async move {
                if x == 1 {
                    note.notify_one();
                    wait.notified().await;
                }
                Ok(x)
            }
        })
        .build()
        .unwrap();
    let store = InMemoryBackend::new();
    let (first, flow_of_first) = (CheckpointingRunner::new(store.clone()), slow.clone());
    let old = tokio::spawn(async move { first.run(&flow_of_first, "a", 1).await });
    reached.notified().await;
    let second = CheckpointingRunner::new(store.clone()).with_conflict_policy(ConflictPolicy::TerminateExisting);
    assert!(second.run(&slow, "a", 2).await.unwrap().is_completed());
    gate.notify_one();
    let error = old.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("replaced"), "{error}");
    assert_eq!(WorkflowClient::new(store).wait_for(&slow, "a", None).await.unwrap(), 2);
}

#[tokio::test]
async fn ten_thousand_nodes_build_hash_and_run() {
    let mut builder = flow("long").then("step-0", |x: u32| async move { Ok(x + 1) });
    for number in 1..10_000 {
        builder = builder.then(format!("step-{number}"), |x: u32| async move { Ok(x + 1) });
    }
    let long = builder.build().unwrap();
    assert_eq!(long.iter_nodes().count(), 10_000);
    assert_eq!(long.run_once(0).await.unwrap(), 10_000);
}

#[tokio::test]
async fn every_task_has_its_context_and_one_idempotency_key() {
    let seen: Arc<Mutex<Vec<(String, u32, String)>>> = Arc::default();
    let note = |seen: &Arc<Mutex<Vec<(String, u32, String)>>>| {
        let seen = Arc::clone(seen);
        move || {
            let context = task_context!().expect("a context");
            let mut seen = seen.lock().unwrap();
            seen.push((context.node_path.to_string(), context.attempt, context.idempotency_key()));
            seen.len()
        }
    };
    let (first, key, joined, arm) = (note(&seen), note(&seen), note(&seen), note(&seen));
    let all = flow("context")
        .then("first", move |x: u32| {
            let failed = first() == 1;
            async move { if failed { Err("once".into()) } else { Ok(x) } }
        })
        .with_metadata(retried(1))
        .fork()
        .branch("a", |x: u32| async move { Ok(x) })
        .join("join", move |outputs: BranchOutputs<JsonCodec>| {
            joined();
            async move { outputs.get_by_id::<u32>("a") }
        })
        .route_str::<u32, _, _>(move |_: u32| {
            key();
            async move { Ok("k".to_owned()) }
        })
        .branch("k", move |s| {
            s.then("arm", move |x: u32| {
                // Also after an await.
                let noted = arm.clone();
                async move {
                    tokio::task::yield_now().await;
                    noted();
                    Ok(x)
                }
            })
        })
        .done()
        .build()
        .unwrap();
    assert!(CheckpointingRunner::new(InMemoryBackend::new()).run(&all, "ctx", 1).await.unwrap().is_completed());
    let seen = seen.lock().unwrap().clone();
    let places: Vec<_> = seen.iter().map(|(path, attempt, _)| (path.as_str(), *attempt)).collect();
    assert_eq!(places, [("first", 1), ("first", 2), ("join", 1), ("route", 1), ("route/k/arm", 1)]);
    assert_eq!(seen[0].2, seen[1].2, "the same on each attempt");
    assert!(seen[0].2.contains("ctx") && seen[0].2.contains("first"));
    assert!(get_task_context().is_none());
}

#[tokio::test]
async fn a_run_waits_out_backoffs_and_returns_at_delays_and_signals() {
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    let waits = flow("waits")
        .then("flaky", move |x: u32| {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            async move { if first { Err("once".into()) } else { Ok(x) } }
        })
        .with_metadata(retried(1))
        .delay("nap", Duration::from_millis(30))
        .wait_for_signal("gate", "go", None)
        .then("end", |word: String| async move { Ok(word.len()) })
        .build()
        .unwrap();
    let store = InMemoryBackend::new();
    let (runner, client) = (CheckpointingRunner::new(store.clone()), WorkflowClient::new(store));
    let status = runner.run(&waits, "w", 1).await.unwrap();
    assert!(matches!(&status, WorkflowStatus::Waiting { delay_id, .. } if delay_id == "nap"), "{status:?}");
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    let mut status = runner.resume(&waits, "w").await.unwrap();
    while matches!(status, WorkflowStatus::Waiting { .. }) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        status = runner.resume(&waits, "w").await.unwrap();
    }
    assert!(
        matches!(&status, WorkflowStatus::AwaitingSignal { signal_name, signal_id, .. } if signal_name == "go" && signal_id == "gate"),
        "{status:?}"
    );
    assert_eq!(client.status("w").await.unwrap(), status);
    client.send_event("w", "go", "\"four\"").await.unwrap();
    assert!(runner.resume(&waits, "w").await.unwrap().is_completed());
    assert_eq!(client.wait_for(&waits, "w", None).await.unwrap(), 4);
    assert!(client.send_event("w", "go", "1").await.is_err(), "it has ended");
}

#[tokio::test]
async fn a_dropped_run_is_given_back_at_once() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (hold, reached) = (Arc::clone(&gate), Arc::new(tokio::sync::Notify::new()));
    let note = Arc::clone(&reached);
    let slow = flow("slow")
        .then("hold", move |x: u32| {
            let (hold, note) = (Arc::clone(&hold), Arc::clone(&note));
            async move {
                note.notify_one();
                hold.acquire().await?.forget();
                Ok(x)
            }
        })
        .build()
        .unwrap();
    let store = InMemoryBackend::new();
    let runner = CheckpointingRunner::new(store.clone());
    tokio::select! {
        status = runner.run(&slow, "d", 1) => panic!("it cannot end: {status:?}"),
        () = reached.notified() => {}
    }
    gate.add_permits(1);
    let mut status = runner.resume(&slow, "d").await.unwrap();
    while status == WorkflowStatus::InProgress {
        tokio::task::yield_now().await;
        status = runner.resume(&slow, "d").await.unwrap();
    }
    assert!(status.is_completed(), "{status:?}");
}

#[tokio::test]
async fn what_the_store_cannot_hold_fails_the_instance_and_says_so() {
    let store = InMemoryBackend::with_limits(Limits { payload_bytes: 1000, ..Limits::default() });
    let runner = CheckpointingRunner::new(store.clone());
    let large = flow("large").then("grow", |x: usize| async move { Ok("x".repeat(x)) }).build().unwrap();
    assert!(runner.run(&large, "small", 10).await.unwrap().is_completed());
    let status = runner.run(&large, "large", 5000).await.unwrap();
    assert!(
        matches!(&status, WorkflowStatus::Failed(error) if error.contains("grow") && error.contains("5002") && error.contains("1000")),
        "{status:?}"
    );
    let nul = flow("nul").then("nul", |_: u32| async move { Err::<(), _>("a\0b".into()) }).build().unwrap();
    let status = runner.run(&nul, "nul", 1).await.unwrap();
    assert!(matches!(&status, WorkflowStatus::Failed(error) if error.contains("a\u{fffd}b")), "{status:?}");
    let endless = flow("endless").then("endless", |_: u32| async move { Err::<(), _>("é".repeat(1 << 20).into()) }).build().unwrap();
    assert!(matches!(runner.run(&endless, "endless", 1).await.unwrap(), WorkflowStatus::Failed(error) if error.len() < 70_000));
    let input = flow("input").then("len", |x: String| async move { Ok(x.len()) }).build().unwrap();
    let error = runner.run(&input, "input", "x".repeat(5000)).await.unwrap_err();
    assert!(error.to_string().contains("5002") || format!("{error:?}").contains("5002"), "{error:?}");
    assert!(matches!(WorkflowClient::new(store).status("input").await, Err(RuntimeError::Backend(BackendError::NotFound(_)))));
}

#[tokio::test]
async fn a_timed_out_signal_is_none_to_a_step_that_takes_it() {
    let build = |name: &str| flow::<()>(name).wait_for_signal("gate", "approval", Some(Duration::from_millis(5)));
    let takes = build("takes").then("end", |word: Option<String>| async move { Ok(word.is_none()) }).build().unwrap();
    assert!(takes.run_once(()).await.unwrap());
    let refuses = build("refuses").then("end", |word: String| async move { Ok(word) }).build().unwrap();
    let error = refuses.run_once(()).await.unwrap_err().to_string();
    assert!(error.contains("approval"), "{error}");
    let typed = flow::<()>("typed").wait_for_signal_opt::<u32>("gate", "approval", Some(Duration::from_millis(5))).build().unwrap();
    assert_eq!(typed.run_once(()).await.unwrap(), None);
}

#[tokio::test]
async fn a_dropped_runner_lets_go_of_its_store() {
    let directory = tempfile::tempdir().unwrap();
    let double = flow("double").then("double", |x: u32| async move { Ok(2 * x) }).build().unwrap();
    // Its leases would be renewed after half an hour; nothing may keep the file open until then.
    let store = sayiir::SqliteBackend::open(directory.path().join("let-go.db")).await.unwrap();
    let runner = CheckpointingRunner::new(store).with_lease(Duration::from_hours(1));
    assert!(runner.run(&double, "a", 1).await.unwrap().is_completed());
    drop(runner);
    let files = || std::fs::read_dir(directory.path()).unwrap().count();
    let dropped = std::time::Instant::now();
    while files() > 1 {
        assert!(dropped.elapsed() < Duration::from_mins(1), "the store is still open");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn delays_end_one_after_the_other_while_another_branch_still_runs() {
    let done = Arc::new(tokio::sync::Semaphore::new(0));
    let branch = |done: &Arc<tokio::sync::Semaphore>| {
        let done = Arc::clone(done);
        move |x: u32| {
            done.add_permits(1);
            async move { Ok(x) }
        }
    };
    let both = Arc::clone(&done);
    let timed = flow("timed")
        .fork()
        .branch_flow("short", |s| s.delay("nap", Duration::from_millis(5)).then("a", branch(&done)))
        .branch_flow("long", |s| s.delay("nap", Duration::from_millis(50)).then("b", branch(&done)))
        .branch("waits", move |x: u32| {
            let both = Arc::clone(&both);
            async move {
                both.acquire_many(2).await?.forget();
                Ok(x)
            }
        })
        .join("end", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) })
        .build()
        .unwrap();
    let runner = CheckpointingRunner::new(InMemoryBackend::new());
    let run = runner.run(&timed, "t", 1);
    assert!(tokio::time::timeout(Duration::from_mins(1), run).await.expect("both delays end").unwrap().is_completed());
}

/// Time passes by itself here whenever everything waits.
#[tokio::test(start_paused = true)]
async fn a_suspect_that_runs_alone_may_wait_for_a_task_of_its_own_runner() {
    use sayiir::persistence::{ClaimRequest, ClaimScope, Process, Store};

    let store = InMemoryBackend::new();
    let runner = Arc::new(CheckpointingRunner::new(store.clone()));
    let inner = flow("inner").then("double", |x: u32| async move { Ok(2 * x) }).build().unwrap();
    let (again, within) = (Arc::clone(&runner), inner.clone());
    let outer = flow("outer")
        .then("nested", move |x: u32| {
            let (runner, inner) = (Arc::clone(&again), within.clone());
            async move { Ok(runner.run(&inner, "inner", x).await?.is_completed()) }
        })
        .build()
        .unwrap();
    WorkflowClient::new(store.clone()).submit(&outer, "outer", 1).await.unwrap();
    // Three owners take it and are lost; two of them held it when it was taken from them.
    for pid in 0..3 {
        let process = Process { host: "gone".to_owned(), pid, started: 1, worker_id: "gone".to_owned() };
        let lease = store.open_session(process).await.unwrap();
        let scope = ClaimScope::Instance(Arc::from("outer"));
        let claimed = store.claim(ClaimRequest { lease, ttl: Duration::from_secs(10), limit: 1, scope }).await.unwrap();
        assert_eq!(claimed[0].crashes, pid);
        store.expire_leases(lease).await.unwrap();
    }
    let status = tokio::time::timeout(Duration::from_mins(1), runner.resume(&outer, "outer")).await.expect("it ends");
    assert!(status.unwrap().is_completed());
}

#[tokio::test]
async fn an_error_of_the_store_names_the_instance_and_the_node_once() {
    use sayiir_store_testkit::{Fault, FaultStore};

    let store = Arc::new(FaultStore::new(Arc::new(InMemoryBackend::new())));
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store)).with_patience(Duration::ZERO);
    let two = flow("two").then("first", |x: u32| async move { Ok(x) }).then("second", |x: u32| async move { Ok(x) }).build().unwrap();
    // The session, the start and the first step are stored.
    store.fail_write(4, Fault::CrashBefore);
    let error = runner.run(&two, "order-17", 1).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("\"order-17\"") && text.contains("\"second\""), "{text}");
    let cause = std::error::Error::source(&error).expect("the store's own words").to_string();
    assert!(cause.contains("unavailable") && !text.contains(&cause), "{text}: {cause}");
}
