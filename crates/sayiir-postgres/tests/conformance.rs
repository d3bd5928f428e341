//! The PostgreSQL store passes the suite.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod common;

use std::sync::Arc;

use sayiir_persistence::Store;
use sayiir_store_testkit::{Opener, TestClock};

use common::{fresh_schema, open_on};

fn fresh(clock: Arc<TestClock>) -> Arc<dyn Store> {
    Arc::new(open_on(&fresh_schema(), clock))
}

fn home() -> Opener {
    let schema = fresh_schema();
    Box::new(move |clock| Arc::new(open_on(&schema, clock)))
}

sayiir_store_testkit::conformance!(fresh, durable: home);
