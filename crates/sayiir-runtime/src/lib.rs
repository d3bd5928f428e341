//! Runners, worker and client of Sayiir on tokio.
//!
//! [`InProcessRunner`] runs in memory. [`CheckpointingRunner`] drives one instance here and now, every step
//! stored. [`LocalWorker`] drives a whole store by itself, [`PooledWorker`] as one of a fleet. [`WorkflowClient`] starts instances and asks and
//! tells them things, from any process.

mod checkpointing;
mod client;
mod error;
mod executor;
mod failure;
mod host;
mod in_process;
pub mod metrics;
mod mismatch;
pub mod prelude;
mod progress;
mod start;
pub mod testing;
#[cfg(feature = "otel")]
pub mod trace_context;
mod worker;

pub use checkpointing::CheckpointingRunner;
pub use client::{Outcome, Rewinding, Submission, TaskRef, WorkflowClient};
pub use error::RuntimeError;
pub use executor::{TaskCall, TaskExecutor};
pub use failure::InstanceFailure;
pub use in_process::{InProcessRunner, WorkflowRunExt, WorkflowRunner};
pub use progress::TaskProgress;
pub use sayiir_core as core;
pub use sayiir_core::branch_key::BranchKey;
pub use sayiir_core::deps::{Deps, DepsBuilder, DepsInjectable, MissingDep};
pub use sayiir_core::task::TaskInput;
pub use sayiir_core::task_context;
pub use sayiir_core::workflow::ConflictPolicy;
pub use sayiir_driver::WorkflowSet;
pub use sayiir_macros::{BranchKey, task, workflow};
pub use sayiir_persistence as persistence;
pub use worker::{LocalWorker, LocalWorkerBuilder, PooledWorker, PooledWorkerBuilder, WorkerHandle};

/// The codecs.
pub mod serialization {
    #[cfg(feature = "rkyv")]
    pub use sayiir_core::codec::RkyvCodec;
    pub use sayiir_core::codec::{Codec, Decoder, Encoder, EnvelopeCodec, JsonCodec};
}
