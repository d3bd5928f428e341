//! Files that builds of older schema versions wrote: today's build reads every instance in it as it was, and brings the live ones to their end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod flow;
mod picture;
mod write;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sayiir::core::time::Clock as _;
use sayiir::persistence::{InstanceFilter, SendOutcome, Store};
use sayiir::prelude::*;
use sayiir_store_testkit::TestClock;

use flow::{Flow, HOUR, Ran, flow};
use picture::{picture, text_of};

/// The version of the file that `write` writes.
const VERSION: u32 = 3;

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What each version's build wrote.
const FILES: &[(&[u8], &str)] =
    &[(include_bytes!("version-1.db"), include_str!("version-1.txt")), (include_bytes!("version-2.db"), include_str!("version-2.txt"))];

async fn open(file: &Path, clock: &Arc<TestClock>) -> SqliteBackend {
    let options = SqliteOptions::default().with_clock(Arc::<TestClock>::clone(clock));
    SqliteBackend::open_with(file, options).await.unwrap()
}

/// A copy of a version's file, opened at the time at which it was written.
async fn copy(bytes: &[u8]) -> (tempfile::TempDir, SqliteBackend, Arc<TestClock>) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("store.db");
    std::fs::write(&file, bytes).unwrap();
    let clock = Arc::new(TestClock::new());
    let store = open(&file, &clock).await;
    // The youngest instance was the last thing written.
    let youngest = store.instance("queued").await.unwrap().unwrap().summary.created_at;
    clock.advance(youngest.since(clock.now()));
    (place, store, clock)
}

#[test]
fn the_files_are_small() {
    for (bytes, _) in FILES {
        assert!(bytes.len() < 200 << 10, "{} bytes", bytes.len());
    }
}

#[tokio::test]
async fn every_instance_is_read_as_it_was_written() {
    for (bytes, expected) in FILES {
        let (_place, store, _clock) = copy(bytes).await;
        assert_eq!(text_of(&picture(&store).await), *expected);
        assert_eq!(store.instance("later").await.unwrap(), None, "an id that has events only is unknown");
        assert_eq!(store.read_event("later", "stamp", 1).await.unwrap().as_deref(), Some(&b"1"[..]));
    }
}

#[tokio::test]
async fn keys_and_numbers_are_remembered() {
    for (bytes, _) in FILES {
        let (_place, store, _clock) = copy(bytes).await;
        let client = WorkflowClient::new(store.clone());
        for id in ["looping", "later"] {
            client.send_event_once(id, "stamp", "again", "key").await.unwrap();
            assert_eq!(store.read_event(id, "stamp", 9).await.unwrap(), None);
        }
        let repeated = sayiir::persistence::NewEvent {
            instance_id: Arc::from("later"),
            name: Arc::from("stamp"),
            payload: b"again"[..].into(),
            key: Some(Arc::from("key")),
        };
        assert_eq!(store.put_event(repeated).await.unwrap(), SendOutcome::Duplicate);
        let known = store.list(InstanceFilter::default()).await.unwrap();
        let highest = known.iter().map(|summary| summary.run).max().unwrap();
        client.submit(&flow(&Ran::default(), false), "new", 1).await.unwrap();
        assert!(store.instance("new").await.unwrap().unwrap().summary.run > highest);
    }
}

#[tokio::test]
async fn the_run_that_was_replaced_still_has_its_journal() {
    for (bytes, _) in FILES {
        let (_place, store, _clock) = copy(bytes).await;
        let all = store.list(InstanceFilter::default()).await.unwrap();
        let runs: BTreeSet<u64> = all.iter().map(|summary| summary.run.0).collect();
        let mut left = Vec::new();
        for run in (1..).map(sayiir::core::branch::RunNumber).take_while(|run| run.0 <= *runs.last().unwrap()) {
            if !runs.contains(&run.0) {
                left.push(store.journal(run, None, 1000).await.unwrap().len());
            }
        }
        left.sort_unstable();
        assert_eq!(left.len(), 2, "one run was replaced, one deleted");
        assert_eq!(left[0], 0, "of the deleted run nothing is left");
        assert!(left[1] > 5, "of the replaced one the journal is");
    }
}

/// The results that a store has, `instance/node`.
async fn results(store: &SqliteBackend) -> Vec<String> {
    let client = WorkflowClient::new(store.clone());
    let mut all = Vec::new();
    for summary in store.list(InstanceFilter::default()).await.unwrap() {
        let rows = client.history(&summary.instance_id).await.unwrap();
        let results = rows.into_iter().filter(|row| row.kind.is_result());
        all.extend(results.map(|row| format!("{}/{}", summary.instance_id, row.node)));
    }
    all
}

/// Instances with the value of their join.
const LIVE: &[(&str, u32)] = &[
    ("queued", 1124),
    ("leased", 1124),
    ("crashed", 1124),
    ("forked", 1124),
    ("forked-paused", 1124),
    ("forked-asked", 1124),
    ("forked-taken", 1124),
    ("joining", 1124),
    ("looping", 1124),
    ("replaced", 1130),
];

async fn finish(client: &WorkflowClient<SqliteBackend>, flow: &Flow, clock: &TestClock) {
    for (id, _) in LIVE {
        client.send_event(id, "sign", "100").await.unwrap();
        client.send_event(id, "stamp", "1").await.unwrap();
        client.send_event(id, "go", "1").await.unwrap();
    }
    clock.advance(3 * HOUR);
    let workflows = WorkflowSet::new().with(Arc::new(flow.clone()));
    let worker = LocalWorker::from_shared(Arc::clone(client.backend())).spawn(workflows).await.unwrap();
    // The request that was recorded is applied by the worker; only then can it be taken back.
    let paused = async {
        while !matches!(client.status("forked-asked").await.unwrap(), WorkflowStatus::Paused { .. }) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, paused).await.unwrap();
    client.unpause("forked-asked").await.unwrap();
    client.unpause("forked-paused").await.unwrap();
    // A delay of an instance that is only now begun ends an hour later by the store's time.
    for (id, _) in LIVE {
        loop {
            let end = client.wait(id, Some(Duration::from_millis(20))).await.unwrap();
            if end.status.is_terminal() {
                break;
            }
            if let WorkflowStatus::Waiting { .. } = end.status {
                clock.advance(HOUR);
                // The store tells its timers in its own time, the worker sleeps in the machine's: an event wakes it.
                client.send_event(id, "noise", "tick").await.unwrap();
            }
        }
    }
    worker.shutdown();
    worker.join().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_live_instance_is_brought_to_its_end() {
    for (bytes, _) in FILES {
        let (_place, store, clock) = copy(bytes).await;
        let (before, stored) = (picture(&store).await, results(&store).await);
        let ran = Ran::default();
        let (client, flow) = (WorkflowClient::new(store.clone()), flow(&ran, false));
        tokio::time::timeout(PATIENCE, finish(&client, &flow, &clock)).await.unwrap();
        for (id, sum) in LIVE {
            assert_eq!(client.wait_for(&flow, id, None).await.unwrap(), 8, "{id}");
            assert_eq!(client.get_task_result(id, "sum").await.unwrap().unwrap(), sum.to_string(), "{id}");
        }
        let repeated: Vec<_> = ran.list().into_iter().filter(|task| stored.contains(task)).collect();
        assert_eq!(repeated, [""; 0], "what the file has is not run again");
        let after = picture(&store).await;
        for id in ["completed", "failed", "cancelled"] {
            assert_eq!(after[id], before[id], "what had ended stays as it was");
        }
        let all = results(&store).await;
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "each result is stored once");
    }
}
