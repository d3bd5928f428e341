//! Branch heads, where a whole run is changed: whoever does holds the instance's row, and locks the branches in order in a
//! statement that begins after that.

use sayiir_core::branch::{BranchId, Head, LeaseId, RunNumber};
use sayiir_core::priority::Priority;
use sayiir_core::time::Timestamp;
use sayiir_persistence::rows::time_behind;
use sqlx::Row;

use crate::fault::Outcome;
use crate::rows::{BranchRow, branch_row, db, head_columns};
use crate::tx::Tx;

/// All that is stored of a head but what only a claim or a join's count changes.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) run: RunNumber,
    pub(crate) branch: &'a BranchId,
    pub(crate) revision: u64,
    pub(crate) head: &'a Head,
    pub(crate) lease: Option<LeaseId>,
    pub(crate) run_at: Option<Timestamp>,
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) awaits: Option<&'a str>,
    pub(crate) lane: i64,
    pub(crate) priority: Priority,
    pub(crate) moved_at: Timestamp,
}

impl Place<'_> {
    /// Makes the head.
    pub(crate) async fn insert(&self, tx: &mut Tx<'_>) -> Outcome<()> {
        let Self { run, branch, revision, head, lease, run_at, due_at, awaits, lane, priority, moved_at } = *self;
        let Head { node, phase, attempt, input, fork_revision } = head;
        let sql = "INSERT INTO branch (run, branch, revision, lease, node, phase, attempt, input_branch, input_revision, fork_revision, \
                   due_at, awaits, lane, priority, run_at, moved_at, attempt_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
        let insert = sqlx::query(sql)
            .bind(db(run.0))
            .bind(branch.as_str())
            .bind(db(revision))
            .bind(lease.map(|lease| db(lease.0)))
            .bind(&**node)
            .bind(i16::from(phase.as_u8()))
            .bind(i32::try_from(*attempt).unwrap_or(i32::MAX))
            .bind(input.branch.as_str())
            .bind(db(input.revision))
            .bind(db(*fork_revision))
            .bind(due_at.map(Timestamp::as_micros))
            .bind(awaits)
            .bind(lane)
            .bind(i16::from(priority.as_u8()))
            .bind(run_at.map(Timestamp::as_micros))
            .bind(moved_at.as_micros())
            .bind(tx.now.as_micros());
        insert.execute(&mut *tx.conn).await?;
        Ok(())
    }
}

/// A head as it is now; whoever decides by it holds its lock, or its instance's.
pub(crate) async fn find(tx: &mut Tx<'_>, run: RunNumber, branch: &BranchId) -> Outcome<Option<BranchRow>> {
    let sql = concat!("SELECT ", head_columns!(), " FROM branch b WHERE b.run = $1 AND b.branch = $2");
    let row = sqlx::query(sql).bind(db(run.0)).bind(branch.as_str()).fetch_optional(&mut *tx.conn).await?;
    row.as_ref().map(branch_row).transpose()
}

/// Locks every head of a run, ancestors first; says when the last of them moved.
pub(crate) async fn lock_all(tx: &mut Tx<'_>, run: RunNumber) -> Outcome<Option<Timestamp>> {
    let sql = "WITH l AS MATERIALIZED (SELECT moved_at FROM branch WHERE run = $1 ORDER BY branch FOR NO KEY UPDATE) \
               SELECT max(moved_at) AS last FROM l";
    let row = sqlx::query(sql).bind(db(run.0)).fetch_one(&mut *tx.conn).await?;
    Ok(row.try_get::<Option<i64>, _>("last")?.map(Timestamp::from_micros))
}

/// Locks every head of a run, and says which time a row under the control branch has: behind every row of the branches it acts upon.
pub(crate) async fn lock_for_control(tx: &mut Tx<'_>, run: RunNumber) -> Outcome<Timestamp> {
    let last = lock_all(tx, run).await?;
    Ok(time_behind(last, tx.now))
}

/// Deletes every head of a run.
pub(crate) async fn delete_all(tx: &mut Tx<'_>, run: RunNumber) -> Outcome<()> {
    sqlx::query("DELETE FROM branch WHERE run = $1").bind(db(run.0)).execute(&mut *tx.conn).await?;
    Ok(())
}

/// What decides when a run's free branches are due.
#[derive(Clone, Copy)]
pub(crate) struct Holds {
    /// A control request waits for a worker to apply it.
    pub(crate) requested: bool,
    /// The run is paused.
    pub(crate) paused: bool,
}

/// Moves the revision of every live branch, which are locked, and derives again when the free ones are due.
pub(crate) async fn move_all(tx: &mut Tx<'_>, run: RunNumber, holds: Holds, at: Timestamp) -> Outcome<()> {
    let sql = "UPDATE branch SET revision = revision + 1, moved_at = greatest(moved_at, $5), run_at = CASE \
               WHEN lease IS NOT NULL THEN run_at WHEN pending > 0 THEN NULL WHEN $2 THEN $4 WHEN $3 THEN NULL \
               WHEN awaits IS NULL THEN coalesce(due_at, $4) \
               WHEN EXISTS (SELECT 1 FROM event WHERE event.run = branch.run AND event.name = branch.awaits) THEN $4 \
               ELSE due_at END WHERE run = $1";
    let Holds { requested, paused } = holds;
    let moved = sqlx::query(sql).bind(db(run.0)).bind(requested).bind(paused).bind(tx.now.as_micros()).bind(at.as_micros());
    moved.execute(&mut *tx.conn).await?;
    Ok(())
}
