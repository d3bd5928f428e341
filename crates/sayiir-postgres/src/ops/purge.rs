//! The lazy end of replaced runs: their journals are deleted a piece at a time.

use sayiir_core::branch::RunNumber;
use sqlx::Row;

use crate::fault::Outcome;
use crate::rows::db;
use crate::tx::Tx;

/// So many rows at a time.
const PIECE: i64 = 500;

/// Deletes a piece; says whether there may be more.
pub(crate) async fn some(tx: &mut Tx<'_>) -> Outcome<bool> {
    let sql = "SELECT run FROM purge ORDER BY run LIMIT 1 FOR UPDATE SKIP LOCKED";
    let Some(row) = sqlx::query(sql).fetch_optional(&mut *tx.conn).await? else { return Ok(false) };
    let run: i64 = row.try_get("run")?;
    let sql = "DELETE FROM journal j USING (SELECT run, branch, revision FROM journal WHERE run = $1 ORDER BY branch, revision LIMIT $2) k \
               WHERE j.run = k.run AND j.branch = k.branch AND j.revision = k.revision";
    if sqlx::query(sql).bind(run).bind(PIECE).execute(&mut *tx.conn).await?.rows_affected() == 0 {
        sqlx::query("DELETE FROM purge WHERE run = $1").bind(run).execute(&mut *tx.conn).await?;
    }
    Ok(true)
}

/// Notes a run whose journal is no longer wanted.
pub(crate) async fn later(tx: &mut Tx<'_>, run: RunNumber) -> Outcome<()> {
    sqlx::query("INSERT INTO purge VALUES ($1) ON CONFLICT DO NOTHING").bind(db(run.0)).execute(&mut *tx.conn).await?;
    tx.news.purge = true;
    Ok(())
}
