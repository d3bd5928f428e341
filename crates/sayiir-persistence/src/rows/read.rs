//! How rows of the tables become our types.

use std::sync::Arc;

use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, Head, JournalRef, LeaseId, Phase, Placement, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::priority::Priority;
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::WorkflowStatus;

use super::columns::{coded, maybe_number, maybe_ref, maybe_time, number, present, request, text, time};
use super::{Columns, Stage};
use crate::records::{BranchSummary, InstanceSummary, Progress, RunState};
use crate::store::Definition;

/// A row of the table of live branches.
#[derive(Debug, Clone)]
pub struct BranchRow {
    /// The run.
    pub run: RunNumber,
    /// The branch.
    pub branch: BranchId,
    /// Its revision.
    pub revision: u64,
    /// Who holds it.
    pub lease: Option<LeaseId>,
    /// Owners lost in a row.
    pub crashes: u32,
    /// Where it stands.
    pub head: Head,
    /// Children it still waits for.
    pub pending: u32,
    /// When it is due by its position.
    pub due_at: Option<Timestamp>,
    /// The event it waits for.
    pub awaits: Option<Arc<str>>,
    /// The number of its lane: its definition and tags.
    pub lane: i64,
    /// How soon it is taken.
    pub priority: Priority,
    /// When it can be taken.
    pub run_at: Option<Timestamp>,
    /// When its last row was written.
    pub moved_at: Timestamp,
    /// When its present attempt began.
    pub attempt_at: Timestamp,
    /// What was last reported of it.
    pub progress: Option<Progress>,
}

impl BranchRow {
    /// Reads the columns of a head.
    pub fn read<R: Columns>(row: &R) -> Result<Self, R::Error> {
        Ok(Self {
            run: RunNumber(number(row, "run")?),
            branch: row.branch("branch")?,
            revision: number(row, "revision")?,
            lease: maybe_number(row, "lease")?.map(LeaseId),
            crashes: row.count("crashes")?,
            head: Head {
                node: text(row, "node")?,
                phase: coded(row, "phase", Phase::from_u8)?,
                attempt: row.count("attempt")?,
                input: JournalRef { branch: row.branch("input_branch")?, revision: number(row, "input_revision")? },
                fork_revision: number(row, "fork_revision")?,
            },
            pending: row.count("pending")?,
            due_at: maybe_time(row, "due_at")?,
            awaits: row.text("awaits")?,
            lane: present::<R, _>("lane", row.number("lane")?)?,
            priority: coded(row, "priority", Priority::from_u8)?,
            run_at: maybe_time(row, "run_at")?,
            moved_at: time(row, "moved_at")?,
            attempt_at: time(row, "attempt_at")?,
            progress: match maybe_time(row, "progress_at")? {
                Some(at) => Some(Progress { payload: row.bytes("progress")?.unwrap_or_default(), at }),
                None => None,
            },
        })
    }

    /// As people see it. The tags are its lane's.
    pub fn summary(self, tags: Arc<[String]>) -> BranchSummary {
        let Self {
            run: _,
            branch,
            revision,
            lease,
            crashes,
            head,
            pending,
            due_at,
            awaits,
            lane: _,
            priority,
            run_at,
            moved_at: _,
            attempt_at,
            progress,
        } = self;
        let placement = Placement { tags, priority };
        BranchSummary { branch, revision, head, lease, run_at, due_at, awaits, pending, placement, crashes, attempt_at, progress }
    }
}

/// An instance as its row has it, joined with its definition.
#[derive(Debug, Clone)]
pub struct InstanceRow {
    /// Its present run, or the number that its first run will have.
    pub run: RunNumber,
    /// The caller's id.
    pub instance_id: Arc<str>,
    /// Whether it has a run, and how that goes.
    pub stage: Stage,
    /// The run before it, whose journal is kept.
    pub previous: Option<RunNumber>,
    /// The number of its definition.
    pub definition_id: Option<i64>,
    /// Its definition, without the document; an empty one where there is none.
    pub definition: Definition,
    /// How many events were ever sent.
    pub mail: u64,
    /// The trace context it belongs to.
    pub trace: Option<Arc<str>>,
    /// When the present run started.
    pub created_at: Timestamp,
    /// When it last changed its status.
    pub updated_at: Timestamp,
    /// The starter's number.
    pub nonce: Option<u128>,
    /// The row that holds its output or error.
    pub end: Option<JournalRef>,
    /// The request that cancelled the run or holds it.
    pub request: Option<SignalRequest>,
    /// A recorded request to cancel.
    pub cancel: Option<SignalRequest>,
    /// A recorded request to pause.
    pub pause: Option<SignalRequest>,
}

impl InstanceRow {
    /// Reads the columns of an instance with its definition's.
    pub fn read<R: Columns>(row: &R) -> Result<Self, R::Error> {
        let (code, paused) = (row.code("status")?, row.flag("paused")?);
        let text_or_empty = |column| Ok(row.text(column)?.unwrap_or_else(|| Arc::from("")));
        Ok(Self {
            run: RunNumber(number(row, "run")?),
            instance_id: text(row, "instance_id")?,
            stage: Stage::from_code(code, paused).ok_or_else(|| R::unreadable("status", code.to_string()))?,
            previous: maybe_number(row, "previous")?.map(RunNumber),
            definition_id: row.number("definition")?,
            definition: Definition {
                hash: DefinitionHash::from_bytes(exact(row, "hash")?.unwrap_or([0; 32])),
                name: text_or_empty("name")?,
                version: text_or_empty("version")?,
                document: None,
            },
            mail: number(row, "mail")?,
            trace: row.text("trace")?,
            created_at: time(row, "created_at")?,
            updated_at: time(row, "updated_at")?,
            nonce: exact(row, "nonce")?.map(u128::from_be_bytes),
            end: maybe_ref(row, "end_branch", "end_revision")?,
            request: request(row, ["request_reason", "request_by", "request_at"])?,
            cancel: request(row, ["cancel_reason", "cancel_by", "cancel_at"])?,
            pause: request(row, ["pause_reason", "pause_by", "pause_at"])?,
        })
    }

    /// The state of its run, if it has one.
    pub const fn state(&self) -> Option<RunState> {
        self.stage.state()
    }

    /// Whether it has a run that goes on or is paused.
    pub const fn is_live(&self) -> bool {
        self.stage.is_live()
    }

    /// Whether it has a run that is paused.
    pub const fn is_paused(&self) -> bool {
        self.stage.is_paused()
    }

    /// The recorded request of a kind, applied or not.
    pub fn request_of(&self, kind: SignalKind) -> Option<SignalRequest> {
        match kind {
            SignalKind::Cancel => self.cancel.clone(),
            SignalKind::Pause => self.pause.clone(),
        }
    }

    /// What waits to be applied once the recorded request of this kind is forgotten.
    pub const fn requested_without(&self, kind: SignalKind) -> Option<SignalKind> {
        match kind {
            SignalKind::Cancel => self.stage.requested(false, self.pause.is_some()),
            SignalKind::Pause => self.stage.requested(self.cancel.is_some(), false),
        }
    }

    /// A recorded request that is not applied yet; cancel before pause.
    pub const fn requested(&self) -> Option<SignalKind> {
        self.stage.requested(self.cancel.is_some(), self.pause.is_some())
    }

    /// The recorded requests to cancel and to pause as an [`InstanceRecord`](crate::InstanceRecord) tells them.
    pub fn told_requests(&self) -> (Option<SignalRequest>, Option<SignalRequest>) {
        let cancel = self.cancel.clone().filter(|_| self.state() != Some(RunState::Cancelled));
        let pause = self.request.clone().filter(|_| self.is_paused()).or_else(|| self.pause.clone());
        (cancel, pause)
    }

    /// As a list shows it.
    pub fn summary(self, status: WorkflowStatus, attributes: SearchAttributes) -> InstanceSummary {
        let Self { run, instance_id, definition, created_at, updated_at, .. } = self;
        InstanceSummary { instance_id, run, definition, status, created_at, updated_at, attributes }
    }
}

/// Bytes of which there are so many, or null.
fn exact<R: Columns, const N: usize>(row: &R, column: &str) -> Result<Option<[u8; N]>, R::Error> {
    let whole = |stored: bytes::Bytes| {
        <[u8; N]>::try_from(stored.as_ref()).map_err(|_| R::unreadable(column, format!("{} bytes long", stored.len())))
    };
    row.bytes(column)?.map(whole).transpose()
}

/// Reads a row of the journal.
pub fn journal_row<R: Columns>(row: &R) -> Result<JournalRow, R::Error> {
    Ok(JournalRow {
        run: RunNumber(number(row, "run")?),
        branch: row.branch("branch")?,
        revision: number(row, "revision")?,
        lease: maybe_number(row, "lease")?.map(LeaseId),
        kind: coded(row, "kind", EntryKind::from_u8)?,
        node: text(row, "node")?,
        attempt: row.count("attempt")?,
        output: row.bytes("output")?,
        handed_on: row.bytes("handed_on")?,
        same_as: maybe_ref(row, "same_branch", "same_revision")?,
        error: row.text("error")?.map(|text| text.as_ref().to_owned()),
        at: time(row, "at")?,
    })
}
