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
use crate::rows::{InstanceRow, Stage, clean, db, number};
use crate::tx::Tx;

pub(crate) async fn control(tx: &mut Tx<'_>, command: &ControlCommand) -> Outcome<ControlOutcome> {
    let ControlCommand { instance_id, action, request } = command;
    match admit(tx, instance_id, *action).await? {
        Ok(instance) => apply(tx, &instance, *action, request).await?,
        Err(outcome) => return Ok(outcome),
    }
    Ok(ControlOutcome::Applied)
}

pub(crate) async fn apply_requested(tx: &mut Tx<'_>, instance_id: &str, kind: SignalKind) -> Outcome<bool> {
    let waiting = tx.lock(instance_id).await?.filter(|instance| instance.requested() == Some(kind));
    let Some(instance) = waiting else { return Ok(false) };
    let request = instance.request_of(kind).unwrap_or_default().anew();
    apply(tx, &instance, kind.into(), &request).await?;
    Ok(true)
}

async fn apply(tx: &mut Tx<'_>, instance: &InstanceRow, action: ControlAction, request: &SignalRequest) -> Outcome<()> {
    let (run, request) = (instance.run, stamped(request, tx.now));
    let at = heads::lock_for_control(tx, run).await?;
    let requested = instance.cancel.is_some();
    match action {
        ControlAction::Cancel => {
            record(tx, run, SignalKind::Cancel, Some(&request)).await?;
            enter(tx, run, RunState::Cancelled, Some(&request)).await?;
            heads::delete_all(tx, run).await?;
        }
        ControlAction::Pause => {
            record(tx, run, SignalKind::Pause, Some(&request)).await?;
            enter(tx, run, RunState::Paused, Some(&request)).await?;
            heads::move_all(tx, run, Holds { requested, paused: true }, at).await?;
        }
        ControlAction::Unpause => {
            record(tx, run, SignalKind::Pause, None).await?;
            enter(tx, run, RunState::Running, None).await?;
            heads::move_all(tx, run, Holds { requested, paused: false }, at).await?;
        }
        ControlAction::Retry => {
            record(tx, run, SignalKind::Cancel, None).await?;
            record(tx, run, SignalKind::Pause, None).await?;
            enter(tx, run, RunState::Running, None).await?;
            let sql = "UPDATE instance SET end_branch = NULL, end_revision = NULL WHERE run = $1";
            sqlx::query(sql).bind(db(run.0)).execute(&mut *tx.conn).await?;
            heads::move_all(tx, run, Holds { requested: false, paused: false }, at).await?;
        }
    }
    let sql = "UPDATE instance SET control = control + 1 WHERE run = $1 RETURNING control";
    let revision = number(&sqlx::query(sql).bind(db(run.0)).fetch_one(&mut *tx.conn).await?, "control")?;
    let branch = BranchId::control();
    let row = NewRow::bare(run, &branch, revision, action.entry_kind(), "", at);
    journal::insert(tx, NewRow { error: request.in_words().as_deref(), ..row }).await?;
    announce(tx, instance);
    Ok(())
}

fn announce(tx: &mut Tx<'_>, instance: &InstanceRow) {
    tx.news.due = true;
    tx.news.control = true;
    tx.news.instance(&instance.instance_id);
}

/// The instance, locked, if the action has something to do there; else what is answered.
async fn admit(tx: &mut Tx<'_>, instance_id: &str, action: ControlAction) -> Outcome<Result<InstanceRow, ControlOutcome>> {
    let Some(instance) = tx.lock(instance_id).await? else { return Ok(Err(ControlOutcome::NotFound)) };
    let Some(state) = instance.state() else { return Ok(Err(ControlOutcome::NotFound)) };
    Ok(match action.admission(state) {
        Admission::ToBeDone => Ok(instance),
        Admission::AlreadySo => Err(ControlOutcome::AlreadySo),
        Admission::Finished => Err(ControlOutcome::Finished(queries::status(tx, &instance).await?)),
    })
}

/// A request as the store records it.
pub(crate) fn stamped(request: &SignalRequest, now: Timestamp) -> SignalRequest {
    let SignalRequest { reason, requested_by, requested_at } = request.clone();
    let readable = |text: Option<String>| text.map(|text| clean(&text).into_owned());
    SignalRequest { reason: readable(reason), requested_by: readable(requested_by), requested_at }.stamped(now.into())
}

fn parts(request: Option<&SignalRequest>) -> (Option<&str>, Option<&str>, Option<i64>) {
    let Some(SignalRequest { reason, requested_by, requested_at }) = request else { return (None, None, None) };
    (reason.as_deref(), requested_by.as_deref(), Some(Timestamp::from(*requested_at).as_micros()))
}

/// Records or forgets a request.
pub(crate) async fn record(tx: &mut Tx<'_>, run: RunNumber, kind: SignalKind, request: Option<&SignalRequest>) -> Outcome<()> {
    let sql = match kind {
        SignalKind::Cancel => "UPDATE instance SET cancel_reason = $2, cancel_by = $3, cancel_at = $4 WHERE run = $1",
        SignalKind::Pause => "UPDATE instance SET pause_reason = $2, pause_by = $3, pause_at = $4 WHERE run = $1",
    };
    let (reason, by, at) = parts(request);
    sqlx::query(sql).bind(db(run.0)).bind(reason).bind(by).bind(at).execute(&mut *tx.conn).await?;
    Ok(())
}

/// Puts a run into a state, with the request that did it.
pub(crate) async fn enter(tx: &mut Tx<'_>, run: RunNumber, state: RunState, request: Option<&SignalRequest>) -> Outcome<()> {
    let sql = "UPDATE instance SET status = $2, paused = $3, updated_at = $4, request_reason = $5, request_by = $6, request_at = $7 \
               WHERE run = $1";
    let (reason, by, at) = parts(request);
    let entered = sqlx::query(sql)
        .bind(db(run.0))
        .bind(i16::from(Stage::code(state)))
        .bind(state == RunState::Paused)
        .bind(tx.now.as_micros())
        .bind(reason)
        .bind(by)
        .bind(at);
    entered.execute(&mut *tx.conn).await?;
    Ok(())
}

pub(crate) async fn request(tx: &mut Tx<'_>, instance_id: &str, kind: SignalKind, request: &SignalRequest) -> Outcome<ControlOutcome> {
    let action = ControlAction::from(kind);
    let instance = match admit(tx, instance_id, action).await? {
        Ok(instance) => instance,
        Err(outcome) => return Ok(outcome),
    };
    record(tx, instance.run, kind, Some(&stamped(request, tx.now))).await?;
    heads::lock_all(tx, instance.run).await?;
    heads::move_all(tx, instance.run, Holds { requested: true, paused: instance.is_paused() }, tx.now).await?;
    announce(tx, &instance);
    Ok(ControlOutcome::Applied)
}

pub(crate) async fn requested(tx: &mut Tx<'_>, instance_id: &str, kind: SignalKind) -> Outcome<Option<SignalRequest>> {
    Ok(tx.find(instance_id).await?.and_then(|instance| instance.request_of(kind)))
}

/// Forgets a recorded request; if that changes what waits to be applied, owners and free branches move.
pub(crate) async fn clear(tx: &mut Tx<'_>, instance_id: &str, kind: SignalKind) -> Outcome<()> {
    let Some(instance) = tx.lock(instance_id).await? else { return Ok(()) };
    record(tx, instance.run, kind, None).await?;
    let requested = instance.requested_without(kind);
    if requested != instance.requested() {
        let holds = Holds { requested: requested.is_some(), paused: instance.is_paused() };
        heads::lock_all(tx, instance.run).await?;
        heads::move_all(tx, instance.run, holds, tx.now).await?;
        announce(tx, &instance);
    }
    Ok(())
}
