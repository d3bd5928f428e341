//! `TerminateExisting` is one transaction: a process killed at any moment of it leaves one whole run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what went wrong by panicking"
)]

mod common;

use std::io::Write as _;
use std::sync::Arc;

use common::{child, everything, open, place, request, session, wait};
use sayiir_core::journal::EntryKind;
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{NewEvent, StartOutcome, Store};

/// So many processes are killed.
const KILLS: u128 = 25;

/// The child replaces one instance's run for ever, with an event for each run, and says which runs were acknowledged.
#[test]
#[ignore = "run by another test, to be killed"]
fn child_that_replaces_a_run_until_it_is_killed() {
    let Ok(file) = std::env::var("SAYIIR_TEST_FILE") else { return };
    let store = open(file.as_ref());
    let mut out = std::io::stdout().lock();
    for nonce in 0.. {
        let mut again = request("a", nonce << 64 | u128::from(std::process::id()), None);
        again.policy = ConflictPolicy::TerminateExisting;
        let StartOutcome::Fresh { run, .. } = wait(store.start(again)).unwrap() else { panic!("it is always fresh") };
        writeln!(out, "ack {run}").unwrap();
        out.flush().unwrap();
        let event = NewEvent { instance_id: Arc::from("a"), name: Arc::from("go"), payload: run.0.to_string().into(), key: None };
        wait(store.put_event(event)).unwrap();
    }
}

#[test]
fn a_kill_in_the_middle_leaves_one_whole_run() {
    let place = place();
    let mut acknowledged = 0;
    for kill in 1..=KILLS {
        let (mut child, mut lines) = child("child_that_replaces_a_run_until_it_is_killed", &place.file);
        let mut seen = 0;
        while seen < kill {
            let line = lines.next().expect("the child goes on until it is killed").unwrap();
            seen += u128::from(note(&line, &mut acknowledged));
        }
        // Somewhere within the next transaction, or between two.
        for _ in 0..kill * 997 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        for line in lines.map_while(Result::ok) {
            note(&line, &mut acknowledged);
        }
        child.wait().unwrap();

        let store = open(&place.file);
        let record = wait(store.instance("a")).unwrap().expect("never neither");
        let run = record.summary.run;
        assert!(run.0 >= acknowledged, "run {run} lives, {acknowledged} was acknowledged");
        assert_eq!(record.summary.status, WorkflowStatus::InProgress);
        assert_eq!(record.branches.len(), 1);
        let rows = wait(store.journal(run, None, 10)).unwrap();
        assert_eq!(rows.iter().map(|row| row.kind).collect::<Vec<_>>(), [EntryKind::Started]);
        let claimed = wait(store.claim(everything(10, session(&store)))).unwrap();
        assert_eq!(claimed.iter().map(|view| view.run).collect::<Vec<_>>(), [run], "no branch of another run is left");
        // At most the event that was sent to this very run.
        let event = wait(store.take_event("a", "go")).unwrap();
        assert!(event.is_none_or(|payload| payload == run.0.to_string()), "an old run's event is left");
        assert_eq!(wait(store.take_event("a", "go")).unwrap(), None);
    }
}

fn note(line: &str, acknowledged: &mut u64) -> bool {
    let Some(run) = line.strip_prefix("ack ").and_then(|run| run.parse().ok()) else { return false };
    *acknowledged = run;
    true
}
