//! Two workers and a client, three processes on one SQLite file, each killed at random: what was acknowledged holds,
//! and nothing that was stored runs again.
//!
//! `SAYIIR_PROCESSES_SEED` chooses the moments; `SAYIIR_PROCESSES_SECONDS` how long there is killing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sayiir::core::journal::EntryKind;
use sayiir::core::time::Clock;
use sayiir::persistence::{AttributeFilter, InstanceFilter, SystemClock};
use sayiir::prelude::*;

/// What a child process is to be.
const ROLE: &str = "SAYIIR_PROCESSES_ROLE";
/// Where the file and the logs are.
const PLACE: &str = "SAYIIR_PROCESSES_PLACE";
/// So many instances are submitted.
const INSTANCES: u64 = 120;
/// So many approvals wait for an instance that will be rewound to before it waits for one.
const APPROVALS: u32 = 20;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

fn file(place: &Path) -> PathBuf {
    place.join("shared.db")
}

/// Adds a line that survives the process.
fn note(place: &Path, log: &str, line: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(place.join(log)).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn notes(place: &Path, log: &str) -> Vec<String> {
    let text = fs::read_to_string(place.join(log)).unwrap_or_default();
    // A line that was cut off by a death was never acknowledged.
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

fn flow(place: &Path) -> Workflow<JsonCodec, u64, (), u64> {
    let begun = {
        let place = place.to_owned();
        move || {
            let context = task_context!().expect("a task has a context");
            note(&place, "begun", &format!("{} {} {}", context.instance_id, context.node_path, SystemClock.now().as_micros()));
        }
    };
    let task = |add: u64| {
        let begun = begun.clone();
        move |n: u64| {
            begun();
            async move {
                tokio::time::sleep(Duration::from_millis(3)).await;
                Ok(n + add)
            }
        }
    };
    let first = {
        let begun = begun.clone();
        move |n: u64| {
            begun();
            let context = task_context!().expect("a task has a context");
            async move {
                tokio::time::sleep(Duration::from_millis(3)).await;
                context.set_search_attribute("number", i64::try_from(n)?).await?;
                Ok(n + 1)
            }
        }
    };
    let last = {
        let (begun, place) = (begun.clone(), place.to_owned());
        move |n: u64| {
            begun();
            let id = Arc::clone(&task_context!().expect("a task has a context").instance_id);
            let is_mended = !fails(number_of(&id)) || notes(&place, "mended").iter().any(|mended| **mended == *id);
            async move { if is_mended { Ok(n + 1000) } else { Err("not mended".into()) } }
        }
    };
    let noted = begun.clone();
    WorkflowBuilder::new(WorkflowContext::new("shared", Arc::new(JsonCodec), Arc::new(())))
        .then("first", first)
        .fork()
        .branch("left", task(10))
        .branch_flow("right", |branch| branch.delay("nap", Duration::from_millis(5)).then("rested", task(20)))
        .join("sum", move |outputs: BranchOutputs<JsonCodec>| {
            noted();
            async move { Ok(outputs.get_by_id::<u64>("left")? + outputs.get_by_id::<u64>("right")?) }
        })
        .then("stored", task(100))
        .wait_for_signal("approval", "go", None)
        .then("last", last)
        .build()
        .unwrap()
}

fn number_of(id: &str) -> u64 {
    id.trim_start_matches("shared-").parse().unwrap()
}

/// Whether its last task fails until the client mends that, and retries it.
fn fails(number: u64) -> bool {
    number % 13 == 5
}

/// Whether the client rewinds it when it has ended.
fn is_rewound(number: u64) -> bool {
    number % 7 == 4
}

fn expected(number: u64) -> u64 {
    number * 7 + 1000
}

#[tokio::test]
#[ignore = "a child process of the other test"]
async fn child() {
    let (Ok(role), Some(place)) = (std::env::var(ROLE), std::env::var_os(PLACE)) else { return };
    let place = PathBuf::from(place);
    let backend = Arc::new(SqliteBackend::open(file(&place)).await.unwrap());
    match role.as_str() {
        "worker" => {
            let workflows = WorkflowSet::new().with(Arc::new(flow(&place)));
            LocalWorker::from_shared(backend).spawn(workflows).await.unwrap().join().await.unwrap();
        }
        "client" => client(&place, &WorkflowClient::from_shared(backend)).await,
        "purger" => purge(&WorkflowClient::from_shared(backend)).await,
        other => panic!("no role {other}"),
    }
}

/// Submits instance after instance and meddles with some; what it has noted it does not do again.
async fn client(place: &Path, client: &WorkflowClient<SqliteBackend>) {
    let client = client.clone().with_conflict_policy(ConflictPolicy::UseExisting);
    let flow = flow(place);
    for number in notes(place, "done").len() as u64..INSTANCES {
        let id = format!("shared-{number}");
        let is_cancelled = number % 11 == 3;
        if is_rewound(number) {
            // Enough for each time that it comes to the wait, however often this client dies.
            for again in 0..APPROVALS {
                client.send_event_once(&id, "go", (number * 7).to_string(), &format!("approval-{again}")).await.ok();
            }
        }
        client.submit(&flow, &id, number).await.unwrap();
        note(place, "submitted", &id);
        if number % 5 == 1 {
            // It may have ended, or be cancelled by this very client before its death.
            let _ = client.pause(&id, None, None).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            let _ = client.unpause(&id).await;
        }
        if is_cancelled && client.cancel(&id, None, None).await.is_ok() {
            note(place, "cancelled", &id);
        }
        if !is_rewound(number) {
            let sent = client.send_event_once(&id, "go", (number * 7).to_string(), "approval").await;
            assert!(sent.is_ok() || is_cancelled || fails(number), "{id}: {sent:?}");
        }
        if fails(number) && !is_cancelled {
            retry(place, &client, &id).await;
        }
        if is_rewound(number) && !is_cancelled {
            assert_eq!(client.wait_for(&flow, &id, Some(PATIENCE)).await.unwrap(), expected(number));
            client.rewind(&id, "stored").of(&flow).send().await.unwrap();
        }
        note(place, "done", &id);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Mends and retries an instance that fails, unless that was done before this client's death.
async fn retry(place: &Path, client: &WorkflowClient<SqliteBackend>, id: &str) {
    let ended = client.wait(id, Some(PATIENCE)).await.unwrap();
    if let WorkflowStatus::Failed(error) = ended.status {
        assert!(error.contains("not mended"), "{id}: {error}");
        note(place, "mended", id);
        client.retry(id, None, None).await.unwrap();
    }
}

/// Removes all that has ended.
async fn purge(client: &WorkflowClient<SqliteBackend>) {
    client.purge(Some("shared"), Duration::ZERO).await.unwrap();
}

/// A child process that ends with its owner.
struct Process {
    role: &'static str,
    child: Child,
}

impl Process {
    fn begin(role: &'static str, place: &Path) -> Self {
        let own = std::env::current_exe().unwrap();
        let mut command = Command::new(own);
        command.args(["--exact", "child", "--ignored"]).env(ROLE, role).env(PLACE, place).stdout(Stdio::null());
        Self { role, child: command.spawn().unwrap() }
    }

    /// As by `kill -9`.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn three_processes_on_one_file_keep_the_promises_however_they_die() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = number("SAYIIR_PROCESSES_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("SAYIIR_PROCESSES_SEED={seed}");
    let (mut rng, directory) = (fastrand::Rng::with_seed(seed), tempfile::tempdir().unwrap());
    let place = directory.path();
    let mut processes: Vec<_> = ["worker", "worker", "client"].into_iter().map(|role| Process::begin(role, place)).collect();
    let (end, mut kills) = (Instant::now() + Duration::from_secs(number("SAYIIR_PROCESSES_SECONDS").unwrap_or(8)), 0);
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(rng.u64(30..400))).await;
        let victim = &mut processes[rng.usize(..3)];
        victim.kill();
        *victim = Process::begin(victim.role, place);
        kills += 1;
    }
    // The client ends by itself once everything is submitted.
    let mut client = processes.pop().unwrap();
    let status = client.child.wait().unwrap();
    assert!(status.success(), "the client came to {status}");
    settled(place).await;
    drop(processes);
    check(place).await;
    for _ in 0..3 {
        let mut purger = Process::begin("purger", place);
        tokio::time::sleep(Duration::from_millis(rng.u64(5..80))).await;
        purger.kill();
        kills += 1;
    }
    purged(place).await;
    println!("{kills} kills");
}

/// Waits until every instance has ended.
async fn settled(place: &Path) {
    let client = WorkflowClient::new(SqliteBackend::open(file(place)).await.unwrap());
    for id in notes(place, "submitted") {
        let ended = client.wait(&id, Some(Duration::from_mins(1))).await;
        assert!(ended.is_ok(), "{id} is stuck: {:?} {ended:?}", client.status(&id).await);
    }
}

/// Looks whether what was acknowledged holds, and whether anything ran again.
async fn check(place: &Path) {
    let client = WorkflowClient::new(SqliteBackend::open(file(place)).await.unwrap());
    let submitted: BTreeSet<_> = notes(place, "submitted").into_iter().collect();
    let cancelled: BTreeSet<_> = notes(place, "cancelled").into_iter().collect();
    assert_eq!(submitted.len() as u64, INSTANCES);
    let mut begun: BTreeMap<(String, String), i64> = BTreeMap::new();
    for line in notes(place, "begun") {
        if let [id, path, at] = line.split(' ').collect::<Vec<_>>()[..] {
            let last = begun.entry((id.to_owned(), path.to_owned())).or_default();
            *last = (*last).max(at.parse().unwrap());
        }
    }
    for id in submitted {
        let number = number_of(&id);
        let outcome = client.wait(&id, Some(Duration::ZERO)).await.unwrap();
        match &outcome.status {
            WorkflowStatus::Completed => {
                let filter = AttributeFilter::is("number", i64::try_from(number).unwrap());
                let found = client.list(InstanceFilter { attributes: vec![filter], ..InstanceFilter::default() }).await.unwrap();
                assert_eq!(found.iter().map(|summary| &*summary.instance_id).collect::<Vec<_>>(), [&*id], "found by its attribute");
                assert!(!cancelled.contains(&id), "{id} was cancelled, and completed");
                assert_eq!(outcome.output.unwrap(), expected(number).to_string(), "{id}");
            }
            WorkflowStatus::Cancelled { .. } => assert_eq!(number % 11, 3, "{id} was never cancelled"),
            other => panic!("{id} came to {other:?}"),
        }
        let mut stored = BTreeSet::new();
        let history = client.history(&id).await.unwrap();
        let was = |kind| history.iter().any(|row| row.kind == kind);
        if outcome.status.is_completed() {
            assert_eq!(was(EntryKind::Rewound), is_rewound(number) && number % 11 != 3, "{id}");
            assert!(was(EntryKind::Retried) || is_rewound(number) || !fails(number), "{id} fails, and was never retried");
        }
        for row in history.into_iter().filter(|row| row.kind.is_result()) {
            assert!(stored.insert(row.node.clone()), "the result of {} of {id} was stored twice", row.node);
            if let Some(last) = begun.get(&(id.clone(), row.node.to_string())) {
                assert!(*last <= row.at.as_micros(), "{} of {id} ran again after its result was stored", row.node);
            }
        }
    }
}

/// Looks whether a purge that died leaves nothing behind that is not gone after the next.
async fn purged(place: &Path) {
    let client = WorkflowClient::new(SqliteBackend::open(file(place)).await.unwrap());
    purge(&client).await;
    assert_eq!(client.list(InstanceFilter::default()).await.unwrap(), []);
    let all = notes(place, "submitted").into_iter().collect::<BTreeSet<_>>();
    for id in &all {
        assert!(client.history(id).await.is_err(), "{id} is gone");
        client.submit(&flow(place), id, 1).await.unwrap();
    }
    let new = client.list(InstanceFilter::default()).await.unwrap();
    assert_eq!(new.len(), all.len());
    assert!(new.iter().all(|summary| summary.attributes.is_empty() && summary.status == WorkflowStatus::InProgress), "they begin anew");
}
