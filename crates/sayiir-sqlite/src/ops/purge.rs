//! The lazy end of replaced runs: their journals are deleted a piece at a time, between other requests.

use crate::fault::Outcome;
use crate::tx::{Tx, execute, first};

/// So many rows at a time.
const PIECE: i64 = 500;

/// Deletes a piece, and says in the news whether there is more.
pub(crate) fn some(tx: &mut Tx) -> Outcome<()> {
    let Some(run) = first(&tx.conn, "SELECT run FROM purge LIMIT 1", [], |row| row.get::<_, i64>(0))? else { return Ok(()) };
    let sql = "DELETE FROM journal WHERE (run, branch, revision) IN \
               (SELECT run, branch, revision FROM journal WHERE run = ?1 LIMIT ?2)";
    if execute(&tx.conn, sql, (run, PIECE))? == 0 {
        execute(&tx.conn, "DELETE FROM purge WHERE run = ?1", [run])?;
    }
    tx.news.purge = true;
    Ok(())
}

/// Notes a run whose journal is no longer wanted.
pub(crate) fn later(tx: &mut Tx, run: sayiir_core::branch::RunNumber) -> Outcome<()> {
    execute(&tx.conn, "INSERT OR IGNORE INTO purge VALUES (?1)", [crate::rows::Col(run)])?;
    tx.news.purge = true;
    Ok(())
}
