//! Import of a snapshot: the root branch is put where the snapshot says, in one transition of the whole instance.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, JournalRef, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::EntryKind;
use sayiir_core::time::Timestamp;
use sayiir_persistence::rows::NewRow;
use sayiir_persistence::{Import, ImportOutcome, Landing, RunState, StoreError};
use sqlx::Connection;

use crate::fault::{Fault, Outcome};
use crate::ops::heads::{self, Holds, Place};
use crate::ops::journal;
use crate::ops::{control, queries, start};
use crate::rows::{InstanceRow, Stage, branch_id, db, kind, number};
use crate::tx::Tx;

/// The numbers of the definition and the lane are made before the transaction: what a process remembers is committed.
pub(crate) async fn import(tx: &mut Tx<'_>, import: &Import) -> Outcome<ImportOutcome> {
    let numbers = tx.memo.numbers.looked_up(tx.conn, &import.definition, &import.placement).await?;
    let mut transaction = tx.conn.begin().await?;
    let mut inner = Tx::new(&mut transaction, tx.given, tx.memo);
    let outcome = within(&mut inner, import, numbers).await?;
    let news = std::mem::take(&mut inner.news);
    transaction.commit().await?;
    tx.news.add(news);
    Ok(outcome)
}

async fn within(tx: &mut Tx<'_>, import: &Import, numbers: (i64, i64)) -> Outcome<ImportOutcome> {
    let known = tx.lock(&import.instance_id).await?;
    let running = known.as_ref().filter(|instance| instance.stage != Stage::MailOnly);
    let run = if let Some(instance) = running {
        heads::lock_all(tx, instance.run).await?;
        if let Some(refusal) = refusal(tx, instance, import).await? {
            return Ok(refusal);
        }
        instance.run
    } else if import.expected.is_some() {
        return Ok(ImportOutcome::Moved { revision: 0 });
    } else {
        begin(tx, known.as_ref(), import, numbers).await?
    };
    put(tx, run, import, numbers.1).await?;
    tx.news.due = true;
    tx.news.control = true;
    tx.news.instance(&import.instance_id);
    Ok(ImportOutcome::Imported)
}

async fn begin(tx: &mut Tx<'_>, known: Option<&InstanceRow>, import: &Import, numbers: (i64, i64)) -> Outcome<RunNumber> {
    match start::begin(tx, known, numbers, &import.as_start(), None).await {
        // Somebody else began it meanwhile: the constraint keeps one of the two.
        Err(Fault::Sql(sqlx::Error::Database(told))) if told.code().as_deref() == Some("23505") => Err(Fault::Store(
            StoreError::unavailable(format!("instance {:?} was started at the same moment; ask again", import.instance_id)),
        )),
        begun => begun,
    }
}

async fn refusal(tx: &mut Tx<'_>, instance: &InstanceRow, import: &Import) -> Outcome<Option<ImportOutcome>> {
    let found = instance.definition.hash;
    if found != import.definition.hash {
        return Ok(Some(ImportOutcome::DefinitionMismatch { found }));
    }
    if !instance.is_live() {
        return Ok(Some(ImportOutcome::Finished(queries::status(tx, instance).await?)));
    }
    let sql = "SELECT lease FROM branch WHERE run = $1 AND lease IS NOT NULL AND (run_at IS NULL OR run_at > $2) LIMIT 1";
    let held = sqlx::query(sql).bind(db(instance.run.0)).bind(tx.now.as_micros()).fetch_optional(&mut *tx.conn).await?;
    let root = heads::find(tx, instance.run, &BranchId::root()).await?;
    Ok(import.refusal(instance.run, held.is_some(), root.as_ref().map(|root| (root.revision, &root.head))))
}

async fn put(tx: &mut Tx<'_>, run: RunNumber, import: &Import, lane: i64) -> Outcome<()> {
    let Import { instance_id: _, definition: _, input: _, results, state: _, first_node: _, placement, expected: _ } = import;
    let root = BranchId::root();
    let old = heads::find(tx, run, &root).await?.ok_or_else(|| Fault::corrupt(format!("run {run} has no root branch")))?;
    let at = heads::lock_for_control(tx, run).await?;
    heads::delete_all(tx, run).await?;
    let mut revision = old.revision;
    let input = import_results(tx, run, &mut revision, at, results).await?;
    revision += 1;
    let Landing { node, same_as, output, error, head, awaits, due_at, state, request } =
        import.landing((&old.head.node, old.head.phase), &input);
    let row = NewRow::bare(run, &root, revision, EntryKind::Imported, node, at);
    let (output, error) = (output.map(AsRef::as_ref), error.as_deref());
    journal::insert(tx, NewRow { same_as: same_as.as_ref(), output, error, ..row }).await?;
    if let Some(head) = &head {
        // Of a run that goes on one revision less: deriving when it is due moves it on.
        let (branch, revision) = (&root, if state.is_live() { revision - 1 } else { revision });
        let (lease, run_at, awaits, priority) = (None, None, awaits.map(AsRef::as_ref), placement.priority);
        Place { run, branch, revision, head, lease, run_at, due_at, awaits, lane, priority, moved_at: at }.insert(tx).await?;
    }
    let request = request.map(|request| control::stamped(request, tx.now));
    match state {
        RunState::Running | RunState::Paused => hold(tx, run, request.as_ref(), at).await,
        RunState::Completed | RunState::Failed => end(tx, run, state, revision).await,
        RunState::Cancelled => {
            control::record(tx, run, SignalKind::Cancel, request.as_ref()).await?;
            control::enter(tx, run, state, request.as_ref()).await
        }
    }
}

/// Puts a going run into its state, and derives when its root is due.
async fn hold(tx: &mut Tx<'_>, run: RunNumber, request: Option<&SignalRequest>, at: Timestamp) -> Outcome<()> {
    let before = tx.find_run(run).await?.ok_or_else(|| Fault::corrupt(format!("run {run} has no instance")))?;
    if request.is_some() || before.is_paused() {
        control::record(tx, run, SignalKind::Pause, request).await?;
    }
    let state = if request.is_some() { RunState::Paused } else { RunState::Running };
    control::enter(tx, run, state, request).await?;
    let after = tx.find_run(run).await?;
    let requested = after.is_some_and(|after| after.requested().is_some());
    heads::move_all(tx, run, Holds { requested, paused: request.is_some() }, at).await
}

async fn end(tx: &mut Tx<'_>, run: RunNumber, state: RunState, revision: u64) -> Outcome<()> {
    control::enter(tx, run, state, None).await?;
    let sql = "UPDATE instance SET end_branch = $2, end_revision = $3 WHERE run = $1";
    sqlx::query(sql).bind(db(run.0)).bind(BranchId::root().as_str()).bind(db(revision)).execute(&mut *tx.conn).await?;
    Ok(())
}

/// Journals the results that the journal lacks; says which row holds the last one (else the instance's input).
async fn import_results(
    tx: &mut Tx<'_>,
    run: RunNumber,
    revision: &mut u64,
    at: Timestamp,
    results: &[(Arc<str>, Bytes)],
) -> Outcome<JournalRef> {
    let root = BranchId::root();
    let sql =
        "SELECT kind, branch, revision FROM journal WHERE run = $1 AND node = $2 AND output IS NOT NULL ORDER BY at, branch, revision";
    let mut input = JournalRef::instance_input();
    for (node, output) in results {
        let found = sqlx::query(sql).bind(db(run.0)).bind(&**node).fetch_all(&mut *tx.conn).await?;
        let mut known = None;
        for row in &found {
            if kind(row)?.is_result() {
                known = Some(JournalRef { branch: branch_id(row, "branch")?, revision: number(row, "revision")? });
                break;
            }
        }
        input = if let Some(row) = known {
            row
        } else {
            *revision += 1;
            let row = NewRow::bare(run, &root, *revision, EntryKind::TaskCompleted, node, at);
            journal::insert(tx, NewRow { output: Some(output), attempt: 1, ..row }).await?;
            JournalRef { branch: root.clone(), revision: *revision }
        };
    }
    Ok(input)
}
