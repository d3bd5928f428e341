//! A branch as its owner sees it: head, mail, events and input, read in one statement.
//!
//! Invariant: a view is read in a statement that begins after the branch was locked or leased. One read along with a lock
//! might show the instance as it was before somebody moved the branch.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, LeaseId, Phase, RunNumber};
use sayiir_core::time::Timestamp;
use sayiir_persistence::{BranchView, EventHead};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::fault::{Fault, Outcome};
use crate::ops::journal::{self, value_of};
use crate::rows::{BranchRow, branch_row, bytes, db, hash, head_columns, maybe_text, number, stage, text, time};
use crate::tx::{Tx, now};

/// Selects views of the branches `k (run, branch)` that are leased to `$2`, each with its instance, its first waiting event of
/// each name (it walks from name to name, however many wait under one) and its input.
macro_rules! views_of {
    ($keys:expr, $order:expr) => {
        concat!(
            "SELECT ",
            head_columns!(),
            ", i.instance_id, i.status, i.paused, i.mail, i.trace, i.cancel_at IS NOT NULL AS cancel_waits, \
             i.pause_at IS NOT NULL AS pause_waits, d.hash, e.names, e.seqs, e.ats, v.value, c.now FROM (SELECT ",
            now!(),
            " AS now) c CROSS JOIN ",
            $keys,
            " CROSS JOIN LATERAL (SELECT * FROM branch b WHERE b.run = k.run AND b.branch = k.branch AND b.lease IS NOT DISTINCT FROM $2 \
             OFFSET 0) b JOIN instance i ON i.run = b.run LEFT JOIN definition d ON d.id = i.definition \
             LEFT JOIN LATERAL (WITH RECURSIVE n (name) AS (SELECT min(name) FROM event WHERE run = k.run AND i.mail > 0 UNION ALL \
             SELECT (SELECT min(name) FROM event WHERE run = k.run AND name > n.name) FROM n WHERE n.name IS NOT NULL) \
             SELECT array_agg(f.name ORDER BY f.name) AS names, array_agg(f.seq ORDER BY f.name) AS seqs, \
             array_agg(f.at ORDER BY f.name) AS ats FROM n CROSS JOIN LATERAL (SELECT name, seq, at FROM event \
             WHERE run = k.run AND name = n.name ORDER BY seq LIMIT 1) f) e ON true LEFT JOIN LATERAL ",
            value_of!("j.run = k.run AND j.branch = b.input_branch AND j.revision = b.input_revision AND b.phase <> 4"),
            " v ON true ORDER BY ",
            $order
        )
    };
}

pub(crate) const BY_KEYS: &str = views_of!("unnest($3::bigint[], $4::text[]) WITH ORDINALITY k (run, branch, ord)", "k.ord");
pub(crate) const BY_RUN: &str = views_of!("(SELECT run, branch FROM branch WHERE run = $3 AND lease = $2) k", "b.branch");

/// A view, or a branch whose rows are damaged.
pub(crate) type Seen = Result<BranchView, (RunNumber, BranchId, Fault)>;

/// The given branches (in order) where they are leased to `lease`.
pub(crate) async fn of_keys(tx: &mut Tx<'_>, lease: LeaseId, keys: &[(RunNumber, BranchId)]) -> Outcome<Vec<Seen>> {
    let runs: Vec<i64> = keys.iter().map(|(run, _)| db(run.0)).collect();
    let branches: Vec<&str> = keys.iter().map(|(_, branch)| branch.as_str()).collect();
    let asked = sqlx::query(BY_KEYS).bind(tx.given()).bind(db(lease.0)).bind(runs).bind(branches);
    let found = asked.fetch_all(&mut *tx.conn).await?;
    read_all(tx, &found).await
}

/// The given branches (all, if none is given) of a run, where they are leased to `lease`.
pub(crate) async fn load(tx: &mut Tx<'_>, lease: LeaseId, run: RunNumber, branches: &[BranchId]) -> Outcome<Vec<BranchView>> {
    let seen = if branches.is_empty() {
        let found = sqlx::query(BY_RUN).bind(tx.given()).bind(db(lease.0)).bind(db(run.0)).fetch_all(&mut *tx.conn).await?;
        read_all(tx, &found).await?
    } else {
        let keys: Vec<_> = branches.iter().map(|branch| (run, branch.clone())).collect();
        of_keys(tx, lease, &keys).await?
    };
    seen.into_iter().map(|seen| seen.map_err(|(_, _, fault)| fault)).collect()
}

/// One branch, where it is leased to `lease`.
pub(crate) async fn one(tx: &mut Tx<'_>, lease: LeaseId, run: RunNumber, branch: &BranchId) -> Outcome<Option<BranchView>> {
    Ok(load(tx, lease, run, std::slice::from_ref(branch)).await?.pop())
}

async fn read_all(tx: &mut Tx<'_>, found: &[PgRow]) -> Outcome<Vec<Seen>> {
    let mut views = Vec::with_capacity(found.len());
    for row in found {
        let branch = branch_row(row)?;
        let (run, id, revision) = (branch.run, branch.branch.clone(), branch.head.input.revision);
        let input = branch.head.input.branch.clone();
        let view = match read(row, branch) {
            Ok(Some(view)) => Ok(view),
            Ok(None) => Err((run, id, journal::missing(tx, run, &input, Some(revision)).await)),
            Err(fault) => Err((run, id, fault)),
        };
        views.push(view);
    }
    Ok(views)
}

/// `None` if the branch's input is not there.
fn read(row: &PgRow, branch: BranchRow) -> Outcome<Option<BranchView>> {
    let input = match (branch.head.phase, bytes(row, "value")?) {
        (Phase::Joining, _) => Bytes::new(),
        (Phase::Start | Phase::At | Phase::Delaying | Phase::Awaiting, Some(value)) => value,
        (Phase::Start | Phase::At | Phase::Delaying | Phase::Awaiting, None) => return Ok(None),
    };
    let BranchRow { run, branch, revision, lease: _, crashes, head, pending, due_at, .. } = branch;
    let stage = stage(row)?;
    let requested = stage.requested(row.try_get("cancel_waits")?, row.try_get("pause_waits")?);
    let instance_id = text(row, "instance_id")?;
    let definition = hash(row)?.ok_or_else(|| Fault::corrupt(format!("instance {instance_id:?} has no definition")))?;
    Ok(Some(BranchView {
        paused: stage.is_paused(),
        requested,
        mail: number(row, "mail")?,
        events: events(row)?,
        trace: maybe_text(row, "trace")?,
        now: time(row, "now")?,
        instance_id,
        definition,
        run,
        branch,
        revision,
        head,
        crashes,
        due_at,
        pending,
        input,
    }))
}

fn events(row: &PgRow) -> Outcome<Vec<EventHead>> {
    let names: Vec<String> = row.try_get::<Option<_>, _>("names")?.unwrap_or_default();
    let seqs: Vec<i64> = row.try_get::<Option<_>, _>("seqs")?.unwrap_or_default();
    let ats: Vec<i64> = row.try_get::<Option<_>, _>("ats")?.unwrap_or_default();
    let heads = names.into_iter().zip(seqs).zip(ats).map(|((name, seq), at)| {
        let seq = u64::try_from(seq).map_err(|_| Fault::corrupt(format!("an event has the number {seq}")))?;
        Ok(EventHead { name: Arc::from(name), seq, at: Timestamp::from_micros(at) })
    });
    heads.collect()
}
