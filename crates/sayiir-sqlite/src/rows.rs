//! How rows become our types. A number that no type knows is a corrupt store, not a guess.

use std::sync::Arc;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row};
use sayiir_core::DefinitionHash;
use sayiir_core::branch::{BranchId, Head, JournalRef, LeaseId, Phase, Placement, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::journal::EntryKind;
use sayiir_core::priority::Priority;
use sayiir_core::time::Timestamp;
use sayiir_persistence::{BranchSummary, Definition, Progress, RunState};

use crate::fault::Outcome;
use crate::tx::first;

/// A type of ours as SQLite keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Col<T>(pub(crate) T);

macro_rules! integer_column {
    ($type:ty, $this:ident => $to:expr, $number:ident => $from:expr) => {
        impl ToSql for Col<$type> {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                let Self($this) = *self;
                i64::try_from($to).map(ToSqlOutput::from).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
            }
        }
        impl FromSql for Col<$type> {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let $number = value.as_i64()?;
                $from.map(Self).ok_or(FromSqlError::OutOfRange($number))
            }
        }
    };
}

fn small(number: i64) -> Option<u8> {
    u8::try_from(number).ok()
}

integer_column!(Timestamp, at => at.as_micros(), number => Some(Timestamp::from_micros(number)));
integer_column!(RunNumber, run => run.0, number => u64::try_from(number).ok().map(RunNumber));
integer_column!(LeaseId, lease => lease.0, number => u64::try_from(number).ok().map(LeaseId));
integer_column!(Phase, phase => phase.as_u8(), number => small(number).and_then(Phase::from_u8));
integer_column!(Priority, priority => priority.as_u8(), number => small(number).and_then(Priority::from_u8));
integer_column!(EntryKind, kind => kind.as_u8(), number => small(number).and_then(EntryKind::from_u8));

/// The value of a column.
pub(crate) fn col<T>(row: &Row<'_>, index: &str) -> rusqlite::Result<T>
where
    Col<T>: FromSql,
{
    row.get::<_, Col<T>>(index).map(|Col(value)| value)
}

/// The value of a column that may be null.
pub(crate) fn maybe<T>(row: &Row<'_>, index: &str) -> rusqlite::Result<Option<T>>
where
    Col<T>: FromSql,
{
    Ok(row.get::<_, Option<Col<T>>>(index)?.map(|Col(value)| value))
}

pub(crate) fn branch_id(row: &Row<'_>, index: &str) -> rusqlite::Result<BranchId> {
    match row.get_ref(index)? {
        ValueRef::Text(text) => Ok(BranchId::from_stored(&String::from_utf8_lossy(text))),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => {
            Err(rusqlite::Error::InvalidColumnType(0, index.to_owned(), rusqlite::types::Type::Null))
        }
    }
}

/// The columns of a head.
macro_rules! head_columns {
    () => {
        "run, branch, revision, lease, crashes, node, phase, attempt, input_branch, input_revision, fork_revision, pending, due_at, \
         awaits, lane, priority, run_at, moved_at, attempt_at, progress, progress_at"
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
    pub(crate) lane: i64,
    pub(crate) priority: Priority,
    pub(crate) run_at: Option<Timestamp>,
    pub(crate) moved_at: Timestamp,
    pub(crate) attempt_at: Timestamp,
    pub(crate) progress: Option<Progress>,
}

impl BranchRow {
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            run: col(row, "run")?,
            branch: branch_id(row, "branch")?,
            revision: row.get("revision")?,
            lease: maybe(row, "lease")?,
            crashes: row.get("crashes")?,
            head: Head {
                node: row.get("node")?,
                phase: col(row, "phase")?,
                attempt: row.get("attempt")?,
                input: JournalRef { branch: branch_id(row, "input_branch")?, revision: row.get("input_revision")? },
                fork_revision: row.get("fork_revision")?,
            },
            pending: row.get("pending")?,
            due_at: maybe(row, "due_at")?,
            awaits: row.get("awaits")?,
            lane: row.get("lane")?,
            priority: col(row, "priority")?,
            run_at: maybe(row, "run_at")?,
            moved_at: col(row, "moved_at")?,
            attempt_at: col(row, "attempt_at")?,
            progress: progress(row)?,
        })
    }

    pub(crate) fn find(conn: &Connection, run: RunNumber, branch: &BranchId) -> Outcome<Option<Self>> {
        let sql = concat!("SELECT ", head_columns!(), " FROM branch WHERE run = ?1 AND branch = ?2");
        first(conn, sql, (Col(run), branch.as_str()), Self::read)
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

fn progress(row: &Row<'_>) -> rusqlite::Result<Option<Progress>> {
    let at: Option<Timestamp> = maybe(row, "progress_at")?;
    at.map(|at| Ok(Progress { payload: row.get::<_, Vec<u8>>("progress")?.into(), at })).transpose()
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
    pub(crate) const fn code(state: RunState) -> i64 {
        match state {
            RunState::Running | RunState::Paused => 1,
            RunState::Completed => 2,
            RunState::Failed => 3,
            RunState::Cancelled => 4,
        }
    }

    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (code, paused): (i64, bool) = (row.get("status")?, row.get("paused")?);
        let state = match (code, paused) {
            (0, _) => return Ok(Self::MailOnly),
            (1, false) => RunState::Running,
            (1, true) => RunState::Paused,
            (2, _) => RunState::Completed,
            (3, _) => RunState::Failed,
            (4, _) => RunState::Cancelled,
            (other, _) => return Err(rusqlite::Error::IntegralValueOutOfRange(0, other)),
        };
        Ok(Self::Run(state))
    }
}

/// The columns of an instance with its definition.
macro_rules! instance_query {
    ($where:literal) => {
        concat!("SELECT i.*, d.hash, d.name, d.version FROM instance i LEFT JOIN definition d ON d.id = i.definition WHERE ", $where)
    };
}

/// An instance as its row has it.
#[derive(Debug, Clone)]
pub(crate) struct InstanceRow {
    pub(crate) run: RunNumber,
    pub(crate) instance_id: Arc<str>,
    pub(crate) stage: Stage,
    pub(crate) previous: Option<RunNumber>,
    pub(crate) definition: Definition,
    pub(crate) mail: u64,
    pub(crate) trace: Option<Arc<str>>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) nonce: Option<Vec<u8>>,
    pub(crate) end: Option<JournalRef>,
    pub(crate) request: Option<SignalRequest>,
    pub(crate) cancel: Option<SignalRequest>,
    pub(crate) pause: Option<SignalRequest>,
}

impl InstanceRow {
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let hash: Option<[u8; 32]> = row.get("hash")?;
        let end: Option<u64> = row.get("end_revision")?;
        Ok(Self {
            run: col(row, "run")?,
            instance_id: row.get("instance_id")?,
            stage: Stage::read(row)?,
            previous: maybe(row, "previous")?,
            definition: Definition {
                hash: DefinitionHash::from_bytes(hash.unwrap_or_default()),
                name: row.get::<_, Option<Arc<str>>>("name")?.unwrap_or_else(|| Arc::from("")),
                version: row.get::<_, Option<Arc<str>>>("version")?.unwrap_or_else(|| Arc::from("")),
                document: None,
            },
            mail: row.get("mail")?,
            trace: row.get("trace")?,
            created_at: col(row, "created_at")?,
            updated_at: col(row, "updated_at")?,
            nonce: row.get("nonce")?,
            end: end
                .map(|revision| Ok::<_, rusqlite::Error>(JournalRef { branch: branch_id(row, "end_branch")?, revision }))
                .transpose()?,
            request: request(row, ["request_reason", "request_by", "request_at"])?,
            cancel: request(row, ["cancel_reason", "cancel_by", "cancel_at"])?,
            pause: request(row, ["pause_reason", "pause_by", "pause_at"])?,
        })
    }

    pub(crate) fn by_id(conn: &Connection, instance_id: &str) -> Outcome<Option<Self>> {
        first(conn, instance_query!("i.instance_id = ?1"), [instance_id], Self::read)
    }

    pub(crate) fn by_run(conn: &Connection, run: RunNumber) -> Outcome<Option<Self>> {
        first(conn, instance_query!("i.run = ?1"), [Col(run)], Self::read)
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

fn request(row: &Row<'_>, [reason, by, at]: [&str; 3]) -> rusqlite::Result<Option<SignalRequest>> {
    let at: Option<Timestamp> = maybe(row, at)?;
    let Some(at) = at else { return Ok(None) };
    Ok(Some(SignalRequest { reason: row.get(reason)?, requested_by: row.get(by)?, requested_at: at.into() }))
}
