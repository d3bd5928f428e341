//! A store of each kind behind faults, with a clock that a test moves on.
#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sayiir::core::time::{Clock, Timestamp};
use sayiir::persistence::{InMemoryBackend, Store, SystemClock};
use sayiir::{SqliteBackend, SqliteOptions};
use sayiir_store_testkit::FaultStore;

/// The time, and as much more as a test adds to let leases end.
#[derive(Default)]
pub(crate) struct ShiftedClock(pub(crate) AtomicI64);

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(SystemClock.now().as_micros() + self.0.load(Ordering::SeqCst))
    }
}

/// A store, the faults before it, and its time.
pub(crate) struct World {
    pub(crate) store: Arc<FaultStore>,
    pub(crate) clock: Arc<ShiftedClock>,
    _directory: Option<tempfile::TempDir>,
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Memory,
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

/// A new schema of one throw-away server.
#[cfg(feature = "postgres")]
async fn postgres(clock: Arc<dyn Clock>) -> Arc<dyn Store> {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    let url = sayiir_pg_testserver::shared().unwrap().url();
    let schema = format!("faulty_{}", NEXT.fetch_add(1, Ordering::SeqCst));
    let options = sayiir::PostgresOptions::default().with_schema(schema).with_clock(clock);
    Arc::new(sayiir::PostgresBackend::<sayiir::prelude::JsonCodec>::open_with(&url, options).await.unwrap())
}

pub(crate) async fn world(kind: Kind) -> World {
    let clock = Arc::new(ShiftedClock::default());
    let shared = || Arc::clone(&clock) as Arc<dyn Clock>;
    let (inner, directory): (Arc<dyn Store>, _) = match kind {
        Kind::Memory => (Arc::new(InMemoryBackend::with_clock(shared())), None),
        Kind::Sqlite => {
            let directory = tempfile::tempdir().unwrap();
            let options = SqliteOptions::default().with_clock(shared());
            (Arc::new(SqliteBackend::open_with(directory.path().join("faulty.db"), options).await.unwrap()), Some(directory))
        }
        #[cfg(feature = "postgres")]
        Kind::Postgres => (postgres(shared()).await, None),
    };
    World { store: Arc::new(FaultStore::new(inner)), clock, _directory: directory }
}
