//! How rows become our types. A number that no type knows is a corrupt store, not a guess.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Connection, Row};
use sayiir_core::branch::{BranchId, LeaseId, Phase, RunNumber};
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::priority::Priority;
use sayiir_core::time::Timestamp;
use sayiir_persistence::rows::{self, Columns};
pub(crate) use sayiir_persistence::rows::{BranchRow, InstanceRow, Stage};

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
            Err(rusqlite::Error::InvalidColumnType(0, index.to_owned(), Type::Null))
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

/// A row whose columns are read by name.
struct Named<'a>(&'a Row<'a>);

impl Columns for Named<'_> {
    type Error = rusqlite::Error;

    fn code(&self, column: &str) -> rusqlite::Result<i64> {
        self.0.get(column)
    }

    fn count(&self, column: &str) -> rusqlite::Result<u32> {
        self.0.get(column)
    }

    fn number(&self, column: &str) -> rusqlite::Result<Option<i64>> {
        self.0.get(column)
    }

    fn flag(&self, column: &str) -> rusqlite::Result<bool> {
        self.0.get(column)
    }

    fn text(&self, column: &str) -> rusqlite::Result<Option<Arc<str>>> {
        self.0.get(column)
    }

    fn bytes(&self, column: &str) -> rusqlite::Result<Option<Bytes>> {
        Ok(self.0.get::<_, Option<Vec<u8>>>(column)?.map(Bytes::from))
    }

    fn branch(&self, column: &str) -> rusqlite::Result<BranchId> {
        branch_id(self.0, column)
    }

    fn unreadable(column: &str, found: String) -> rusqlite::Error {
        let why = format!("a stored {column} is {found}, which this build does not know");
        rusqlite::Error::FromSqlConversionFailure(0, Type::Null, why.into())
    }
}

/// Reads the columns of a head.
pub(crate) fn branch_row(row: &Row<'_>) -> rusqlite::Result<BranchRow> {
    BranchRow::read(&Named(row))
}

pub(crate) fn find_branch(conn: &Connection, run: RunNumber, branch: &BranchId) -> Outcome<Option<BranchRow>> {
    let sql = concat!("SELECT ", head_columns!(), " FROM branch WHERE run = ?1 AND branch = ?2");
    first(conn, sql, (Col(run), branch.as_str()), branch_row)
}

/// Reads the whole row of a journal.
pub(crate) fn journal_row(row: &Row<'_>) -> rusqlite::Result<JournalRow> {
    rows::journal_row(&Named(row))
}

/// What the columns `status` and `paused` say.
pub(crate) fn stage(row: &Row<'_>) -> rusqlite::Result<Stage> {
    let code: i64 = row.get("status")?;
    Stage::from_code(code, row.get("paused")?).ok_or_else(|| Named::unreadable("status", code.to_string()))
}

/// The columns of an instance with its definition.
macro_rules! instance_query {
    ($where:literal) => {
        concat!("SELECT i.*, d.hash, d.name, d.version FROM instance i LEFT JOIN definition d ON d.id = i.definition WHERE ", $where)
    };
}

fn instance_row(row: &Row<'_>) -> rusqlite::Result<InstanceRow> {
    InstanceRow::read(&Named(row))
}

pub(crate) fn find_instance(conn: &Connection, instance_id: &str) -> Outcome<Option<InstanceRow>> {
    first(conn, instance_query!("i.instance_id = ?1"), [instance_id], instance_row)
}

pub(crate) fn instance_of(conn: &Connection, run: RunNumber) -> Outcome<Option<InstanceRow>> {
    first(conn, instance_query!("i.run = ?1"), [Col(run)], instance_row)
}
