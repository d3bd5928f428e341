//! Rewind: a new run of an instance that begins with copies of the rows before a node, in the place of the old one.

use sayiir_core::branch::{BranchId, Head, JournalRef, Phase, RunNumber};
use sayiir_core::journal::EntryKind;
use sayiir_core::time::Timestamp;
use sayiir_persistence::rows::{NewRow, time_behind};
use sayiir_persistence::{Rewind, RewindOutcome};

use crate::fault::{Fault, Outcome};
use crate::ops::heads::{self, Place};
use crate::ops::journal;
use crate::ops::{lanes, purge};
use crate::rows::{Col, InstanceRow, find_instance};
use crate::tx::{Tx, execute, first, next_number};

/// Which rows of a run are kept: the root's up to a revision, and those of branches of forks that it made before.
macro_rules! kept {
    () => {
        "run = ?1 AND ((branch = '0' AND revision <= ?2) OR (branch > '0.' AND branch < '0/' AND CAST(substr(branch, 3) AS INTEGER) < ?2))"
    };
}

pub(crate) fn rewind(tx: &mut Tx, rewind: &Rewind) -> Outcome<RewindOutcome> {
    let Rewind { instance_id, expected, nonce, keep: _, node: _, input: _, placement: _, request: _ } = rewind;
    let Some(instance) = find_instance(&tx.conn, instance_id)? else { return Ok(RewindOutcome::NotFound) };
    if instance.state().is_none() {
        return Ok(RewindOutcome::NotFound);
    }
    if instance.nonce == Some(*nonce) {
        return Ok(RewindOutcome::Rewound { run: instance.run });
    }
    if instance.run != *expected {
        return Ok(RewindOutcome::Moved { run: instance.run });
    }
    require_rows(tx, rewind)?;
    let run = RunNumber(next_number(&tx.conn, "run")?);
    let at = copy(tx, rewind, run)?;
    replace(tx, &instance, run, *nonce)?;
    place(tx, rewind, run, at)?;
    tx.news.due = true;
    tx.news.control = true;
    tx.news.instance(instance_id);
    Ok(RewindOutcome::Rewound { run })
}

fn require_rows(tx: &Tx, rewind: &Rewind) -> Outcome<()> {
    let Rewind { instance_id, expected, keep, input, .. } = rewind;
    let sql = "SELECT 1 FROM journal WHERE run = ?1 AND branch = ?2 AND revision = ?3";
    for JournalRef { branch, revision } in [&JournalRef { branch: BranchId::root(), revision: *keep }, input] {
        if first(&tx.conn, sql, (Col(*expected), branch.as_str(), revision), |_| Ok(()))?.is_none() {
            let text = format!(
                "a rewind of instance {instance_id:?} is to keep the row at revision {revision} of branch {branch}, which is not there"
            );
            return Err(Fault::misused(text));
        }
    }
    Ok(())
}

/// Copies the rows that are kept; says when the row behind them is written: after all of them.
fn copy(tx: &Tx, rewind: &Rewind, run: RunNumber) -> Outcome<Timestamp> {
    let sql = concat!(
        "INSERT INTO journal (run, branch, revision, at, lease, kind, attempt, node, same_branch, same_revision, output, handed_on, error) \
         SELECT ?3, branch, revision, at, lease, kind, attempt, node, same_branch, same_revision, output, handed_on, error FROM journal WHERE ",
        kept!()
    );
    execute(&tx.conn, sql, (Col(rewind.expected), rewind.keep, Col(run)))?;
    let sql = "SELECT max(at) FROM journal WHERE run = ?1";
    let last: Option<i64> = first(&tx.conn, sql, [Col(run)], |row| row.get(0))?.flatten();
    Ok(time_behind(last.map(Timestamp::from_micros), tx.now))
}

/// Gives the instance's row, with its events and attributes, to the new run, and takes the old one's heads away.
fn replace(tx: &mut Tx, instance: &InstanceRow, run: RunNumber, nonce: u128) -> Outcome<()> {
    let old = instance.run;
    heads::delete_all(tx, old)?;
    if let Some(oldest) = instance.previous {
        purge::later(tx, oldest)?;
    }
    for sql in [
        "UPDATE event SET run = ?2 WHERE run = ?1",
        "UPDATE event_key SET run = ?2 WHERE run = ?1",
        "UPDATE attribute SET run = ?2 WHERE run = ?1",
    ] {
        execute(&tx.conn, sql, (Col(old), Col(run)))?;
    }
    let sql = "UPDATE instance SET run = ?2, previous = ?1, status = 1, paused = 0, control = 0, nonce = ?3, created_at = ?4, \
               updated_at = ?4, end_branch = NULL, end_revision = NULL, request_reason = NULL, request_by = NULL, request_at = NULL, \
               cancel_reason = NULL, cancel_by = NULL, cancel_at = NULL, pause_reason = NULL, pause_by = NULL, pause_at = NULL \
               WHERE run = ?1";
    execute(&tx.conn, sql, (Col(old), Col(run), nonce.to_be_bytes(), Col(tx.now)))?;
    Ok(())
}

fn place(tx: &mut Tx, rewind: &Rewind, run: RunNumber, at: Timestamp) -> Outcome<()> {
    let Rewind { instance_id: _, expected: _, nonce: _, keep, node, input, placement, request } = rewind;
    let (branch, revision) = (&BranchId::root(), keep + 1);
    let row = NewRow::bare(run, branch, revision, EntryKind::Rewound, node, at);
    journal::insert(tx, NewRow { same_as: Some(input), error: request.in_words().as_deref(), ..row })?;
    let definition = first(&tx.conn, "SELECT definition FROM instance WHERE run = ?1", [Col(run)], |row| row.get::<_, i64>(0))?;
    let definition = definition.ok_or_else(|| Fault::corrupt(format!("run {run} has no instance")))?;
    let (lane, priority) = (lanes::lane(tx, definition, placement)?, placement.priority);
    let head = &Head { node: node.clone(), phase: Phase::At, attempt: 0, input: input.clone(), fork_revision: 0 };
    let (lease, run_at, due_at, awaits, pending, moved_at) = (None, Some(tx.now), Some(tx.now), None, 0, at);
    Place { run, branch, revision, head, lease, run_at, due_at, awaits, pending, lane, priority, moved_at }.insert(tx)
}
