//! Everything that can be wrong with a file, provoked for real: each is a clear error, and the store lives on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what went wrong by panicking"
)]

mod common;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use common::{PATIENCE, impatient, open, open_with, place, request, wait};
use rusqlite::Connection;
use sayiir_core::control::SignalRequest;
use sayiir_persistence::{ControlAction, ControlCommand, ControlOutcome, StartOutcome, Store, StoreError};
use sayiir_sqlite::{SqliteBackend, SqliteOptions};

fn is_fresh(outcome: &Result<StartOutcome, StoreError>) -> bool {
    matches!(outcome, Ok(StartOutcome::Fresh { .. }))
}

#[track_caller]
fn unavailable(error: &StoreError, word: &str) {
    match error {
        StoreError::Unavailable { reason, .. } => assert!(reason.contains(word), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_is_no_database_is_corrupt() {
    let place = place();
    let garbage = vec![b'x'; 8192];
    fs::write(&place.file, &garbage).unwrap();
    let error = open_with(&place.file, impatient()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert_eq!(fs::read(&place.file).unwrap(), garbage, "it was not touched");
}

#[test]
fn a_truncated_file_is_corrupt() {
    let place = place();
    drop(open(&place.file));
    let bytes = fs::read(&place.file).unwrap();
    fs::write(&place.file, &bytes[..5000]).unwrap();
    let error = open_with(&place.file, impatient()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

/// A file of this build's, without a log beside it.
fn whole_file(place: &common::Place) -> Connection {
    drop(open(&place.file));
    let conn = Connection::open(&place.file).unwrap();
    conn.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
    conn
}

/// Opening the file is refused, with these words, and leaves every byte as it was.
#[track_caller]
fn refused_and_unchanged(place: &common::Place, words: &[&str]) {
    let before = fs::read(&place.file).unwrap();
    match open_with(&place.file, impatient()).unwrap_err() {
        StoreError::Schema { found, supported, advice } => {
            let text = format!("{found} {supported} {advice}");
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(&place.file).unwrap(), before);
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_tool_makes_no_file_and_migrates_none() {
    let place = place();
    let tool = || open_with(&place.file, impatient().existing_only()).map(drop);
    unavailable(&tool().unwrap_err(), "there is no file");
    assert!(!place.file.exists());

    let old = include_bytes!("golden/version-1.db");
    for (bytes, found) in [(&b""[..], "none"), (&old[..], "version 1")] {
        fs::write(&place.file, bytes).unwrap();
        match tool().unwrap_err() {
            StoreError::Schema { found: is, .. } => assert!(is.starts_with(found), "{is}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read(&place.file).unwrap(), bytes);
    }
    drop(open(&place.file));
    tool().unwrap();
}

#[test]
fn a_newer_schema_is_refused() {
    let place = place();
    whole_file(&place).pragma_update(None, "user_version", 99).unwrap();
    refused_and_unchanged(&place, &["99", "newer", "version 3"]);
}

#[test]
fn a_schema_that_lacks_a_table_is_refused() {
    for table in ["journal", "event_key", "branch"] {
        let place = place();
        whole_file(&place).execute_batch(&format!("DROP TABLE {table}")).unwrap();
        refused_and_unchanged(&place, &[table, "incomplete"]);
    }
    let place = place();
    let conn = Connection::open(&place.file).unwrap();
    conn.execute_batch("PRAGMA application_id = 0x53617969; PRAGMA user_version = 1").unwrap();
    drop(conn);
    refused_and_unchanged(&place, &["version 1"]);
}

#[test]
fn an_older_schema_that_cannot_be_migrated_is_refused() {
    let place = place();
    drop(open(&place.file));
    Connection::open(&place.file).unwrap().pragma_update(None, "user_version", 0).unwrap();
    let error = open_with(&place.file, impatient()).unwrap_err();
    assert!(matches!(error, StoreError::Schema { .. }), "{error:?}");
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let place = place();
    let foreign = Connection::open(&place.file).unwrap();
    foreign.execute_batch("CREATE TABLE photos (id INTEGER)").unwrap();
    let error = open_with(&place.file, impatient()).unwrap_err();
    assert!(matches!(error, StoreError::Schema { .. }), "{error:?}");
    let mode: String = foreign.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
}

#[test]
fn a_schema_that_another_process_migrates_stops_this_one() {
    let place = place();
    let store = open(&place.file);
    Connection::open(&place.file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = wait(store.start(request("a", 1, None))).unwrap_err();
    assert!(matches!(error, StoreError::Schema { .. }), "{error:?}");
}

#[test]
fn a_missing_directory_and_a_directory_are_told_apart() {
    let place = place();
    unavailable(&open_with(&place.dir.path().join("no/such.db"), impatient()).unwrap_err(), "does not exist");
    let error = open_with(place.dir.path(), impatient()).unwrap_err();
    assert!(matches!(error, StoreError::Misused { .. }), "{error:?}");
    let error = wait(SqliteBackend::open(":memory:")).unwrap_err();
    assert!(matches!(error, StoreError::Misused { .. }), "{error:?}");
}

#[test]
fn a_locked_file_is_unavailable_until_it_is_released() {
    let place = place();
    let store = open_with(&place.file, impatient()).unwrap();
    let other = Connection::open(&place.file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    unavailable(&wait(store.start(request("a", 1, None))).unwrap_err(), "locked");
    assert!(wait(store.instance("a")).unwrap().is_none(), "reads do not wait for writes");
    other.execute_batch("ROLLBACK").unwrap();
    assert!(is_fresh(&wait(store.start(request("a", 1, None)))));
}

#[test]
fn an_exclusively_locked_file_cannot_be_opened() {
    let place = place();
    drop(open(&place.file));
    let other = Connection::open(&place.file).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    unavailable(&open_with(&place.file, impatient()).unwrap_err(), "locked");
}

#[test]
fn a_full_disk_refuses_one_request_and_not_its_neighbours() {
    let place = place();
    let store = open_with(&place.file, SqliteOptions::default().with_max_pages(80)).unwrap();
    let other = Connection::open(&place.file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The writer waits for the lock with the first; the others become one batch.
    let first = store.start(request("first", 1, None));
    let before = store.start(request("before", 2, None));
    let mut large = request("large", 3, None);
    large.input = Bytes::from(vec![7; 1 << 20]);
    let large = store.start(large);
    let after = store.start(request("after", 4, None));
    other.execute_batch("ROLLBACK").unwrap();
    assert!(is_fresh(&wait(first)));
    assert!(is_fresh(&wait(before)));
    unavailable(&wait(large).unwrap_err(), "full");
    assert!(is_fresh(&wait(after)));
    assert!(wait(store.instance("large")).unwrap().is_none());
    assert_eq!(wait(store.list(sayiir_persistence::InstanceFilter::default())).unwrap().len(), 3);
}

#[test]
fn nothing_is_acknowledged_into_a_deleted_file() {
    let place = place();
    let store = open(&place.file);
    assert!(is_fresh(&wait(store.start(request("a", 1, None)))));
    let kept = place.dir.path().join("kept.db");
    fs::rename(&place.file, &kept).unwrap();
    unavailable(&wait(store.start(request("b", 1, None))).unwrap_err(), "gone");
    unavailable(&wait(store.instance("a")).unwrap_err(), "gone");
    fs::write(&place.file, b"").unwrap();
    unavailable(&wait(store.start(request("c", 1, None))).unwrap_err(), "gone");
    fs::rename(&kept, &place.file).unwrap();
    assert!(is_fresh(&wait(store.start(request("d", 1, None)))));
}

#[test]
fn a_deleted_file_wakes_those_who_wait() {
    let place = place();
    let store = open(&place.file);
    let listener = store.wakeups().listen_due();
    fs::remove_file(&place.file).unwrap();
    assert!(event_listener::Listener::wait_timeout(listener, PATIENCE).is_some());
    unavailable(&wait(store.start(request("b", 1, None))).unwrap_err(), "gone");
}

#[test]
fn an_oversized_payload_is_refused_at_the_door() {
    let store = wait(SqliteBackend::in_memory()).unwrap();
    let mut large = request("large", 3, None);
    large.input = Bytes::from(vec![7; (4 << 20) + 1]);
    match wait(store.start(large)).unwrap_err() {
        StoreError::Limit { what, .. } => assert!(what.contains("large"), "{what}"),
        other => panic!("{other:?}"),
    }
}

/// Permissions do not bind root, so the test runs itself as somebody else where it is root.
#[test]
fn a_file_or_directory_without_write_permission_is_read_only() {
    let place = place();
    drop(open(&place.file));
    let child = std::env::current_exe().unwrap();
    let copy = place.dir.path().join("child");
    fs::copy(child, &copy).unwrap();
    let permissions = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode;
    fs::set_permissions(&place.file, permissions(0o444)).unwrap();
    fs::set_permissions(place.dir.path(), permissions(0o555)).unwrap();
    let is_root = fs::File::options().append(true).open(&place.file).is_ok();
    let mut command = Command::new(&copy);
    command.args(["--exact", "child_without_permissions", "--ignored"]).env("SAYIIR_TEST_FILE", &place.file);
    if is_root {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    fs::set_permissions(place.dir.path(), permissions(0o755)).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
#[ignore = "run by another test, under another user"]
fn child_without_permissions() {
    let Ok(file) = std::env::var("SAYIIR_TEST_FILE") else { return };
    let options = || SqliteOptions::default().with_busy_timeout(Duration::from_millis(100));
    let error = open_with(file.as_ref(), options()).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    let new = std::path::Path::new(&file).with_file_name("new.db");
    let error = open_with(&new, options()).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
}

#[test]
fn a_damaged_instance_does_not_keep_others_from_being_taken() {
    let place = place();
    let store = open(&place.file);
    for (number, id) in ["a", "b", "c"].into_iter().enumerate() {
        wait(store.start(request(id, number as u128, None))).unwrap();
    }
    let damaged = wait(store.instance("b")).unwrap().unwrap().summary.run;
    let deleted = Connection::open(&place.file).unwrap().execute("DELETE FROM journal WHERE run = ?1", [damaged.0]).unwrap();
    assert_eq!(deleted, 1);
    let lease = common::session(&store);
    let claimed = wait(store.claim(common::everything(10, lease))).unwrap();
    assert_eq!(claimed.iter().map(|view| &*view.instance_id).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(wait(store.claim(common::everything(10, lease))).unwrap(), []);
    let next = wait(store.next_due(common::everything(10, lease).scope)).unwrap();
    assert!(next.is_some_and(|next| next > Duration::from_secs(1)), "nobody spins on it: {next:?}");
    let command = ControlCommand { instance_id: "b".into(), action: ControlAction::Cancel, request: SignalRequest::default() };
    assert_eq!(wait(store.control(command)).unwrap(), ControlOutcome::Applied, "it can be cancelled");
}
