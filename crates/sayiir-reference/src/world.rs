//! The stores that cases run on, and their clock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use sayiir_core::time::{Clock, Timestamp};
use sayiir_persistence::{InMemoryBackend, Store, SystemClock};
use sayiir_sqlite::{SqliteBackend, SqliteOptions};

/// The time since it was made, and as much more as was added to let leases end. It does not follow the system's time when that is set
/// right: what began and what was stored are compared by it.
#[derive(Debug)]
pub struct ShiftedClock {
    begun: (Timestamp, Instant),
    shift: AtomicI64,
}

impl Default for ShiftedClock {
    fn default() -> Self {
        Self { begun: (SystemClock.now(), Instant::now()), shift: AtomicI64::new(0) }
    }
}

impl ShiftedClock {
    /// Moves on by this long at once.
    pub fn shift(&self, by: Duration) {
        self.shift.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        let (at, begun) = self.begun;
        let shift = self.shift.load(Ordering::SeqCst);
        Timestamp::from_micros((at + begun.elapsed()).as_micros() + shift)
    }
}

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// In this process's memory.
    Memory,
    /// A SQLite file.
    SqliteFile,
    /// SQLite in memory.
    SqliteMemory,
}

impl StoreKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Memory, Self::SqliteFile, Self::SqliteMemory];
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::SqliteFile => "sqlite file",
            Self::SqliteMemory => "sqlite in memory",
        })
    }
}

/// A store with its clock.
#[derive(Clone)]
pub struct World {
    /// The store, without faults.
    pub store: Arc<dyn Store>,
    /// Its clock.
    pub clock: Arc<ShiftedClock>,
    _directory: Option<Arc<tempfile::TempDir>>,
}

impl World {
    /// A new, empty store.
    pub async fn new(kind: StoreKind) -> anyhow::Result<Self> {
        let clock = Arc::new(ShiftedClock::default());
        let shared = || Arc::clone(&clock) as Arc<dyn Clock>;
        let (store, directory): (Arc<dyn Store>, _) = match kind {
            StoreKind::Memory => (Arc::new(InMemoryBackend::with_clock(shared())), None),
            StoreKind::SqliteFile => {
                let directory = directory()?;
                let options = SqliteOptions::default().with_clock(shared());
                (Arc::new(SqliteBackend::open_with(directory.path().join("case.db"), options).await?), Some(directory))
            }
            StoreKind::SqliteMemory => {
                (Arc::new(SqliteBackend::in_memory_with(SqliteOptions::default().with_clock(shared())).await?), None)
            }
        };
        Ok(Self { store, clock, _directory: directory.map(Arc::new) })
    }

    /// A store of any other kind, on its clock.
    pub fn over(store: Arc<dyn Store>, clock: Arc<ShiftedClock>) -> Self {
        Self { store, clock, _directory: None }
    }

    /// Lets every lease end, and wakes whoever waits.
    pub fn let_leases_end(&self) {
        self.clock.shift(Duration::from_secs(11));
        self.store.wakeups().announce_everything();
    }
}

/// In memory where the system has such a place: what is looked at here is the death of processes, not of the disk.
fn directory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}
