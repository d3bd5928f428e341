//! What the tests of the PostgreSQL store share: a runtime, and fresh schemas of one throw-away server.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sayiir_pg_testserver::shared;
use sayiir_postgres::{PoolOptions, PostgresBackend, PostgresOptions};
use sayiir_store_testkit::TestClock;
use tokio::runtime::Runtime;

/// Where the stores' connections live.
pub static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// A name that no other store of this process has.
pub fn fresh_schema() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("case_{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

/// A small pool, which gives up soon.
pub fn small_pool() -> PoolOptions {
    PoolOptions { max_connections: Some(5), acquire_timeout: Some(Duration::from_secs(20)), ..PoolOptions::default() }
}

pub fn options(schema: &str) -> PostgresOptions {
    PostgresOptions::default().with_schema(schema).with_pool(small_pool())
}

/// Opens the store of a schema on the shared server.
pub fn open(options: PostgresOptions) -> PostgresBackend {
    RUNTIME.block_on(PostgresBackend::open_with(&shared().unwrap().url(), options)).unwrap()
}

pub fn open_on(schema: &str, clock: Arc<TestClock>) -> PostgresBackend {
    open(options(schema).with_clock(clock))
}
