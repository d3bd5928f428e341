//! A branch as its owner sees it: head, mail, events and input, read at one moment.

use bytes::Bytes;
use sayiir_core::branch::{BranchId, LeaseId, Phase, RunNumber};
use sayiir_persistence::{BranchView, EventHead};

use crate::fault::{Fault, Outcome};
use crate::ops::journal;
use crate::rows::{BranchRow, Col, InstanceRow, branch_row, col, find_branch, head_columns, instance_of};
use crate::tx::{Look, rows};

/// The view of a branch whose row was read (or made) in the same transaction.
pub(crate) fn of_row(look: Look<'_>, row: BranchRow) -> Outcome<BranchView> {
    let instance = instance_of(look.conn, row.run)?;
    let instance = instance.ok_or_else(|| Fault::corrupt(format!("branch {} of run {} has no instance", row.branch, row.run)))?;
    let input = match row.head.phase {
        Phase::Joining => Bytes::new(),
        Phase::Start | Phase::At | Phase::Delaying | Phase::Awaiting => journal::value(look, row.run, &row.head.input)?,
    };
    let BranchRow {
        run,
        branch,
        revision,
        lease: _,
        crashes,
        head,
        pending,
        due_at,
        awaits: _,
        lane: _,
        priority: _,
        run_at: _,
        moved_at: _,
        attempt_at: _,
        progress: _,
    } = row;
    Ok(BranchView {
        paused: instance.is_paused(),
        requested: instance.requested(),
        mail: instance.mail,
        events: waiting_events(look, &instance)?,
        definition: instance.definition.hash,
        instance_id: instance.instance_id,
        trace: instance.trace,
        run,
        branch,
        revision,
        head,
        crashes,
        due_at,
        pending,
        input,
        now: look.now,
    })
}

/// The first waiting event of each name; walks from name to name, however many wait under one.
fn waiting_events(look: Look<'_>, instance: &InstanceRow) -> Outcome<Vec<EventHead>> {
    if instance.mail == 0 {
        return Ok(Vec::new());
    }
    let sql = "WITH RECURSIVE names (name) AS (SELECT min(name) FROM event WHERE run = ?1 UNION ALL \
               SELECT (SELECT min(name) FROM event WHERE run = ?1 AND name > names.name) FROM names WHERE names.name IS NOT NULL) \
               SELECT e.name, e.seq, e.at FROM names JOIN event e ON e.run = ?1 AND e.name = names.name \
               AND e.seq = (SELECT min(seq) FROM event WHERE run = ?1 AND name = names.name) ORDER BY e.name";
    rows(look.conn, sql, [Col(instance.run)], |row| Ok(EventHead { name: row.get("name")?, seq: row.get("seq")?, at: col(row, "at")? }))
}

/// The given branches (all, if none is given) of a run, where they are leased to `lease`.
pub(crate) fn load(look: Look<'_>, lease: LeaseId, run: RunNumber, branches: &[BranchId]) -> Outcome<Vec<BranchView>> {
    let held = if branches.is_empty() {
        let sql =
            concat!("SELECT ", head_columns!(), " FROM branch INDEXED BY branch_leased WHERE lease = ?1 AND run = ?2 ORDER BY branch");
        rows(look.conn, sql, (Col(lease), Col(run)), branch_row)?
    } else {
        let found = branches.iter().map(|branch| find_branch(look.conn, run, branch));
        let found = found.filter_map(Outcome::transpose).collect::<Outcome<Vec<_>>>()?;
        found.into_iter().filter(|row| row.lease == Some(lease)).collect()
    };
    held.into_iter().map(|row| of_row(look, row)).collect()
}
