//! Durable workflows inside your own program.
//!
//! Write ordinary async functions, compose them into a graph, run it. Every finished step is stored, and
//! after a crash the work goes on from the last stored step: no replay of your code, no determinism
//! rules, no server to operate.
//!
//! ```
//! use std::sync::Arc;
//! use sayiir::prelude::*;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let context = WorkflowContext::new("order", Arc::new(JsonCodec), Arc::new(()));
//! let workflow = WorkflowBuilder::new(context)
//!     .then("price", |items: Vec<u32>| async move { Ok(items.iter().sum::<u32>()) })
//!     .then("receipt", |total| async move { Ok(format!("paid {total}")) })
//!     .build()?;
//! assert_eq!(workflow.run_once(vec![1, 2, 3]).await?, "paid 6");
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! | For | See |
//! |---|---|
//! | every kind of step: tasks, forks, routes, loops, delays, signals, child workflows | [`WorkflowBuilder`](prelude::WorkflowBuilder) |
//! | retries, timeouts, priorities, tags | [`TaskMetadata`](prelude::TaskMetadata), [`DoNotRetry`](prelude::DoNotRetry) |
//! | running one instance here and now | [`CheckpointingRunner`] |
//! | running whatever is in a store | [`LocalWorker`] |
//! | starting instances, waiting, cancelling, sending events, reading results | [`WorkflowClient`] |
//! | where it is stored | `SqliteBackend` (feature `sqlite`, on by default), [`InMemoryBackend`](prelude::InMemoryBackend) |
//! | what to do with an id that is known | [`ConflictPolicy`] |
//!
//! # What is promised
//!
//! What is promised about a task is *at least once*: a task that was running at a crash runs again, one
//! whose result was stored never does. Each task can read an idempotency key that is the same on every
//! attempt, from [`get_task_context`](prelude::get_task_context).

/// The bytes of payloads.
pub use bytes;
pub use sayiir_core as core;
pub use sayiir_runtime::*;
#[cfg(feature = "sqlite")]
pub use sayiir_sqlite::{SqliteBackend, SqliteOptions};

#[cfg(feature = "sqlite")]
#[doc(hidden)]
pub use sayiir_sqlite::statements as sqlite_statements;

/// All that a program needs.
pub mod prelude {
    pub use sayiir_runtime::prelude::*;
    #[cfg(feature = "sqlite")]
    pub use sayiir_sqlite::{SqliteBackend, SqliteOptions};
}
