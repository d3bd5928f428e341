//! The purge of what is old, and the lazy end of runs that were purged or replaced: their journals are deleted a piece at a time.

use sayiir_core::branch::RunNumber;
use sayiir_persistence::{PurgeRequest, Purgeable};
use sqlx::Row;

use crate::fault::Outcome;
use crate::rows::{db, most, text};
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

/// Locks those that are still as they were found: somebody may have retried, rewound or replaced one.
pub(crate) const STILL_ENDED: &str = "SELECT instance_id, run, previous FROM instance WHERE instance_id = ANY ($1::text[]) AND status > 1 \
     AND updated_at <= $2 ORDER BY instance_id FOR NO KEY UPDATE";

/// Locks the heads of runs in the order of locks (one that failed has some).
pub(crate) const HEADS: &str = "SELECT FROM branch WHERE run = ANY ($1::bigint[]) ORDER BY run, branch FOR UPDATE";

/// Ids that never began (they have no definition), and to which nothing was sent after a time that still waits.
pub(crate) const UNCLAIMED: &str = "SELECT i.instance_id FROM instance i WHERE i.definition IS NULL AND i.status = 0 AND i.updated_at <= $1 \
     AND NOT EXISTS (SELECT 1 FROM event e WHERE e.run = i.run AND e.at > $1) ORDER BY i.definition, i.instance_id LIMIT $2";

/// Locks those that still have not begun.
pub(crate) const STILL_UNCLAIMED: &str = "SELECT run FROM instance WHERE instance_id = ANY ($1::text[]) AND status = 0 AND updated_at <= $2 ORDER BY instance_id FOR NO KEY UPDATE";

/// Those of the locked ones to which nothing was sent before they were locked: in a statement that begins after that.
pub(crate) const STILL_OLD: &str =
    "SELECT run FROM unnest($1::bigint[]) r (run) WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.run = r.run AND e.at > $2)";

/// Removes what is old, all in a few statements; the journals of instances that ended go later.
pub(crate) async fn purge(tx: &mut Tx<'_>, request: &PurgeRequest) -> Outcome<u64> {
    let PurgeRequest { what, older_than, limit } = request;
    tx.tell_time().await?;
    let until = (tx.now - *older_than).as_micros();
    let mut removed = 0;
    loop {
        let left = limit.saturating_sub(removed);
        let Purged { found, gone } = match what {
            Purgeable::Ended { workflow } => ended(tx, workflow.as_deref(), until, most(left)).await?,
            Purgeable::UnclaimedEvents => unclaimed(tx, until, most(left)).await?,
        };
        removed += gone;
        // Some were found that somebody changed before they were locked: there may be more behind them.
        if found < left || gone == left {
            return Ok(u64::try_from(removed).unwrap_or(u64::MAX));
        }
    }
}

/// How many were found to be old, and how many of those still were when they were locked.
struct Purged {
    found: usize,
    gone: usize,
}

async fn unclaimed(tx: &mut Tx<'_>, until: i64, most: i64) -> Outcome<Purged> {
    let found = sqlx::query(UNCLAIMED).bind(until).bind(most).fetch_all(&mut *tx.conn).await?;
    let ids = found.iter().map(|row| Ok(row.try_get("instance_id")?)).collect::<Outcome<Vec<&str>>>()?;
    let locked = sqlx::query(STILL_UNCLAIMED).bind(ids).bind(until).fetch_all(&mut *tx.conn).await?;
    let locked = locked.iter().map(|row| Ok(row.try_get("run")?)).collect::<Outcome<Vec<i64>>>()?;
    let old = sqlx::query(STILL_OLD).bind(locked).bind(until).fetch_all(&mut *tx.conn).await?;
    let runs = old.iter().map(|row| Ok(row.try_get("run")?)).collect::<Outcome<Vec<i64>>>()?;
    delete(tx, &runs).await?;
    Ok(Purged { found: found.len(), gone: runs.len() })
}

/// Deletes all rows of runs but their journals.
async fn delete(tx: &mut Tx<'_>, runs: &[i64]) -> Outcome<()> {
    for sql in [
        "DELETE FROM branch WHERE run = ANY ($1::bigint[])",
        "DELETE FROM event WHERE run = ANY ($1::bigint[])",
        "DELETE FROM event_key WHERE run = ANY ($1::bigint[])",
        "DELETE FROM attribute WHERE run = ANY ($1::bigint[])",
        "DELETE FROM instance WHERE run = ANY ($1::bigint[])",
    ] {
        sqlx::query(sql).bind(runs).execute(&mut *tx.conn).await?;
    }
    Ok(())
}

async fn ended(tx: &mut Tx<'_>, workflow: Option<&str>, until: i64, most: i64) -> Outcome<Purged> {
    let asked = sqlx::query(ENDED).bind(workflow).bind(until).bind(most);
    let found = asked.fetch_all(&mut *tx.conn).await?;
    let ids = found.iter().map(|row| Ok(row.try_get("instance_id")?)).collect::<Outcome<Vec<&str>>>()?;
    let locked = sqlx::query(STILL_ENDED).bind(ids).bind(until).fetch_all(&mut *tx.conn).await?;
    if locked.is_empty() {
        return Ok(Purged { found: found.len(), gone: 0 });
    }
    let (mut runs, mut journals) = (Vec::with_capacity(locked.len()), Vec::with_capacity(locked.len()));
    for row in &locked {
        let run: i64 = row.try_get("run")?;
        runs.push(run);
        journals.extend(std::iter::once(run).chain(row.try_get::<Option<i64>, _>("previous")?));
        tx.news.instance(&text(row, "instance_id")?);
    }
    sqlx::query(HEADS).bind(&runs).execute(&mut *tx.conn).await?;
    delete(tx, &runs).await?;
    let sql = "INSERT INTO purge SELECT unnest($1::bigint[]) ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(journals).execute(&mut *tx.conn).await?;
    (tx.news.purge, tx.news.control) = (true, true);
    Ok(Purged { found: found.len(), gone: locked.len() })
}

/// Notes a run whose journal is no longer wanted.
pub(crate) async fn later(tx: &mut Tx<'_>, run: RunNumber) -> Outcome<()> {
    sqlx::query("INSERT INTO purge VALUES ($1) ON CONFLICT DO NOTHING").bind(db(run.0)).execute(&mut *tx.conn).await?;
    tx.news.purge = true;
    Ok(())
}
