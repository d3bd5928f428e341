//! Snapshots as they are imported, and where an import lands: written once, for every store.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{Head, JournalRef, Phase, Placement, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};

use crate::records::RunState;
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

    /// Where this import lands, of a run whose root branch stood at the node and phase of `old`. `input`: the row of the last result, else
    /// of the instance's input.
    pub fn landing<'a>(&'a self, old: (&'a Arc<str>, Phase), input: &JournalRef) -> Landing<'a> {
        let head = |node: &Arc<str>, phase| {
            let input = if phase == Phase::Start { JournalRef::instance_input() } else { input.clone() };
            Head { node: Arc::clone(node), phase, attempt: 0, input, fork_revision: 0 }
        };
        let (same_as, output, error, awaits, due_at, request) = (None, None, None, None, None, None);
        let bare = |state| Landing { node: old.0, same_as, output, error, head: None, awaits, due_at, state, request };
        match &self.state {
            ImportState::Running { node, phase, awaits, due_at, paused } => {
                let state = if paused.is_some() { RunState::Paused } else { RunState::Running };
                let (head, awaits) = (head(node, *phase), awaits.as_ref().filter(|_| *phase == Phase::Awaiting));
                let (same_as, request) = (Some(head.input.clone()), paused.as_ref());
                Landing { node, same_as, head: Some(head), awaits, due_at: *due_at, request, ..bare(state) }
            }
            ImportState::Completed(output) => Landing { output: Some(output), ..bare(RunState::Completed) },
            ImportState::Failed(error) => {
                let phase = if old.1 == Phase::Start { Phase::Start } else { Phase::At };
                Landing { error: Some(Cow::Borrowed(error)), head: Some(head(old.0, phase)), ..bare(RunState::Failed) }
            }
            ImportState::Cancelled(request) => {
                Landing { error: request.in_words().map(Cow::Owned), request: Some(request), ..bare(RunState::Cancelled) }
            }
        }
    }
}

/// What an import makes of a run: the row that is written behind those of its results, and what is behind that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing<'a> {
    /// The row's node.
    pub node: &'a Arc<str>,
    /// The row whose value the row hands on.
    pub same_as: Option<JournalRef>,
    /// The row's output.
    pub output: Option<&'a Bytes>,
    /// The row's error, or the reason of a cancel.
    pub error: Option<Cow<'a, str>>,
    /// Where the root branch stands, free or (of a failed run) held; `None` if no branch is left.
    pub head: Option<Head>,
    /// The event it waits for.
    pub awaits: Option<&'a Arc<str>>,
    /// When it is due by its position.
    pub due_at: Option<Timestamp>,
    /// The state of the run. Of a completed or failed one, this row is the end.
    pub state: RunState,
    /// The request that holds the run or cancelled it, not stamped yet.
    pub request: Option<&'a SignalRequest>,
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
