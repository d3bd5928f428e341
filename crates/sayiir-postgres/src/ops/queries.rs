//! What people and clients ask of one instance, read in one snapshot of the database.

use bytes::Bytes;
use sayiir_core::branch::{JournalRef, Placement};
use sayiir_core::priority::Priority;
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{BranchSummary, InstanceRecord, InstanceSummary, RunState, status_of};
use sqlx::Row;

use crate::fault::{Fault, Outcome};
use crate::ops::{attributes, journal, start};
use crate::rows::{InstanceRow, branch_row, code, db, head_columns, tags, text};
use crate::tx::Tx;

/// How a run stands.
pub(crate) async fn status(tx: &mut Tx<'_>, instance: &InstanceRow) -> Outcome<WorkflowStatus> {
    let branches = if instance.state() == Some(RunState::Running) { branches(tx, instance).await? } else { Vec::new() };
    status_with(tx, instance, &branches).await
}

async fn branches(tx: &mut Tx<'_>, instance: &InstanceRow) -> Outcome<Vec<BranchSummary>> {
    let sql =
        concat!("SELECT ", head_columns!(), ", l.tags FROM branch b LEFT JOIN lane l ON l.id = b.lane WHERE b.run = $1 ORDER BY b.branch");
    let found = sqlx::query(sql).bind(db(instance.run.0)).fetch_all(&mut *tx.conn).await?;
    found.iter().map(|row| Ok(branch_row(row)?.summary(tags(row)?))).collect()
}

async fn status_with(tx: &mut Tx<'_>, instance: &InstanceRow, branches: &[BranchSummary]) -> Outcome<WorkflowStatus> {
    let id = &instance.instance_id;
    let state = instance.state().ok_or_else(|| Fault::corrupt(format!("instance {id:?} has no run")))?;
    let error = match (state, &instance.end) {
        (RunState::Failed, Some(end)) => error_text(tx, instance, end).await?,
        (_, _) => None,
    };
    Ok(status_of(state, branches, error.as_deref(), instance.request.as_ref(), tx.now))
}

async fn error_text(tx: &mut Tx<'_>, instance: &InstanceRow, end: &JournalRef) -> Outcome<Option<String>> {
    let sql = "SELECT error FROM journal WHERE run = $1 AND branch = $2 AND revision = $3";
    let asked = sqlx::query(sql).bind(db(instance.run.0)).bind(end.branch.as_str()).bind(db(end.revision));
    let row = asked.fetch_optional(&mut *tx.conn).await?;
    row.map_or(Ok(None), |row| Ok(row.try_get("error")?))
}

pub(crate) async fn instance(tx: &mut Tx<'_>, instance_id: &str) -> Outcome<Option<InstanceRecord>> {
    tx.tell_time().await?;
    let Some(found) = tx.find(instance_id).await? else { return Ok(None) };
    let Some(state) = found.state() else { return Ok(None) };
    let branches = branches(tx, &found).await?;
    let sql = "SELECT i.first_node, i.priority, l.tags FROM instance i JOIN lane l ON l.id = i.lane WHERE i.run = $1";
    let started = sqlx::query(sql).bind(db(found.run.0)).fetch_optional(&mut *tx.conn).await?;
    let started = started.ok_or_else(|| Fault::corrupt(format!("instance {instance_id:?} has no lane")))?;
    let placement = Placement { tags: tags(&started)?, priority: code(&started, "priority", Priority::from_u8)? };
    let status = status_with(tx, &found, if state == RunState::Running { &branches } else { &[] }).await?;
    let input: Bytes = journal::value(tx, found.run, &JournalRef::instance_input()).await?;
    let (cancel_request, pause_request) = found.told_requests();
    Ok(Some(InstanceRecord {
        input,
        output: start::output(tx, &found).await?,
        first_node: text(&started, "first_node")?,
        placement,
        cancel_request,
        pause_request,
        branches,
        now: tx.now,
        summary: summary(tx, found, status).await?,
    }))
}

async fn summary(tx: &mut Tx<'_>, instance: InstanceRow, status: WorkflowStatus) -> Outcome<InstanceSummary> {
    let attributes = attributes::of_run(tx, instance.run).await?;
    Ok(instance.summary(status, attributes))
}

/// An instance as a list shows it.
pub(crate) async fn summarize(tx: &mut Tx<'_>, instance: InstanceRow) -> Outcome<InstanceSummary> {
    let status = status(tx, &instance).await?;
    summary(tx, instance, status).await
}
