//! A row of the journal on its way into the table.

use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir_core::journal::EntryKind;
use sayiir_core::time::Timestamp;
use sayiir_core::transition::Entry;

/// The row of the journal that is written, by reference.
#[derive(Debug, Clone, Copy)]
pub struct NewRow<'a> {
    /// The run.
    pub run: RunNumber,
    /// The branch; [`BranchId::control`] for control.
    pub branch: &'a BranchId,
    /// The revision that the transition gives the branch.
    pub revision: u64,
    /// When it is applied.
    pub at: Timestamp,
    /// Whose write it is; `None` for client operations.
    pub lease: Option<LeaseId>,
    /// What happened.
    pub kind: EntryKind,
    /// The node path it happened at.
    pub node: &'a str,
    /// The attempt, counted from 1; 0 where there is none.
    pub attempt: u32,
    /// The node's own output.
    pub output: Option<&'a [u8]>,
    /// What the next node gets, where that is not the node's own output.
    pub handed_on: Option<&'a [u8]>,
    /// The row whose value goes on unchanged.
    pub same_as: Option<&'a JournalRef>,
    /// The text of a failure, or the reason of a control request.
    pub error: Option<&'a str>,
}

impl<'a> NewRow<'a> {
    /// A row without a value.
    pub const fn bare(run: RunNumber, branch: &'a BranchId, revision: u64, kind: EntryKind, node: &'a str, at: Timestamp) -> Self {
        let (lease, attempt, output, handed_on, same_as, error) = (None, 0, None, None, None, None);
        Self { run, branch, revision, at, lease, kind, node, attempt, output, handed_on, same_as, error }
    }

    /// A transition's row.
    pub fn of_entry(run: RunNumber, branch: &'a BranchId, revision: u64, lease: LeaseId, entry: &'a Entry, at: Timestamp) -> Self {
        let Entry { kind, node, attempt, output, error } = entry;
        let (output, handed_on, same_as) = output.parts();
        let (output, handed_on) = (output.map(AsRef::as_ref), handed_on.map(AsRef::as_ref));
        let error = error.as_deref();
        Self { run, branch, revision, at, lease: Some(lease), kind: *kind, node, attempt: *attempt, output, handed_on, same_as, error }
    }
}
