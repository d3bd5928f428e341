//! All that a program needs.

pub use sayiir_core::prelude::*;
pub use sayiir_core::{InvalidInstanceId, MAX_INSTANCE_ID_LEN, validate_instance_id};
pub use sayiir_persistence::{
    BackendError, InMemoryBackend, InstanceFilter, PersistentBackend, SignalStore, SnapshotStore, TaskClaimStore, TaskResultStore,
};

pub use crate::{
    CheckpointingRunner, InProcessRunner, InstanceFailure, LocalWorker, LocalWorkerBuilder, Outcome, PooledWorker, PooledWorkerBuilder,
    RuntimeError, TaskProgress, TaskRef, WorkerHandle, WorkflowClient, WorkflowRunExt, WorkflowRunner, WorkflowSet,
};
pub use sayiir_macros::{BranchKey, task, workflow};
