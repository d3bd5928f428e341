//! What was acknowledged is there after the store was closed, dropped in the middle, or killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what went wrong by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use common::{accepted, advance, at, child, definition, everything, open, place, request, session, start_leased, wait};
use sayiir_core::branch::{BranchId, Placement, RunNumber};
use sayiir_core::transition::{EventGuard, Next, Transition, Wake};
use sayiir_persistence::{CommitOutcome, NewEvent, SendOutcome, StartOutcome, Store};

#[test]
fn reopening_finds_everything() {
    let place = place();
    let store = open(&place.file);
    let lease = session(&store);
    let root = start_leased(&store, "a", lease);
    let outcomes = wait(store.commit(lease, vec![advance(&root.instance_id, root.run, 1)])).unwrap();
    assert!(accepted(&outcomes));
    let event = NewEvent { instance_id: Arc::from("later"), name: Arc::from("paid"), payload: b"x"[..].into(), key: Some(Arc::from("k")) };
    assert_eq!(wait(store.put_event(event.clone())).unwrap(), SendOutcome::Stored(1));
    let before = (wait(store.instance("a")).unwrap().unwrap(), wait(store.journal(root.run, None, 10)).unwrap());
    drop(store);

    let store = open(&place.file);
    let mut after = wait(store.instance("a")).unwrap().unwrap();
    after.now = before.0.now;
    assert_eq!(after, before.0);
    assert_eq!(after.summary.definition, definition());
    assert_eq!(wait(store.journal(root.run, None, 10)).unwrap(), before.1);
    assert_eq!(wait(store.put_event(event)).unwrap(), SendOutcome::Duplicate);
    let held = wait(store.load(lease, root.run, Vec::new())).unwrap();
    assert_eq!(held.iter().map(|view| view.revision).collect::<Vec<_>>(), [2]);
    assert!(session(&store) > lease, "a lease number is never used twice");
}

#[test]
fn closing_leaves_one_file() {
    for _ in 0..10 {
        let place = place();
        let store = open(&place.file);
        wait(store.start(request("a", 1, None))).unwrap();
        drop(store);
        let names: Vec<_> = std::fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["store.db"]);
    }
}

#[test]
fn numbers_are_not_used_again_after_a_delete() {
    let place = place();
    let run = |store: &sayiir_sqlite::SqliteBackend| match wait(store.start(request("a", 1, None))).unwrap() {
        StartOutcome::Fresh { run, .. } => run,
        other => panic!("{other:?}"),
    };
    let store = open(&place.file);
    let first = run(&store);
    assert!(wait(store.delete("a")).unwrap());
    drop(store);
    assert!(run(&open(&place.file)) > first);
}

#[test]
fn what_was_asked_is_written_although_nobody_waits() {
    let place = place();
    let store = open(&place.file);
    for number in 0..500 {
        drop(store.start(request(&format!("i{number}"), number, None)));
    }
    drop(store);
    let store = open(&place.file);
    let lease = session(&store);
    assert_eq!(wait(store.claim(everything(1000, lease))).unwrap().len(), 500);
}

#[test]
fn journals_of_replaced_runs_are_purged_but_the_last() {
    let place = place();
    let store = open(&place.file);
    let mut runs = Vec::new();
    for nonce in 0..4 {
        let mut again = request("a", nonce, None);
        again.policy = sayiir_core::workflow::ConflictPolicy::TerminateExisting;
        match wait(store.start(again)).unwrap() {
            StartOutcome::Fresh { run, .. } => runs.push(run),
            other => panic!("{other:?}"),
        }
    }
    // Closing drains the queue of what was asked; the rest is purged by the next opening.
    drop(store);
    let store = open(&place.file);
    let rows = |run: RunNumber| wait(store.journal(run, None, 10)).unwrap().len();
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while rows(runs[0]) + rows(runs[1]) > 0 {
        assert!(std::time::Instant::now() < deadline);
        wait(store.expire_leases(sayiir_core::branch::LeaseId(9))).unwrap();
    }
    assert_eq!((rows(runs[2]), rows(runs[3])), (1, 1));
}

#[test]
fn a_release_is_found_by_the_next_claim() {
    let place = place();
    let store = open(&place.file);
    let lease = session(&store);
    let root = start_leased(&store, "a", lease);
    let next = Next::Release { head: at("first", 1), wake: Wake::Now, placement: Placement::default() };
    let hand_back = Transition {
        instance_id: Arc::clone(&root.instance_id),
        run: root.run,
        branch: BranchId::root(),
        revision: 1,
        entry: None,
        guard: EventGuard::None,
        held: false,
        next,
    };
    assert!(accepted(&wait(store.commit(lease, vec![hand_back.clone()])).unwrap()));
    let again = wait(store.commit(lease, vec![hand_back])).unwrap();
    assert!(matches!(again.as_slice(), [CommitOutcome::Refused(_)]), "{again:?}");
    let claimed = wait(store.claim(everything(9, lease))).unwrap();
    assert_eq!(claimed.iter().map(|view| (view.revision, view.crashes)).collect::<Vec<_>>(), [(3, 0)]);
}

const BRANCHES: usize = 8;

/// The child starts runs and advances them together, and says what was acknowledged.
#[test]
#[ignore = "run by another test, to be killed"]
fn child_that_commits_until_it_is_killed() {
    let Ok(file) = std::env::var("SAYIIR_TEST_FILE") else { return };
    let store = open(file.as_ref());
    let lease = session(&store);
    let mut out = std::io::stdout().lock();
    let mut roots: Vec<_> = (0..BRANCHES).map(|number| start_leased(&store, &format!("{lease}-{number}"), lease)).collect();
    loop {
        let asked: Vec<_> =
            roots.iter().map(|root| store.commit(lease, vec![advance(&root.instance_id, root.run, root.revision)])).collect();
        for (root, answer) in roots.iter_mut().zip(asked) {
            assert!(accepted(&wait(answer).unwrap()));
            root.revision += 1;
            writeln!(out, "ack {} {}", root.run, root.revision).unwrap();
            out.flush().unwrap();
        }
    }
}

#[test]
fn every_acknowledged_write_survives_kill_9() {
    let place = place();
    let mut acknowledged: BTreeMap<u64, u64> = BTreeMap::new();
    for round in 1..=5_usize {
        let (mut child, mut lines) = child("child_that_commits_until_it_is_killed", &place.file);
        let mut seen = 0;
        while seen < 37 * round {
            let line = lines.next().expect("the child goes on until it is killed").unwrap();
            seen += usize::from(note(&line, &mut acknowledged));
        }
        child.kill().unwrap();
        // What it said before it died counts too.
        for line in lines.map_while(Result::ok) {
            note(&line, &mut acknowledged);
        }
        child.wait().unwrap();
        check(&open(&place.file), &acknowledged);
    }
    assert_eq!(acknowledged.len(), 5 * BRANCHES);
}

fn note(line: &str, acknowledged: &mut BTreeMap<u64, u64>) -> bool {
    let Some((run, revision)) = line.strip_prefix("ack ").and_then(|rest| rest.split_once(' ')) else { return false };
    let (Ok(run), Ok(revision)) = (run.parse(), revision.parse()) else { return false };
    acknowledged.insert(run, revision);
    true
}

fn check(store: &sayiir_sqlite::SqliteBackend, acknowledged: &BTreeMap<u64, u64>) {
    for (run, revision) in acknowledged {
        let rows = wait(store.journal(RunNumber(*run), None, usize::MAX)).unwrap();
        let stored = rows.last().expect("the run is there").revision;
        assert!(stored >= *revision, "run {run}: acknowledged {revision}, stored {stored}");
        let revisions: Vec<_> = rows.iter().map(|row| row.revision).collect();
        assert_eq!(revisions, (1..=stored).collect::<Vec<_>>(), "no gap, no repeat");
    }
}
