//! What the engine is told and what it answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::branch::BranchId;
use sayiir_core::control::SignalKind;
use sayiir_core::plan::{NodeIx, Payloads, Plan};
use sayiir_core::transition::Transition;

/// How many owners in a row may be lost at one node before its instance fails.
///
/// It keeps a task that kills its process from ending a whole fleet, one worker at a time.
pub const MAX_CRASHES: u32 = 5;

/// The definition that a branch runs.
#[derive(Clone, Copy)]
pub struct Definition<'a> {
    /// The graph.
    pub plan: &'a Plan,
    /// What happens to payloads between nodes.
    pub payloads: &'a dyn Payloads,
}

/// What happened to a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Its owner took it, loaded it again, or went on with it: what does it owe?
    Taken,
    /// Its owner gives it back as it is.
    HandBack,
    /// The task at its node returned.
    TaskReturned(Bytes),
    /// The task at its node failed.
    TaskFailed(TaskFailure),
    /// The task at its node, which runs on, has the result of a part of itself to store.
    SubStepReturned {
        /// The part's name within the task.
        name: Arc<str>,
        /// Its result.
        output: Bytes,
    },
    /// The payload of the event that [`Effect::ReadEvent`] asked for.
    EventRead {
        /// The event's number.
        seq: u64,
        /// Its payload.
        payload: Bytes,
    },
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFailure {
    /// The error and its causes, as text.
    pub error: String,
    /// Whether another attempt makes sense.
    pub retry: RetryAdvice,
}

impl TaskFailure {
    /// A failure that the task's retry policy decides about.
    pub fn by_policy(error: impl Into<String>) -> Self {
        Self { error: error.into(), retry: RetryAdvice::ByPolicy }
    }

    /// A failure that is not worth retrying.
    pub fn for_good(error: impl Into<String>) -> Self {
        Self { error: error.into(), retry: RetryAdvice::Never }
    }
}

/// What a failed attempt says about the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAdvice {
    /// The task's retry policy decides.
    ByPolicy,
    /// Never again.
    Never,
    /// Within what the policy allows, after this long.
    After(Duration),
}

/// What the engine wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Store this change.
    Commit(Box<Transition>),
    /// Do this, and say how it went.
    Do(Effect),
}

/// Work that is to be done before the engine can decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Run a task; report [`Input::TaskReturned`] or [`Input::TaskFailed`].
    RunTask(RunTask),
    /// Read an event; report [`Input::EventRead`], or load the branch again if it is gone.
    ReadEvent {
        /// The event's name.
        name: Arc<str>,
        /// Its number.
        seq: u64,
    },
    /// Apply the recorded control request, then load the branch again.
    ApplyControl(SignalKind),
}

/// A task to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTask {
    /// Its node.
    pub node: NodeIx,
    /// Its node path with iterations.
    pub path: Arc<str>,
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Whether it is to run with no other task beside it in its process: owners were lost here before.
    pub alone: bool,
    /// For a join: the children whose outputs it gets, in the fork's order, by branch name.
    pub children: Vec<(Arc<str>, BranchId)>,
}
