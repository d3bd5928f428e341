//! Rewind: a new run of an instance that begins with copies of the rows before a node, in the place of the old one.

use sayiir_core::branch::{BranchId, Head, JournalRef, Phase, RunNumber};
use sayiir_core::journal::EntryKind;
use sayiir_core::time::Timestamp;
use sayiir_persistence::rows::{NewRow, time_behind};
use sayiir_persistence::{Rewind, RewindOutcome};
use sqlx::Connection;

use crate::fault::{Fault, Outcome};
use crate::ops::heads::{self, Place};
use crate::ops::journal;
use crate::ops::{purge, start};
use crate::rows::{InstanceRow, clean, db, maybe_time};
use crate::tx::Tx;

/// The number of the lane is made before the transaction: what a process remembers is committed.
pub(crate) async fn rewind(tx: &mut Tx<'_>, rewind: &Rewind) -> Outcome<RewindOutcome> {
    let known = tx.find(&rewind.instance_id).await?;
    let Some(known) = known.filter(|instance| instance.state().is_some()) else { return Ok(RewindOutcome::NotFound) };
    let (_, lane) = tx.memo.numbers.looked_up(tx.conn, &known.definition, &rewind.placement).await?;
    let mut transaction = tx.conn.begin().await?;
    let mut inner = Tx::new(&mut transaction, tx.given, tx.memo);
    let outcome = within(&mut inner, rewind, lane).await?;
    let news = std::mem::take(&mut inner.news);
    transaction.commit().await?;
    tx.news.add(news);
    Ok(outcome)
}

async fn within(tx: &mut Tx<'_>, rewind: &Rewind, lane: i64) -> Outcome<RewindOutcome> {
    let Rewind { instance_id, expected, nonce, .. } = rewind;
    let Some(instance) = tx.lock(instance_id).await? else { return Ok(RewindOutcome::NotFound) };
    if instance.state().is_none() {
        return Ok(RewindOutcome::NotFound);
    }
    if instance.nonce == Some(*nonce) {
        return Ok(RewindOutcome::Rewound { run: instance.run });
    }
    if instance.run != *expected {
        return Ok(RewindOutcome::Moved { run: instance.run });
    }
    require_rows(tx, rewind).await?;
    let run = start::next_run(tx).await?;
    let at = copy(tx, rewind, run).await?;
    replace(tx, &instance, run, *nonce).await?;
    place(tx, rewind, run, lane, at).await?;
    tx.news.due = true;
    tx.news.control = true;
    tx.news.instance(instance_id);
    Ok(RewindOutcome::Rewound { run })
}

async fn require_rows(tx: &mut Tx<'_>, rewind: &Rewind) -> Outcome<()> {
    let Rewind { instance_id, expected, keep, input, .. } = rewind;
    let sql = "SELECT 1 FROM journal WHERE run = $1 AND branch = $2 AND revision = $3";
    for JournalRef { branch, revision } in [&JournalRef { branch: BranchId::root(), revision: *keep }, input] {
        let asked = sqlx::query(sql).bind(db(expected.0)).bind(branch.as_str()).bind(db(*revision));
        if asked.fetch_optional(&mut *tx.conn).await?.is_none() {
            let text = format!(
                "a rewind of instance {instance_id:?} is to keep the row at revision {revision} of branch {branch}, which is not there"
            );
            return Err(Fault::misused(text));
        }
    }
    Ok(())
}

/// Copies the rows that are kept: the root's up to a revision, and those of branches of forks that it made before. Says when the
/// row behind them is written: after all of them.
async fn copy(tx: &mut Tx<'_>, rewind: &Rewind, run: RunNumber) -> Outcome<Timestamp> {
    let sql = "INSERT INTO journal (run, branch, revision, at, lease, kind, attempt, node, same_branch, same_revision, output, handed_on, error) \
         SELECT $3, branch, revision, at, lease, kind, attempt, node, same_branch, same_revision, output, handed_on, error FROM journal \
         WHERE run = $1 AND ((branch = '0' AND revision <= $2) OR (branch > '0.' AND branch < '0/' AND split_part(branch, '.', 2)::bigint < $2))";
    sqlx::query(sql).bind(db(rewind.expected.0)).bind(db(rewind.keep)).bind(db(run.0)).execute(&mut *tx.conn).await?;
    let row = sqlx::query("SELECT max(at) AS last FROM journal WHERE run = $1").bind(db(run.0)).fetch_one(&mut *tx.conn).await?;
    Ok(time_behind(maybe_time(&row, "last")?, tx.now))
}

/// Gives the instance's row, with its events and attributes, to the new run, and takes the old one's heads away.
async fn replace(tx: &mut Tx<'_>, instance: &InstanceRow, run: RunNumber, nonce: u128) -> Outcome<()> {
    let old = instance.run;
    heads::lock_all(tx, old).await?;
    heads::delete_all(tx, old).await?;
    if let Some(oldest) = instance.previous {
        purge::later(tx, oldest).await?;
    }
    for sql in [
        "UPDATE event SET run = $2 WHERE run = $1",
        "UPDATE event_key SET run = $2 WHERE run = $1",
        "UPDATE attribute SET run = $2 WHERE run = $1",
    ] {
        sqlx::query(sql).bind(db(old.0)).bind(db(run.0)).execute(&mut *tx.conn).await?;
    }
    let sql = "UPDATE instance SET run = $2, previous = $1, status = 1, paused = false, control = 0, nonce = $3, created_at = $4, \
               updated_at = $4, end_branch = NULL, end_revision = NULL, request_reason = NULL, request_by = NULL, request_at = NULL, \
               cancel_reason = NULL, cancel_by = NULL, cancel_at = NULL, pause_reason = NULL, pause_by = NULL, pause_at = NULL \
               WHERE run = $1";
    let replaced = sqlx::query(sql).bind(db(old.0)).bind(db(run.0)).bind(nonce.to_be_bytes().to_vec()).bind(tx.now.as_micros());
    replaced.execute(&mut *tx.conn).await?;
    Ok(())
}

async fn place(tx: &mut Tx<'_>, rewind: &Rewind, run: RunNumber, lane: i64, at: Timestamp) -> Outcome<()> {
    let Rewind { instance_id: _, expected: _, nonce: _, keep, node, input, placement, request } = rewind;
    let (branch, revision) = (&BranchId::root(), keep + 1);
    let why = request.in_words();
    let why = why.as_deref().map(clean);
    let row = NewRow::bare(run, branch, revision, EntryKind::Rewound, node, at);
    journal::insert(tx, NewRow { same_as: Some(input), error: why.as_deref(), ..row }).await?;
    let head = &Head { node: node.clone(), phase: Phase::At, attempt: 0, input: input.clone(), fork_revision: 0 };
    let (lease, run_at, due_at, awaits, priority) = (None, Some(tx.now), Some(tx.now), None, placement.priority);
    Place { run, branch, revision, head, lease, run_at, due_at, awaits, lane, priority, moved_at: at }.insert(tx).await
}
