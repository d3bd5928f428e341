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
