//! Branch heads: how they are made and moved.
//!
//! Invariant: [`advance`], an owner's plain step, names no column of any index.

use sayiir_core::branch::{BranchId, Head, LeaseId, RunNumber};
use sayiir_core::priority::Priority;
use sayiir_core::time::Timestamp;
use sayiir_core::transition::Transition;
use sayiir_persistence::rows::time_behind;

use crate::fault::Outcome;
use crate::rows::{Col, col};
use crate::tx::{Look, Tx, execute, first};

/// An owner's plain step: one row of one table, and no index. A step that leaves the branch where it was (a sub-step)
/// belongs to the attempt that goes on.
pub(crate) const ADVANCE: &str = "UPDATE branch SET revision = revision + 1, node = ?5, phase = ?6, attempt = ?7, input_branch = ?8, \
     input_revision = ?9, fork_revision = ?10, due_at = NULL, crashes = 0, moved_at = max(moved_at, ?11), \
     attempt_at = CASE WHEN node = ?5 AND phase = ?6 AND attempt = ?7 THEN attempt_at ELSE ?11 END, \
     progress = CASE WHEN node = ?5 AND phase = ?6 AND attempt = ?7 THEN progress END, \
     progress_at = CASE WHEN node = ?5 AND phase = ?6 AND attempt = ?7 THEN progress_at END \
     WHERE run = ?1 AND branch = ?2 AND revision = ?3 AND lease = ?4 AND awaits IS NULL RETURNING moved_at";

/// Moves the head of a branch whose owner keeps it, if it is as the owner saw it; says when, else `None`.
pub(crate) fn advance(tx: &Tx, lease: LeaseId, transition: &Transition, head: &Head) -> Outcome<Option<Timestamp>> {
    let Head { node, phase, attempt, input, fork_revision } = head;
    let params = rusqlite::params![
        Col(transition.run),
        transition.branch.as_str(),
        transition.revision,
        Col(lease),
        node,
        Col(*phase),
        attempt,
        input.branch.as_str(),
        input.revision,
        fork_revision,
        Col(tx.now)
    ];
    first(&tx.conn, ADVANCE, params, |row| col(row, "moved_at"))
}

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
    pub(crate) pending: u32,
    pub(crate) lane: i64,
    pub(crate) priority: Priority,
    pub(crate) moved_at: Timestamp,
}

impl Place<'_> {
    /// Makes the head.
    pub(crate) fn insert(&self, tx: &Tx) -> Outcome<()> {
        self.write(
            tx,
            "INSERT INTO branch (run, branch, revision, lease, node, phase, attempt, input_branch, input_revision, fork_revision, pending, \
             due_at, awaits, lane, priority, run_at, moved_at, attempt_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        )
    }

    /// Moves the head, which is there.
    pub(crate) fn update(&self, tx: &Tx) -> Outcome<()> {
        self.write(
            tx,
            "UPDATE branch SET revision = ?3, lease = ?4, node = ?5, phase = ?6, attempt = ?7, input_branch = ?8, input_revision = ?9, \
             fork_revision = ?10, pending = ?11, due_at = ?12, awaits = ?13, lane = ?14, priority = ?15, run_at = ?16, moved_at = ?17, \
             attempt_at = ?18, progress = NULL, progress_at = NULL, crashes = 0 WHERE run = ?1 AND branch = ?2",
        )
    }

    fn write(&self, tx: &Tx, sql: &str) -> Outcome<()> {
        let Self { run, branch, revision, head, lease, run_at, due_at, awaits, pending, lane, priority, moved_at } = *self;
        let Head { node, phase, attempt, input, fork_revision } = head;
        let params = rusqlite::params![
            Col(run),
            branch.as_str(),
            revision,
            lease.map(Col),
            node,
            Col(*phase),
            attempt,
            input.branch.as_str(),
            input.revision,
            fork_revision,
            pending,
            due_at.map(Col),
            awaits,
            lane,
            Col(priority),
            run_at.map(Col),
            Col(moved_at),
            Col(tx.now)
        ];
        execute(&tx.conn, sql, params)?;
        Ok(())
    }
}

/// Deletes a head.
pub(crate) fn delete(tx: &Tx, run: RunNumber, branch: &BranchId) -> Outcome<()> {
    execute(&tx.conn, "DELETE FROM branch WHERE run = ?1 AND branch = ?2", (Col(run), branch.as_str()))?;
    Ok(())
}

/// Deletes every head of a run.
pub(crate) fn delete_all(tx: &Tx, run: RunNumber) -> Outcome<()> {
    execute(&tx.conn, "DELETE FROM branch WHERE run = ?1", [Col(run)])?;
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

/// Moves the revision of every live branch, and derives again when the free ones are due.
pub(crate) fn move_all(tx: &Tx, run: RunNumber, holds: Holds, at: Timestamp) -> Outcome<()> {
    let sql = "UPDATE branch SET revision = revision + 1, moved_at = max(moved_at, ?5), run_at = CASE \
               WHEN lease IS NOT NULL THEN run_at WHEN pending > 0 THEN NULL WHEN ?2 THEN ?4 WHEN ?3 THEN NULL \
               WHEN awaits IS NULL THEN coalesce(due_at, ?4) \
               WHEN EXISTS (SELECT 1 FROM event WHERE event.run = branch.run AND event.name = branch.awaits) THEN ?4 \
               ELSE due_at END WHERE run = ?1";
    let Holds { requested, paused } = holds;
    execute(&tx.conn, sql, (Col(run), requested, paused, Col(tx.now), Col(at)))?;
    Ok(())
}

/// The time for a row under the control branch: behind every row of the branches it acts upon.
pub(crate) fn control_time(tx: &Tx, run: RunNumber) -> Outcome<Timestamp> {
    let sql = "SELECT max(moved_at) FROM branch WHERE run = ?1";
    let last: Option<i64> = first(&tx.conn, sql, [Col(run)], |row| row.get(0))?.flatten();
    Ok(time_behind(last.map(Timestamp::from_micros), tx.now))
}

/// Whether an event of that name waits.
pub(crate) fn has_event(look: Look<'_>, run: RunNumber, name: &str) -> Outcome<bool> {
    let sql = "SELECT 1 FROM event WHERE run = ?1 AND name = ?2 LIMIT 1";
    Ok(first(look.conn, sql, (Col(run), name), |_| Ok(()))?.is_some())
}
