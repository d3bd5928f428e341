//! A failure ends the run: all its heads stay, held, at the next revision. It searches the run's branches, so it is a
//! transaction: the instance is locked first, the branches in a statement that begins after that.

use sayiir_core::branch::Head;
use sayiir_core::time::Timestamp;
use sayiir_core::transition::{EventGuard, Next, Transition};
use sayiir_persistence::rows::NewRow;
use sayiir_persistence::{CommitOutcome, RunState};
use sqlx::Connection;

use crate::commit::{Member, refusal};
use crate::fault::{Fault, Outcome};
use crate::ops::heads;
use crate::ops::journal;
use crate::rows::{BranchRow, InstanceRow, Stage, db};
use crate::tx::Tx;

/// Applies a failure, or says why not.
pub(crate) async fn apply(tx: &mut Tx<'_>, member: &Member) -> Outcome<CommitOutcome> {
    let mut transaction = tx.conn.begin().await?;
    let mut inner = Tx::new(&mut transaction, tx.given, tx.memo);
    if let Some(at) = within(&mut inner, member).await? {
        let news = std::mem::take(&mut inner.news);
        transaction.commit().await?;
        tx.news.add(news);
        return Ok(CommitOutcome::Accepted { at, readied_parent: None });
    }
    transaction.rollback().await?;
    let mut reasons = refusal::reasons(tx, &[member]).await?;
    reasons.pop().ok_or_else(|| Fault::corrupt("a refusal has no reason"))
}

/// When it was applied; `None` if it was refused, and nothing is written.
async fn within(tx: &mut Tx<'_>, member: &Member) -> Outcome<Option<Timestamp>> {
    let Transition { instance_id, run, branch, revision, entry, guard, held: _, next } = &member.transition;
    let (Next::Fail { head }, Some(entry)) = (next, entry) else {
        return Err(Fault::misused(format!("a failure of instance {instance_id:?} has no journal row")));
    };
    let instance = tx.lock(instance_id).await?.filter(|instance| instance.run == *run && instance.is_live());
    let Some(instance) = instance else { return Ok(None) };
    heads::lock_all(tx, *run).await?;
    let row = heads::find(tx, *run, branch).await?;
    let owned = row.filter(|row| row.lease == Some(member.lease) && row.revision == *revision);
    let Some(row) = owned else { return Ok(None) };
    if !guard_holds(tx, &instance, guard).await? {
        return Ok(None);
    }
    let at = tx.now.max(row.moved_at);
    journal::insert(tx, NewRow::of_entry(*run, branch, revision + 1, member.lease, entry, at)).await?;
    hold_all(tx, &row, head, at).await?;
    end(tx, &row).await?;
    tx.news.control = true;
    tx.news.instance(instance_id);
    Ok(Some(at))
}

async fn guard_holds(tx: &mut Tx<'_>, instance: &InstanceRow, guard: &EventGuard) -> Outcome<bool> {
    match guard {
        EventGuard::None => Ok(true),
        EventGuard::NoneSince { mail } => Ok(instance.mail == *mail),
        EventGuard::Use { name, seq } => {
            let sql = "DELETE FROM event WHERE run = $1 AND name = $2 AND seq = $3";
            let used = sqlx::query(sql).bind(db(instance.run.0)).bind(&**name).bind(db(*seq)).execute(&mut *tx.conn).await?;
            Ok(used.rows_affected() == 1)
        }
    }
}

/// Every head is held at its next revision; the failing one takes its new place.
async fn hold_all(tx: &mut Tx<'_>, row: &BranchRow, head: &Head, at: Timestamp) -> Outcome<()> {
    let sql = "UPDATE branch SET revision = revision + 1, lease = NULL, run_at = NULL WHERE run = $1 AND branch <> $2";
    sqlx::query(sql).bind(db(row.run.0)).bind(row.branch.as_str()).execute(&mut *tx.conn).await?;
    let Head { node, phase, attempt, input, fork_revision } = head;
    let sql = "UPDATE branch SET revision = revision + 1, lease = NULL, run_at = NULL, due_at = NULL, awaits = NULL, pending = 0, crashes = 0, \
               node = $3, phase = $4, attempt = $5, input_branch = $6, input_revision = $7, fork_revision = $8, moved_at = $9, attempt_at = $10, \
               progress = NULL, progress_at = NULL WHERE run = $1 AND branch = $2";
    let placed = sqlx::query(sql)
        .bind(db(row.run.0))
        .bind(row.branch.as_str())
        .bind(&**node)
        .bind(i16::from(phase.as_u8()))
        .bind(i32::try_from(*attempt).unwrap_or(i32::MAX))
        .bind(input.branch.as_str())
        .bind(db(input.revision))
        .bind(db(*fork_revision))
        .bind(at.as_micros())
        .bind(tx.now.as_micros());
    placed.execute(&mut *tx.conn).await?;
    Ok(())
}

async fn end(tx: &mut Tx<'_>, row: &BranchRow) -> Outcome<()> {
    let sql = "UPDATE instance SET status = $2, paused = false, end_branch = $3, end_revision = $4, updated_at = $5, \
               request_reason = NULL, request_by = NULL, request_at = NULL WHERE run = $1";
    let ended = sqlx::query(sql)
        .bind(db(row.run.0))
        .bind(i16::from(Stage::code(RunState::Failed)))
        .bind(row.branch.as_str())
        .bind(db(row.revision + 1))
        .bind(tx.now.as_micros());
    ended.execute(&mut *tx.conn).await?;
    Ok(())
}
