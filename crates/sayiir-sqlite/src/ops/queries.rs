//! What people and clients ask of one instance.

use bytes::Bytes;
use sayiir_core::branch::{JournalRef, Placement};
use sayiir_core::priority::Priority;
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{BranchSummary, InstanceRecord, InstanceSummary, RunState, status_of};

use crate::fault::{Fault, Outcome};
use crate::ops::{attributes, journal, lanes, start};
use crate::rows::{Col, InstanceRow, branch_row, col, find_instance, head_columns};
use crate::tx::{Look, first, rows};

/// How a run stands.
pub(crate) fn status(look: Look<'_>, instance: &InstanceRow) -> Outcome<WorkflowStatus> {
    let branches = if instance.state() == Some(RunState::Running) { branches(look, instance)? } else { Vec::new() };
    status_with(look, instance, &branches)
}

fn branches(look: Look<'_>, instance: &InstanceRow) -> Outcome<Vec<BranchSummary>> {
    let sql = concat!(
        "SELECT ",
        head_columns!(),
        ", (SELECT tags FROM lane WHERE id = branch.lane) AS tags FROM branch WHERE run = ?1 ORDER BY branch"
    );
    rows(look.conn, sql, [Col(instance.run)], |row| {
        let tags: Option<String> = row.get("tags")?;
        Ok(branch_row(row)?.summary(lanes::tags(&tags.unwrap_or_default())))
    })
}

fn status_with(look: Look<'_>, instance: &InstanceRow, branches: &[BranchSummary]) -> Outcome<WorkflowStatus> {
    let id = &instance.instance_id;
    let state = instance.state().ok_or_else(|| Fault::corrupt(format!("instance {id:?} has no run")))?;
    let error = match (state, &instance.end) {
        (RunState::Failed, Some(end)) => error_text(look, instance, end)?,
        (_, _) => None,
    };
    Ok(status_of(state, branches, error.as_deref(), instance.request.as_ref(), look.now))
}

fn error_text(look: Look<'_>, instance: &InstanceRow, end: &JournalRef) -> Outcome<Option<String>> {
    let sql = "SELECT error FROM journal WHERE run = ?1 AND branch = ?2 AND revision = ?3";
    Ok(first(look.conn, sql, (Col(instance.run), end.branch.as_str(), end.revision), |row| row.get(0))?.flatten())
}

pub(crate) fn instance(look: Look<'_>, instance_id: &str) -> Outcome<Option<InstanceRecord>> {
    let Some(found) = find_instance(look.conn, instance_id)? else { return Ok(None) };
    let Some(state) = found.state() else { return Ok(None) };
    let branches = branches(look, &found)?;
    let sql = "SELECT i.first_node, i.priority, l.tags FROM instance i JOIN lane l ON l.id = i.lane WHERE i.run = ?1";
    let started = first(look.conn, sql, [Col(found.run)], |row| {
        let (tags, priority): (String, Priority) = (row.get("tags")?, col(row, "priority")?);
        Ok((row.get("first_node")?, Placement { tags: lanes::tags(&tags), priority }))
    })?;
    let (first_node, placement) = started.ok_or_else(|| Fault::corrupt(format!("instance {instance_id:?} has no lane")))?;
    let status = status_with(look, &found, if state == RunState::Running { &branches } else { &[] })?;
    let input: Bytes = journal::value(look, found.run, &JournalRef::instance_input())?;
    let (cancel_request, pause_request) = found.told_requests();
    Ok(Some(InstanceRecord {
        input,
        output: start::output(look, &found)?,
        first_node,
        placement,
        cancel_request,
        pause_request,
        branches,
        now: look.now,
        summary: summary(look, found, status)?,
    }))
}

fn summary(look: Look<'_>, instance: InstanceRow, status: WorkflowStatus) -> Outcome<InstanceSummary> {
    let attributes = attributes::of_run(look, instance.run)?;
    Ok(instance.summary(status, attributes))
}

/// An instance as a list shows it.
pub(crate) fn summarize(look: Look<'_>, instance: InstanceRow) -> Outcome<InstanceSummary> {
    let status = status(look, &instance)?;
    summary(look, instance, status)
}
