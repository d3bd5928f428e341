//! What operators ask of a store to do: to purge, and to rewind.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::branch::{JournalRef, Placement, RunNumber};
use sayiir_core::control::SignalRequest;

/// What to remove because it is old. What is live or paused is never removed.
///
/// ```
/// use std::time::Duration;
/// use sayiir_persistence::{PurgeRequest, Purgeable};
///
/// let month = Duration::from_hours(30 * 24);
/// let ended = PurgeRequest { what: Purgeable::Ended { workflow: None }, older_than: month, limit: 500 };
/// let sent_in_vain = PurgeRequest { what: Purgeable::UnclaimedEvents, older_than: 12 * month, limit: 500 };
/// assert_ne!(ended, sent_in_vain);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeRequest {
    /// What.
    pub what: Purgeable,
    /// Only what ended, or came, at least so long ago.
    pub older_than: Duration,
    /// At most so many instances or ids.
    pub limit: usize,
}

/// What can be purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purgeable {
    /// Instances that have ended, with all they have. A failed instance is ended, too, although a retry could still set it going: its
    /// age decides.
    Ended {
        /// Only of workflows with this name.
        workflow: Option<String>,
    },
    /// What was sent to ids that never began, with the keys, where the first event, and every one that still waits, is as old. An instance that
    /// begins later than that misses it.
    UnclaimedEvents,
}

/// A request to begin a run anew at a node of its root branch, with the results before it.
///
/// The new run begins with copies, under the revisions they have, of the root branch's journal rows up to `keep`, and of all rows of
/// branches whose root's child came from a fork before revision `keep`. Then comes the root's row of kind
/// [`Rewound`](sayiir_core::journal::EntryKind::Rewound) at revision `keep + 1`, which refers to `input`, and at that revision the root stands at the
/// node, in phase `At`, with `input` as its input, free and due. The run is running, whatever the old one was, and forgets all control
/// requests. Waiting events, their keys, the mail count, search attributes and the trace context stay. The old run is
/// replaced as by a start under `TerminateExisting`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewind {
    /// The instance.
    pub instance_id: Arc<str>,
    /// The run whose journal was read: refused if another took its place.
    pub expected: RunNumber,
    /// A number the caller makes up, the same when it asks again after a lost reply: the run that carries it is its own.
    pub nonce: u128,
    /// The revision of the root branch's last row that is kept.
    pub keep: u64,
    /// The node at which the root branch goes on, with its iterations.
    pub node: Arc<str>,
    /// The kept row of the root branch that holds the node's input.
    pub input: JournalRef,
    /// Who may take the root branch.
    pub placement: Placement,
    /// Why and by whom; it is journaled ([`SignalRequest::in_words`]).
    pub request: SignalRequest,
}

/// What became of a rewind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewindOutcome {
    /// There is a new run (also if it was asked for before, with the same nonce).
    Rewound {
        /// The new run.
        run: RunNumber,
    },
    /// The instance has another run than was expected; nothing was done.
    Moved {
        /// Its present run.
        run: RunNumber,
    },
    /// The id is unknown.
    NotFound,
}
