//! The store passes the suite on the real workerd, and runs random workflows there: on D1, and on the SQLite of Durable Objects. `cargo xtask edge` runs this; by hand it is
//! `node bindings/cloudflare/workerd/run.mjs cargo test -p sayiir-cloudflare --test workerd`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

#[path = "../common/cases.rs"]
mod cases;
mod remote;

use std::sync::Arc;

use remote::{Kind, Remote};
use sayiir_cloudflare::{Sql, SqlStore, SqlStoreOptions};
use sayiir_persistence::Store;
use sayiir_reference::Driver;
use sayiir_store_testkit::{Opener, TestClock};

fn open(sql: &Arc<Remote>, clock: Arc<TestClock>) -> Arc<dyn Store> {
    let sql: Arc<Remote> = Arc::clone(sql);
    Arc::new(SqlStore::new(sql, SqlStoreOptions::new(clock)))
}

/// A database that outlives its stores.
fn home(kind: Kind) -> Opener {
    let sql = Remote::new(kind);
    Box::new(move |clock| open(&sql, clock))
}

macro_rules! suite {
    ($kind:ident) => {
        use super::*;

        fn fresh(clock: Arc<TestClock>) -> Arc<dyn Store> {
            open(&Remote::new(Kind::$kind), clock)
        }

        fn opener() -> Opener {
            home(Kind::$kind)
        }

        sayiir_store_testkit::conformance!(fresh, durable: opener);

        fn empty() -> Arc<dyn Sql> {
            Remote::new(Kind::$kind)
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn random_workflows_come_to_what_the_reference_says() {
            cases::check_cases(empty, 0..6, Driver::Checkpointing).await;
            cases::check_cases(empty, 90..93, Driver::TwoWorkers).await;
        }
    };
}

mod d1 {
    suite!(D1);
}

mod durable_object {
    suite!(Object);
}
