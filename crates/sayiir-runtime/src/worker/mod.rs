//! Workers on tokio: one loop (the driver's), set up in two ways.
//!
//! Invariant: a worker's name tells people who did what. What fences its writes is the lease number that the store gave to its session.

mod handle;
mod local;
mod overlay;
mod pooled;

pub use handle::WorkerHandle;
pub use local::{LocalWorker, LocalWorkerBuilder};
pub use pooled::{PooledWorker, PooledWorkerBuilder};

use std::time::Duration;

/// How long a shutdown waits for running tasks before it drops them.
const GRACE: Duration = Duration::from_secs(30);
