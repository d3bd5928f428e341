//! The rules of the store protocol that a simulation can switch off, one at a time, to show that it would be
//! noticed. Without the feature `rule-switches` every rule holds, and asking costs nothing.

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $($(#[$doc])* $name,)* }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name of what is done without it.
            pub const fn broken(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

rules! {
    /// Parking on a signal, and its timeout, require that no mail came since.
    MailGuard = "no_mail_guard",
    /// A claim moves the revision, and a write needs the lease.
    ClaimMoves = "claim_no_bump",
    /// A write is for the run that its branch belongs to.
    RunFences = "no_fence_run",
    /// The parent's count falls in the store, not to a value that was read.
    JoinCounts = "join_by_value",
    /// A pause moves the revision of every live branch.
    PauseMoves = "pause_no_bump",
    /// An unpause moves the revision of every live branch.
    UnpauseMoves = "unpause_no_bump",
    /// An unpause derives again when a branch is due.
    UnpauseDerives = "pause_forgets",
    /// What an unpause derives takes account of waiting events.
    UnpauseSeesEvents = "unpause_no_mail",
    /// A cancel ends the branches that are there when it is applied.
    CancelIsAtomic = "cancel_snapshot",
    /// A refused writer looks for its own row, and a result stays at its node.
    LooksForOwnRow = "no_idem",
    /// The ids of a fork's children are never used again.
    ChildIdsAreNew = "reuse_child_id",
    /// Using an event requires that it is still there.
    EventGuard = "event_unguarded",
    /// A parent that is readied while the run is paused stays held.
    JoinIsHeld = "join_not_paused",
    /// An event is used in the transition that needs it.
    EventWithTransition = "consume_first",
    /// An event moves the count of mail, whoever it wakes.
    EventMovesMail = "wake_one_leased",
}

#[cfg(not(feature = "rule-switches"))]
mod switches {
    use super::Rule;

    /// Whether the rule holds: always.
    pub const fn holds(_: Rule) -> bool {
        true
    }
}

#[cfg(feature = "rule-switches")]
mod switches {
    use std::cell::{Cell, RefCell};

    use super::Rule;
    use crate::branch::BranchId;

    thread_local! {
        static OFF: Cell<Option<Rule>> = const { Cell::new(None) };
        static READ_COUNT: Cell<Option<u32>> = const { Cell::new(None) };
        static READ_BRANCHES: RefCell<Option<Vec<BranchId>>> = const { RefCell::new(None) };
    }

    /// Whether the rule holds on this thread.
    pub fn holds(rule: Rule) -> bool {
        OFF.get() != Some(rule)
    }

    /// Lets all rules but this one hold on this thread.
    pub fn switch_off(rule: Option<Rule>) {
        OFF.set(rule);
    }

    /// Without [`Rule::JoinCounts`]: the parent's count as the child's owner read it, for the next write.
    pub fn hand_in_count(count: Option<u32>) {
        READ_COUNT.set(count);
    }

    /// Takes what was handed in.
    pub fn take_count() -> Option<u32> {
        READ_COUNT.take()
    }

    /// Without [`Rule::CancelIsAtomic`]: the branches as the cancel read them, for the next write.
    pub fn hand_in_branches(branches: Option<Vec<BranchId>>) {
        READ_BRANCHES.set(branches);
    }

    /// Takes what was handed in.
    pub fn take_branches() -> Option<Vec<BranchId>> {
        READ_BRANCHES.take()
    }
}

pub use switches::*;
