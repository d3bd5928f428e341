//! The beginning and the removal of a run.

use std::time::Duration;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_core::journal::EntryKind;
use sayiir_persistence::meet::Meeting;
use sayiir_persistence::rows::NewRow;
use sayiir_persistence::{BranchView, StartOutcome, StartRun};

use crate::fault::Outcome;
use crate::ops::heads::{self, Place};
use crate::ops::journal;
use crate::ops::{attributes, lanes, purge, queries, sessions, views};
use crate::rows::{Col, InstanceRow, Stage, find_branch, find_instance};
use crate::tx::{Look, Tx, execute, next_number};

pub(crate) fn start(tx: &mut Tx, request: &StartRun) -> Outcome<StartOutcome> {
    let known = find_instance(&tx.conn, &request.instance_id)?;
    if let Some(instance) = known.as_ref().filter(|instance| instance.stage != Stage::MailOnly)
        && let Some(outcome) = meet(tx, instance, request)?
    {
        return Ok(outcome);
    }
    let run = begin(tx, known.as_ref(), request, Some(request.nonce))?;
    let root = match (request.lease, &known) {
        (None, _) => None,
        (Some(_), None) => Some(request.root_of_new(run, tx.now)),
        // There may be events for it.
        (Some(_), Some(_)) => {
            let row = find_branch(&tx.conn, run, &BranchId::root())?;
            row.map(|row| views::of_row(tx.look(), row)).transpose()?
        }
    };
    Ok(StartOutcome::Fresh { run, created_at: tx.now, root: root.map(Box::new) })
}

/// What a start meets under an id that has a run; `None` if it is to replace it.
fn meet(tx: &Tx, instance: &InstanceRow, request: &StartRun) -> Outcome<Option<StartOutcome>> {
    match request.meets(instance.definition.hash, instance.nonce == Some(request.nonce)) {
        Meeting::Own => {
            let root = request.lease.map_or(Ok(None), |(lease, _)| root_still_at_start(tx.look(), lease, instance.run))?;
            Ok(Some(StartOutcome::Fresh { run: instance.run, created_at: instance.created_at, root: root.map(Box::new) }))
        }
        Meeting::Existing => {
            let status = queries::status(tx.look(), instance)?;
            Ok(Some(StartOutcome::Existing { status, output: output(tx.look(), instance)? }))
        }
        Meeting::Refused(outcome) => Ok(Some(outcome)),
        Meeting::ToReplace => Ok(None),
    }
}

fn root_still_at_start(look: Look<'_>, lease: LeaseId, run: RunNumber) -> Outcome<Option<BranchView>> {
    let root = find_branch(look.conn, run, &BranchId::root())?;
    root.filter(|row| row.lease == Some(lease) && row.revision == 1).map(|row| views::of_row(look, row)).transpose()
}

/// The output of a completed run.
pub(crate) fn output(look: Look<'_>, instance: &InstanceRow) -> Outcome<Option<Bytes>> {
    match (&instance.end, instance.state()) {
        (Some(end), Some(sayiir_persistence::RunState::Completed)) => journal::value(look, instance.run, end).map(Some),
        (_, _) => Ok(None),
    }
}

/// Makes a new run, in the place of what is known under the id.
pub(crate) fn begin(tx: &mut Tx, known: Option<&InstanceRow>, request: &StartRun, nonce: Option<u128>) -> Outcome<RunNumber> {
    let definition = lanes::definition(tx, &request.definition)?;
    let lane = lanes::lane(tx, definition, &request.placement)?;
    let run = match known {
        Some(instance) if instance.stage == Stage::MailOnly => instance.run,
        Some(_) | None => RunNumber(next_number(&tx.conn, "run")?),
    };
    let sql = match known {
        Some(instance) => {
            if instance.run != run {
                replace(tx, instance, run)?;
            }
            "UPDATE instance SET status = 1, definition = ?3, created_at = ?4, updated_at = ?4, nonce = ?5, first_node = ?6, lane = ?7, \
             priority = ?8, trace = ?9 WHERE run = ?1 AND instance_id = ?2"
        }
        None => {
            "INSERT INTO instance (run, instance_id, status, definition, created_at, updated_at, nonce, first_node, lane, priority, trace) \
             VALUES (?1, ?2, 1, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9)"
        }
    };
    let nonce = nonce.map(u128::to_be_bytes);
    let priority = Col(request.placement.priority);
    let params = (Col(run), &request.instance_id, definition, Col(tx.now), nonce, &request.first_node, lane, priority, &request.trace);
    execute(&tx.conn, sql, params)?;
    attributes::put(tx, run, &request.attributes)?;
    place_root(tx, run, lane, request)?;
    Ok(run)
}

fn place_root(tx: &mut Tx, run: RunNumber, lane: i64, request: &StartRun) -> Outcome<()> {
    let StartRun { instance_id, definition: _, policy: _, input, first_node, placement, nonce: _, lease, trace: _, attributes: _ } =
        request;
    let branch = &BranchId::root();
    let started = NewRow::bare(run, branch, 1, EntryKind::Started, first_node, tx.now);
    journal::insert(tx, NewRow { lease: lease.map(|(lease, _)| lease), output: Some(input), ..started })?;
    let (lease, ttl) = lease.map_or((None, Duration::ZERO), |(lease, ttl)| (Some(lease), ttl));
    if let Some(lease) = lease {
        sessions::remember_ttl(tx, lease, ttl)?;
    }
    let head = &request.first_head();
    let (revision, run_at, due_at, awaits, pending) = (1, Some(tx.now + ttl), Some(tx.now), None, 0);
    let (priority, moved_at) = (placement.priority, tx.now);
    Place { run, branch, revision, head, lease, run_at, due_at, awaits, pending, lane, priority, moved_at }.insert(tx)?;
    tx.news.due |= lease.is_none();
    tx.news.instance(instance_id);
    Ok(())
}

/// Gives the instance's row to the new run and removes the old one with its heads, events and requests. Its journal
/// stays until the run after it is replaced in turn.
fn replace(tx: &mut Tx, instance: &InstanceRow, run: RunNumber) -> Outcome<()> {
    let old = instance.run;
    delete_contents(tx, old)?;
    if let Some(oldest) = instance.previous {
        purge::later(tx, oldest)?;
    }
    let sql = "UPDATE instance SET run = ?2, previous = ?1, paused = 0, control = 0, end_branch = NULL, end_revision = NULL, \
               request_reason = NULL, request_by = NULL, request_at = NULL, cancel_reason = NULL, cancel_by = NULL, cancel_at = NULL, \
               pause_reason = NULL, pause_by = NULL, pause_at = NULL WHERE run = ?1";
    execute(&tx.conn, sql, (Col(old), Col(run)))?;
    tx.news.control = true;
    Ok(())
}

/// Deletes a run's heads, events, the keys of its events, and attributes.
fn delete_contents(tx: &Tx, run: RunNumber) -> Outcome<()> {
    heads::delete_all(tx, run)?;
    execute(&tx.conn, "DELETE FROM event WHERE run = ?1", [Col(run)])?;
    execute(&tx.conn, "DELETE FROM event_key WHERE run = ?1", [Col(run)])?;
    attributes::delete(tx, run)
}

/// Removes an instance. False if the id had no run.
pub(crate) fn delete(tx: &mut Tx, instance_id: &str) -> Outcome<bool> {
    let Some(instance) = find_instance(&tx.conn, instance_id)? else { return Ok(false) };
    for run in [Some(instance.run), instance.previous].into_iter().flatten() {
        execute(&tx.conn, "DELETE FROM journal WHERE run = ?1", [Col(run)])?;
    }
    remove(tx, &instance)?;
    Ok(instance.stage != Stage::MailOnly)
}

/// Removes an instance, but for its journals.
pub(crate) fn remove(tx: &mut Tx, instance: &InstanceRow) -> Outcome<()> {
    delete_contents(tx, instance.run)?;
    execute(&tx.conn, "DELETE FROM instance WHERE run = ?1", [Col(instance.run)])?;
    tx.news.control = true;
    tx.news.instance(&instance.instance_id);
    Ok(())
}
