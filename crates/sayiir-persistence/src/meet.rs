//! For those who write a store: what a start, a transition or an import meets, and how a run begins. Written once, for every store.

use sayiir_core::DefinitionHash;
use sayiir_core::branch::{BranchId, Head, JournalRef, Phase, RunNumber};
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::ConflictPolicy;

use crate::store::{BranchView, CommitOutcome, Import, ImportOutcome, ImportState, Refusal, StartOutcome, StartRun};

/// What the writer of a transition is told that does not meet its branch as the writer saw it.
///
/// `wrote`: the row that it would have written is there, by its lease. `goes_on`: whether the run that it names does, if the instance has that
/// run. `holds`: it has a lease on the branch.
pub const fn refused(wrote: bool, goes_on: Option<bool>, holds: bool) -> CommitOutcome {
    match (wrote, goes_on, holds) {
        (true, _, _) => CommitOutcome::AlreadyAccepted,
        (false, None, _) => CommitOutcome::Refused(Refusal::Replaced),
        (false, Some(false), _) => CommitOutcome::Refused(Refusal::Ended),
        (false, Some(true), false) => CommitOutcome::Refused(Refusal::LeaseLost),
        (false, Some(true), true) => CommitOutcome::Refused(Refusal::Moved),
    }
}

/// What a start meets under an id that has a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meeting {
    /// Its own run, whose reply was lost: it is told once more, with the root branch if that is still leased to the starter at revision 1.
    Own,
    /// A run that it is told of: [`StartOutcome::Existing`].
    Existing,
    /// A run that stays; the answer.
    Refused(StartOutcome),
    /// A run that it replaces.
    ToReplace,
}

impl StartRun {
    /// What this start meets: a run of the definition `found` that carries its nonce, or does not.
    ///
    /// The nonce comes first: a start that is asked again is answered as before, whatever its policy.
    pub fn meets(&self, found: DefinitionHash, has_my_nonce: bool) -> Meeting {
        if has_my_nonce {
            return Meeting::Own;
        }
        if found != self.definition.hash {
            return Meeting::Refused(StartOutcome::DefinitionMismatch { found });
        }
        match self.policy {
            ConflictPolicy::Fail => Meeting::Refused(StartOutcome::AlreadyExists),
            ConflictPolicy::UseExisting => Meeting::Existing,
            ConflictPolicy::TerminateExisting => Meeting::ToReplace,
        }
    }

    /// Where the root branch begins.
    pub fn first_head(&self) -> Head {
        let node = self.first_node.clone();
        Head { node, phase: Phase::Start, attempt: 0, input: JournalRef::instance_input(), fork_revision: 0 }
    }

    /// The root branch as its owner sees it, of a run that began at `now` under an id of which nothing was known.
    pub fn root_of_new(&self, run: RunNumber, now: Timestamp) -> BranchView {
        BranchView {
            instance_id: self.instance_id.clone(),
            run,
            definition: self.definition.hash,
            branch: BranchId::root(),
            revision: 1,
            head: self.first_head(),
            crashes: 0,
            due_at: Some(now),
            pending: 0,
            paused: false,
            requested: None,
            mail: 0,
            events: Vec::new(),
            input: self.input.clone(),
            trace: self.trace.clone(),
            now,
        }
    }
}

impl Import {
    /// Why this import is refused over a run of its definition that goes on; `None` if it is not.
    ///
    /// `leased`: a lease on one of the run's branches has not ended. `root`: the root branch's revision and head.
    pub fn refusal(&self, run: RunNumber, leased: bool, root: Option<(u64, &Head)>) -> Option<ImportOutcome> {
        if leased {
            return Some(ImportOutcome::Leased);
        }
        let revision = root.map_or(0, |(revision, _)| revision);
        if self.expected.is_some_and(|expected| expected != (run, revision)) {
            return Some(ImportOutcome::Moved { revision });
        }
        match (root, &self.state) {
            (Some((_, head)), ImportState::Running { .. }) if head.phase == Phase::Joining => {
                Some(ImportOutcome::Forked { node: head.node.clone() })
            }
            (_, _) => None,
        }
    }
}
