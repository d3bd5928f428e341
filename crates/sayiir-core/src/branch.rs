//! A branch and its head: the one position a thread of control has, as a store keeps it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::control::SignalKind;
use crate::ids::DefinitionHash;
use crate::rules::{Rule, holds};
use crate::time::Timestamp;

/// The number of one run of an instance: rising, below 2^53, never used twice in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunNumber(pub u64);

impl fmt::Display for RunNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who holds a lease: a number the store gave to one worker session, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a branch within its run: `0` for the root, else `parent.fork-revision.index`.
///
/// It is never used twice in a run (a loop that forks again forks at a higher revision), and an
/// ancestor sorts before its descendants, which is the order in which stores lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BranchId(Arc<str>);

impl BranchId {
    /// The branch that starts the workflow.
    pub fn root() -> Self {
        Self(Arc::from("0"))
    }

    /// The branch under which control requests are journaled. No head ever has it.
    pub fn control() -> Self {
        Self(Arc::from(""))
    }

    /// The branch of this id text, as a store kept it.
    pub fn from_stored(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The child at `index` of a fork that made this branch's revision `fork_revision`.
    #[must_use]
    pub fn child(&self, fork_revision: u64, index: usize) -> Self {
        let fork_revision = if holds(Rule::ChildIdsAreNew) { fork_revision } else { 0 };
        Self(Arc::from(format!("{}.{fork_revision}.{index}", self.0)))
    }

    /// The branch that waits for this one; `None` for the root and for control.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let mut parts = self.0.rsplitn(3, '.');
        let (_index, _revision, parent) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self(Arc::from(parent)))
    }

    /// The revision at which the root branch forked off this branch, or the ancestor that is the root's child; `None` for the root
    /// and for control.
    ///
    /// ```
    /// use sayiir_core::branch::BranchId;
    ///
    /// assert_eq!(BranchId::root().child(7, 2).child(1, 0).root_fork(), Some(7));
    /// assert_eq!(BranchId::root().root_fork(), None);
    /// ```
    #[must_use]
    pub fn root_fork(&self) -> Option<u64> {
        self.0.split('.').nth(1)?.parse().ok()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root branch.
    pub fn is_root(&self) -> bool {
        &*self.0 == "0"
    }
}

impl fmt::Display for BranchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A journal row of a run, by branch and revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JournalRef {
    /// The branch that wrote the row.
    pub branch: BranchId,
    /// The revision that the row's transition gave the branch.
    pub revision: u64,
}

impl JournalRef {
    /// The row that holds the instance's input: the root's first.
    pub fn instance_input() -> Self {
        Self { branch: BranchId::root(), revision: 1 }
    }
}

/// What a branch is doing at its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// At the very start; the plan's first node is still to be entered. The head's node is only a label.
    Start,
    /// At a node, which is to be entered or whose task is to run (perhaps again, after a backoff).
    At,
    /// In a delay, until the head's `due_at`.
    Delaying,
    /// Waiting for the named event, or for the head's `due_at` if it has one.
    Awaiting,
    /// Forked: waiting until no child is pending; then the join task runs.
    Joining,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 5] = [Self::Start, Self::At, Self::Delaying, Self::Awaiting, Self::Joining];

    /// The number under which stores keep the phase. It never changes.
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Start => 0,
            Self::At => 1,
            Self::Delaying => 2,
            Self::Awaiting => 3,
            Self::Joining => 4,
        }
    }

    /// The phase with this stored number.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_u8() == number)
    }
}

/// Where a branch stands: the part of its row that the engine reads and writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The node path, with iterations: `pages[2]/fetch`.
    pub node: Arc<str>,
    /// What the branch is doing there.
    pub phase: Phase,
    /// How many attempts at this node have failed.
    pub attempt: u32,
    /// The journal row that holds the node's input value.
    pub input: JournalRef,
    /// While joining: the revision of the fork, from which the children's ids follow. Else 0.
    pub fork_revision: u64,
}

/// What decides who may take a branch: the tags its next task asks for, and how urgent it is.
///
/// A store turns tags and definition into a lane.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Placement {
    /// Tags that a worker must serve; sorted, without repeats.
    pub tags: Arc<[String]>,
    /// The priority of the next task.
    pub priority: crate::priority::Priority,
}

/// A branch as it was loaded: all that the engine needs to decide, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchView {
    /// The instance.
    pub instance_id: Arc<str>,
    /// Its run.
    pub run: RunNumber,
    /// Its definition.
    pub definition: DefinitionHash,
    /// The branch.
    pub branch: BranchId,
    /// Its revision, which its owner names in the next write.
    pub revision: u64,
    /// Where it stands.
    pub head: Head,
    /// How many owners in a row lost their lease while holding it here.
    pub crashes: u32,
    /// When it is or was due, if a time was set.
    pub due_at: Option<Timestamp>,
    /// Children it still waits for.
    pub pending: u32,
    /// Whether the run is paused.
    pub paused: bool,
    /// A recorded control request that is not applied yet; cancel before pause.
    pub requested: Option<SignalKind>,
    /// How many events were ever sent to the instance.
    pub mail: u64,
    /// The first waiting event of each name. Read with `mail`, or after it.
    pub events: Vec<EventHead>,
    /// The value of the head's input. Empty while joining (the store reads the children's outputs then).
    pub input: Bytes,
    /// The trace context that the run was started with, as a W3C `traceparent`.
    pub trace: Option<Arc<str>>,
    /// The store's time when this was read.
    pub now: Timestamp,
}

/// A waiting event, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHead {
    /// Its name.
    pub name: Arc<str>,
    /// Its number within the instance.
    pub seq: u64,
    /// When it arrived.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_sorts_after_its_ancestors_and_names_its_parent() {
        let root = BranchId::root();
        let child = root.child(7, 2);
        let grandchild = child.child(1, 0);
        assert_eq!(grandchild.as_str(), "0.7.2.1.0");
        assert_eq!(grandchild.parent(), Some(child.clone()));
        assert_eq!(child.parent(), Some(root.clone()));
        assert_eq!(root.parent(), None);
        assert_eq!(BranchId::control().parent(), None);
        assert!(root < child && child < grandchild);
    }

    #[test]
    fn phases_keep_their_numbers() {
        for phase in Phase::ALL {
            assert_eq!(Phase::from_u8(phase.as_u8()), Some(phase));
        }
        assert_eq!(Phase::from_u8(9), None);
    }
}
