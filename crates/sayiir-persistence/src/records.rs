//! Instances and their branches as they are read.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, Head, LeaseId, Placement, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::WorkflowStatus;

use crate::store::Definition;

/// An instance, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRecord {
    /// Its summary.
    pub summary: InstanceSummary,
    /// Its input.
    pub input: Bytes,
    /// Its output, if completed.
    pub output: Option<Bytes>,
    /// The node label, priority and tags it was started with.
    pub first_node: Arc<str>,
    /// Where the root branch was placed at the start.
    pub placement: Placement,
    /// Recorded requests, not applied yet.
    pub cancel_request: Option<SignalRequest>,
    /// Recorded requests, not applied yet; while paused, the request that led to it.
    pub pause_request: Option<SignalRequest>,
    /// Its live branches (a failed run's are held), by branch id.
    pub branches: Vec<BranchSummary>,
    /// The store's time when this was read.
    pub now: Timestamp,
}

/// A live branch, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchSummary {
    /// The branch.
    pub branch: BranchId,
    /// Its revision.
    pub revision: u64,
    /// Where it stands.
    pub head: Head,
    /// Who holds it.
    pub lease: Option<LeaseId>,
    /// When it can be taken: a lease's end, a due time; `None` if it is held or waits.
    pub run_at: Option<Timestamp>,
    /// When it is due by its position.
    pub due_at: Option<Timestamp>,
    /// The event it waits for.
    pub awaits: Option<Arc<str>>,
    /// Children it still waits for.
    pub pending: u32,
    /// Who may take it.
    pub placement: Placement,
    /// Owners lost in a row.
    pub crashes: u32,
    /// When its present attempt began: its owner took it then, or went straight on to it. Behind it by the
    /// task's timeout lies the attempt's deadline. Of a branch that nobody holds, when it came to rest.
    pub attempt_at: Timestamp,
    /// The progress that the present attempt, or one before it that lost its owner, reported last.
    pub progress: Option<Progress>,
}

/// What a task reported about how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What it said.
    pub payload: Bytes,
    /// When.
    pub at: Timestamp,
}

/// An instance in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSummary {
    /// The caller's id.
    pub instance_id: Arc<str>,
    /// The present run.
    pub run: RunNumber,
    /// Its definition.
    pub definition: Definition,
    /// Its status. See [`crate::status_of`] for how several branches make one status.
    pub status: WorkflowStatus,
    /// When the present run started.
    pub created_at: Timestamp,
    /// When it last changed its status (not each step: a step writes no instance row).
    pub updated_at: Timestamp,
    /// By what it can be found.
    pub attributes: SearchAttributes,
}

/// The stored state of a run; what `WorkflowStatus` refines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Going on (perhaps waiting).
    Running,
    /// Held by a pause.
    Paused,
    /// Ended with an output.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended by a cancel.
    Cancelled,
}

impl RunState {
    /// Whether the run goes on or is paused.
    pub const fn is_live(self) -> bool {
        match self {
            Self::Running | Self::Paused => true,
            Self::Completed | Self::Failed | Self::Cancelled => false,
        }
    }
}
