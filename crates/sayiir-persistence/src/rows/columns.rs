//! A row of a database, read by the names of its columns.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, JournalRef};
use sayiir_core::control::SignalRequest;
use sayiir_core::time::Timestamp;

/// A row of a database. Whole numbers are read by the width that a strict database has for them. Which columns are asked for is in the
/// [module's documentation](super#the-columns).
///
/// Where a method does not say "or null", null is an error; so is, everywhere, a column that is not there or is of another type.
pub trait Columns {
    /// The store's error.
    type Error;

    /// A small whole number, which stands for something.
    fn code(&self, column: &str) -> Result<i64, Self::Error>;

    /// A count. A negative number, or one that is too large, is an error, such as [`unreadable`](Self::unreadable) makes.
    fn count(&self, column: &str) -> Result<u32, Self::Error>;

    /// A large whole number, or null.
    fn number(&self, column: &str) -> Result<Option<i64>, Self::Error>;

    /// A yes or no.
    fn flag(&self, column: &str) -> Result<bool, Self::Error>;

    /// A text, or null.
    fn text(&self, column: &str) -> Result<Option<Arc<str>>, Self::Error>;

    /// Bytes, or null.
    fn bytes(&self, column: &str) -> Result<Option<Bytes>, Self::Error>;

    /// A branch, by its text ([`BranchId::from_stored`]). Null is an error: where a branch may be null, it is not asked for.
    fn branch(&self, column: &str) -> Result<BranchId, Self::Error>;

    /// A column holds what it must not.
    fn unreadable(column: &str, found: String) -> Self::Error;
}

/// A column that stands for a variant of a type.
pub(super) fn coded<R: Columns, T>(row: &R, column: &str, from: impl FnOnce(u8) -> Option<T>) -> Result<T, R::Error> {
    let stored = row.code(column)?;
    u8::try_from(stored).ok().and_then(from).ok_or_else(|| R::unreadable(column, stored.to_string()))
}

/// A number of ours, or null.
pub(super) fn maybe_number<R: Columns>(row: &R, column: &str) -> Result<Option<u64>, R::Error> {
    let readable = |stored: i64| u64::try_from(stored).map_err(|_| R::unreadable(column, stored.to_string()));
    row.number(column)?.map(readable).transpose()
}

/// A number of ours.
pub(super) fn number<R: Columns>(row: &R, column: &str) -> Result<u64, R::Error> {
    present::<R, _>(column, maybe_number(row, column)?)
}

pub(super) fn maybe_time<R: Columns>(row: &R, column: &str) -> Result<Option<Timestamp>, R::Error> {
    Ok(row.number(column)?.map(Timestamp::from_micros))
}

pub(super) fn time<R: Columns>(row: &R, column: &str) -> Result<Timestamp, R::Error> {
    present::<R, _>(column, maybe_time(row, column)?)
}

pub(super) fn text<R: Columns>(row: &R, column: &str) -> Result<Arc<str>, R::Error> {
    present::<R, _>(column, row.text(column)?)
}

/// The row that a pair of columns refers to, if it does.
pub(super) fn maybe_ref<R: Columns>(row: &R, branch: &str, revision: &str) -> Result<Option<JournalRef>, R::Error> {
    let Some(revision) = maybe_number(row, revision)? else { return Ok(None) };
    Ok(Some(JournalRef { branch: row.branch(branch)?, revision }))
}

/// A control request, which is there if its time is.
pub(super) fn request<R: Columns>(row: &R, [reason, by, at]: [&str; 3]) -> Result<Option<SignalRequest>, R::Error> {
    let Some(at) = maybe_time(row, at)? else { return Ok(None) };
    let words = |column| Ok(row.text(column)?.map(|text| text.as_ref().to_owned()));
    Ok(Some(SignalRequest { reason: words(reason)?, requested_by: words(by)?, requested_at: at.into() }))
}

pub(super) fn present<R: Columns, T>(column: &str, value: Option<T>) -> Result<T, R::Error> {
    value.ok_or_else(|| R::unreadable(column, "null".to_owned()))
}
