//! A transition: what the engine decided for one branch, as one storable change.
//!
//! A store applies it whole or not at all, guarded by run, branch, revision and lease. It knows no
//! workflow rule beyond what these types say.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::branch::{BranchId, Head, JournalRef, Placement, RunNumber};
use crate::journal::EntryKind;

/// One change of one branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The instance the branch belongs to.
    pub instance_id: Arc<str>,
    /// The run the branch belongs to.
    pub run: RunNumber,
    /// The branch.
    pub branch: BranchId,
    /// The revision its owner saw; the change makes it one more.
    pub revision: u64,
    /// The journal row to write at the new revision; `None` only where a branch is handed
    /// back as it is (to be ready, or to await its event again).
    pub entry: Option<Entry>,
    /// What else must hold about the instance's events, and which one is used up.
    pub guard: EventGuard,
    /// Whether the run is paused, as the owner saw it: a branch whose lease is given up is then held
    /// (`run_at` null). It cannot be stale in an accepted write, for pause and unpause move every revision.
    pub held: bool,
    /// Where the branch goes.
    pub next: Next,
}

/// The journal row of a transition; the store adds run, branch, revision, lease and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub kind: EntryKind,
    /// The node path it happened at.
    pub node: Arc<str>,
    /// The attempt, counted from 1, for what a task did; else 0.
    pub attempt: u32,
    /// The value that came out of the node.
    pub output: Output,
    /// The text of a failure.
    pub error: Option<String>,
}

/// The value that a journal row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Nothing came out (a failed attempt, a fork).
    Nothing,
    /// The node's own output, which is also what the next node gets.
    Value(Bytes),
    /// The node's own output, and what the next node gets instead (a loop's inner value, a route's envelope).
    Wrapped {
        /// What the node itself gave.
        own: Bytes,
        /// What is handed on.
        handed_on: Bytes,
    },
    /// The value of another row goes on unchanged (after a delay).
    SameAs(JournalRef),
}

impl Output {
    /// The value that goes on from here, if this row holds it.
    pub const fn handed_on(&self) -> Option<&Bytes> {
        match self {
            Self::Value(value) | Self::Wrapped { own: _, handed_on: value } => Some(value),
            Self::Nothing | Self::SameAs(_) => None,
        }
    }

    /// The parts as a journal row keeps them: the node's own output, what is handed on in its place, and the row that has the value.
    pub const fn parts(&self) -> (Option<&Bytes>, Option<&Bytes>, Option<&JournalRef>) {
        match self {
            Self::Nothing => (None, None, None),
            Self::Value(own) => (Some(own), None, None),
            Self::Wrapped { own, handed_on } => (Some(own), Some(handed_on), None),
            Self::SameAs(row) => (None, None, Some(row)),
        }
    }
}

/// What a transition requires of the instance's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventGuard {
    /// Nothing.
    None,
    /// No event has been sent since `mail` was read: required to park on a signal and to time it out.
    NoneSince {
        /// The instance's `mail` counter as its owner saw it.
        mail: u64,
    },
    /// This event is still there; the transition deletes it.
    Use {
        /// The event's name.
        name: Arc<str>,
        /// Its number.
        seq: u64,
    },
}

/// When a branch that nobody holds is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// At once.
    Now,
    /// This long after the store applies the transition.
    After(Duration),
    /// At the `due_at` that the branch already has. If it has none: never while it waits for children
    /// or for an event, else at once.
    AsStored,
}

/// Where a branch goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Its owner keeps the lease and goes straight on. `due_at` is cleared.
    Run {
        /// The new head.
        head: Head,
    },
    /// The lease is given up. Where [`Transition::held`], `run_at` is null but `due_at` is kept.
    Release {
        /// The new head.
        head: Head,
        /// When it is due.
        wake: Wake,
        /// Who may take it.
        placement: Placement,
    },
    /// The lease is given up until the named event arrives. Requires [`EventGuard::NoneSince`] and a running instance.
    Await {
        /// The new head, in phase `Awaiting`.
        head: Head,
        /// The name of the event that wakes the branch.
        signal: Arc<str>,
        /// When the wait times out: `None` never.
        wake: Option<Wake>,
        /// Who may take it.
        placement: Placement,
    },
    /// The branch waits for new children; its lease is given up. Requires a running instance.
    Fork {
        /// The parent's new head, in phase `Joining`.
        head: Head,
        /// The children in order: child `i` is `branch.child(revision + 1, i)`, at revision 1.
        children: Vec<Child>,
        /// So many of the first children are leased to the writer (none if held).
        keep: usize,
    },
    /// A child branch ends: its head is deleted and its parent waits for one less. The child whose
    /// end brings the parent to zero readies it (revision + 1), leased to the writer unless held.
    EndBranch,
    /// The root branch ends and the run is completed; its output is this transition's journal row.
    /// Requires a running instance.
    Finish,
    /// The run fails with the entry's error: all its heads stay, held and without leases, at the
    /// next revision. This branch takes the given head, so that a retry is one update.
    /// Requires a running instance.
    Fail {
        /// The failing branch's head.
        head: Head,
    },
}

/// A branch that a fork makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its first head; its input is the parent's.
    pub head: Head,
    /// Who may take it.
    pub placement: Placement,
}
