//! What the tests of the SQLite store share: stores in files of their own, and the smallest workflow there is.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use sayiir_persistence::StoreError;
use sayiir_sqlite::{SqliteBackend, SqliteOptions};
pub use sayiir_store_testkit::orders::*;
pub use sayiir_store_testkit::wait;

pub fn open(path: &Path) -> SqliteBackend {
    wait(SqliteBackend::open(path)).unwrap()
}

pub fn open_with(path: &Path, options: SqliteOptions) -> Result<SqliteBackend, StoreError> {
    wait(SqliteBackend::open_with(path, options))
}

pub fn impatient() -> SqliteOptions {
    SqliteOptions::default().with_busy_timeout(Duration::from_millis(100))
}

pub struct Place {
    pub dir: tempfile::TempDir,
    pub file: PathBuf,
}

pub fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("store.db");
    Place { dir, file }
}

/// This program once more, where it runs one of its ignored tests on a store's file, and the lines that it prints.
pub fn child(test: &str, file: &Path) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("SAYIIR_TEST_FILE", file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}
