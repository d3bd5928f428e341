//! Runners, worker and client of Sayiir on tokio.
//!
//! [`InProcessRunner`] runs in memory. [`CheckpointingRunner`] drives one instance here and now, every step
//! stored. [`LocalWorker`] drives a whole store by itself. [`WorkflowClient`] starts instances and asks and
//! tells them things, from any process.

mod checkpointing;
mod client;
mod error;
mod failure;
mod host;
mod in_process;
mod local_worker;
pub mod metrics;
mod mismatch;
pub mod prelude;
mod progress;
mod start;
pub mod testing;
#[cfg(feature = "otel")]
pub mod trace_context;

pub use checkpointing::CheckpointingRunner;
pub use client::{Outcome, TaskRef, WorkflowClient};
pub use error::RuntimeError;
pub use failure::InstanceFailure;
pub use in_process::{InProcessRunner, WorkflowRunExt, WorkflowRunner};
pub use local_worker::{LocalWorker, LocalWorkerBuilder, WorkerHandle};
pub use progress::TaskProgress;
pub use sayiir_core as core;
pub use sayiir_core::branch_key::BranchKey;
pub use sayiir_core::deps::{Deps, DepsBuilder, DepsInjectable, MissingDep};
pub use sayiir_core::task_context;
pub use sayiir_core::workflow::ConflictPolicy;
pub use sayiir_driver::WorkflowSet;
pub use sayiir_macros::{BranchKey, task, workflow};
pub use sayiir_persistence as persistence;

/// The codecs.
pub mod serialization {
    #[cfg(feature = "rkyv")]
    pub use sayiir_core::codec::RkyvCodec;
    pub use sayiir_core::codec::{Codec, Decoder, Encoder, EnvelopeCodec, JsonCodec};
}
