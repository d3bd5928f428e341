//! How a store is opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sayiir_core::time::Clock;
use sayiir_persistence::{Limits, SystemClock};

/// How sure a write is when it is acknowledged.
///
/// ```
/// use sayiir_sqlite::Synchronous;
///
/// // Tests may forget what a power cut takes; programs keep the default.
/// assert_eq!(Synchronous::default(), Synchronous::Full);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Synchronous {
    /// Every commit is on the disk before it is acknowledged: it survives a power failure. The default.
    #[default]
    Full,
    /// A power failure or a crash of the operating system may lose the last acknowledged commits (SQLite's
    /// `synchronous=NORMAL`). A crash of the process loses nothing.
    MayLoseLastCommitsOnPowerFailure,
    /// A power failure may lose commits or destroy the file (SQLite's `synchronous=OFF`). For tests.
    MayDestroyFileOnPowerFailure,
}

impl Synchronous {
    pub(crate) const fn pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::MayLoseLastCommitsOnPowerFailure => "NORMAL",
            Self::MayDestroyFileOnPowerFailure => "OFF",
        }
    }
}

/// How a store is opened.
///
/// ```
/// use sayiir_sqlite::SqliteOptions;
/// use std::time::Duration;
/// let options = SqliteOptions::default().with_busy_timeout(Duration::from_secs(1));
/// assert_eq!(options.busy_timeout, Duration::from_secs(1));
/// ```
#[derive(Clone)]
pub struct SqliteOptions {
    /// Where the store takes its time from. The system's clock by default.
    pub clock: Arc<dyn Clock>,
    /// How long to wait for another connection's lock. 5 s by default.
    pub busy_timeout: Duration,
    /// The sizes the store accepts.
    pub limits: Limits,
    /// Whether a file that is missing is made, and one of an older version is brought to this build's. True by default.
    pub make: bool,
    /// How sure a write is when it is acknowledged.
    pub synchronous: Synchronous,
    /// The largest size of the file in pages of 4 KiB; what does not fit is refused as on a full disk. None by default.
    pub max_pages: Option<u32>,
    /// How many connections (each with its thread) serve reads. 2 by default, at least 1.
    pub readers: usize,
    /// How many requests at most become one transaction. 256 by default.
    pub batch_jobs: usize,
    /// How many payload bytes at most become one transaction (a single larger request is taken alone). 8 MiB by default.
    pub batch_bytes: usize,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            busy_timeout: Duration::from_secs(5),
            limits: Limits::default(),
            make: true,
            synchronous: Synchronous::default(),
            max_pages: None,
            readers: 2,
            batch_jobs: 256,
            batch_bytes: 8 << 20,
        }
    }
}

impl SqliteOptions {
    /// Takes the time from this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Waits so long for another connection's lock.
    #[must_use]
    pub const fn with_busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Accepts these sizes.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens only a file that is a store of this build's version already: makes none, and migrates none (which would end the
    /// work of the programs of an older version that have it open). For tools.
    #[must_use]
    pub const fn existing_only(mut self) -> Self {
        self.make = false;
        self
    }

    /// Acknowledges writes when they are this sure.
    #[must_use]
    pub const fn with_synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Lets the file grow to so many pages of 4 KiB.
    #[must_use]
    pub const fn with_max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }

    /// Serves reads from so many connections.
    #[must_use]
    pub const fn with_readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clock: _, busy_timeout, limits, make, synchronous, max_pages, readers, batch_jobs, batch_bytes } = self;
        f.debug_struct("SqliteOptions")
            .field("busy_timeout", busy_timeout)
            .field("limits", limits)
            .field("make", make)
            .field("synchronous", synchronous)
            .field("max_pages", max_pages)
            .field("readers", readers)
            .field("batch_jobs", batch_jobs)
            .field("batch_bytes", batch_bytes)
            .finish_non_exhaustive()
    }
}
