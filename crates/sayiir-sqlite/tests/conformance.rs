//! The SQLite store passes the suite, in a file and in memory.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::cell::RefCell;
use std::sync::Arc;

use sayiir_persistence::Store;
use sayiir_sqlite::{SqliteBackend, SqliteOptions};
use sayiir_store_testkit::{TestClock, wait};
use tempfile::TempDir;

thread_local! {
    /// The directories of a test's stores, removed when its thread ends.
    static DIRECTORIES: RefCell<Vec<TempDir>> = const { RefCell::new(Vec::new()) };
}

fn in_a_file(clock: Arc<TestClock>) -> Arc<dyn Store> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    DIRECTORIES.with_borrow_mut(|directories| directories.push(directory));
    Arc::new(wait(SqliteBackend::open_with(path, SqliteOptions::default().with_clock(clock))).unwrap())
}

fn in_memory(clock: Arc<TestClock>) -> Arc<dyn Store> {
    Arc::new(wait(SqliteBackend::in_memory_with(SqliteOptions::default().with_clock(clock))).unwrap())
}

mod file {
    sayiir_store_testkit::conformance!(crate::in_a_file);
}

mod memory {
    sayiir_store_testkit::conformance!(crate::in_memory);
}
