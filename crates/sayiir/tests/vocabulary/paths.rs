//! The paths from which existing programs import.
#![allow(unused_imports, reason = "that they are there is the test")]

mod core_paths {
    use sayiir_core::branch_key::BranchKey;
    use sayiir_core::branch_results::NamedBranchResults;
    use sayiir_core::codec::sealed::{DecodeValue, EncodeValue};
    use sayiir_core::codec::{Codec, Decoder, Encoder, EnvelopeCodec};
    use sayiir_core::context::{TaskExecutionContext, WorkflowContext, get_task_context};
    use sayiir_core::error::{BoxError, BuildError, BuildErrors, CodecError, WorkflowError};
    use sayiir_core::prelude::*;
    use sayiir_core::priority::Priority;
    use sayiir_core::registry::TaskRegistry;
    use sayiir_core::snapshot::{
        ExecutionPosition, PauseRequest, SignalKind, SignalRequest, TaskHint, TaskResult, WorkflowSnapshot, WorkflowSnapshotState,
    };
    use sayiir_core::task::{
        BranchEnvelope, BranchOutputs, CoreTask, RegisterableTask, RetryPolicy, TaskIdentifier, TaskMetadata, fn_task,
    };
    use sayiir_core::workflow::{
        ConflictPolicy, MaxIterationsPolicy, NodeInfo, NodeKind, SerializableWorkflow, Workflow, WorkflowBuilder, WorkflowStatus,
    };
    use sayiir_core::{
        DefinitionHash, InvalidInstanceId, LoopResult, MAX_INSTANCE_ID_LEN, MaxIterationsPolicy as AtTheRoot, TaskId, WorkflowId,
        loop_result, task_context, validate_instance_id,
    };
}

mod persistence_paths {
    use sayiir_persistence::lifecycle::{ConflictPolicy, PrepareRunOutcome, RunConflict, prepare_run};
    use sayiir_persistence::{BackendError, InMemoryBackend, PersistentBackend, SignalStore, SnapshotStore};
    use sayiir_persistence::{PrepareRunOutcome as Outcome, RunConflict as Conflict, prepare_run as prepare};
}

mod runtime_paths {
    use sayiir_runtime::persistence::InMemoryBackend;
    use sayiir_runtime::prelude::*;
    use sayiir_runtime::serialization::JsonCodec as Json;
    use sayiir_runtime::{
        BranchKey as Key, CheckpointingRunner as Checkpointing, ConflictPolicy as Policy, InProcessRunner as InProcess,
        PooledWorker as Pooled, PooledWorkerBuilder as PooledBuilder, RuntimeError as Error, WorkerHandle as Handle,
        WorkflowClient as Client, WorkflowRunExt as RunExt, WorkflowRunner as Runner, task_context as context,
    };
}

/// The preludes hold all of this.
macro_rules! prelude_has {
    ($module:ident: $prelude:path) => {
        mod $module {
            use $prelude::{
                BackendError, BoxError, BranchEnvelope, BranchKey, BranchOutputs, BuildError, BuildErrors, CheckpointingRunner, Codec,
                CodecError, ConflictPolicy, CoreTask, Decoder, DefinitionHash, Encoder, EnvelopeCodec, InMemoryBackend, InProcessRunner,
                JsonCodec, LoopResult, MaxIterationsPolicy, NamedBranchResults, NodeInfo, NodeKind, PersistentBackend, PooledWorker,
                PooledWorkerBuilder, Priority, RegisterableTask, RetryPolicy, RuntimeError, SerializableWorkflow, SignalStore,
                SnapshotStore, TaskExecutionContext, TaskId, TaskIdentifier, TaskMetadata, TaskRegistry, WorkerHandle, Workflow,
                WorkflowBuilder, WorkflowClient, WorkflowContext, WorkflowError, WorkflowId, WorkflowRunExt, WorkflowRunner,
                WorkflowStatus, fn_task, get_task_context, task_context,
            };
        }
    };
}

prelude_has!(of_the_runtime: sayiir_runtime::prelude);
prelude_has!(of_the_facade: sayiir::prelude);

mod facade_paths {
    use sayiir::core::workflow::WorkflowBuilder;
    use sayiir::persistence::prepare_run;
    use sayiir::prelude::{SqliteBackend, SqliteOptions};
    use sayiir::serialization::JsonCodec;
}
