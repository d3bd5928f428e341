//! All that a program needs.

pub use sayiir_core::branch_key::BranchKey;
pub use sayiir_core::branch_results::NamedBranchResults;
pub use sayiir_core::codec::{Codec, Decoder, Encoder, EnvelopeCodec, JsonCodec};
pub use sayiir_core::context::{TaskExecutionContext, WorkflowContext, get_task_context};
pub use sayiir_core::error::{BoxError, BuildError, BuildErrors, DoNotRetry, RetryAfter, WorkflowError};
pub use sayiir_core::priority::Priority;
pub use sayiir_core::registry::TaskRegistry;
pub use sayiir_core::task::{BranchEnvelope, BranchOutputs, CoreTask, RegisterableTask, RetryPolicy, TaskMetadata};
pub use sayiir_core::workflow::{ConflictPolicy, MaxIterationsPolicy, SerializableWorkflow, Workflow, WorkflowBuilder, WorkflowStatus};
pub use sayiir_core::{DefinitionHash, LoopResult, TaskId, task_context};
pub use sayiir_persistence::{BackendError, InMemoryBackend, SignalStore, SnapshotStore};

pub use crate::{
    CheckpointingRunner, InProcessRunner, LocalWorker, Outcome, RuntimeError, WorkerHandle, WorkflowClient, WorkflowRunExt, WorkflowRunner,
    WorkflowSet,
};
