//! The purge of ended instances, and the lazy end of runs that were purged or replaced: their journals are deleted a piece at a time.

use sayiir_core::branch::RunNumber;
use sayiir_persistence::PurgeRequest;
use sqlx::Row;

use crate::fault::Outcome;
use crate::ops::start;
use crate::rows::{db, micros, most, text};
use crate::tx::Tx;

/// So many rows at a time.
const PIECE: i64 = 500;

/// Of so many runs at most: a purge leaves many short ones.
const RUNS: i64 = 200;

/// The first rows of the first runs: no more are read than are deleted, however long a run's journal is.
pub(crate) const REST: &str = "DELETE FROM journal j USING (SELECT k.* FROM unnest($1::bigint[]) r (run) CROSS JOIN LATERAL \
     (SELECT run, branch, revision FROM journal WHERE run = r.run ORDER BY branch, revision LIMIT $2) k LIMIT $2) k \
     WHERE j.run = k.run AND j.branch = k.branch AND j.revision = k.revision";

/// Deletes a piece; says whether there may be more.
pub(crate) async fn some(tx: &mut Tx<'_>) -> Outcome<bool> {
    let sql = "SELECT run FROM purge ORDER BY run LIMIT $1 FOR UPDATE SKIP LOCKED";
    let found = sqlx::query(sql).bind(RUNS).fetch_all(&mut *tx.conn).await?;
    if found.is_empty() {
        return Ok(false);
    }
    let runs = found.iter().map(|row| Ok(row.try_get("run")?)).collect::<Outcome<Vec<i64>>>()?;
    let deleted = sqlx::query(REST).bind(&runs).bind(PIECE).execute(&mut *tx.conn).await?.rows_affected();
    if deleted < PIECE.unsigned_abs() {
        sqlx::query("DELETE FROM purge WHERE run = ANY ($1)").bind(&runs).execute(&mut *tx.conn).await?;
    }
    Ok(true)
}

/// What ended at or before a time, the first before the others, of every workflow or of one.
const ENDED: &str = "SELECT x.instance_id FROM definition d CROSS JOIN LATERAL (SELECT i.instance_id, i.updated_at, i.run FROM instance i \
     WHERE i.definition = d.id AND i.status > 1 AND i.updated_at <= $2 ORDER BY i.updated_at LIMIT $3) x \
     WHERE $1::text IS NULL OR d.name = $1 ORDER BY x.updated_at, x.run LIMIT $3";

/// Removes instances that ended long ago; their journals go later.
pub(crate) async fn ended(tx: &mut Tx<'_>, request: &PurgeRequest) -> Outcome<u64> {
    let PurgeRequest { workflow, ended_for, limit } = request;
    tx.tell_time().await?;
    let until = tx.now.as_micros().saturating_sub(micros(*ended_for));
    let asked = sqlx::query(ENDED).bind(workflow).bind(until).bind(most(*limit));
    let found = asked.fetch_all(&mut *tx.conn).await?;
    let mut ids = found.iter().map(|row| text(row, "instance_id")).collect::<Outcome<Vec<_>>>()?;
    // The order of locks.
    ids.sort_unstable();
    let mut removed = 0;
    for id in ids {
        let Some(instance) = tx.lock(&id).await? else { continue };
        // Somebody may have retried, rewound or replaced it before it was locked.
        let ended = instance.state().is_some() && !instance.is_live() && instance.updated_at.as_micros() <= until;
        if ended {
            start::remove(tx, &instance).await?;
            for run in std::iter::once(instance.run).chain(instance.previous) {
                later(tx, run).await?;
            }
            removed += 1;
        }
    }
    Ok(removed)
}

/// Notes a run whose journal is no longer wanted.
pub(crate) async fn later(tx: &mut Tx<'_>, run: RunNumber) -> Outcome<()> {
    sqlx::query("INSERT INTO purge VALUES ($1) ON CONFLICT DO NOTHING").bind(db(run.0)).execute(&mut *tx.conn).await?;
    tx.news.purge = true;
    Ok(())
}
