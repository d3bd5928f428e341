//! The in-memory store passes the suite.

use std::sync::Arc;

use sayiir_persistence::{InMemoryBackend, Store};
use sayiir_store_testkit::TestClock;

fn fresh(clock: Arc<TestClock>) -> Arc<dyn Store> {
    Arc::new(InMemoryBackend::with_clock(clock))
}

sayiir_store_testkit::conformance!(fresh);
