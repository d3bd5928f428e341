//! How much was asked of SQLite: for benchmarks, and for tests of what a step costs.

use std::sync::atomic::{AtomicU64, Ordering};

static STATEMENTS: AtomicU64 = AtomicU64::new(0);

/// Counts a statement.
pub(crate) fn count() {
    STATEMENTS.fetch_add(1, Ordering::Relaxed);
}

/// How many statements the stores of this process have run, transactions' begins and ends included.
#[doc(hidden)]
pub fn statements() -> u64 {
    STATEMENTS.load(Ordering::Relaxed)
}

/// Notes how many requests a transaction is to carry, and how many wait behind them.
#[cfg(feature = "metrics")]
pub(crate) fn batch(jobs: usize, waiting: usize) {
    use sayiir_persistence::metric_names::{COMMIT_BATCH, QUEUE_DEPTH};

    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    metrics::histogram!(COMMIT_BATCH).record(number(jobs));
    metrics::gauge!(QUEUE_DEPTH).set(number(waiting));
}

#[cfg(not(feature = "metrics"))]
pub(crate) const fn batch(_jobs: usize, _waiting: usize) {}
