//! Errors of building, of payloads and of running workflows.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::ids::DefinitionHash;
use crate::workflow::DefinitionDiff;

/// Any error of a task.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A payload that could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// A value could not be encoded.
    #[error("could not encode a {}", short_type_name(.type_name))]
    Encode {
        /// The Rust type.
        type_name: &'static str,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// Bytes could not be decoded.
    #[error("could not decode a {} from {context}", short_type_name(.type_name))]
    Decode {
        /// The Rust type.
        type_name: &'static str,
        /// Whose bytes they are: an input, an event, a step's output.
        context: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// The instance's payloads are of another codec.
    #[error("codec mismatch: the instance's payloads are {stored:?}, and this workflow's are {used:?}")]
    Mismatch {
        /// The name of the codec that wrote them.
        stored: String,
        /// The name of the codec that was to read them.
        used: String,
        /// How the definitions differ.
        #[source]
        source: BoxError,
    },
    /// A task was given what it cannot decode.
    #[error("could not decode the input of {task:?} as a {}{}", short_type_name(.type_name), from_signal(.signal.as_deref()))]
    Input {
        /// The task's id.
        task: String,
        /// The signal that the input came from, if it came from one.
        signal: Option<String>,
        /// The Rust type of the input.
        type_name: &'static str,
        /// Why not.
        #[source]
        source: BoxError,
    },
}

fn from_signal(name: Option<&str>) -> String {
    name.map(|name| format!(": it is the payload of the signal {name:?}, or None if the wait for it timed out")).unwrap_or_default()
}

/// A type's name without the modules it is in: `Option<String>`.
pub(crate) fn short_type_name(type_name: &str) -> String {
    let mut short = String::new();
    for piece in type_name.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
        short.push_str(piece.rsplit("::").next().unwrap_or(piece));
    }
    short
}

/// An error of a task that is not worth retrying, whatever the task's retry policy says.
///
/// ```
/// use sayiir_core::error::{BoxError, DoNotRetry};
/// fn charge(card: &str) -> Result<(), BoxError> {
///     if card.is_empty() {
///         return Err(DoNotRetry::new("no card on file").into());
///     }
///     Ok(())
/// }
/// assert!(charge("").is_err());
/// ```
#[derive(Debug)]
pub struct DoNotRetry(BoxError);

impl DoNotRetry {
    /// Marks `error` as not worth retrying.
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self(error.into())
    }

    /// The error itself.
    pub fn into_inner(self) -> BoxError {
        self.0
    }
}

impl fmt::Display for DoNotRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for DoNotRetry {
    /// The error itself, so that it is found in the chain by its type.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// An error of a task that is to be retried after this long, instead of the policy's next delay.
/// It counts as an attempt.
///
/// ```
/// use std::time::Duration;
/// use sayiir_core::error::{BoxError, RetryAfter};
///
/// fn answer(status: u16) -> Result<(), BoxError> {
///     if status == 429 { Err(RetryAfter::new(Duration::from_secs(60), "too many requests").into()) } else { Ok(()) }
/// }
/// assert!(answer(429).is_err());
/// ```
#[derive(Debug)]
pub struct RetryAfter {
    delay: Duration,
    error: BoxError,
}

impl RetryAfter {
    /// Asks for the next attempt `delay` from now.
    pub fn new(delay: Duration, error: impl Into<BoxError>) -> Self {
        Self { delay, error: error.into() }
    }

    /// How long to wait.
    pub const fn delay(&self) -> Duration {
        self.delay
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for RetryAfter {
    /// The error itself, so that it is found in the chain by its type.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

/// What an error of a task says about another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The task's retry policy decides.
    ByPolicy,
    /// Never: it would fail the same way.
    Never,
    /// Within what the policy allows, this long from now.
    After(Duration),
}

/// An error type of your own that says whether another attempt makes sense.
///
/// `#[task]` and the inline steps of `workflow!` ask it by themselves; elsewhere hand the error through [`advised`].
///
/// ```
/// use std::time::Duration;
/// use sayiir_core::error::{BoxError, DoNotRetry, Retry, TaskError, advised};
///
/// #[derive(Debug)]
/// enum PayError {
///     CardRefused,
///     Busy,
/// }
///
/// impl std::fmt::Display for PayError {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         write!(f, "{self:?}")
///     }
/// }
///
/// impl std::error::Error for PayError {}
///
/// impl TaskError for PayError {
///     fn retry(&self) -> Retry {
///         match self {
///             PayError::CardRefused => Retry::Never,
///             PayError::Busy => Retry::After(Duration::from_secs(60)),
///         }
///     }
/// }
///
/// let error: BoxError = advised(PayError::CardRefused);
/// assert!(error.is::<DoNotRetry>());
/// assert!(std::error::Error::source(&*error).is_some_and(|source| source.is::<PayError>()));
/// ```
pub trait TaskError: Error {
    /// What it says about another attempt.
    fn retry(&self) -> Retry;
}

/// The error with what it says about another attempt, as drivers understand it.
pub fn advised<E: TaskError + Send + Sync + 'static>(error: E) -> BoxError {
    match error.retry() {
        Retry::ByPolicy => error.into(),
        Retry::Never => DoNotRetry::new(error).into(),
        Retry::After(delay) => RetryAfter::new(delay, error).into(),
    }
}

/// An error with its causes on one line: `could not charge: connection refused`.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// One reason why a workflow cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two different implementations stand under one task id.
    #[error("the task id {0:?} stands for two different implementations; give one of them another id")]
    DuplicateTaskId(String),
    /// The registry has no such task.
    #[error("the registry has no task {0:?}; register it before it is used")]
    TaskNotFound(String),
    /// A workflow has no node that runs this task.
    #[error("no node of the workflow {workflow:?} is {task:?} or runs a task of this id; its tasks stand at: {known}")]
    NoSuchNode {
        /// What was asked for.
        task: String,
        /// The workflow.
        workflow: String,
        /// The paths of the nodes that run tasks.
        known: String,
    },
    /// A fork branch or route arm has no steps.
    #[error("the branch {0:?} has no steps")]
    EmptyBranch(String),
    /// A fork has no branches.
    #[error("the fork before {0:?} has no branches")]
    EmptyFork(String),
    /// A fork has two branches, or a route two arms, of one name.
    #[error("{node:?} has two branches named {branch:?}")]
    DuplicateBranch {
        /// The fork or route.
        node: String,
        /// The name.
        branch: String,
    },
    /// A typed route has keys without an arm, and no default arm.
    #[error("the route {branch_id:?} has no branch for {missing_keys:?}; add them or a default branch")]
    MissingBranches {
        /// The route.
        branch_id: String,
        /// The keys without an arm.
        missing_keys: Vec<String>,
    },
    /// A typed route has arms for keys that its key type does not have.
    #[error("the route {branch_id:?} has branches for {orphan_keys:?}, which are no keys of it")]
    OrphanBranches {
        /// The route.
        branch_id: String,
        /// The arms without a key.
        orphan_keys: Vec<String>,
    },
    /// A loop that may not run even once.
    #[error("the loop {0:?} must allow at least one iteration")]
    InvalidMaxIterations(String),
    /// A workflow without a step.
    #[error("Workflow must have at least one task")]
    EmptyWorkflow,
    /// A delay or timeout that cannot be kept.
    #[error("invalid duration of {node:?}: {reason}")]
    InvalidDuration {
        /// The node.
        node: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Task metadata at a node that runs no task.
    #[error("{node:?} runs no task: {field} cannot be set there")]
    MetadataNotApplicable {
        /// The node.
        node: String,
        /// What was set.
        field: &'static str,
    },
    /// A priority that there is not.
    #[error("invalid priority {priority} of {node:?}: priorities are 1 (critical) to 5 (minimal)")]
    InvalidPriority {
        /// The node.
        node: String,
        /// What was given.
        priority: u8,
    },
    /// A name that stores cannot hold.
    #[error("invalid name {name:?}: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nodes nested too deep.
    #[error("{0:?} is nested deeper than {limit} levels", limit = crate::plan::MAX_DEPTH)]
    TooDeep(String),
    /// A stored definition differs from the one expected.
    #[error("definition mismatch: expected {expected}, found {found}")]
    DefinitionMismatch {
        /// The caller's.
        expected: DefinitionHash,
        /// The stored one.
        found: DefinitionHash,
    },
    /// What changed since a definition was stored; told with `DefinitionMismatch`.
    #[error("since it was stored: {0}")]
    DefinitionChanged(Box<DefinitionDiff>),
    /// A task of a stored definition takes or gives other types here.
    #[error("the task {task:?} was stored as {stored}, and is {here} in this registry")]
    TaskTypes {
        /// The id under which the registry has the task.
        task: String,
        /// The types that were stored.
        stored: String,
        /// The types that it has here.
        here: String,
    },
    /// A task needs a dependency that was not given.
    #[error("the task {task_id:?} needs a {type_name}, which the deps do not hold")]
    MissingDep {
        /// The task.
        task_id: &'static str,
        /// The Rust type of the dependency.
        type_name: &'static str,
    },
    /// A task is already in the registry and cannot be built from deps again.
    #[error("the task {task_id:?} is in the registry already; give either the registry or the deps")]
    RegistryDepsConflict {
        /// The task.
        task_id: &'static str,
    },
}

/// All reasons why a workflow cannot be built.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_core::prelude::*;
///
/// let context = WorkflowContext::new("wrong", Arc::new(JsonCodec), Arc::new(()));
/// let errors = WorkflowBuilder::new(context)
///     .loop_task("never", |x: u32| async move { Ok(LoopResult::Done(x)) }, 0)
///     .branches(|_none| {})
///     .join("join", |outputs| async move { Ok(outputs.len()) })
///     .build()
///     .unwrap_err();
/// assert_eq!(errors.len(), 2, "all of them: {errors}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildErrors(Vec<BuildError>);

impl BuildErrors {
    /// No error yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds an error.
    pub fn push(&mut self, error: BuildError) {
        self.0.push(error);
    }

    /// The errors in the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, BuildError> {
        self.0.iter()
    }

    /// How many errors there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The errors as a vector.
    pub fn into_vec(self) -> Vec<BuildError> {
        self.0
    }
}

impl Extend<BuildError> for BuildErrors {
    fn extend<I: IntoIterator<Item = BuildError>>(&mut self, errors: I) {
        self.0.extend(errors);
    }
}

impl From<BuildError> for BuildErrors {
    fn from(error: BuildError) -> Self {
        Self(vec![error])
    }
}

impl IntoIterator for BuildErrors {
    type Item = BuildError;
    type IntoIter = std::vec::IntoIter<BuildError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a BuildErrors {
    type Item = &'a BuildError;
    type IntoIter = std::slice::Iter<'a, BuildError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for BuildErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("no build errors"),
            [one] => one.fmt(f),
            many => {
                write!(f, "{} build errors", many.len())?;
                many.iter().try_for_each(|error| write!(f, "; {error}"))
            }
        }
    }
}

impl Error for BuildErrors {}

/// Why a workflow did not give an output.
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
    #[error("definition mismatch: expected {expected}, found {found}{}", since(.changes.as_deref()))]
    DefinitionMismatch {
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

fn since(changes: Option<&DefinitionDiff>) -> String {
    changes.map(|changes| format!("; since the instance was started: {changes}")).unwrap_or_default()
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_without_their_modules() {
        for (long, name) in [
            ("u32", "u32"),
            ("alloc::string::String", "String"),
            ("core::option::Option<alloc::vec::Vec<my_crate::Order>>", "Option<Vec<Order>>"),
            ("(alloc::string::String, &[a::b::C_1; 3])", "(String, &[C_1; 3])"),
        ] {
            assert_eq!(short_type_name(long), name);
        }
    }
}
