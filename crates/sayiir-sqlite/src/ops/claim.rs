//! Leases: who takes which branch, and for how long. A claim looks at as many rows as it takes, however many there are.

use std::time::Duration;

use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_core::time::Timestamp;
use sayiir_persistence::{BranchView, ClaimRequest, ClaimScope, StoreError};

use crate::fault::{Fault, Outcome};
use crate::ops::{lanes, sessions, views};
use crate::rows::{Col, branch_id, branch_row, col, find_branch, find_instance, head_columns};
use crate::tx::{Look, Tx, execute, first, rows};

const PRIORITIES: std::ops::RangeInclusive<u8> = 1..=5;

/// A branch that is due. Sorts by rank.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    rank: Timestamp,
    run_at: Timestamp,
    run: RunNumber,
    branch: BranchId,
}

pub(crate) fn claim(tx: &mut Tx, request: &ClaimRequest) -> Outcome<Vec<BranchView>> {
    let ClaimRequest { lease, ttl, limit, scope } = request;
    let due = match scope {
        ClaimScope::Definitions { hashes, tags, ageing } => {
            let lanes = lanes::served(tx.look(), hashes, tags)?;
            due_by_rank(tx.look(), &lanes, *ageing, *limit)?
        }
        ClaimScope::Instance(id) => due_of_instance(tx.look(), id, *limit)?,
        ClaimScope::Branch { run, branch } => {
            let found = find_branch(&tx.conn, *run, branch)?.and_then(|row| row.run_at).filter(|at| *at <= tx.now && *limit > 0);
            found.map(|run_at| Due { rank: run_at, run_at, run: *run, branch: branch.clone() }).into_iter().collect()
        }
    };
    sessions::remember_ttl(tx, *lease, *ttl)?;
    let until = tx.now + *ttl;
    due.into_iter().map(|due| take(tx, *lease, until, &due)).filter_map(Outcome::transpose).collect()
}

fn take(tx: &Tx, lease: LeaseId, until: Timestamp, due: &Due) -> Outcome<Option<BranchView>> {
    let sql = concat!(
        "UPDATE branch SET revision = revision + 1, crashes = crashes + (lease IS NOT NULL), lease = ?3, run_at = ?4, attempt_at = ?5 \
         WHERE run = ?1 AND branch = ?2 RETURNING ",
        head_columns!()
    );
    let row = first(&tx.conn, sql, (Col(due.run), due.branch.as_str(), Col(lease), Col(until), Col(tx.now)), branch_row)?;
    match row.map(|row| views::of_row(tx.look(), row)).transpose() {
        Err(Fault::Store(error @ StoreError::Corrupt { .. })) => set_aside(tx, due, &error).map(|()| None),
        taken => taken,
    }
}

/// A branch whose rows are damaged must not keep all the others from being taken: nobody is handed it again
/// until its run is unpaused, cancelled or replaced, and it stays to be seen.
fn set_aside(tx: &Tx, due: &Due, error: &StoreError) -> Outcome<()> {
    tracing::error!(run = %due.run, branch = %due.branch, %error, "a branch cannot be read; it is set aside");
    let sql = "UPDATE branch SET lease = NULL, run_at = NULL WHERE run = ?1 AND branch = ?2";
    execute(&tx.conn, sql, (Col(due.run), due.branch.as_str()))?;
    Ok(())
}

/// What is due in one lane at one priority, earliest first.
pub(crate) const DUE_IN_LANE: &str =
    "SELECT run, branch, run_at FROM branch WHERE lane = ?1 AND priority = ?2 AND run_at <= ?3 ORDER BY run_at, run, branch LIMIT ?4";

/// The first `limit` due branches in order of `run_at + (priority - 1) * ageing`: the first of each lane and priority,
/// merged. Once `limit` are found, a lane is only asked for what comes before the last of them.
fn due_by_rank(look: Look<'_>, lanes: &[i64], ageing: Duration, limit: usize) -> Outcome<Vec<Due>> {
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut due: Vec<Due> = Vec::new();
    for priority in PRIORITIES {
        let later = ageing.saturating_mul(u32::from(priority - 1));
        for lane in lanes {
            let full = due.last().filter(|_| due.len() >= limit).map(|last| last.rank);
            let until = full.map_or(look.now, |rank| look.now.min(rank - later));
            let arm = rows(look.conn, DUE_IN_LANE, (lane, priority, Col(until), most), |row| {
                let run_at: Timestamp = col(row, "run_at")?;
                Ok(Due { rank: run_at + later, run_at, run: col(row, "run")?, branch: branch_id(row, "branch")? })
            })?;
            if !arm.is_empty() {
                due.extend(arm);
                due.sort_unstable();
                due.truncate(limit);
            }
        }
    }
    Ok(due)
}

fn due_of_instance(look: Look<'_>, instance_id: &str, limit: usize) -> Outcome<Vec<Due>> {
    let Some(instance) = find_instance(look.conn, instance_id)? else { return Ok(Vec::new()) };
    let sql = "SELECT run, branch, run_at FROM branch WHERE run = ?1 AND run_at <= ?2 ORDER BY run_at, branch LIMIT ?3";
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    rows(look.conn, sql, (Col(instance.run), Col(look.now), most), |row| {
        let run_at = col(row, "run_at")?;
        Ok(Due { rank: run_at, run_at, run: instance.run, branch: branch_id(row, "branch")? })
    })
}

pub(crate) fn next_due(look: Look<'_>, scope: &ClaimScope) -> Outcome<Option<Duration>> {
    let earliest = match scope {
        ClaimScope::Definitions { hashes, tags, ageing: _ } => {
            let sql = "SELECT run_at FROM branch WHERE lane = ?1 AND priority = ?2 AND run_at IS NOT NULL ORDER BY run_at LIMIT 1";
            let mut earliest: Option<Timestamp> = None;
            for lane in lanes::served(look, hashes, tags)? {
                for priority in PRIORITIES {
                    let at: Option<Timestamp> = first(look.conn, sql, (lane, priority), |row| col(row, "run_at"))?;
                    earliest = earliest.into_iter().chain(at).min();
                }
            }
            earliest
        }
        ClaimScope::Instance(id) => match find_instance(look.conn, id)? {
            None => None,
            Some(instance) => {
                let sql = "SELECT min(run_at) FROM branch WHERE run = ?1 AND run_at IS NOT NULL";
                let at: Option<Option<i64>> = first(look.conn, sql, [Col(instance.run)], |row| row.get(0))?;
                at.flatten().map(Timestamp::from_micros)
            }
        },
        ClaimScope::Branch { run, branch } => find_branch(look.conn, *run, branch)?.and_then(|row| row.run_at),
    };
    Ok(earliest.map(|at| at.since(look.now)))
}

/// What a lease holds, by the index of leases.
pub(crate) fn leased(look: Look<'_>, lease: LeaseId) -> Outcome<Vec<(RunNumber, BranchId, u64)>> {
    let sql = "SELECT run, branch, revision FROM branch INDEXED BY branch_leased WHERE lease = ?1 ORDER BY run, branch";
    rows(look.conn, sql, [Col(lease)], |row| Ok((col(row, "run")?, branch_id(row, "branch")?, row.get("revision")?)))
}

/// Extends leases that are still held; revisions stay.
pub(crate) fn renew(tx: &mut Tx, lease: LeaseId, ttl: Duration, branches: &[(RunNumber, BranchId)]) -> Outcome<Vec<Option<u64>>> {
    sessions::remember_ttl(tx, lease, ttl)?;
    let sql = "UPDATE branch SET run_at = ?4 WHERE run = ?1 AND branch = ?2 AND lease = ?3 RETURNING revision";
    let until = Col(tx.now + ttl);
    let renewed =
        branches.iter().map(|(run, branch)| first(&tx.conn, sql, (Col(*run), branch.as_str(), Col(lease), until), |row| row.get(0)));
    renewed.collect()
}

/// Makes what a lease holds due at once. The lease stays, so that whoever takes it counts a crash.
pub(crate) fn expire(tx: &mut Tx, lease: LeaseId) -> Outcome<u64> {
    let expired = execute(&tx.conn, "UPDATE branch SET run_at = ?2 WHERE lease = ?1", (Col(lease), Col(tx.now)))?;
    tx.news.due |= expired > 0;
    Ok(u64::try_from(expired).unwrap_or(u64::MAX))
}

/// Keeps what a task reports, if its branch is still held.
pub(crate) fn report_progress(tx: &Tx, lease: LeaseId, run: RunNumber, branch: &BranchId, progress: &[u8]) -> Outcome<bool> {
    let sql = "UPDATE branch SET progress = ?4, progress_at = ?5 WHERE run = ?1 AND branch = ?2 AND lease = ?3";
    Ok(execute(&tx.conn, sql, (Col(run), branch.as_str(), Col(lease), progress, Col(tx.now)))? > 0)
}
