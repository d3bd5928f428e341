//! What people and clients ask: an instance, and lists of them. Each is read in one snapshot of the database.

use bytes::Bytes;
use sayiir_core::branch::{JournalRef, Placement};
use sayiir_core::priority::Priority;
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{BranchSummary, InstanceFilter, InstanceRecord, InstanceSummary, RunState, status_of};
use sqlx::Row;

use crate::fault::{Fault, Outcome};
use crate::ops::{journal, start};
use crate::rows::{BranchRow, InstanceRow, code, db, head_columns, most, tags, text};
use crate::tx::Tx;

/// How many instances a page has if the caller does not say.
const PAGE: usize = 1000;

/// How a run stands.
pub(crate) async fn status(tx: &mut Tx<'_>, instance: &InstanceRow) -> Outcome<WorkflowStatus> {
    let branches = if instance.state() == Some(RunState::Running) { branches(tx, instance).await? } else { Vec::new() };
    status_with(tx, instance, &branches).await
}

async fn branches(tx: &mut Tx<'_>, instance: &InstanceRow) -> Outcome<Vec<BranchSummary>> {
    let sql =
        concat!("SELECT ", head_columns!(), ", l.tags FROM branch b LEFT JOIN lane l ON l.id = b.lane WHERE b.run = $1 ORDER BY b.branch");
    let found = sqlx::query(sql).bind(db(instance.run.0)).fetch_all(&mut *tx.conn).await?;
    found.iter().map(|row| Ok(BranchRow::read(row)?.summary(tags(row)?))).collect()
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
    Ok(Some(InstanceRecord {
        input,
        output: start::output(tx, &found).await?,
        first_node: text(&started, "first_node")?,
        placement,
        cancel_request: found.cancel.clone().filter(|_| state != RunState::Cancelled),
        pause_request: found.request.clone().filter(|_| state == RunState::Paused).or_else(|| found.pause.clone()),
        branches,
        now: tx.now,
        summary: summary(found, status),
    }))
}

fn summary(instance: InstanceRow, status: WorkflowStatus) -> InstanceSummary {
    let InstanceRow { run, instance_id, definition, created_at, updated_at, .. } = instance;
    InstanceSummary { instance_id, run, definition, status, created_at, updated_at }
}

pub(crate) async fn list(tx: &mut Tx<'_>, filter: &InstanceFilter) -> Outcome<Vec<InstanceSummary>> {
    let InstanceFilter { workflow, states, after, limit } = filter;
    let sql = "SELECT i.*, d.hash, d.name, d.version FROM instance i LEFT JOIN definition d ON d.id = i.definition \
               WHERE i.instance_id > $1 AND i.status > 0 AND ($2::text IS NULL OR d.name = $2) AND (($3 AND i.status = 1 AND NOT i.paused) \
               OR ($4 AND i.status = 1 AND i.paused) OR ($5 AND i.status = 2) OR ($6 AND i.status = 3) OR ($7 AND i.status = 4)) \
               ORDER BY i.instance_id LIMIT $8";
    tx.tell_time().await?;
    let wanted = |state| states.is_empty() || states.contains(&state);
    let asked = sqlx::query(sql)
        .bind(after.as_deref().unwrap_or(""))
        .bind(workflow)
        .bind(wanted(RunState::Running))
        .bind(wanted(RunState::Paused))
        .bind(wanted(RunState::Completed))
        .bind(wanted(RunState::Failed))
        .bind(wanted(RunState::Cancelled))
        .bind(most(limit.unwrap_or(PAGE)));
    let mut summaries = Vec::new();
    for row in asked.fetch_all(&mut *tx.conn).await? {
        let instance = InstanceRow::read(&row)?;
        let status = status(tx, &instance).await?;
        summaries.push(summary(instance, status));
    }
    Ok(summaries)
}
