//! Control as a store is asked for it, and what a run's state says to it: written once, for every store.

use std::sync::Arc;

use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::EntryKind;
use sayiir_core::workflow::WorkflowStatus;

use crate::records::RunState;

/// A control command to be applied at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlCommand {
    /// The instance.
    pub instance_id: Arc<str>,
    /// What to do.
    pub action: ControlAction,
    /// Why and by whom; it is journaled ([`SignalRequest::in_words`]).
    pub request: SignalRequest,
}

/// What a control command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlAction {
    /// End the run: its heads are deleted.
    Cancel,
    /// Hold the run: every live branch moves its revision, free ones are held.
    Pause,
    /// Let the run go on: every live branch moves its revision, free ones are due as their position says.
    Unpause,
    /// Set a failed run going again: every head moves its revision and is due as its position says, the recorded requests are forgotten.
    /// A head that a failure left in phase `Awaiting` or `Delaying` awaits nothing and has no time: it is due at once.
    Retry,
}

impl From<SignalKind> for ControlAction {
    fn from(kind: SignalKind) -> Self {
        match kind {
            SignalKind::Cancel => Self::Cancel,
            SignalKind::Pause => Self::Pause,
        }
    }
}

impl ControlAction {
    /// The kind of the journal row that says that it was done.
    pub const fn entry_kind(self) -> EntryKind {
        match self {
            Self::Cancel => EntryKind::Cancelled,
            Self::Pause => EntryKind::Paused,
            Self::Unpause => EntryKind::Unpaused,
            Self::Retry => EntryKind::Retried,
        }
    }

    /// Whether there is something to do in a run of this state; else what is answered. Why and how it ended is not to be told here.
    pub const fn admission(self, state: RunState) -> Admission {
        match (self, state) {
            (Self::Cancel, RunState::Running | RunState::Paused)
            | (Self::Pause, RunState::Running)
            | (Self::Unpause, RunState::Paused)
            | (Self::Retry, RunState::Failed) => Admission::ToBeDone,
            (Self::Cancel, RunState::Cancelled)
            | (Self::Pause, RunState::Paused)
            | (Self::Unpause, RunState::Running)
            | (Self::Retry, RunState::Running | RunState::Paused) => Admission::AlreadySo,
            (_, RunState::Completed | RunState::Failed | RunState::Cancelled) => Admission::Finished,
        }
    }
}

/// What a state says to a control command or request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Admission {
    /// It is to be done.
    ToBeDone,
    /// [`ControlOutcome::AlreadySo`].
    AlreadySo,
    /// [`ControlOutcome::Finished`].
    Finished,
}

/// What became of a control command or request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlOutcome {
    /// Done (or recorded).
    Applied,
    /// Nothing to do: already cancelled, already paused, not paused; to be retried, but not ended.
    AlreadySo,
    /// The instance has ended with this status.
    Finished(WorkflowStatus),
    /// The id is unknown.
    NotFound,
}
