//! The local worker and the client, as a program uses them: on one store, on one file from two sides, and
//! against live control.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sayiir::SqliteBackend;
use sayiir::core::journal::EntryKind;
use sayiir::core::workflow::Typed;
use sayiir::persistence::{InstanceFilter, Store};
use sayiir::prelude::*;

/// Longer than anything here takes, and shorter than the worker's safety poll of a minute.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

fn flow<Input>(name: &str) -> WorkflowBuilder<JsonCodec, Input, Typed<Input>> {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

async fn both(test: impl AsyncFn(Arc<dyn Store>)) {
    test(Arc::new(InMemoryBackend::new())).await;
    let directory = tempfile::tempdir().unwrap();
    test(Arc::new(SqliteBackend::open(directory.path().join("worker.db")).await.unwrap())).await;
}

#[tokio::test]
async fn a_worker_drives_submissions_of_any_type_through_delays_and_events() {
    both(async |store| {
        let numbers = flow("numbers")
            .then("double", |x: u32| async move { Ok(2 * x) })
            .delay("nap", Duration::from_millis(20))
            .then("end", |x: u32| async move { Ok(x + 1) })
            .build()
            .unwrap();
        let words = flow("words")
            .then("ask", |word: String| async move { Ok(word) })
            .wait_for_signal("answer", "answer", None)
            .then("end", |x: u32| async move { Ok(x) })
            .build()
            .unwrap();
        let workflows = WorkflowSet::new().with(Arc::new(numbers.clone())).with(Arc::new(words.clone()));
        let worker = LocalWorker::builder(Arc::clone(&store)).spawn(workflows).await.unwrap();
        let client = WorkflowClient::new(store);
        client.submit(&numbers, "n", 4).await.unwrap();
        client.submit(&words, "w", "why".to_owned()).await.unwrap();
        assert_eq!(client.wait_for(&numbers, "n", PATIENCE).await.unwrap(), 9);
        client.send_event("w", "answer", "42").await.unwrap();
        assert_eq!(client.wait_for(&words, "w", PATIENCE).await.unwrap(), 42);
        client.send_event("early", "answer", "7").await.unwrap();
        client.submit(&words, "early", "before".to_owned()).await.unwrap();
        assert_eq!(client.wait_for(&words, "early", PATIENCE).await.unwrap(), 7);
        assert_eq!(client.get_task_result("n", "double").await.unwrap().unwrap(), "8");
        assert_eq!(client.get_task_result("n", TaskId::from("end")).await.unwrap().unwrap(), "9");
        assert_eq!(client.get_task_result("n", "nothing").await.unwrap(), None);
        let ids: Vec<_> =
            client.list(InstanceFilter::default()).await.unwrap().into_iter().map(|one| one.instance_id.to_string()).collect();
        assert_eq!(ids, ["early", "n", "w"]);
        let kinds: Vec<_> = client.history("n").await.unwrap().into_iter().map(|row| row.kind).collect();
        assert_eq!(kinds, [EntryKind::Started, EntryKind::TaskCompleted, EntryKind::DelayElapsed, EntryKind::TaskCompleted]);
        worker.shutdown();
        worker.join().await.unwrap();
    })
    .await;
}

/// Set when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_cancel_reaches_a_running_task_and_ends_the_instance() {
    both(async |store| {
        let dropped = Arc::new(AtomicBool::new(false));
        let (flag, started) = (Arc::clone(&dropped), Arc::new(tokio::sync::Notify::new()));
        let note = Arc::clone(&started);
        let endless = flow("endless")
            .then("hang", move |_: u32| {
                let (guard, note) = (Dropped(Arc::clone(&flag)), Arc::clone(&note));
                async move {
                    note.notify_one();
                    std::future::pending::<()>().await;
                    drop(guard);
                    Ok(())
                }
            })
            .build()
            .unwrap();
        let worker = LocalWorker::builder(Arc::clone(&store)).spawn(WorkflowSet::new().with(Arc::new(endless.clone()))).await.unwrap();
        let client = WorkflowClient::new(store);
        client.submit(&endless, "e", 1).await.unwrap();
        started.notified().await;
        client.cancel("e", Some("enough".to_owned()), Some("me".to_owned())).await.unwrap();
        let status = client.wait("e", PATIENCE).await.unwrap().status;
        assert_eq!(status, WorkflowStatus::Cancelled { reason: Some("enough".to_owned()), cancelled_by: Some("me".to_owned()) });
        let asked = Instant::now();
        while !dropped.load(Ordering::SeqCst) {
            assert!(asked.elapsed() < Duration::from_secs(30), "the task still runs");
            tokio::task::yield_now().await;
        }
        client.cancel("e", None, None).await.expect("cancelling twice is fine");
        worker.shutdown();
        worker.join().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn pause_holds_between_steps_and_unpause_goes_on() {
    both(async |store| {
        let (gate, started) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::new(tokio::sync::Notify::new()));
        let (hold, note) = (Arc::clone(&gate), Arc::clone(&started));
        let two = flow("two")
            .then("first", move |x: u32| {
                let (hold, note) = (Arc::clone(&hold), Arc::clone(&note));
                async move {
                    note.notify_one();
                    hold.acquire().await?.forget();
                    Ok(x + 1)
                }
            })
            .then("second", |x: u32| async move { Ok(x + 1) })
            .build()
            .unwrap();
        let worker = LocalWorker::builder(Arc::clone(&store)).spawn(WorkflowSet::new().with(Arc::new(two.clone()))).await.unwrap();
        let client = WorkflowClient::new(store);
        client.submit(&two, "p", 1).await.unwrap();
        started.notified().await;
        client.pause("p", Some("lunch".to_owned()), None).await.unwrap();
        client.pause("p", None, None).await.expect("pausing twice is fine");
        gate.add_permits(1);
        while client.get_task_result("p", "first").await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        assert!(matches!(client.status("p").await.unwrap(), WorkflowStatus::Paused { .. }));
        assert_eq!(client.get_task_result("p", "second").await.unwrap(), None);
        client.unpause("p").await.unwrap();
        assert_eq!(client.wait_for(&two, "p", PATIENCE).await.unwrap(), 3);
        let error = client.cancel("p", None, None).await.unwrap_err().to_string();
        assert!(error.contains("Cannot cancel") && error.contains("\"p\"") && error.contains("completed"), "{error}");
        assert!(client.pause("p", None, None).await.unwrap_err().to_string().contains("Cannot pause"));
        worker.shutdown();
        worker.join().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_workers_on_one_file_run_each_step_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shared.db");
    let ran: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let note = |ran: &Arc<Mutex<BTreeMap<String, u32>>>| {
        let ran = Arc::clone(ran);
        move |x: u32| {
            *ran.lock().unwrap().entry(task_context!().unwrap().idempotency_key()).or_default() += 1;
            async move { Ok(x + 1) }
        }
    };
    let shared = flow("shared")
        .then("a", note(&ran))
        .fork()
        .branch("b", note(&ran))
        .branch("c", note(&ran))
        .join("d", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.get_by_id::<u32>("b")? + outputs.get_by_id::<u32>("c")?) })
        .delay("nap", Duration::from_millis(1))
        .then("e", note(&ran))
        .build()
        .unwrap();
    let mut workers = Vec::new();
    for _ in 0..3 {
        // Each with connections of its own, as in a process of its own.
        let store = SqliteBackend::open(&file).await.unwrap();
        workers.push(LocalWorker::builder(store).concurrency(8).spawn(WorkflowSet::new().with(Arc::new(shared.clone()))).await.unwrap());
    }
    let client = WorkflowClient::new(SqliteBackend::open(&file).await.unwrap());
    for number in 0..100 {
        client.submit(&shared, format!("i{number}"), number).await.unwrap();
    }
    for number in 0..100 {
        assert_eq!(client.wait_for(&shared, &format!("i{number}"), PATIENCE).await.unwrap(), 2 * (number + 2) + 1);
    }
    for worker in workers {
        worker.shutdown();
        worker.join().await.unwrap();
    }
    let ran = ran.lock().unwrap();
    assert_eq!(ran.len(), 400);
    let twice: Vec<_> = ran.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[tokio::test]
async fn a_submission_from_another_side_of_the_file_is_noticed_by_watching() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("watched.db");
    let quick = flow("quick").then("a", |x: u32| async move { Ok(x) }).build().unwrap();
    let workflows = WorkflowSet::new().with(Arc::new(quick.clone()));
    let worker = LocalWorker::builder(SqliteBackend::open(&file).await.unwrap()).spawn(workflows).await.unwrap();
    let client = WorkflowClient::new(SqliteBackend::open(&file).await.unwrap());
    let mut latencies = Vec::new();
    for number in 0..20 {
        let id = format!("q{number}");
        let asked = Instant::now();
        client.submit(&quick, &id, number).await.unwrap();
        // Were it not noticed, the worker's safety poll would find it only after a minute.
        assert_eq!(client.wait_for(&quick, &id, PATIENCE).await.unwrap(), number);
        latencies.push(asked.elapsed());
    }
    latencies.sort();
    println!("submitted here, run there, known here: median {:?}, worst {:?}", latencies[10], latencies[19]);
    worker.shutdown();
    worker.join().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_lets_tasks_end_within_its_grace_and_drops_the_rest() {
    both(async |store| {
        let started = Arc::new(tokio::sync::Notify::new());
        let note = Arc::clone(&started);
        let hang = flow("hang")
            .then("hang", move |x: u32| {
                let note = Arc::clone(&note);
                async move {
                    note.notify_one();
                    if x == 0 {
                        std::future::pending::<()>().await;
                    }
                    Ok(x)
                }
            })
            .build()
            .unwrap();
        let spawn = || {
            LocalWorker::builder(Arc::clone(&store))
                .shutdown_grace(Duration::from_millis(1))
                .spawn(WorkflowSet::new().with(Arc::new(hang.clone())))
        };
        let worker = spawn().await.unwrap();
        let client = WorkflowClient::new(Arc::clone(&store));
        client.submit(&hang, "h", 0).await.unwrap();
        started.notified().await;
        worker.shutdown();
        worker.join().await.unwrap();
        assert_eq!(client.status("h").await.unwrap(), WorkflowStatus::InProgress);
        // Another worker has it at once, not after the lease.
        let next = spawn().await.unwrap();
        started.notified().await;
        client.cancel("h", None, None).await.unwrap();
        next.shutdown();
        next.join().await.unwrap();
    })
    .await;
}

/// In the child the task never ends; here it does.
fn orphan(hang: bool) -> Workflow<JsonCodec, u32, (), u32> {
    let task = move |x: u32| async move {
        if hang {
            std::future::pending::<()>().await;
        }
        Ok(x + 1)
    };
    flow("orphan").then("first", |x: u32| async move { Ok(x + 1) }).then("hang", task).build().unwrap()
}

#[tokio::test]
#[ignore = "run by another test, to be killed"]
async fn child_that_holds_an_instance_until_it_is_killed() {
    let Ok(file) = std::env::var("SAYIIR_TEST_FILE") else { return };
    let store = SqliteBackend::open(file).await.unwrap();
    // Nobody could wait for this lease to end.
    let runner = CheckpointingRunner::new(store).with_lease(Duration::from_hours(1));
    runner.run(&orphan(true), "o", 1).await.unwrap();
}

#[tokio::test]
async fn a_worker_takes_over_at_once_when_the_process_that_held_the_work_dies() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("orphans.db");
    let store = SqliteBackend::open(&file).await.unwrap();
    let workflow = orphan(false);
    let worker = LocalWorker::builder(store.clone()).spawn(WorkflowSet::new().with(Arc::new(workflow.clone()))).await.unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_holds_an_instance_until_it_is_killed", "--ignored"])
        .env("SAYIIR_TEST_FILE", &file)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let client = WorkflowClient::new(store);
    while client.get_task_result("o", "first").await.unwrap_or_default().is_none() {
        assert!(child.try_wait().unwrap().is_none(), "the child holds on until it is killed");
        tokio::task::yield_now().await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(client.wait_for(&workflow, "o", PATIENCE).await.unwrap(), 3);
    worker.shutdown();
    worker.join().await.unwrap();
}
