//! The store's time: the clock that was handed in, which never goes back within a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sayiir_core::time::{Clock, Timestamp};

/// A clock that never goes back, so that stamps of one process keep the order of its writes.
pub(super) struct StoreClock {
    clock: Arc<dyn Clock>,
    last: AtomicI64,
}

impl StoreClock {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: AtomicI64::new(i64::MIN) }
    }

    pub(super) fn now(&self) -> Timestamp {
        let now = self.clock.now().as_micros();
        let last = self.last.fetch_max(now, Ordering::AcqRel);
        Timestamp::from_micros(now.max(last))
    }
}
