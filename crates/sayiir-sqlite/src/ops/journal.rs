//! The journal: rows go in once, and are found by run, branch and revision.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Row;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;
use sayiir_persistence::rows::{NewRow, SubSteps, missing_value, unknown_run};

use crate::fault::{Fault, Outcome};
use crate::rows::{Col, branch_id, journal_row};
use crate::tx::{Look, Tx, execute, first, rows};

/// Writes a row.
pub(crate) fn insert(tx: &Tx, row: NewRow<'_>) -> Outcome<()> {
    let NewRow { run, branch, revision, at, lease, kind, node, attempt, output, handed_on, same_as, error } = row;
    let sql = "INSERT INTO journal (run, branch, revision, at, lease, kind, attempt, node, same_branch, same_revision, output, handed_on, error) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let same = (same_as.map(|row| row.branch.as_str()), same_as.map(|row| row.revision));
    let params = rusqlite::params![
        Col(run),
        branch.as_str(),
        revision,
        Col(at),
        lease.map(Col),
        Col(kind),
        attempt,
        node,
        same.0,
        same.1,
        output,
        handed_on,
        error
    ];
    execute(&tx.conn, sql, params)?;
    Ok(())
}

/// Whether this lease wrote that row.
pub(crate) fn wrote(tx: &Tx, lease: LeaseId, run: RunNumber, branch: &BranchId, revision: u64) -> Outcome<bool> {
    let sql = "SELECT 1 FROM journal WHERE run = ?1 AND branch = ?2 AND revision = ?3 AND lease = ?4";
    Ok(first(&tx.conn, sql, (Col(run), branch.as_str(), revision, Col(lease)), |_| Ok(()))?.is_some())
}

/// The sub-steps of one task: the text of the query is what its index is for.
pub(crate) const SUB_STEPS: &str =
    "SELECT node, output FROM journal WHERE run = ?1 AND branch = ?2 AND node > ?3 AND node < ?4 AND kind = 17 ORDER BY node";

/// The sub-steps stored by the task at this node path of the branch, in order of path.
pub(crate) fn sub_steps(look: Look<'_>, run: RunNumber, branch: &BranchId, node: &str) -> Outcome<Vec<(Arc<str>, Bytes)>> {
    let steps = SubSteps::of(node);
    let found: Vec<(Arc<str>, Vec<u8>)> =
        rows(look.conn, SUB_STEPS, (Col(run), branch.as_str(), &steps.after, &steps.before), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let of_this = found.into_iter().filter(|(path, _)| steps.has(path));
    Ok(of_this.map(|(path, output)| (path, output.into())).collect())
}

/// A row's own value, or where to find it.
enum Held {
    Value(Bytes),
    SameAs(JournalRef),
    Nothing,
}

fn held(row: &Row<'_>) -> rusqlite::Result<Held> {
    let handed_on: Option<Vec<u8>> = row.get("handed_on")?;
    let value = if handed_on.is_some() { handed_on } else { row.get("output")? };
    if let Some(value) = value {
        return Ok(Held::Value(value.into()));
    }
    let revision: Option<u64> = row.get("same_revision")?;
    revision.map_or(Ok(Held::Nothing), |revision| Ok(Held::SameAs(JournalRef { branch: branch_id(row, "same_branch")?, revision })))
}

/// The value that a row holds: handed on, else output, else of the row it refers to.
pub(crate) fn value(look: Look<'_>, run: RunNumber, of: &JournalRef) -> Outcome<Bytes> {
    let sql = "SELECT handed_on, output, same_branch, same_revision FROM journal WHERE run = ?1 AND branch = ?2 AND revision = ?3";
    let mut of = of.clone();
    loop {
        match first(look.conn, sql, (Col(run), of.branch.as_str(), of.revision), held)? {
            Some(Held::Value(value)) => return Ok(value),
            // A row refers to an earlier one: this ends unless the store is corrupt.
            Some(Held::SameAs(next)) if next != of => of = next,
            Some(Held::SameAs(_) | Held::Nothing) | None => return Err(missing(look, run, &of.branch, Some(of.revision))),
        }
    }
}

/// A row that heads or rows refer to, but that is not there (or holds no value).
fn missing(look: Look<'_>, run: RunNumber, branch: &BranchId, revision: Option<u64>) -> Fault {
    let sql = "SELECT instance_id FROM instance WHERE run = ?1";
    match first(look.conn, sql, [Col(run)], |row| row.get::<_, String>(0)) {
        Ok(instance) => missing_value(instance.as_deref(), run, branch, revision).into(),
        Err(fault) => fault,
    }
}

/// An error if nothing is known of the run (but something was asked).
fn require_run(look: Look<'_>, run: RunNumber, nothing_asked: bool) -> Outcome<()> {
    if nothing_asked || first(look.conn, "SELECT 1 FROM journal WHERE run = ?1 LIMIT 1", [Col(run)], |_| Ok(()))?.is_some() {
        return Ok(());
    }
    Err(unknown_run(run).into())
}

pub(crate) fn values(look: Look<'_>, run: RunNumber, of: &[JournalRef]) -> Outcome<Vec<Bytes>> {
    require_run(look, run, of.is_empty())?;
    of.iter().map(|row| value(look, run, row)).collect()
}

/// The value of each branch's last row.
pub(crate) fn branch_outputs(look: Look<'_>, run: RunNumber, branches: &[BranchId]) -> Outcome<Vec<Bytes>> {
    require_run(look, run, branches.is_empty())?;
    let sql = "SELECT handed_on, output, same_branch, same_revision FROM journal WHERE run = ?1 AND branch = ?2 \
               ORDER BY revision DESC LIMIT 1";
    let last = |branch: &BranchId| match first(look.conn, sql, (Col(run), branch.as_str()), held)? {
        Some(Held::Value(value)) => Ok(value),
        Some(Held::SameAs(of)) => value(look, run, &of),
        Some(Held::Nothing) | None => Err(missing(look, run, branch, None)),
    };
    branches.iter().map(last).collect()
}

/// A page of a run's journal in the order of time, branch, revision. The keys are sorted without the payloads.
pub(crate) fn page(look: Look<'_>, run: RunNumber, after: Option<&(Timestamp, JournalRef)>, limit: usize) -> Outcome<Vec<JournalRow>> {
    let sql = "SELECT j.* FROM (SELECT branch, revision, at FROM journal WHERE run = ?1 AND (at, branch, revision) > (?2, ?3, ?4) \
               ORDER BY at, branch, revision LIMIT ?5) k \
               JOIN journal j ON j.run = ?1 AND j.branch = k.branch AND j.revision = k.revision ORDER BY k.at, k.branch, k.revision";
    paged(look, sql, run, after, limit)
}

/// The same without the values, which are not read.
pub(crate) fn timeline(look: Look<'_>, run: RunNumber, after: Option<&(Timestamp, JournalRef)>, limit: usize) -> Outcome<Vec<JournalRow>> {
    let sql = "SELECT run, branch, revision, at, lease, kind, attempt, node, same_branch, same_revision, NULL AS output, NULL AS handed_on, \
               error FROM journal WHERE run = ?1 AND (at, branch, revision) > (?2, ?3, ?4) ORDER BY at, branch, revision LIMIT ?5";
    paged(look, sql, run, after, limit)
}

fn paged(look: Look<'_>, sql: &str, run: RunNumber, after: Option<&(Timestamp, JournalRef)>, limit: usize) -> Outcome<Vec<JournalRow>> {
    let (at, branch, revision) =
        after.map_or((Timestamp::from_micros(i64::MIN), "", 0), |(at, row)| (*at, row.branch.as_str(), row.revision));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    rows(look.conn, sql, (Col(run), Col(at), branch, revision, limit), journal_row)
}
