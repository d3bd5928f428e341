//! How rows become our types. A number that no type knows is a corrupt store, not a guess.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::branch::{BranchId, Head, JournalRef, LeaseId, Phase, Placement, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::journal::EntryKind;
use sayiir_core::priority::Priority;
use sayiir_core::time::Timestamp;
use sayiir_persistence::{BranchSummary, Definition, Progress, RunState};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::fault::{Fault, Outcome};

/// A number as PostgreSQL keeps it. Ours stay below 2^53; a larger one matches nothing.
pub(crate) fn db(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count as a limit.
pub(crate) fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A duration in microseconds, so far below the end of time that adding it to an instant cannot overflow.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).min(1 << 61)
}

/// A text without the one character that PostgreSQL cannot hold: for what people wrote, where refusing it would help nobody.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{2400}")) } else { Cow::Borrowed(text) }
}

/// A column that is a number of ours.
pub(crate) fn number(row: &PgRow, column: &str) -> Outcome<u64> {
    maybe_number(row, column)?.ok_or_else(|| Fault::corrupt(format!("a stored {column} is null")))
}

/// A column that is a number of ours, or null.
pub(crate) fn maybe_number(row: &PgRow, column: &str) -> Outcome<Option<u64>> {
    let stored: Option<i64> = row.try_get(column)?;
    let readable = |stored: i64| u64::try_from(stored).map_err(|_| unknown(column, stored));
    stored.map(readable).transpose()
}

/// A column that counts something.
pub(crate) fn count(row: &PgRow, column: &str) -> Outcome<u32> {
    let stored: i32 = row.try_get(column)?;
    u32::try_from(stored).map_err(|_| unknown(column, stored.into()))
}

fn unknown(column: &str, stored: i64) -> Fault {
    Fault::corrupt(format!("a stored {column} is {stored}, which this build does not know"))
}

/// A column that stands for a variant of a type.
pub(crate) fn code<T>(row: &PgRow, column: &str, from: impl FnOnce(u8) -> Option<T>) -> Outcome<T> {
    let stored: i16 = row.try_get(column)?;
    u8::try_from(stored).ok().and_then(from).ok_or_else(|| unknown(column, stored.into()))
}

pub(crate) fn time(row: &PgRow, column: &str) -> Outcome<Timestamp> {
    Ok(Timestamp::from_micros(row.try_get(column)?))
}

pub(crate) fn maybe_time(row: &PgRow, column: &str) -> Outcome<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros))
}

pub(crate) fn text(row: &PgRow, column: &str) -> Outcome<Arc<str>> {
    Ok(Arc::from(row.try_get::<&str, _>(column)?))
}

pub(crate) fn maybe_text(row: &PgRow, column: &str) -> Outcome<Option<Arc<str>>> {
    Ok(row.try_get::<Option<&str>, _>(column)?.map(Arc::from))
}

pub(crate) fn bytes(row: &PgRow, column: &str) -> Outcome<Option<Bytes>> {
    Ok(row.try_get::<Option<Vec<u8>>, _>(column)?.map(Bytes::from))
}

pub(crate) fn branch_id(row: &PgRow, column: &str) -> Outcome<BranchId> {
    Ok(BranchId::from_stored(row.try_get(column)?))
}

pub(crate) fn run(row: &PgRow) -> Outcome<RunNumber> {
    number(row, "run").map(RunNumber)
}

pub(crate) fn kind(row: &PgRow) -> Outcome<EntryKind> {
    code(row, "kind", EntryKind::from_u8)
}

/// The row that a pair of columns refers to, if it does.
pub(crate) fn maybe_ref(row: &PgRow, branch: &str, revision: &str) -> Outcome<Option<JournalRef>> {
    let Some(revision) = maybe_number(row, revision)? else { return Ok(None) };
    Ok(Some(JournalRef { branch: branch_id(row, branch)?, revision }))
}

/// The columns of a head.
macro_rules! head_columns {
    () => {
        "b.run, b.branch, b.revision, b.lease, b.crashes, b.node, b.phase, b.attempt, b.input_branch, b.input_revision, b.fork_revision, \
         b.pending, b.due_at, b.awaits, b.priority, b.run_at, b.moved_at, b.attempt_at, b.progress, b.progress_at"
    };
}
pub(crate) use head_columns;

/// A row of the table of live branches.
#[derive(Debug, Clone)]
pub(crate) struct BranchRow {
    pub(crate) run: RunNumber,
    pub(crate) branch: BranchId,
    pub(crate) revision: u64,
    pub(crate) lease: Option<LeaseId>,
    pub(crate) crashes: u32,
    pub(crate) head: Head,
    pub(crate) pending: u32,
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) awaits: Option<Arc<str>>,
    pub(crate) priority: Priority,
    pub(crate) run_at: Option<Timestamp>,
    pub(crate) moved_at: Timestamp,
    pub(crate) attempt_at: Timestamp,
    pub(crate) progress: Option<Progress>,
}

impl BranchRow {
    pub(crate) fn read(row: &PgRow) -> Outcome<Self> {
        Ok(Self {
            run: run(row)?,
            branch: branch_id(row, "branch")?,
            revision: number(row, "revision")?,
            lease: maybe_number(row, "lease")?.map(LeaseId),
            crashes: count(row, "crashes")?,
            head: Head {
                node: text(row, "node")?,
                phase: code(row, "phase", Phase::from_u8)?,
                attempt: count(row, "attempt")?,
                input: JournalRef { branch: branch_id(row, "input_branch")?, revision: number(row, "input_revision")? },
                fork_revision: number(row, "fork_revision")?,
            },
            pending: count(row, "pending")?,
            due_at: maybe_time(row, "due_at")?,
            awaits: maybe_text(row, "awaits")?,
            priority: code(row, "priority", Priority::from_u8)?,
            run_at: maybe_time(row, "run_at")?,
            moved_at: time(row, "moved_at")?,
            attempt_at: time(row, "attempt_at")?,
            progress: progress(row)?,
        })
    }

    pub(crate) fn summary(self, tags: Arc<[String]>) -> BranchSummary {
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

fn progress(row: &PgRow) -> Outcome<Option<Progress>> {
    let Some(at) = maybe_time(row, "progress_at")? else { return Ok(None) };
    Ok(Some(Progress { payload: bytes(row, "progress")?.unwrap_or_default(), at }))
}

/// The tags of a lane, as they were given.
pub(crate) fn tags(row: &PgRow) -> Outcome<Arc<[String]>> {
    Ok(row.try_get::<Option<Vec<String>>, _>("tags")?.unwrap_or_default().into())
}

/// Whether an instance's id has a run, and how it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Only events were sent: the id counts as unknown.
    MailOnly,
    /// It has a run.
    Run(RunState),
}

impl Stage {
    /// The stored number; pausing is a flag beside it.
    pub(crate) const fn code(state: RunState) -> i16 {
        match state {
            RunState::Running | RunState::Paused => 1,
            RunState::Completed => 2,
            RunState::Failed => 3,
            RunState::Cancelled => 4,
        }
    }

    pub(crate) fn read(row: &PgRow) -> Outcome<Self> {
        let (code, paused): (i16, bool) = (row.try_get("status")?, row.try_get("paused")?);
        let state = match (code, paused) {
            (0, _) => return Ok(Self::MailOnly),
            (1, false) => RunState::Running,
            (1, true) => RunState::Paused,
            (2, _) => RunState::Completed,
            (3, _) => RunState::Failed,
            (4, _) => RunState::Cancelled,
            (other, _) => return Err(unknown("status", other.into())),
        };
        Ok(Self::Run(state))
    }
}

/// An instance as its row has it.
#[derive(Debug, Clone)]
pub(crate) struct InstanceRow {
    pub(crate) run: RunNumber,
    pub(crate) instance_id: Arc<str>,
    pub(crate) stage: Stage,
    pub(crate) previous: Option<RunNumber>,
    /// Its number, and what it is.
    pub(crate) definition_id: Option<i64>,
    pub(crate) definition: Definition,
    pub(crate) mail: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) nonce: Option<Vec<u8>>,
    pub(crate) end: Option<JournalRef>,
    pub(crate) request: Option<SignalRequest>,
    pub(crate) cancel: Option<SignalRequest>,
    pub(crate) pause: Option<SignalRequest>,
}

impl InstanceRow {
    /// The row, which is joined with its definition.
    pub(crate) fn read(row: &PgRow) -> Outcome<Self> {
        Ok(Self {
            run: run(row)?,
            instance_id: text(row, "instance_id")?,
            stage: Stage::read(row)?,
            previous: maybe_number(row, "previous")?.map(RunNumber),
            definition_id: row.try_get("definition")?,
            definition: definition(row)?,
            mail: number(row, "mail")?,
            created_at: time(row, "created_at")?,
            updated_at: time(row, "updated_at")?,
            nonce: row.try_get("nonce")?,
            end: maybe_ref(row, "end_branch", "end_revision")?,
            request: request(row, ["request_reason", "request_by", "request_at"])?,
            cancel: request(row, ["cancel_reason", "cancel_by", "cancel_at"])?,
            pause: request(row, ["pause_reason", "pause_by", "pause_at"])?,
        })
    }

    /// The state of its run, if it has one.
    pub(crate) const fn state(&self) -> Option<RunState> {
        match self.stage {
            Stage::MailOnly => None,
            Stage::Run(state) => Some(state),
        }
    }

    /// Whether it has a run that goes on or is paused.
    pub(crate) const fn is_live(&self) -> bool {
        match self.stage {
            Stage::Run(RunState::Running | RunState::Paused) => true,
            Stage::MailOnly | Stage::Run(RunState::Completed | RunState::Failed | RunState::Cancelled) => false,
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.stage == Stage::Run(RunState::Paused)
    }
}

/// A definition, from its columns; an empty one where there is none.
pub(crate) fn definition(row: &PgRow) -> Outcome<Definition> {
    let empty = || Arc::from("");
    Ok(Definition {
        hash: hash(row)?.unwrap_or_else(|| DefinitionHash::from_bytes([0; 32])),
        name: maybe_text(row, "name")?.unwrap_or_else(empty),
        version: maybe_text(row, "version")?.unwrap_or_else(empty),
        document: None,
    })
}

/// The hash of a definition, where one is joined.
pub(crate) fn hash(row: &PgRow) -> Outcome<Option<DefinitionHash>> {
    let stored: Option<&[u8]> = row.try_get("hash")?;
    let read = |stored: &[u8]| {
        let bytes = <[u8; 32]>::try_from(stored).map_err(|_| Fault::corrupt(format!("a stored hash has {} bytes", stored.len())))?;
        Ok(DefinitionHash::from_bytes(bytes))
    };
    stored.map(read).transpose()
}

fn request(row: &PgRow, [reason, by, at]: [&str; 3]) -> Outcome<Option<SignalRequest>> {
    let Some(at) = maybe_time(row, at)? else { return Ok(None) };
    Ok(Some(SignalRequest { reason: row.try_get(reason)?, requested_by: row.try_get(by)?, requested_at: at.into() }))
}
