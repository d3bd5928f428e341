//! Search attributes: written with a start or by a task, found by the list.

use std::sync::Arc;

use rusqlite::Row;
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use sayiir_core::attribute::{AttributeValue, SearchAttributes};
use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_persistence::{Limits, door};

use crate::fault::{Fault, Outcome};
use crate::rows::Col;
use crate::tx::{Look, Tx, execute, first, rows};

/// A value as SQLite keeps it beside its type's number.
pub(crate) struct Stored<'a>(pub(crate) &'a AttributeValue);

impl ToSql for Stored<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match (self.0, self.0.as_number()) {
            (AttributeValue::Text(text), _) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            (_, Some(number)) => ToSqlOutput::Owned(Value::Integer(number)),
            (_, None) => ToSqlOutput::Owned(Value::Null),
        })
    }
}

/// Sets attributes, each over what was under its name.
pub(crate) fn put(tx: &Tx, run: RunNumber, attributes: &SearchAttributes) -> Outcome<()> {
    let sql = "INSERT INTO attribute (run, name, kind, value) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (run, name) DO UPDATE SET kind = excluded.kind, value = excluded.value";
    for (name, value) in attributes {
        execute(&tx.conn, sql, (Col(run), name, value.type_number(), Stored(value)))?;
    }
    Ok(())
}

/// Sets attributes for the task of a branch, if its lease is still held.
pub(crate) fn set(
    tx: &Tx,
    limits: &Limits,
    lease: LeaseId,
    run: RunNumber,
    branch: &BranchId,
    attributes: &SearchAttributes,
) -> Outcome<bool> {
    let sql = "SELECT 1 FROM branch WHERE run = ?1 AND branch = ?2 AND lease = ?3";
    if first(&tx.conn, sql, (Col(run), branch.as_str(), Col(lease)), |_| Ok(()))?.is_none() {
        return Ok(false);
    }
    put(tx, run, attributes)?;
    let count: Option<usize> = first(&tx.conn, "SELECT count(*) FROM attribute WHERE run = ?1", [Col(run)], |row| row.get(0))?;
    // The error rolls back what was put.
    door::check_attribute_count(limits, count.unwrap_or(0), || format!("the instance of run {run}")).map_err(Fault::Store)?;
    Ok(true)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<(Arc<str>, AttributeValue)>> {
    let (number, text) = match row.get_ref("value")? {
        ValueRef::Integer(number) => (Some(number), None),
        ValueRef::Text(text) => (None, Some(Arc::from(String::from_utf8_lossy(text)))),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => (None, None),
    };
    let name: Arc<str> = row.get("name")?;
    Ok(AttributeValue::from_stored(row.get("kind")?, number, text).map(|value| (name, value)))
}

/// The attributes of a run.
pub(crate) fn of_run(look: Look<'_>, run: RunNumber) -> Outcome<SearchAttributes> {
    let found = rows(look.conn, "SELECT name, kind, value FROM attribute WHERE run = ?1", [Col(run)], read)?;
    let known = found.into_iter().collect::<Option<SearchAttributes>>();
    known.ok_or_else(|| Fault::corrupt(format!("run {run} has a search attribute of a type that this build does not know")))
}

/// Forgets the attributes of a run.
pub(crate) fn delete(tx: &Tx, run: RunNumber) -> Outcome<()> {
    execute(&tx.conn, "DELETE FROM attribute WHERE run = ?1", [Col(run)])?;
    Ok(())
}
