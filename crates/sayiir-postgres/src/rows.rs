//! How rows become our types. A number that no type knows is a corrupt store, not a guess.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::branch::{BranchId, RunNumber};
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::time::Timestamp;
use sayiir_persistence::Definition;
use sayiir_persistence::rows::{self, Columns};
pub(crate) use sayiir_persistence::rows::{BranchRow, InstanceRow, Stage};
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
    Named::unreadable(column, stored.to_string())
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

/// The columns of a head.
macro_rules! head_columns {
    () => {
        "b.run, b.branch, b.revision, b.lease, b.crashes, b.node, b.phase, b.attempt, b.input_branch, b.input_revision, b.fork_revision, \
         b.pending, b.due_at, b.awaits, b.lane, b.priority, b.run_at, b.moved_at, b.attempt_at, b.progress, b.progress_at"
    };
}
pub(crate) use head_columns;

/// The tags of a lane, as they were given.
pub(crate) fn tags(row: &PgRow) -> Outcome<Arc<[String]>> {
    Ok(row.try_get::<Option<Vec<String>>, _>("tags")?.unwrap_or_default().into())
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

/// A row whose columns are read by name.
struct Named<'a>(&'a PgRow);

impl Columns for Named<'_> {
    type Error = Fault;

    fn code(&self, column: &str) -> Outcome<i64> {
        Ok(self.0.try_get::<i16, _>(column)?.into())
    }

    fn count(&self, column: &str) -> Outcome<u32> {
        count(self.0, column)
    }

    fn number(&self, column: &str) -> Outcome<Option<i64>> {
        Ok(self.0.try_get(column)?)
    }

    fn flag(&self, column: &str) -> Outcome<bool> {
        Ok(self.0.try_get(column)?)
    }

    fn text(&self, column: &str) -> Outcome<Option<Arc<str>>> {
        maybe_text(self.0, column)
    }

    fn bytes(&self, column: &str) -> Outcome<Option<Bytes>> {
        bytes(self.0, column)
    }

    fn branch(&self, column: &str) -> Outcome<BranchId> {
        branch_id(self.0, column)
    }

    fn unreadable(column: &str, found: String) -> Fault {
        Fault::corrupt(format!("a stored {column} is {found}, which this build does not know"))
    }
}

/// Reads the columns of a head.
pub(crate) fn branch_row(row: &PgRow) -> Outcome<BranchRow> {
    BranchRow::read(&Named(row))
}

/// Reads the row of an instance, which is joined with its definition.
pub(crate) fn instance_row(row: &PgRow) -> Outcome<InstanceRow> {
    InstanceRow::read(&Named(row))
}

/// Reads a row of the journal.
pub(crate) fn journal_row(row: &PgRow) -> Outcome<JournalRow> {
    rows::journal_row(&Named(row))
}

/// What the columns `status` and `paused` say.
pub(crate) fn stage(row: &PgRow) -> Outcome<Stage> {
    let code: i16 = row.try_get("status")?;
    Stage::from_code(code.into(), row.try_get("paused")?).ok_or_else(|| unknown("status", code.into()))
}
