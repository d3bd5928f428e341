//! Errors of running workflows.

use std::error::Error;

use sayiir_core::InvalidInstanceId;
use sayiir_core::error::{BoxError, BuildErrors, CodecError, WorkflowError};
use sayiir_driver::DriveError;
use sayiir_persistence::{BackendError, Detail, RunConflict, StoreError};

/// Why a workflow could not be run, or gave no output.
///
/// ```
/// use sayiir_runtime::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let order = workflow! { name: "order", steps: [charge(euros: u32) { euros }] }?;
/// let runner = CheckpointingRunner::new(InMemoryBackend::new());
/// runner.run(&order, "order-17", 5).await?;
/// match runner.run(&order, "order-17", 5).await {
///     Err(RuntimeError::InstanceAlreadyExists(id)) => assert_eq!(id, "order-17"),
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The workflow ended without an output, or is not the instance's.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// The workflow could not be built.
    #[error(transparent)]
    Build(#[from] BuildErrors),
    /// The store refused or did not answer.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A payload could not be encoded or decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A task failed.
    #[error("a task failed")]
    Task(#[source] BoxError),
    /// A worker was given nothing to serve.
    #[error("a worker needs at least one workflow")]
    NoWorkflow,
    /// The runtime ended what it was asked to wait for.
    #[error("the wait was cut short: {0}")]
    Join(String),
    /// The id is known, and the policy is to refuse.
    #[error(
        "the instance {0:?} exists already: choose the conflict policy 'use_existing' or 'terminate_existing', or call resume() instead"
    )]
    InstanceAlreadyExists(String),
    /// The id is none that stores can hold.
    #[error(transparent)]
    InvalidInstanceId(#[from] InvalidInstanceId),
}

impl RuntimeError {
    /// Whether a payload could not be decoded.
    pub fn is_decode_error(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let codec = match error.downcast_ref::<Self>() {
                Some(Self::Codec(error)) => Some(error),
                _ => error.downcast_ref::<CodecError>(),
            };
            if matches!(codec, Some(CodecError::Decode { .. } | CodecError::Input { .. })) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

impl From<StoreError> for RuntimeError {
    fn from(error: StoreError) -> Self {
        Self::Backend(error.into())
    }
}

impl From<DriveError> for RuntimeError {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::Fault(fault) => Self::Backend(BackendError::Backend(Detail::with_source(fault.to_string(), fault.cause))),
            DriveError::Store(error) => error.into(),
            replaced @ DriveError::Replaced(_) => Self::Workflow(WorkflowError::ResumeError(replaced.to_string())),
            DriveError::Gone(id) => Self::Backend(BackendError::NotFound(format!("{id:?}").into())),
        }
    }
}

impl From<RunConflict> for RuntimeError {
    fn from(conflict: RunConflict) -> Self {
        match conflict {
            RunConflict::AlreadyExists(id) => Self::InstanceAlreadyExists(id),
            RunConflict::DefinitionMismatch { expected, found } => {
                Self::Workflow(WorkflowError::DefinitionMismatch { instance_id: None, expected, found, changes: None })
            }
            RunConflict::Backend(error) => Self::Backend(error),
            RunConflict::InvalidInstanceId(error) => Self::InvalidInstanceId(error),
        }
    }
}
