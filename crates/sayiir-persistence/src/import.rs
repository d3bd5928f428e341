//! Snapshots as they are imported.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{Phase, Placement, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};

use crate::store::{Definition, StartRun};

/// A snapshot to import: see `SnapshotStore::save_snapshot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The caller's id.
    pub instance_id: Arc<str>,
    /// Its definition.
    pub definition: Definition,
    /// Its input.
    pub input: Bytes,
    /// Results to be journaled at the root branch, by node label, where the journal does not have them yet.
    pub results: Vec<(Arc<str>, Bytes)>,
    /// Where the instance is put.
    pub state: ImportState,
    /// The first node's label and who may take the branch.
    pub first_node: Arc<str>,
    /// Who may take the root branch.
    pub placement: Placement,
    /// The run and the root branch's revision that the snapshot was read at: refused if they are others now, or
    /// if the instance is unknown. `None` imports over whatever is there.
    pub expected: Option<(RunNumber, u64)>,
}

impl Import {
    /// The start of a run for an id that is unknown.
    pub fn as_start(&self) -> StartRun {
        let Self { instance_id, definition, input, results: _, state: _, first_node, placement, expected: _ } = self.clone();
        let (policy, nonce, lease, trace, attributes) = (ConflictPolicy::UseExisting, 0, None, None, SearchAttributes::new());
        StartRun { instance_id, definition, policy, input, first_node, placement, nonce, lease, trace, attributes }
    }
}

/// Where an imported instance is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportState {
    /// The root branch is free and stands here; the value of the last result (else the input) is its input.
    Running {
        /// The node label and phase.
        node: Arc<str>,
        /// `Start`, `At`, `Delaying` or `Awaiting`.
        phase: Phase,
        /// The awaited event.
        awaits: Option<Arc<str>>,
        /// When it is due.
        due_at: Option<Timestamp>,
        /// Whether the run is paused, and by whom.
        paused: Option<SignalRequest>,
    },
    /// Completed with this output.
    Completed(Bytes),
    /// Failed with this error.
    Failed(String),
    /// Cancelled.
    Cancelled(SignalRequest),
}

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportOutcome {
    /// Imported.
    Imported,
    /// The root branch waits for the branches of a fork, which no snapshot tells: to put it elsewhere would
    /// lose their stored results. Refused, but for a snapshot that ends the run.
    Forked {
        /// The fork.
        node: Arc<str>,
    },
    /// Another worker holds a lease on the instance.
    Leased,
    /// The instance is not where the snapshot was read: it went on, was replaced, or is gone.
    Moved {
        /// The root branch's revision now; 0 if the instance is unknown.
        revision: u64,
    },
    /// The instance has ended, and stays so.
    Finished(WorkflowStatus),
    /// The instance has another definition.
    DefinitionMismatch {
        /// The definition that the instance has.
        found: DefinitionHash,
    },
}
