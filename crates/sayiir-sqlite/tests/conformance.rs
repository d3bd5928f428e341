//! The SQLite store passes the suite, in a file and in memory.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sayiir_persistence::Store;
use sayiir_sqlite::{SqliteBackend, SqliteOptions};
use sayiir_store_testkit::{Opener, TestClock, wait};
use tempfile::TempDir;

thread_local! {
    /// The directories of a test's stores, removed when its thread ends.
    static DIRECTORIES: RefCell<Vec<TempDir>> = const { RefCell::new(Vec::new()) };
}

fn keep(directory: TempDir) -> PathBuf {
    let path = directory.path().join("store.db");
    DIRECTORIES.with_borrow_mut(|directories| directories.push(directory));
    path
}

fn open(path: &Path, clock: Arc<TestClock>) -> Arc<dyn Store> {
    Arc::new(wait(SqliteBackend::open_with(path, SqliteOptions::default().with_clock(clock))).unwrap())
}

fn in_a_file(clock: Arc<TestClock>) -> Arc<dyn Store> {
    open(&keep(tempfile::tempdir().unwrap()), clock)
}

fn home() -> Opener {
    let path = keep(tempfile::tempdir().unwrap());
    Box::new(move |clock| open(&path, clock))
}

/// A copy of what the build of an old version wrote.
fn copy_of(bytes: &[u8], clock: Arc<TestClock>) -> Arc<dyn Store> {
    let path = keep(tempfile::tempdir().unwrap());
    std::fs::write(&path, bytes).unwrap();
    open(&path, clock)
}

fn in_memory(clock: Arc<TestClock>) -> Arc<dyn Store> {
    Arc::new(wait(SqliteBackend::in_memory_with(SqliteOptions::default().with_clock(clock))).unwrap())
}

mod file {
    sayiir_store_testkit::conformance!(
        crate::in_a_file,
        durable: crate::home,
        old: [
            version_1: |clock| crate::copy_of(include_bytes!("golden/version-1.db"), clock),
            version_2: |clock| crate::copy_of(include_bytes!("golden/version-2.db"), clock),
        ],
    );
}

mod memory {
    sayiir_store_testkit::conformance!(crate::in_memory);
}

/// Writes the file of a new version: `SAYIIR_GOLDEN=folder cargo test -p sayiir-sqlite --test conformance -- --ignored`.
/// The files of old versions stay as the old builds wrote them.
#[test]
#[ignore = "writes the file of a new version"]
fn write_the_file() {
    let Some(folder) = std::env::var_os("SAYIIR_GOLDEN") else { return };
    let (path, clock) = (keep(tempfile::tempdir().unwrap()), Arc::new(TestClock::new()));
    sayiir_store_testkit::sample::write(open(&path, Arc::clone(&clock)), clock);
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = DELETE; VACUUM").unwrap();
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    drop(conn);
    std::fs::copy(path, Path::new(&folder).join(format!("version-{version}.db"))).unwrap();
}
