//! Codecs: JSON, rkyv and one of the test's own, at every node kind, on memory and on a SQLite file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod kinds;
mod macros;
mod mismatch;
mod postcard;
mod signals;

use std::sync::Arc;
use std::time::Duration;

use sayiir::persistence::Store;
use sayiir::prelude::*;

/// The longest that anything here may take.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

/// Runs a test on each store.
async fn both(test: impl AsyncFn(Arc<dyn Store>)) {
    test(Arc::new(InMemoryBackend::new())).await;
    let place = tempfile::tempdir().unwrap();
    test(Arc::new(SqliteBackend::open(place.path().join("codecs.db")).await.unwrap())).await;
}

fn context<C>(name: &str, codec: C) -> WorkflowContext<C> {
    WorkflowContext::new(name, Arc::new(codec), Arc::new(()))
}
