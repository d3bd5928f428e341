//! The journal: what happened to an instance, in order, append-only.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use crate::time::Timestamp;

macro_rules! entry_kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal,)*) => {
        /// What a journal row says happened. Numbers and names are stored and never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum EntryKind { $($(#[$doc])* $name,)* }

        impl EntryKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The number under which stores keep the kind.
            pub const fn as_u8(self) -> u8 {
                match self { $(Self::$name => $number,)* }
            }

            /// The kind with this stored number.
            pub const fn from_u8(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// The kind's name, as people read it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

entry_kinds! {
    /// The run began; the output is its input.
    Started = 1 "started",
    /// A task returned.
    TaskCompleted = 2 "task_completed",
    /// A join task returned.
    JoinCompleted = 3 "join_completed",
    /// A route's key task returned: the output is the key, as UTF-8.
    RouteTaken = 4 "route_taken",
    /// An attempt failed and will be retried.
    AttemptFailed = 5 "attempt_failed",
    /// A delay began without a task before it in the same transition.
    DelayStarted = 6 "delay_started",
    /// A delay is over.
    DelayElapsed = 7 "delay_elapsed",
    /// A wait for a signal began without a task before it in the same transition.
    SignalAwaited = 8 "signal_awaited",
    /// An event was used; the output is its payload.
    EventReceived = 9 "event_received",
    /// A wait for a signal timed out.
    SignalTimedOut = 10 "signal_timed_out",
    /// A fork made its children without a task before it in the same transition.
    Forked = 11 "forked",
    /// The run failed here.
    Failed = 12 "failed",
    /// The run was cancelled.
    Cancelled = 13 "cancelled",
    /// The run was paused.
    Paused = 14 "paused",
    /// The run was unpaused.
    Unpaused = 15 "unpaused",
    /// The run's position was imported from a snapshot.
    Imported = 16 "imported",
    /// A task stored a sub-step: the node is the task's path, a slash, and the sub-step's name; the output is its result.
    SubStepCompleted = 17 "sub_step_completed",
    /// A failed run was set going again from where it failed.
    Retried = 18 "retried",
    /// A new run of the instance begins here, with the results that the run before it had stored up to here.
    Rewound = 19 "rewound",
}

impl EntryKind {
    /// Whether a row of this kind holds a node's own output, if it holds any.
    pub const fn is_result(self) -> bool {
        match self {
            Self::TaskCompleted | Self::JoinCompleted | Self::RouteTaken | Self::EventReceived => true,
            Self::Started
            | Self::AttemptFailed
            | Self::DelayStarted
            | Self::DelayElapsed
            | Self::SignalAwaited
            | Self::SignalTimedOut
            | Self::Forked
            | Self::Failed
            | Self::Cancelled
            | Self::Paused
            | Self::Unpaused
            | Self::Imported
            | Self::SubStepCompleted
            | Self::Retried
            | Self::Rewound => false,
        }
    }
}

/// One row of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// The run.
    pub run: RunNumber,
    /// The branch; [`BranchId::control`] for control.
    pub branch: BranchId,
    /// The revision that this row's transition gave the branch (for control: the control counter).
    pub revision: u64,
    /// Whose write it was; `None` for client operations.
    pub lease: Option<LeaseId>,
    /// What happened.
    pub kind: EntryKind,
    /// The node path it happened at.
    pub node: Arc<str>,
    /// The attempt, counted from 1; 0 where there is none.
    pub attempt: u32,
    /// The node's own output.
    pub output: Option<Bytes>,
    /// What the next node got, where that is not the node's own output.
    pub handed_on: Option<Bytes>,
    /// The row whose value goes on unchanged.
    pub same_as: Option<JournalRef>,
    /// The text of a failure, or the reason of a control request.
    pub error: Option<String>,
    /// When the store applied it.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_keep_their_numbers() {
        for kind in EntryKind::ALL {
            assert_eq!(EntryKind::from_u8(kind.as_u8()), Some(*kind));
        }
        assert_eq!(EntryKind::from_u8(0), None);
    }
}
