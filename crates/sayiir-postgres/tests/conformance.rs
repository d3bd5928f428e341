//! The PostgreSQL store passes the suite.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use sayiir_core::codec::JsonCodec;
use sayiir_persistence::Store;
use sayiir_pg_testserver::shared;
use sayiir_postgres::PostgresBackend;
use sayiir_store_testkit::{Opener, TestClock};

use common::{RUNTIME, execute, fresh_schema, number, open_on, options, raw};

fn fresh(clock: Arc<TestClock>) -> Arc<dyn Store> {
    Arc::new(open_on(&fresh_schema(), clock))
}

fn home() -> Opener {
    let schema = fresh_schema();
    Box::new(move |clock| Arc::new(open_on(&schema, clock)))
}

/// A copy of what the build of an old version wrote: a dump, in a database of its own.
fn copy_of(dump: &str, clock: Arc<TestClock>) -> Arc<dyn Store> {
    let (server, database) = (shared().unwrap(), fresh_schema());
    execute(&mut raw(&server.url(), "public"), &format!("CREATE DATABASE {database}"));
    let url = server.url_as("sayiir", &database);
    execute(&mut raw(&url, "public"), dump);
    Arc::new(RUNTIME.block_on(PostgresBackend::<JsonCodec>::open_with(&url, options("golden").with_clock(clock))).unwrap())
}

sayiir_store_testkit::conformance!(
    fresh,
    durable: home,
    old: [version_1: |clock| copy_of(include_str!("golden/version-1.sql"), clock)],
);

/// Writes the dump of a new version: `SAYIIR_GOLDEN=folder cargo test -p sayiir-postgres --test conformance -- --ignored`.
/// The dumps of old versions stay as the old builds wrote them.
#[test]
#[ignore = "writes the dump of a new version"]
fn write_the_dump() {
    let Some(folder) = std::env::var_os("SAYIIR_GOLDEN") else { return };
    let clock = Arc::new(TestClock::new());
    sayiir_store_testkit::sample::write(Arc::new(open_on("golden", Arc::clone(&clock))), clock);
    let url = shared().unwrap().url();
    let dumped = Command::new("pg_dump").args(["--inserts", "--no-owner", "--schema=golden", &url]).output().unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    // What begins with a backslash is for psql, and comments name the server's version.
    let text = String::from_utf8(dumped.stdout).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with(['\\', '-'])).collect();
    let version = number(&mut raw(&url, "golden"), "SELECT max(version)::bigint FROM schema_version");
    std::fs::write(Path::new(&folder).join(format!("version-{version}.sql")), kept.join("\n") + "\n").unwrap();
}
