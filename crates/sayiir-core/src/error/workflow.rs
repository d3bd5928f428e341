//! Why a workflow did not give an output.

use std::sync::Arc;
use std::time::Duration;

use crate::ids::DefinitionHash;
use crate::workflow::DefinitionDiff;

/// Why a workflow did not give an output.
///
/// ```
/// use sayiir_core::error::WorkflowError;
///
/// let error = WorkflowError::BranchKeyNotFound { node: "size".to_owned(), key: "huge".to_owned() };
/// assert_eq!(error.to_string(), "the route at \"size\" has no branch for the key \"huge\", and no default branch");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// The definition or registry has no such task.
    #[error("no task {0:?}")]
    TaskNotFound(String),
    /// A task stands in the definition, but this process has no implementation of it.
    #[error("the task {0:?} has no implementation here")]
    TaskNotImplemented(String),
    /// The instance belongs to another definition.
    #[error("definition mismatch{}: expected {expected}, found {found}{}", of_instance(.instance_id.as_deref()), since(.changes.as_deref()))]
    DefinitionMismatch {
        /// The instance, if its id is known to who refuses.
        instance_id: Option<Arc<str>>,
        /// The caller's.
        expected: DefinitionHash,
        /// The instance's.
        found: DefinitionHash,
        /// What changed from the instance's definition to the caller's, if the store kept the former.
        changes: Option<Box<DefinitionDiff>>,
    },
    /// The workflow was cancelled.
    #[error("the workflow was cancelled{}", because(.reason.as_deref()))]
    Cancelled {
        /// Why, if the caller said.
        reason: Option<String>,
        /// Who asked, if the caller said.
        cancelled_by: Option<String>,
    },
    /// The workflow is paused.
    #[error("the workflow is paused{}", because(.reason.as_deref()))]
    Paused {
        /// Why, if the caller said.
        reason: Option<String>,
        /// Who asked, if the caller said.
        paused_by: Option<String>,
    },
    /// A fork without branches.
    #[error("the fork {0:?} has no branches")]
    EmptyFork(String),
    /// A task panicked.
    #[error("the task at {0:?} panicked")]
    TaskPanicked(String),
    /// A run could not be resumed.
    #[error("the run cannot be resumed: {0}")]
    ResumeError(String),
    /// A join asked for a branch that there is not.
    #[error("no branch {0:?}")]
    BranchNotFound(String),
    /// A route gave a key that has no arm.
    #[error("the route at {node:?} has no branch for the key {key:?}, and no default branch")]
    BranchKeyNotFound {
        /// The route.
        node: String,
        /// The key.
        key: String,
    },
    /// The workflow waits for a delay.
    #[error("the workflow waits in {0:?}")]
    Waiting(String),
    /// A task took longer than its timeout.
    #[error("the task at {node:?} took longer than its timeout of {timeout:?}")]
    TaskTimedOut {
        /// The node.
        node: String,
        /// Its timeout.
        timeout: Duration,
    },
    /// The workflow waits for a signal.
    #[error("the workflow waits for the signal {0:?}")]
    AwaitingSignal(String),
    /// A loop reached its limit.
    #[error("the loop {loop_id:?} was not done after {max_iterations} iterations")]
    MaxIterationsExceeded {
        /// The loop.
        loop_id: String,
        /// Its limit.
        max_iterations: u32,
    },
    /// A task failed for good; the text names node, attempt and cause.
    #[error("{0}")]
    TaskFailed(String),
}

fn of_instance(id: Option<&str>) -> String {
    id.map(|id| format!(" of instance {id:?}")).unwrap_or_default()
}

fn since(changes: Option<&DefinitionDiff>) -> String {
    changes.map(|changes| format!("; since the instance was started: {changes}")).unwrap_or_default()
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}
