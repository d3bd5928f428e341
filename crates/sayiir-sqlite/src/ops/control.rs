//! Control: cancel, pause, unpause and retry, applied at once or recorded for a worker to apply.
//!
//! Each one moves the revision of every live branch, leased ones too, so that no owner's write made
//! without knowing of it is accepted.

use sayiir_core::branch::{BranchId, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::time::Timestamp;
use sayiir_persistence::rows::NewRow;
use sayiir_persistence::{Admission, ControlAction, ControlCommand, ControlOutcome, RunState};

use crate::fault::Outcome;
use crate::ops::heads::{self, Holds};
use crate::ops::journal;
use crate::ops::queries;
use crate::rows::{Col, InstanceRow, Stage, find_instance};
use crate::tx::{Look, Tx, execute, first};

pub(crate) fn control(tx: &mut Tx, command: &ControlCommand) -> Outcome<ControlOutcome> {
    let ControlCommand { instance_id, action, request } = command;
    match admit(tx, instance_id, *action)? {
        Ok(instance) => apply(tx, &instance, *action, request)?,
        Err(outcome) => return Ok(outcome),
    }
    Ok(ControlOutcome::Applied)
}

pub(crate) fn apply_requested(tx: &mut Tx, instance_id: &str, kind: SignalKind) -> Outcome<bool> {
    let waiting = find_instance(&tx.conn, instance_id)?.filter(|instance| instance.requested() == Some(kind));
    let Some(instance) = waiting else { return Ok(false) };
    let request = instance.request_of(kind).unwrap_or_default().anew();
    apply(tx, &instance, kind.into(), &request)?;
    Ok(true)
}

fn apply(tx: &mut Tx, instance: &InstanceRow, action: ControlAction, request: &SignalRequest) -> Outcome<()> {
    let (run, request) = (instance.run, stamped(request, tx.now));
    let at = heads::control_time(tx, run)?;
    match action {
        ControlAction::Cancel => {
            record(tx, run, SignalKind::Cancel, Some(&request))?;
            enter(tx, run, RunState::Cancelled, Some(&request))?;
            heads::delete_all(tx, run)?;
        }
        ControlAction::Pause => {
            record(tx, run, SignalKind::Pause, Some(&request))?;
            enter(tx, run, RunState::Paused, Some(&request))?;
            heads::move_all(tx, run, Holds { requested: instance.cancel.is_some(), paused: true }, at)?;
        }
        ControlAction::Unpause => {
            record(tx, run, SignalKind::Pause, None)?;
            enter(tx, run, RunState::Running, None)?;
            heads::move_all(tx, run, Holds { requested: instance.cancel.is_some(), paused: false }, at)?;
        }
        ControlAction::Retry => {
            record(tx, run, SignalKind::Cancel, None)?;
            record(tx, run, SignalKind::Pause, None)?;
            enter(tx, run, RunState::Running, None)?;
            execute(&tx.conn, "UPDATE instance SET end_branch = NULL, end_revision = NULL WHERE run = ?1", [Col(run)])?;
            heads::move_all(tx, run, Holds { requested: false, paused: false }, at)?;
        }
    }
    let sql = "UPDATE instance SET control = control + 1 WHERE run = ?1 RETURNING control";
    let revision = first(&tx.conn, sql, [Col(run)], |row| row.get(0))?.unwrap_or(0);
    let branch = BranchId::control();
    let row = NewRow::bare(run, &branch, revision, action.entry_kind(), "", at);
    journal::insert(tx, NewRow { error: request.in_words().as_deref(), ..row })?;
    announce(tx, instance);
    Ok(())
}

fn announce(tx: &mut Tx, instance: &InstanceRow) {
    tx.news.due = true;
    tx.news.control = true;
    tx.news.instance(&instance.instance_id);
}

/// The instance, if the action has something to do there; else what is answered.
fn admit(tx: &Tx, instance_id: &str, action: ControlAction) -> Outcome<Result<InstanceRow, ControlOutcome>> {
    let Some(instance) = find_instance(&tx.conn, instance_id)? else { return Ok(Err(ControlOutcome::NotFound)) };
    let Some(state) = instance.state() else { return Ok(Err(ControlOutcome::NotFound)) };
    Ok(match action.admission(state) {
        Admission::ToBeDone => Ok(instance),
        Admission::AlreadySo => Err(ControlOutcome::AlreadySo),
        Admission::Finished => Err(ControlOutcome::Finished(queries::status(tx.look(), &instance)?)),
    })
}

/// A request as the store records it.
pub(crate) fn stamped(request: &SignalRequest, now: Timestamp) -> SignalRequest {
    request.clone().stamped(now.into())
}

fn parts(request: Option<&SignalRequest>) -> (Option<&str>, Option<&str>, Option<Col<Timestamp>>) {
    let Some(SignalRequest { reason, requested_by, requested_at }) = request else { return (None, None, None) };
    (reason.as_deref(), requested_by.as_deref(), Some(Col(Timestamp::from(*requested_at))))
}

/// Records or forgets a request.
pub(crate) fn record(tx: &Tx, run: RunNumber, kind: SignalKind, request: Option<&SignalRequest>) -> Outcome<()> {
    let sql = match kind {
        SignalKind::Cancel => "UPDATE instance SET cancel_reason = ?2, cancel_by = ?3, cancel_at = ?4 WHERE run = ?1",
        SignalKind::Pause => "UPDATE instance SET pause_reason = ?2, pause_by = ?3, pause_at = ?4 WHERE run = ?1",
    };
    let (reason, by, at) = parts(request);
    execute(&tx.conn, sql, (Col(run), reason, by, at))?;
    Ok(())
}

/// Puts a run into a state, with the request that did it.
pub(crate) fn enter(tx: &Tx, run: RunNumber, state: RunState, request: Option<&SignalRequest>) -> Outcome<()> {
    let sql = "UPDATE instance SET status = ?2, paused = ?3, updated_at = ?4, request_reason = ?5, request_by = ?6, request_at = ?7 \
               WHERE run = ?1";
    let (reason, by, at) = parts(request);
    let code = Stage::code(state);
    execute(&tx.conn, sql, (Col(run), code, state == RunState::Paused, Col(tx.now), reason, by, at))?;
    Ok(())
}

pub(crate) fn request(tx: &mut Tx, instance_id: &str, kind: SignalKind, request: &SignalRequest) -> Outcome<ControlOutcome> {
    let action = ControlAction::from(kind);
    let instance = match admit(tx, instance_id, action)? {
        Ok(instance) => instance,
        Err(outcome) => return Ok(outcome),
    };
    record(tx, instance.run, kind, Some(&stamped(request, tx.now)))?;
    heads::move_all(tx, instance.run, Holds { requested: true, paused: instance.is_paused() }, tx.now)?;
    announce(tx, &instance);
    Ok(ControlOutcome::Applied)
}

pub(crate) fn requested(look: Look<'_>, instance_id: &str, kind: SignalKind) -> Outcome<Option<SignalRequest>> {
    Ok(find_instance(look.conn, instance_id)?.and_then(|instance| instance.request_of(kind)))
}

/// Forgets a recorded request; if that changes what waits to be applied, owners and free branches move.
pub(crate) fn clear(tx: &mut Tx, instance_id: &str, kind: SignalKind) -> Outcome<()> {
    let Some(instance) = find_instance(&tx.conn, instance_id)? else { return Ok(()) };
    record(tx, instance.run, kind, None)?;
    let requested = instance.requested_without(kind);
    if requested != instance.requested() {
        let holds = Holds { requested: requested.is_some(), paused: instance.is_paused() };
        heads::move_all(tx, instance.run, holds, tx.now)?;
        announce(tx, &instance);
    }
    Ok(())
}
