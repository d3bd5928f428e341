//! Several versions of a workflow at work on one store: side by side in one worker, and through a rolling deploy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "tests")]

#[allow(dead_code, reason = "each test file uses its part")]
mod hooked;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hooked::{Call, HookedStore};
use sayiir::persistence::{InstanceFilter, InstanceRecord, Store};
use sayiir::prelude::*;

/// Longer than anything here takes, and shorter than the worker's safety poll of a minute.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

type Flow = Workflow<JsonCodec, u32, (), String>;

/// A build of the program: its workflow, and how often its first task ran.
struct Build {
    flow: Flow,
    begun: Arc<AtomicUsize>,
}

/// Version 1 is two steps around a wait; later ones have a step more before the last, and say another thing.
fn build(version: u32) -> Build {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let start = WorkflowBuilder::new(WorkflowContext::new("orders", Arc::new(JsonCodec), Arc::new(())))
        .version(version.to_string())
        .then("begin", move |x: u32| {
            count.fetch_add(1, Ordering::SeqCst);
            async move { Ok(x) }
        })
        .wait_for_signal("wait", "go", None);
    let last = move |x: u32| async move { Ok(format!("version {version}: {x}")) };
    let flow = if version == 1 {
        start.then("last", last).build()
    } else {
        start.then("double", |x: u32| async move { Ok(2 * x) }).then("last", last).build()
    };
    Build { flow: flow.unwrap(), begun }
}

fn set(builds: &[&Build]) -> WorkflowSet {
    builds.iter().fold(WorkflowSet::new(), |set, build| set.with(Arc::new(build.flow.clone())))
}

async fn open(file: &Path) -> SqliteBackend {
    SqliteBackend::open(file).await.unwrap()
}

/// Waits until an instance waits for its event.
async fn parked(store: &SqliteBackend, id: &str) {
    let watch = store.wakeups().listen_instance(id);
    loop {
        let changed = watch.listen();
        if matches!(store.instance(id).await.unwrap().unwrap().summary.status, WorkflowStatus::AwaitingSignal { .. }) {
            return;
        }
        // Whether something was announced or not, it looks again; the end is a fact of the store.
        let _ = tokio::time::timeout(Duration::from_secs(1), changed).await;
    }
}

async fn end<B>(worker: WorkerHandle<B>) {
    worker.shutdown();
    worker.join().await.unwrap();
}

#[tokio::test]
async fn one_worker_drives_each_instance_by_its_own_version() {
    let place = tempfile::tempdir().unwrap();
    let store = open(&place.path().join("versions.db")).await;
    let builds = [build(1), build(2), build(3)];
    let client = WorkflowClient::new(store.clone());
    let worker = LocalWorker::builder(store.clone()).spawn(set(&builds.iter().collect::<Vec<_>>())).await.unwrap();
    for (number, build) in builds.iter().cycle().take(9).enumerate() {
        client.submit(&build.flow, format!("i{number}"), 0).await.unwrap();
    }
    for number in 0..9 {
        parked(&store, &format!("i{number}")).await;
    }
    for number in (0..9).rev() {
        client.send_event(&format!("i{number}"), "go", "7").await.unwrap();
    }
    for (number, build) in builds.iter().cycle().take(9).enumerate() {
        let expected = ["version 1: 7", "version 2: 14", "version 3: 14"];
        assert_eq!(client.wait_for(&build.flow, &format!("i{number}"), PATIENCE).await.unwrap(), expected[number % 3]);
    }
    assert_eq!(builds.each_ref().map(|build| build.begun.load(Ordering::SeqCst)), [3, 3, 3], "each ran its own code, once");
    end(worker).await;
}

/// Everything of an instance that a claim would change.
async fn untouched(store: &SqliteBackend, id: &str) -> InstanceRecord {
    InstanceRecord { now: sayiir::core::time::Timestamp::default(), ..store.instance(id).await.unwrap().unwrap() }
}

/// A worker that notes what it claims: whose branches, and how often it asks.
async fn watched(file: &Path, workflows: WorkflowSet) -> (WorkerHandle<HookedStore>, Arc<Mutex<Vec<Vec<String>>>>) {
    let claims: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let noted = Arc::clone(&claims);
    let store = HookedStore::new(open(file).await, move |call| {
        if let Call::AfterClaim(views) = call {
            noted.lock().unwrap().push(views.iter().map(|view| view.instance_id.to_string()).collect());
        }
        Box::pin(async { true })
    });
    (LocalWorker::from_shared(store).spawn(workflows).await.unwrap(), claims)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_deploy_leaves_the_old_version_to_who_knows_it() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("deploy.db");
    let (old, new) = (build(1), build(2));
    let store = open(&file).await;
    let client = WorkflowClient::new(store.clone());
    let submit = async |build: &Build, id: &str| drop(client.submit(&build.flow, id, 0).await.unwrap());
    let ends = async |build: &Build, id: &str, output: &str| {
        client.send_event(id, "go", "7").await.unwrap();
        assert_eq!(client.wait_for(&build.flow, id, PATIENCE).await.unwrap(), output, "{id}");
    };

    // The old worker alone, with three instances on their way.
    let old_worker = LocalWorker::builder(open(&file).await).spawn(set(&[&old])).await.unwrap();
    for id in ["old-1", "old-2", "old-3"] {
        submit(&old, id).await;
        parked(&store, id).await;
    }

    // Both side by side: each takes what is of its version.
    let (new_worker, claims) = watched(&file, set(&[&new])).await;
    for id in ["new-1", "new-2", "new-3"] {
        submit(&new, id).await;
        parked(&store, id).await;
    }
    ends(&old, "old-1", "version 1: 7").await;
    ends(&new, "new-1", "version 2: 14").await;

    // The old worker is gone. What is of its version stays, due or not, and can be seen.
    end(old_worker).await;
    client.send_event("old-2", "go", "7").await.unwrap();
    submit(&old, "old-4").await;
    let before = [untouched(&store, "old-2").await, untouched(&store, "old-3").await, untouched(&store, "old-4").await];
    let asked = claims.lock().unwrap().len();
    ends(&new, "new-2", "version 2: 14").await;
    ends(&new, "new-3", "version 2: 14").await;
    let after = [untouched(&store, "old-2").await, untouched(&store, "old-3").await, untouched(&store, "old-4").await];
    assert_eq!(before, after, "nobody has claimed it, handed it back, or failed it");
    let claimed = claims.lock().unwrap().clone();
    assert!(
        claimed.len() - asked < 50,
        "due branches of an unknown version are not asked for again and again: {} times",
        claimed.len() - asked
    );
    assert!(claimed.iter().flatten().all(|id| id.starts_with("new-")), "{claimed:?}");
    let live = client.list(InstanceFilter::default()).await.unwrap().into_iter().filter(|one| !one.status.is_terminal());
    let live: Vec<_> = live.map(|one| (one.instance_id.to_string(), one.definition.version.to_string(), one.status.as_str())).collect();
    let seen = |id: &str, status| (id.to_owned(), "1".to_owned(), status);
    assert_eq!(live, [seen("old-2", "in_progress"), seen("old-3", "awaiting_signal"), seen("old-4", "in_progress")]);

    // Nor can it be given to the new version by hand: what changed is said.
    let error = CheckpointingRunner::new(store.clone()).resume(&new.flow, "old-3").await.unwrap_err().to_string();
    assert!(error.contains("mismatch") && error.contains("the version changed from \"1\" to \"2\"; \"double\" (task) added"), "{error}");

    // A worker that knows both finishes them.
    let both = LocalWorker::builder(open(&file).await).spawn(set(&[&old, &new])).await.unwrap();
    assert_eq!(client.wait_for(&old.flow, "old-2", PATIENCE).await.unwrap(), "version 1: 7");
    for id in ["old-3", "old-4"] {
        ends(&old, id, "version 1: 7").await;
    }
    end(both).await;
    end(new_worker).await;
    assert_eq!((old.begun.load(Ordering::SeqCst), new.begun.load(Ordering::SeqCst)), (4, 3));
}
