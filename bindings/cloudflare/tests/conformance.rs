//! The store of D1 and Durable Objects passes the suite, with its exact statements, under workerd's limits.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod common;

use std::sync::Arc;

use common::Native;
use sayiir_cloudflare::{SqlStore, SqlStoreOptions};
use sayiir_persistence::Store;
use sayiir_store_testkit::{Opener, TestClock};

fn open(sql: &Arc<Native>, clock: Arc<TestClock>) -> Arc<dyn Store> {
    let sql: Arc<Native> = Arc::clone(sql);
    Arc::new(SqlStore::new(sql, SqlStoreOptions::new(clock)))
}

fn fresh(clock: Arc<TestClock>) -> Arc<dyn Store> {
    open(&Native::new(), clock)
}

/// A database that outlives its stores.
fn home() -> Opener {
    let sql = Native::new();
    Box::new(move |clock| open(&sql, clock))
}

sayiir_store_testkit::conformance!(crate::fresh, durable: crate::home);
