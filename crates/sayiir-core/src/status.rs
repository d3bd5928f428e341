//! How an instance stands, as callers see it.

use chrono::{DateTime, Utc};

/// The status of an instance.
///
/// ```
/// use sayiir_core::workflow::WorkflowStatus;
///
/// let status = WorkflowStatus::Failed("charge: attempt 1 failed: no money".to_owned());
/// assert!(status.is_terminal() && !status.is_completed());
/// assert_eq!(status.as_str(), "failed");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowStatus {
    /// A branch is running, or ready to run.
    InProgress,
    /// The workflow ended with an output.
    Completed,
    /// The workflow ended with this error.
    Failed(String),
    /// The workflow was cancelled.
    Cancelled {
        /// Why, if the caller said.
        reason: Option<String>,
        /// Who asked, if the caller said.
        cancelled_by: Option<String>,
    },
    /// The workflow is paused.
    Paused {
        /// Why, if the caller said.
        reason: Option<String>,
        /// Who asked, if the caller said.
        paused_by: Option<String>,
    },
    /// Every live branch waits, and this is the earliest delay.
    Waiting {
        /// When the delay is over.
        wake_at: DateTime<Utc>,
        /// The node path of the delay.
        delay_id: String,
    },
    /// Every live branch waits for an event, and this is the first by node path.
    AwaitingSignal {
        /// The node path of the wait.
        signal_id: String,
        /// The name of the event.
        signal_name: String,
        /// When the wait times out, if it does.
        wake_at: Option<DateTime<Utc>>,
    },
}

impl WorkflowStatus {
    /// Whether the workflow has ended: completed, failed or cancelled.
    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Completed | Self::Failed(_) | Self::Cancelled { .. } => true,
            Self::InProgress | Self::Paused { .. } | Self::Waiting { .. } | Self::AwaitingSignal { .. } => false,
        }
    }

    /// Whether the workflow ended with an output.
    pub const fn is_completed(&self) -> bool {
        matches!(self, Self::Completed)
    }

    /// The status in one word, as stores and messages write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::Paused { .. } => "paused",
            Self::Waiting { .. } => "waiting",
            Self::AwaitingSignal { .. } => "awaiting_signal",
        }
    }
}
