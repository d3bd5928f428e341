//! Why a workflow cannot be built: all reasons at once.

use std::error::Error;
use std::fmt;

use crate::ids::DefinitionHash;
use crate::workflow::DefinitionDiff;

/// One reason why a workflow cannot be built.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_core::prelude::*;
///
/// let context = WorkflowContext::new("twice", Arc::new(JsonCodec), Arc::new(()));
/// let errors = WorkflowBuilder::new(context)
///     .then("same", |x: u32| async move { Ok(x + 1) })
///     .then("same", |x: u32| async move { Ok(x + 2) })
///     .build()
///     .unwrap_err();
/// assert_eq!(errors.into_vec(), [BuildError::DuplicateTaskId("same".to_owned())]);
/// ```
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
