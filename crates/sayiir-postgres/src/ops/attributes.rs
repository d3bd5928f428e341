//! Search attributes: written with a start or by a task, found by the list.

use std::sync::Arc;

use sayiir_core::attribute::{AttributeValue, SearchAttributes};
use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_persistence::{Limits, door};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::fault::{Fault, Outcome};
use crate::rows::{code, db, maybe_text, text};
use crate::tx::Tx;

/// Attributes as columns: names, kinds, numbers and texts.
pub(crate) type Columns = (Vec<String>, Vec<i16>, Vec<Option<i64>>, Vec<Option<String>>);

pub(crate) fn columns(attributes: &SearchAttributes) -> Columns {
    let mut columns = Columns::default();
    for (name, value) in attributes {
        let text = if let AttributeValue::Text(text) = value { Some(text.to_string()) } else { None };
        columns.0.push(name.to_string());
        columns.1.push(value.type_number().into());
        columns.2.push(value.as_number());
        columns.3.push(text);
    }
    columns
}

/// Sets attributes, each over what was under its name. Whoever does holds the instance's row.
pub(crate) async fn put(tx: &mut Tx<'_>, run: RunNumber, attributes: &SearchAttributes) -> Outcome<()> {
    if attributes.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO attribute (run, name, kind, number, text) SELECT $1, t.* FROM \
               unnest($2::text[], $3::smallint[], $4::bigint[], $5::text[]) t (name, kind, number, text) ON CONFLICT (run, name) \
               DO UPDATE SET kind = excluded.kind, number = excluded.number, text = excluded.text";
    let (names, kinds, numbers, texts) = columns(attributes);
    sqlx::query(sql).bind(db(run.0)).bind(names).bind(kinds).bind(numbers).bind(texts).execute(&mut *tx.conn).await?;
    Ok(())
}

/// Sets attributes for the task of a branch, if its lease is still held. The instance's row is locked before the branch's.
pub(crate) async fn set(
    tx: &mut Tx<'_>,
    limits: &Limits,
    lease: LeaseId,
    run: RunNumber,
    branch: &BranchId,
    attributes: &SearchAttributes,
) -> Outcome<bool> {
    let sql = "SELECT instance_id FROM instance WHERE run = $1 FOR NO KEY UPDATE";
    let Some(instance) = sqlx::query(sql).bind(db(run.0)).fetch_optional(&mut *tx.conn).await? else { return Ok(false) };
    let sql = "SELECT 1 FROM branch WHERE run = $1 AND branch = $2 AND lease = $3 FOR NO KEY UPDATE";
    let held = sqlx::query(sql).bind(db(run.0)).bind(branch.as_str()).bind(db(lease.0)).fetch_optional(&mut *tx.conn).await?;
    if held.is_none() {
        return Ok(false);
    }
    put(tx, run, attributes).await?;
    let row = sqlx::query("SELECT count(*) FROM attribute WHERE run = $1").bind(db(run.0)).fetch_one(&mut *tx.conn).await?;
    let count = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or(usize::MAX);
    let id = text(&instance, "instance_id")?;
    // The error rolls back what was put.
    door::check_attribute_count(limits, count, || format!("instance {id:?}")).map_err(Fault::Store)?;
    Ok(true)
}

/// The attributes of a run.
pub(crate) async fn of_run(tx: &mut Tx<'_>, run: RunNumber) -> Outcome<SearchAttributes> {
    let sql = "SELECT name, kind, number, text FROM attribute WHERE run = $1";
    sqlx::query(sql).bind(db(run.0)).fetch_all(&mut *tx.conn).await?.iter().map(read).collect()
}

fn read(row: &PgRow) -> Outcome<(Arc<str>, AttributeValue)> {
    let (number, words) = (row.try_get("number")?, maybe_text(row, "text")?);
    let value = code(row, "kind", |kind| AttributeValue::from_stored(kind, number, words))?;
    Ok((text(row, "name")?, value))
}

/// Forgets the attributes of a run.
pub(crate) async fn delete(tx: &mut Tx<'_>, run: RunNumber) -> Outcome<()> {
    sqlx::query("DELETE FROM attribute WHERE run = $1").bind(db(run.0)).execute(&mut *tx.conn).await?;
    Ok(())
}
