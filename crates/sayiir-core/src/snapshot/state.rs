//! How an instance stands in a snapshot, and what it has so far.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::TaskId;
use crate::status::WorkflowStatus;

/// What a task gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskResult {
    /// The task.
    pub task_id: TaskId,
    /// Its encoded output.
    pub output: Bytes,
}

/// Results by task.
pub type TaskResults = BTreeMap<TaskId, TaskResult>;

/// Where an instance's root branch stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionPosition {
    /// Before the first node.
    NotStarted,
    /// At a task that is to run, or runs.
    AtTask {
        /// The task.
        task_id: TaskId,
    },
    /// Waiting for the branches of a fork.
    AtFork {
        /// The fork.
        fork_id: TaskId,
        /// What the branches that have ended gave.
        completed_branches: TaskResults,
        /// When the earliest branch that waits goes on, if one does.
        wake_at: Option<DateTime<Utc>>,
    },
    /// At a join task.
    AtJoin {
        /// The join.
        join_id: TaskId,
        /// What the branches gave.
        completed_branches: TaskResults,
    },
    /// In a delay.
    AtDelay {
        /// The delay.
        delay_id: TaskId,
        /// When it began.
        entered_at: DateTime<Utc>,
        /// When it is over.
        wake_at: DateTime<Utc>,
        /// What follows it.
        next_task_id: Option<TaskId>,
    },
    /// Waiting for an event.
    AtSignal {
        /// The wait.
        signal_id: TaskId,
        /// The event's name.
        signal_name: String,
        /// When the wait times out.
        wake_at: Option<DateTime<Utc>>,
        /// What follows it.
        next_task_id: Option<TaskId>,
    },
    /// In a loop.
    InLoop {
        /// The loop.
        loop_id: TaskId,
        /// Which time round, from 0.
        iteration: u32,
        /// What is to run next.
        next_task_id: Option<TaskId>,
    },
}

impl ExecutionPosition {
    /// The position's kind in one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::AtTask { .. } => "at_task",
            Self::AtFork { .. } => "at_fork",
            Self::AtJoin { .. } => "at_join",
            Self::AtDelay { .. } => "at_delay",
            Self::AtSignal { .. } => "at_signal",
            Self::InLoop { .. } => "in_loop",
        }
    }
}

/// How an instance stands, and what it has so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowSnapshotState {
    /// Going on, perhaps waiting.
    InProgress {
        /// Where.
        position: ExecutionPosition,
        /// What tasks gave.
        completed_tasks: TaskResults,
        /// The task that gave something last.
        last_completed_task_id: Option<TaskId>,
    },
    /// Ended with an output.
    Completed {
        /// The output.
        final_output: Bytes,
    },
    /// Ended with an error.
    Failed {
        /// Its text.
        error: String,
    },
    /// Cancelled.
    Cancelled {
        /// Why.
        reason: Option<String>,
        /// By whom.
        cancelled_by: Option<String>,
    },
    /// Held by a pause.
    Paused {
        /// Why.
        reason: Option<String>,
        /// By whom.
        paused_by: Option<String>,
        /// Where.
        position: ExecutionPosition,
        /// What tasks gave.
        completed_tasks: TaskResults,
        /// The task that gave something last.
        last_completed_task_id: Option<TaskId>,
    },
}

/// Why and by whom.
pub type ControlDetails = (Option<String>, Option<String>);

impl WorkflowSnapshotState {
    /// Whether the instance goes on.
    pub const fn is_in_progress(&self) -> bool {
        matches!(self, Self::InProgress { .. })
    }

    /// Whether the instance ended with an output.
    pub const fn is_completed(&self) -> bool {
        matches!(self, Self::Completed { .. })
    }

    /// Whether the instance ended with an error.
    pub const fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    /// Whether the instance was cancelled.
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled { .. })
    }

    /// Whether the instance is paused.
    pub const fn is_paused(&self) -> bool {
        matches!(self, Self::Paused { .. })
    }

    /// Whether the instance has ended.
    pub const fn is_terminal(&self) -> bool {
        self.is_completed() || self.is_failed() || self.is_cancelled()
    }

    /// Where the instance stands, if it has not ended.
    pub const fn position(&self) -> Option<&ExecutionPosition> {
        match self {
            Self::InProgress { position, .. } | Self::Paused { position, .. } => Some(position),
            Self::Completed { .. } | Self::Failed { .. } | Self::Cancelled { .. } => None,
        }
    }

    /// The output of a completed instance.
    pub fn completed_output(&self) -> Option<Bytes> {
        match self {
            Self::Completed { final_output } => Some(final_output.clone()),
            Self::InProgress { .. } | Self::Failed { .. } | Self::Cancelled { .. } | Self::Paused { .. } => None,
        }
    }

    /// Why and by whom the instance was cancelled.
    pub fn cancellation_details(&self) -> Option<ControlDetails> {
        match self {
            Self::Cancelled { reason, cancelled_by } => Some((reason.clone(), cancelled_by.clone())),
            Self::InProgress { .. } | Self::Completed { .. } | Self::Failed { .. } | Self::Paused { .. } => None,
        }
    }

    /// Why and by whom the instance is paused.
    pub fn pause_details(&self) -> Option<ControlDetails> {
        match self {
            Self::Paused { reason, paused_by, .. } => Some((reason.clone(), paused_by.clone())),
            Self::InProgress { .. } | Self::Completed { .. } | Self::Failed { .. } | Self::Cancelled { .. } => None,
        }
    }

    /// The status that callers see. A snapshot knows waits by their ids only, so it names them by hash;
    /// a store's status names them by path.
    pub fn as_status(&self) -> WorkflowStatus {
        match self {
            Self::InProgress { position: ExecutionPosition::AtDelay { delay_id, wake_at, .. }, .. } => {
                WorkflowStatus::Waiting { wake_at: *wake_at, delay_id: delay_id.to_hex() }
            }
            Self::InProgress { position: ExecutionPosition::AtSignal { signal_id, signal_name, wake_at, .. }, .. } => {
                WorkflowStatus::AwaitingSignal { signal_id: signal_id.to_hex(), signal_name: signal_name.clone(), wake_at: *wake_at }
            }
            Self::InProgress { .. } => WorkflowStatus::InProgress,
            Self::Completed { .. } => WorkflowStatus::Completed,
            Self::Failed { error } => WorkflowStatus::Failed(error.clone()),
            Self::Cancelled { reason, cancelled_by } => {
                WorkflowStatus::Cancelled { reason: reason.clone(), cancelled_by: cancelled_by.clone() }
            }
            Self::Paused { reason, paused_by, .. } => WorkflowStatus::Paused { reason: reason.clone(), paused_by: paused_by.clone() },
        }
    }

    pub(super) fn progress_mut(&mut self) -> Option<(&mut ExecutionPosition, &mut TaskResults, &mut Option<TaskId>)> {
        match self {
            Self::InProgress { position, completed_tasks, last_completed_task_id }
            | Self::Paused { position, completed_tasks, last_completed_task_id, .. } => {
                Some((position, completed_tasks, last_completed_task_id))
            }
            Self::Completed { .. } | Self::Failed { .. } | Self::Cancelled { .. } => None,
        }
    }
}
