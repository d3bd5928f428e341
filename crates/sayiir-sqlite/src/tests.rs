//! What can only be seen from inside: batches with a bad member, panics, and what the common statements touch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use rusqlite::Connection;
use sayiir_core::time::Timestamp;
use sayiir_persistence::{AttributeFilter, InstanceFilter, ListOrder, RunState, RunningStatus, StoreError, StoreFuture};
use sayiir_store_testkit::wait;

use crate::SqliteBackend;
use crate::fault::Fault;
use crate::ops::list::{self, Along};
use crate::ops::{claim, events, heads, purge};
use crate::tx::{Look, execute, first};

fn memory() -> SqliteBackend {
    wait(SqliteBackend::in_memory()).unwrap()
}

/// Keeps the writer busy until the sender is dropped, so that what is asked meanwhile becomes one batch.
fn busy(store: &SqliteBackend) -> (mpsc::Sender<()>, StoreFuture<'static, ()>) {
    let (release, wait) = mpsc::channel::<()>();
    let answer = store.write(0, move |_| {
        let _ = wait.recv();
        Ok(())
    });
    (release, answer)
}

fn write_row(store: &SqliteBackend, name: &'static str, runs: &Arc<AtomicUsize>) -> StoreFuture<'static, usize> {
    let runs = Arc::clone(runs);
    store.write(0, move |tx| {
        runs.fetch_add(1, Ordering::Relaxed);
        execute(&tx.conn, "INSERT INTO counter VALUES (?1, 0)", [name])
    })
}

fn stored(store: &SqliteBackend, name: &'static str) -> bool {
    let read = store.read(move |look| first(look.conn, "SELECT 1 FROM counter WHERE name = ?1", [name], |_| Ok(())));
    wait(read).unwrap().is_some()
}

#[test]
fn one_bad_member_does_not_fail_its_batch() {
    let (store, runs) = (memory(), Arc::new(AtomicUsize::new(0)));
    let (release, first) = busy(&store);
    let before = write_row(&store, "before", &runs);
    let twice = write_row(&store, "before", &runs);
    let refused: StoreFuture<'static, ()> = store.write(0, |_| Err(Fault::misused("no")));
    let panics: StoreFuture<'static, ()> = store.write(0, |tx| {
        execute(&tx.conn, "INSERT INTO counter VALUES ('panics', 0)", [])?;
        panic!("on purpose")
    });
    let after = write_row(&store, "after", &runs);
    drop(release);
    wait(first).unwrap();
    assert_eq!(wait(before).unwrap(), 1);
    assert!(matches!(wait(twice), Err(StoreError::Unavailable { .. })));
    assert!(matches!(wait(refused), Err(StoreError::Misused { reason }) if reason == "no"));
    assert!(matches!(wait(panics), Err(StoreError::Misused { reason }) if reason.contains("on purpose")));
    assert_eq!(wait(after).unwrap(), 1);
    assert!(stored(&store, "before") && stored(&store, "after") && !stored(&store, "panics"));
    assert!(runs.load(Ordering::Relaxed) > 3, "the batch was rolled back and its members ran again");
}

#[test]
fn a_reader_survives_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let store = wait(SqliteBackend::open(directory.path().join("store.db"))).unwrap();
    for _ in 0..4 {
        let panics: StoreFuture<'static, ()> = store.read(|_| panic!("on purpose"));
        assert!(matches!(wait(panics), Err(StoreError::Misused { .. })));
    }
    assert!(stored(&store, "run"));
}

/// The tables and indexes that a statement opens for writing, by root page.
fn written(conn: &Connection, sql: &str) -> usize {
    let mut statement = conn.prepare(&format!("EXPLAIN {sql}")).unwrap();
    let mut rows = statement.raw_query();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        count += usize::from(row.get::<_, String>("opcode").unwrap() == "OpenWrite");
    }
    count
}

fn plan(conn: &Connection, sql: &str) -> String {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = statement.raw_query();
    let mut text = String::new();
    while let Some(row) = rows.next().unwrap() {
        text += &row.get::<_, String>("detail").unwrap();
        text += "\n";
    }
    text
}

#[test]
fn a_plain_step_touches_no_index_and_a_claim_scans_nothing() {
    let conn = crate::connect::open_memory(&crate::SqliteOptions::default()).unwrap();
    assert_eq!(written(&conn, heads::ADVANCE), 1);
    assert!(plan(&conn, heads::ADVANCE).contains("USING PRIMARY KEY (run=? AND branch=?)"), "{}", plan(&conn, heads::ADVANCE));
    let claim = plan(&conn, claim::DUE_IN_LANE);
    assert!(claim.contains("USING COVERING INDEX branch_due (lane=? AND priority=? AND run_at<?)"), "{claim}");
    assert!(!claim.contains("TEMP B-TREE"), "{claim}");
    let wake = plan(&conn, events::WAKE);
    assert!(wake.contains("branch_awaiting (run=? AND awaits=?)"), "{wake}");
    let expire = plan(&conn, "UPDATE branch SET run_at = ?2 WHERE lease = ?1");
    assert!(expire.contains("branch_leased (lease=?)"), "{expire}");
}

#[test]
fn lists_and_purges_go_by_an_index() {
    let conn = crate::connect::open_memory(&crate::SqliteOptions::default()).unwrap();
    let ended = plan(&conn, purge::ENDED);
    assert!(ended.contains("instance_ended (definition=? AND updated_at<?)") && !ended.contains("TEMP B-TREE"), "{ended}");
    let unclaimed = plan(&conn, purge::UNCLAIMED);
    assert!(unclaimed.contains("instance_of_workflow (definition=?)") && !unclaimed.contains("TEMP B-TREE"), "{unclaimed}");
    let look = Look { conn: &conn, now: Timestamp::from_micros(0) };
    let filter = InstanceFilter { workflow: Some("order".into()), ..InstanceFilter::default() };
    let along = |filter: &InstanceFilter, along| plan(&conn, &list::query(look, filter, &along, 10).sql);
    let of_state = along(&filter, Along::State(RunState::Failed));
    assert!(of_state.contains("instance_in_state (status=?") && !of_state.contains("TEMP B-TREE"), "{of_state}");
    let of_workflow = along(&filter, Along::Definition(1));
    assert!(
        of_workflow.contains("instance_of_workflow (definition=? AND instance_id>?)") && !of_workflow.contains("TEMP"),
        "{of_workflow}"
    );
    let attribute = AttributeFilter::at_least("euros", 5);
    let by_attribute = along(&filter, Along::Attribute(&attribute));
    assert!(by_attribute.contains("attribute_value (name=? AND kind=? AND value>?)"), "{by_attribute}");
    let waiting = InstanceFilter { running: vec![RunningStatus::Waiting], ..InstanceFilter::default() };
    let by_branches = along(&waiting, Along::State(RunState::Running));
    assert!(by_branches.contains("SEARCH s USING PRIMARY KEY (run=?)") && !by_branches.contains("TEMP B-TREE"), "{by_branches}");
    let newest = InstanceFilter { order: ListOrder::NewestFirst { before: None }, ..InstanceFilter::default() };
    let of_all = [along(&newest, Along::All), along(&InstanceFilter::default(), Along::All)];
    assert!(of_all.iter().all(|plan| plan.contains("SEARCH i USING") && !plan.contains("TEMP B-TREE")), "{of_all:?}");
}
