//! The journal: rows go in once, and are found by run, branch and revision.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, JournalRef, RunNumber};
use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;
use sayiir_persistence::rows::{NewRow, SubSteps, missing_value, unknown_run};

use crate::fault::{Fault, Outcome};
use crate::rows::{bytes, clean, db, journal_row, most, text};
use crate::tx::Tx;

/// Writes a row.
pub(crate) async fn insert(tx: &mut Tx<'_>, row: NewRow<'_>) -> Outcome<()> {
    let NewRow { run, branch, revision, at, lease, kind, node, attempt, output, handed_on, same_as, error } = row;
    let sql = "INSERT INTO journal (run, branch, revision, at, lease, kind, attempt, node, same_branch, same_revision, output, handed_on, error) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let insert = sqlx::query(sql)
        .bind(db(run.0))
        .bind(branch.as_str())
        .bind(db(revision))
        .bind(at.as_micros())
        .bind(lease.map(|lease| db(lease.0)))
        .bind(i16::from(kind.as_u8()))
        .bind(i32::try_from(attempt).unwrap_or(i32::MAX))
        .bind(node)
        .bind(same_as.map(|row| row.branch.as_str()))
        .bind(same_as.map(|row| db(row.revision)))
        .bind(output)
        .bind(handed_on)
        .bind(error.map(clean));
    insert.execute(&mut *tx.conn).await?;
    Ok(())
}

/// The value of the row that `$seed` selects, or of the row it refers to. A row refers to an earlier one.
macro_rules! value_of {
    ($seed:expr) => {
        concat!(
            "(WITH RECURSIVE r AS ((SELECT j.handed_on, j.output, j.same_branch, j.same_revision, 0 AS depth FROM journal j WHERE ",
            $seed,
            ") UNION ALL SELECT j.handed_on, j.output, j.same_branch, j.same_revision, r.depth + 1 FROM r JOIN journal j \
             ON j.run = k.run AND j.branch = r.same_branch AND j.revision = r.same_revision \
             WHERE r.handed_on IS NULL AND r.output IS NULL AND r.depth < 100000) \
             SELECT coalesce(r.handed_on, r.output) AS value FROM r WHERE r.handed_on IS NOT NULL OR r.output IS NOT NULL LIMIT 1)"
        )
    };
}
pub(crate) use value_of;

pub(crate) const VALUES: &str = concat!(
    "SELECT v.value FROM (SELECT $1::bigint AS run, u.* FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY u (branch, revision, ord)) k \
     LEFT JOIN LATERAL ",
    value_of!("j.run = k.run AND j.branch = k.branch AND j.revision = k.revision"),
    " v ON true ORDER BY k.ord"
);

pub(crate) const LAST_VALUES: &str = concat!(
    "SELECT v.value FROM (SELECT $1::bigint AS run, u.* FROM unnest($2::text[]) WITH ORDINALITY u (branch, ord)) k LEFT JOIN LATERAL ",
    value_of!("j.run = k.run AND j.branch = k.branch ORDER BY j.revision DESC LIMIT 1"),
    " v ON true ORDER BY k.ord"
);

pub(crate) async fn values(tx: &mut Tx<'_>, run: RunNumber, of: &[JournalRef]) -> Outcome<Vec<Bytes>> {
    require_run(tx, run, of.is_empty()).await?;
    let branches: Vec<&str> = of.iter().map(|row| row.branch.as_str()).collect();
    let revisions: Vec<i64> = of.iter().map(|row| db(row.revision)).collect();
    let found = sqlx::query(VALUES).bind(db(run.0)).bind(branches).bind(revisions).fetch_all(&mut *tx.conn).await?;
    let mut values = Vec::with_capacity(of.len());
    for (row, asked) in found.iter().zip(of) {
        match bytes(row, "value")? {
            Some(value) => values.push(value),
            None => return Err(missing(tx, run, &asked.branch, Some(asked.revision)).await),
        }
    }
    Ok(values)
}

/// The value that one row holds: handed on, else output, else of the row it refers to.
pub(crate) async fn value(tx: &mut Tx<'_>, run: RunNumber, of: &JournalRef) -> Outcome<Bytes> {
    let found = values(tx, run, std::slice::from_ref(of)).await?;
    found.into_iter().next().ok_or_else(|| Fault::corrupt(format!("run {run} answers nothing about one row")))
}

/// The value of each branch's last row.
pub(crate) async fn branch_outputs(tx: &mut Tx<'_>, run: RunNumber, branches: &[BranchId]) -> Outcome<Vec<Bytes>> {
    require_run(tx, run, branches.is_empty()).await?;
    let ids: Vec<&str> = branches.iter().map(BranchId::as_str).collect();
    let found = sqlx::query(LAST_VALUES).bind(db(run.0)).bind(ids).fetch_all(&mut *tx.conn).await?;
    let mut values = Vec::with_capacity(branches.len());
    for (row, branch) in found.iter().zip(branches) {
        match bytes(row, "value")? {
            Some(value) => values.push(value),
            None => return Err(missing(tx, run, branch, None).await),
        }
    }
    Ok(values)
}

/// A row that heads or rows refer to, but that is not there (or holds no value).
pub(crate) async fn missing(tx: &mut Tx<'_>, run: RunNumber, branch: &BranchId, revision: Option<u64>) -> Fault {
    match tx.find_run(run).await {
        Ok(instance) => missing_value(instance.as_ref().map(|instance| &*instance.instance_id), run, branch, revision).into(),
        Err(fault) => fault,
    }
}

/// An error if nothing is known of the run (but something was asked).
async fn require_run(tx: &mut Tx<'_>, run: RunNumber, nothing_asked: bool) -> Outcome<()> {
    if nothing_asked {
        return Ok(());
    }
    let found = sqlx::query("SELECT 1 FROM journal WHERE run = $1 LIMIT 1").bind(db(run.0)).fetch_optional(&mut *tx.conn).await?;
    found.map(drop).ok_or_else(|| unknown_run(run).into())
}

/// The sub-steps of one task: the text of the query is what its index is for.
pub(crate) const SUB_STEPS: &str =
    "SELECT node, output FROM journal WHERE run = $1 AND branch = $2 AND node > $3 AND node < $4 AND kind = 17 ORDER BY node";

/// The sub-steps stored by the task at this node path of the branch, in order of path.
pub(crate) async fn sub_steps(tx: &mut Tx<'_>, run: RunNumber, branch: &BranchId, node: &str) -> Outcome<Vec<(Arc<str>, Bytes)>> {
    let of_this = SubSteps::of(node);
    let asked = sqlx::query(SUB_STEPS).bind(db(run.0)).bind(branch.as_str()).bind(&of_this.after).bind(&of_this.before);
    let found = asked.fetch_all(&mut *tx.conn).await?;
    let mut steps = Vec::with_capacity(found.len());
    for row in &found {
        let path = text(row, "node")?;
        if of_this.has(&path) {
            steps.push((path, bytes(row, "output")?.unwrap_or_default()));
        }
    }
    Ok(steps)
}

/// A page of a run's journal in the order of time, branch, revision. The keys are sorted without the payloads.
pub(crate) async fn page(
    tx: &mut Tx<'_>,
    run: RunNumber,
    after: Option<&(Timestamp, JournalRef)>,
    limit: usize,
) -> Outcome<Vec<JournalRow>> {
    let sql = "SELECT j.* FROM (SELECT branch, revision, at FROM journal WHERE run = $1 AND (at, branch, revision) > ($2, $3, $4) \
               ORDER BY at, branch, revision LIMIT $5) k \
               JOIN journal j ON j.run = $1 AND j.branch = k.branch AND j.revision = k.revision ORDER BY k.at, k.branch, k.revision";
    paged(tx, sql, run, after, limit).await
}

/// The same without the values, which are not read.
pub(crate) async fn timeline(
    tx: &mut Tx<'_>,
    run: RunNumber,
    after: Option<&(Timestamp, JournalRef)>,
    limit: usize,
) -> Outcome<Vec<JournalRow>> {
    let sql = "SELECT run, branch, revision, at, lease, kind, attempt, node, same_branch, same_revision, NULL::bytea AS output, \
               NULL::bytea AS handed_on, error FROM journal WHERE run = $1 AND (at, branch, revision) > ($2, $3, $4) \
               ORDER BY at, branch, revision LIMIT $5";
    paged(tx, sql, run, after, limit).await
}

async fn paged(
    tx: &mut Tx<'_>,
    sql: &'static str,
    run: RunNumber,
    after: Option<&(Timestamp, JournalRef)>,
    limit: usize,
) -> Outcome<Vec<JournalRow>> {
    let (at, branch, revision) = after.map_or((i64::MIN, "", 0), |(at, row)| (at.as_micros(), row.branch.as_str(), db(row.revision)));
    let asked = sqlx::query(sql).bind(db(run.0)).bind(at).bind(branch).bind(revision).bind(most(limit));
    asked.fetch_all(&mut *tx.conn).await?.iter().map(journal_row).collect()
}
