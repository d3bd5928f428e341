//! The purge of what is old, and the lazy end of runs that were purged or replaced: their journals are deleted a piece at a
//! time, between other requests.

use sayiir_core::branch::RunNumber;
use sayiir_core::time::Timestamp;
use sayiir_persistence::{PurgeRequest, Purgeable};

use crate::fault::Outcome;
use crate::ops::start;
use crate::rows::{Col, col, instance_of};
use crate::tx::{Tx, execute, first, rows};

/// So many rows at a time, of so many runs.
const PIECE: i64 = 500;
const RUNS: usize = 100;

/// Deletes a piece, and says in the news whether there may be more.
pub(crate) fn some(tx: &mut Tx) -> Outcome<()> {
    let mut left = PIECE;
    for _ in 0..RUNS {
        let Some(run) = first(&tx.conn, "SELECT run FROM purge LIMIT 1", [], |row| row.get::<_, i64>(0))? else { return Ok(()) };
        let sql = "DELETE FROM journal WHERE (run, branch, revision) IN \
                   (SELECT run, branch, revision FROM journal WHERE run = ?1 LIMIT ?2)";
        left -= i64::try_from(execute(&tx.conn, sql, (run, left))?).unwrap_or(left);
        if left <= 0 {
            break;
        }
        execute(&tx.conn, "DELETE FROM purge WHERE run = ?1", [run])?;
    }
    tx.news.purge = true;
    Ok(())
}

/// What of a definition ended at or before a time, the first before the others.
pub(crate) const ENDED: &str = "SELECT run, updated_at FROM instance INDEXED BY instance_ended \
                                WHERE definition = ?1 AND status > 1 AND updated_at <= ?2 ORDER BY updated_at LIMIT ?3";

/// Ids that never began (they have no definition), and to which nothing was sent after a time that still waits.
pub(crate) const UNCLAIMED: &str = "SELECT run FROM instance AS i INDEXED BY instance_of_workflow WHERE definition IS NULL AND status = 0 \
     AND updated_at <= ?1 AND NOT EXISTS (SELECT 1 FROM event AS e WHERE e.run = i.run AND e.at > ?1) ORDER BY instance_id LIMIT ?2";

/// Removes what is old; the journals of instances that ended go later.
pub(crate) fn purge(tx: &mut Tx, request: &PurgeRequest) -> Outcome<u64> {
    let PurgeRequest { what, older_than, limit } = request;
    let until = tx.now - *older_than;
    let most = i64::try_from(*limit).unwrap_or(i64::MAX);
    match what {
        Purgeable::Ended { workflow } => ended(tx, workflow.as_deref(), until, most),
        Purgeable::UnclaimedEvents => {
            let runs = rows(&tx.conn, UNCLAIMED, (Col(until), most), |row| col(row, "run"))?;
            remove_all(tx, runs)
        }
    }
}

fn ended(tx: &mut Tx, workflow: Option<&str>, until: Timestamp, most: i64) -> Outcome<u64> {
    let sql = "SELECT id FROM definition WHERE ?1 IS NULL OR name = ?1";
    let definitions: Vec<i64> = rows(&tx.conn, sql, [workflow], |row| row.get(0))?;
    let mut old: Vec<(Timestamp, RunNumber)> = Vec::new();
    for definition in definitions {
        old.extend(rows(&tx.conn, ENDED, (definition, Col(until), most), |row| Ok((col(row, "updated_at")?, col(row, "run")?)))?);
    }
    old.sort_unstable();
    old.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    remove_all(tx, old.into_iter().map(|(_, run)| run))
}

fn remove_all(tx: &mut Tx, runs: impl IntoIterator<Item = RunNumber>) -> Outcome<u64> {
    let mut removed = 0;
    for run in runs {
        if let Some(instance) = instance_of(&tx.conn, run)? {
            start::remove(tx, &instance)?;
            for run in [Some(instance.run), instance.previous].into_iter().flatten() {
                later(tx, run)?;
            }
            removed += 1;
        }
    }
    Ok(removed)
}

/// Notes a run whose journal is no longer wanted.
pub(crate) fn later(tx: &mut Tx, run: RunNumber) -> Outcome<()> {
    execute(&tx.conn, "INSERT OR IGNORE INTO purge VALUES (?1)", [Col(run)])?;
    tx.news.purge = true;
    Ok(())
}
