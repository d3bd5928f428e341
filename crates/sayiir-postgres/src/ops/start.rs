//! The beginning and the removal of a run.

use std::time::Duration;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_core::journal::EntryKind;
use sayiir_persistence::meet::Meeting;
use sayiir_persistence::rows::NewRow;
use sayiir_persistence::{StartOutcome, StartRun, StoreError};
use sqlx::Connection;

use crate::fault::{Fault, Outcome};
use crate::ops::heads::{self, Place};
use crate::ops::journal;
use crate::ops::{attributes, events, purge, queries, sessions, views};
use crate::rows::{InstanceRow, Stage, db};
use crate::starts::{self, Begun, New};
use crate::tx::Tx;

/// Works outside of a transaction: the usual start is one statement. If it `meets` something under the id, as
/// is likely, it looks at that first; what it does not only meet goes the usual way, which checks what this process remembers.
pub(crate) async fn start(tx: &mut Tx<'_>, request: &StartRun, mut meets: bool) -> Outcome<StartOutcome> {
    if let Some((lease, ttl)) = request.lease {
        sessions::remember_ttl(tx, lease, ttl).await?;
    }
    for _ in 0..100 {
        let (definition, lane) = tx.memo.numbers.of(tx.conn, &request.definition, &request.placement).await?;
        let begun = if meets { vec![] } else { starts::begin(tx, &[New { definition, lane, request }]).await? };
        match begun.first() {
            Some(Begun::Fresh(run)) => return Ok(fresh(tx, *run, request)),
            Some(Begun::LaneForgotten) => {
                tx.memo.numbers.forget();
                continue;
            }
            Some(Begun::Known) | None => {}
        }
        let mut transaction = tx.conn.begin().await?;
        let mut inner = Tx::new(&mut transaction, tx.given, tx.memo);
        let outcome = start_known(&mut inner, (definition, lane), request, std::mem::take(&mut meets)).await?;
        let news = std::mem::take(&mut inner.news);
        transaction.commit().await?;
        tx.news.add(news);
        if let Some(outcome) = outcome {
            return Ok(outcome);
        }
    }
    let id = &request.instance_id;
    Err(Fault::Store(StoreError::unavailable(format!("instance {id:?} is started and deleted again and again; ask again"))))
}

/// What a start under an id of which nothing was known is told.
pub(crate) fn fresh(tx: &mut Tx<'_>, run: RunNumber, request: &StartRun) -> StartOutcome {
    announce_start(tx, request);
    StartOutcome::Fresh { run, created_at: tx.now, root: request.lease.map(|_| Box::new(request.root_of_new(run, tx.now))) }
}

/// Starts where something is known of the id; `None` if it is no longer, or if it `only_meets` that and would have to write.
async fn start_known(tx: &mut Tx<'_>, numbers: (i64, i64), request: &StartRun, only_meets: bool) -> Outcome<Option<StartOutcome>> {
    let Some(known) = tx.lock(&request.instance_id).await? else { return Ok(None) };
    if known.stage != Stage::MailOnly
        && let Some(outcome) = meet(tx, &known, request).await?
    {
        return Ok(Some(outcome));
    }
    if only_meets {
        return Ok(None);
    }
    let run = begin(tx, Some(&known), numbers, request, Some(request.nonce)).await?;
    let root = match request.lease {
        None => None,
        // There may be events for it.
        Some((lease, _)) => views::one(tx, lease, run, &BranchId::root()).await?,
    };
    Ok(Some(StartOutcome::Fresh { run, created_at: tx.now, root: root.map(Box::new) }))
}

/// What a start meets under an id that has a run; `None` if it is to replace it.
async fn meet(tx: &mut Tx<'_>, instance: &InstanceRow, request: &StartRun) -> Outcome<Option<StartOutcome>> {
    match request.meets(instance.definition.hash, instance.nonce == Some(request.nonce)) {
        Meeting::Own => {
            let root = match request.lease {
                None => None,
                Some((lease, _)) => views::one(tx, lease, instance.run, &BranchId::root()).await?.filter(|root| root.revision == 1),
            };
            Ok(Some(StartOutcome::Fresh { run: instance.run, created_at: instance.created_at, root: root.map(Box::new) }))
        }
        Meeting::Existing => {
            let status = queries::status(tx, instance).await?;
            Ok(Some(StartOutcome::Existing { status, output: output(tx, instance).await? }))
        }
        Meeting::Refused(outcome) => Ok(Some(outcome)),
        Meeting::ToReplace => Ok(None),
    }
}

/// The output of a completed run.
pub(crate) async fn output(tx: &mut Tx<'_>, instance: &InstanceRow) -> Outcome<Option<Bytes>> {
    match (&instance.end, instance.state()) {
        (Some(end), Some(sayiir_persistence::RunState::Completed)) => journal::value(tx, instance.run, end).await.map(Some),
        (_, _) => Ok(None),
    }
}

/// Makes a new run, in the place of what is known under the id (and locked).
pub(crate) async fn begin(
    tx: &mut Tx<'_>,
    known: Option<&InstanceRow>,
    (definition, lane): (i64, i64),
    request: &StartRun,
    nonce: Option<u128>,
) -> Outcome<RunNumber> {
    let run = match known {
        Some(instance) if instance.stage == Stage::MailOnly => instance.run,
        Some(_) | None => next_run(tx).await?,
    };
    let sql = match known {
        Some(instance) => {
            if instance.run != run {
                replace(tx, instance, run).await?;
            }
            "UPDATE instance SET status = 1, definition = $3, created_at = $4, updated_at = $4, nonce = $5, first_node = $6, lane = $7, \
             priority = $8, trace = $9 WHERE run = $1 AND instance_id = $2"
        }
        None => {
            "INSERT INTO instance (run, instance_id, status, definition, created_at, updated_at, nonce, first_node, lane, priority, trace) \
             VALUES ($1, $2, 1, $3, $4, $4, $5, $6, $7, $8, $9)"
        }
    };
    let begun = sqlx::query(sql)
        .bind(db(run.0))
        .bind(&*request.instance_id)
        .bind(definition)
        .bind(tx.now.as_micros())
        .bind(nonce.map(|nonce| nonce.to_be_bytes().to_vec()))
        .bind(&*request.first_node)
        .bind(lane)
        .bind(i16::from(request.placement.priority.as_u8()))
        .bind(request.trace.as_deref());
    begun.execute(&mut *tx.conn).await?;
    attributes::put(tx, run, &request.attributes).await?;
    place_root(tx, run, lane, request).await?;
    announce_start(tx, request);
    Ok(run)
}

pub(crate) async fn next_run(tx: &mut Tx<'_>) -> Outcome<RunNumber> {
    let row = sqlx::query("SELECT nextval('run_number') AS run").fetch_one(&mut *tx.conn).await?;
    crate::rows::run(&row)
}

fn announce_start(tx: &mut Tx<'_>, request: &StartRun) {
    tx.news.due |= request.lease.is_none();
    tx.news.instance(&request.instance_id);
}

async fn place_root(tx: &mut Tx<'_>, run: RunNumber, lane: i64, request: &StartRun) -> Outcome<()> {
    let StartRun { instance_id: _, definition: _, policy: _, input, first_node, placement, nonce: _, lease, trace: _, attributes: _ } =
        request;
    let branch = &BranchId::root();
    let started = NewRow::bare(run, branch, 1, EntryKind::Started, first_node, tx.now);
    journal::insert(tx, NewRow { lease: lease.map(|(lease, _)| lease), output: Some(input), ..started }).await?;
    let (lease, ttl): (Option<LeaseId>, _) = lease.map_or((None, Duration::ZERO), |(lease, ttl)| (Some(lease), ttl));
    let head = &request.first_head();
    let (revision, run_at, due_at, awaits) = (1, Some(tx.now + ttl), Some(tx.now), None);
    let (priority, moved_at) = (placement.priority, tx.now);
    Place { run, branch, revision, head, lease, run_at, due_at, awaits, lane, priority, moved_at }.insert(tx).await
}

/// Gives the instance's row to the new run and removes the old one with its heads, events and requests. Its journal
/// stays until the run after it is replaced in turn.
async fn replace(tx: &mut Tx<'_>, instance: &InstanceRow, run: RunNumber) -> Outcome<()> {
    let old = instance.run;
    delete_contents(tx, old).await?;
    if let Some(oldest) = instance.previous {
        purge::later(tx, oldest).await?;
    }
    let sql = "UPDATE instance SET run = $2, previous = $1, paused = false, control = 0, end_branch = NULL, end_revision = NULL, \
               request_reason = NULL, request_by = NULL, request_at = NULL, cancel_reason = NULL, cancel_by = NULL, cancel_at = NULL, \
               pause_reason = NULL, pause_by = NULL, pause_at = NULL WHERE run = $1";
    sqlx::query(sql).bind(db(old.0)).bind(db(run.0)).execute(&mut *tx.conn).await?;
    tx.news.control = true;
    Ok(())
}

/// Deletes a run's heads, events, the keys of its events, and attributes.
async fn delete_contents(tx: &mut Tx<'_>, run: RunNumber) -> Outcome<()> {
    heads::lock_all(tx, run).await?;
    heads::delete_all(tx, run).await?;
    events::delete_all(tx, run).await?;
    attributes::delete(tx, run).await
}

/// Removes an instance. False if the id had no run.
pub(crate) async fn delete(tx: &mut Tx<'_>, instance_id: &str) -> Outcome<bool> {
    let Some(instance) = tx.lock(instance_id).await? else { return Ok(false) };
    remove(tx, &instance).await?;
    for run in std::iter::once(instance.run).chain(instance.previous) {
        sqlx::query("DELETE FROM journal WHERE run = $1").bind(db(run.0)).execute(&mut *tx.conn).await?;
    }
    Ok(instance.stage != Stage::MailOnly)
}

/// Removes an instance, which is locked, but for its journals.
pub(crate) async fn remove(tx: &mut Tx<'_>, instance: &InstanceRow) -> Outcome<()> {
    delete_contents(tx, instance.run).await?;
    sqlx::query("DELETE FROM instance WHERE run = $1").bind(db(instance.run.0)).execute(&mut *tx.conn).await?;
    if instance.stage != Stage::MailOnly {
        tx.news.control = true;
        tx.news.instance(&instance.instance_id);
    }
    Ok(())
}
