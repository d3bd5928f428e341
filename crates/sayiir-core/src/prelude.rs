//! What a program that defines workflows needs.

pub use crate::branch_key::BranchKey;
pub use crate::branch_results::NamedBranchResults;
#[cfg(feature = "json")]
pub use crate::codec::JsonCodec;
#[cfg(feature = "rkyv")]
pub use crate::codec::RkyvCodec;
pub use crate::codec::{Codec, Decoder, Encoder, EnvelopeCodec};
pub use crate::context::{TaskExecutionContext, WorkflowContext, checkpoint, get_task_context};
pub use crate::deps::{Deps, DepsBuilder, DepsInjectable, MissingDep};
pub use crate::error::{BoxError, BuildError, BuildErrors, CodecError, DoNotRetry, Retry, RetryAfter, TaskError, WorkflowError, advised};
pub use crate::ids::{DefinitionHash, TaskId, WorkflowId};
pub use crate::loop_result::{LoopResult, MaxIterationsPolicy};
pub use crate::priority::Priority;
pub use crate::registry::TaskRegistry;
pub use crate::task::{BranchEnvelope, BranchOutputs, CoreTask, RegisterableTask, RetryPolicy, TaskIdentifier, TaskMetadata, fn_task};
pub use crate::task_context;
pub use crate::workflow::{ConflictPolicy, NodeInfo, NodeKind, SerializableWorkflow, Untyped, Workflow, WorkflowBuilder, WorkflowStatus};
