//! What an operation works with: a connection inside a transaction, the time, and what is announced after the commit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Params, Row};
use sayiir_core::DefinitionHash;
use sayiir_core::branch::LeaseId;
use sayiir_core::time::Timestamp;
use sayiir_persistence::StoreError;
pub(crate) use sayiir_persistence::wakeups::News;

use crate::fault::Outcome;
use crate::figures;

/// A snapshot of the database at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) now: Timestamp,
}

/// The writer's connection, inside a transaction while a request has it.
pub(crate) struct Tx {
    pub(crate) conn: Connection,
    pub(crate) now: Timestamp,
    pub(crate) memo: Memo,
    pub(crate) news: News,
}

impl Tx {
    pub(crate) fn look(&self) -> Look<'_> {
        Look { conn: &self.conn, now: self.now }
    }
}

/// A reader's connection, inside a transaction while a request has it.
pub(crate) struct Snapshot {
    pub(crate) conn: Connection,
    pub(crate) now: Timestamp,
}

impl Snapshot {
    pub(crate) fn look(&self) -> Look<'_> {
        Look { conn: &self.conn, now: self.now }
    }
}

/// A definition's hash, name and version.
pub(crate) type DefinitionKey = (DefinitionHash, Arc<str>, Arc<str>);

/// What the writer remembers of its own database; forgotten with every rollback.
#[derive(Default)]
pub(crate) struct Memo {
    /// Definitions by hash, name and version, and whether their documents are kept.
    pub(crate) definitions: HashMap<DefinitionKey, (i64, bool)>,
    /// Lanes by definition and tags.
    pub(crate) lanes: HashMap<(i64, Arc<[String]>), i64>,
    /// The definition and tags of lanes.
    pub(crate) lane_keys: HashMap<i64, (i64, Arc<[String]>)>,
    /// How long each lease holder takes branches for, and when it was marked as seen (as far as is known).
    pub(crate) ttls: HashMap<LeaseId, (Duration, Timestamp)>,
}

/// Runs a statement that changes rows; says how many.
pub(crate) fn execute(conn: &Connection, sql: &str, params: impl Params) -> Outcome<usize> {
    figures::count();
    Ok(conn.prepare_cached(sql)?.execute(params)?)
}

/// The first row, if there is one. The statement is finished then: rows that it changes are changed.
pub(crate) fn first<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Outcome<Option<T>> {
    figures::count();
    Ok(conn.prepare_cached(sql)?.query_row(params, read).optional()?)
}

/// All rows.
pub(crate) fn rows<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Outcome<Vec<T>> {
    figures::count();
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map(params, read)?.collect::<rusqlite::Result<Vec<T>>>()?;
    Ok(found)
}

/// All rows of a statement that is put together for this once.
pub(crate) fn rows_of<T>(
    conn: &Connection,
    sql: &str,
    params: Vec<Value>,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Outcome<Vec<T>> {
    figures::count();
    let mut statement = conn.prepare(sql)?;
    let found = statement.query_map(rusqlite::params_from_iter(params), read)?.collect::<rusqlite::Result<Vec<T>>>()?;
    Ok(found)
}

/// Hands out the next number of a counter.
pub(crate) fn next_number(conn: &Connection, counter: &str) -> Outcome<u64> {
    let sql = "UPDATE counter SET value = value + 1 WHERE name = ?1 RETURNING value";
    let number = first(conn, sql, [counter], |row| row.get(0))?;
    number.ok_or_else(|| StoreError::corrupt(format!("the counter {counter:?} is missing")).into())
}
