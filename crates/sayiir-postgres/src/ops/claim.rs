//! Leases: who takes which branch, and for how long. A claim looks at as many rows as it takes, however many there are.

use std::time::Duration;

use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_persistence::{BranchView, ClaimRequest, ClaimScope, StoreError};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::fault::{Fault, Outcome};
use crate::ops::{sessions, views};
use crate::rows::{branch_id, db, maybe_number, micros, most, number, run as run_of};
use crate::tx::{Tx, now};

/// The lanes of these definitions that a worker of these tags serves (no tags: all), as `lanes (id)`.
macro_rules! served {
    ($hashes:literal, $tags:literal) => {
        concat!(
            "lanes AS MATERIALIZED (SELECT l.id FROM definition d JOIN lane l ON l.definition = d.id WHERE d.hash = ANY (",
            $hashes,
            "::bytea[]) AND (cardinality(",
            $tags,
            "::text[]) = 0 OR l.tags <@ ",
            $tags,
            "))"
        )
    };
}

/// Takes the branches that `got` has locked.
macro_rules! take {
    () => {
        "up AS (UPDATE branch b SET revision = b.revision + 1, crashes = b.crashes + (b.lease IS NOT NULL)::int, lease = $2, \
         run_at = c.now + $3, attempt_at = c.now FROM got, c WHERE b.run = got.run AND b.branch = got.branch RETURNING b.run, b.branch, got.rank) \
         SELECT up.run, up.branch FROM up ORDER BY up.rank, up.run, up.branch"
    };
}

/// The first `$4` due branches in order of `run_at + (priority - 1) * ageing`: the first of each lane and priority, merged.
/// Those that somebody else is taking are passed over, so more are looked at than are taken.
pub(crate) const CLAIM_DEFINITIONS: &str = concat!(
    "WITH c AS MATERIALIZED (SELECT ",
    now!(),
    " AS now), ",
    served!("$5", "$6"),
    ", arms AS MATERIALIZED (SELECT x.run, x.branch, x.rank FROM lanes CROSS JOIN generate_series(1, 5) p CROSS JOIN LATERAL (\
     SELECT b.run, b.branch, b.run_at + (p - 1) * $7::bigint AS rank FROM branch b WHERE b.lane = lanes.id AND b.priority = p::smallint \
     AND b.run_at <= (SELECT now FROM c) ORDER BY b.run_at LIMIT $4) x ORDER BY x.rank, x.run, x.branch LIMIT 4 * $4), \
     got AS MATERIALIZED (SELECT b.run, b.branch, arms.rank FROM arms JOIN branch b ON b.run = arms.run AND b.branch = arms.branch \
     WHERE b.run_at <= (SELECT now FROM c) ORDER BY arms.rank, b.run, b.branch LIMIT $4 FOR NO KEY UPDATE OF b SKIP LOCKED), ",
    take!()
);

pub(crate) const CLAIM_INSTANCE: &str = concat!(
    "WITH c AS MATERIALIZED (SELECT ",
    now!(),
    " AS now), got AS MATERIALIZED (SELECT b.run, b.branch, b.run_at AS rank FROM branch b \
     WHERE b.run = (SELECT i.run FROM instance i WHERE i.instance_id = $5) AND b.run_at <= (SELECT now FROM c) \
     ORDER BY b.run_at, b.branch LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED), ",
    take!()
);

pub(crate) const CLAIM_BRANCH: &str = concat!(
    "WITH c AS MATERIALIZED (SELECT ",
    now!(),
    " AS now), got AS MATERIALIZED (SELECT b.run, b.branch, b.run_at AS rank FROM branch b WHERE b.run = $5 AND b.branch = $6 \
     AND b.run_at <= (SELECT now FROM c) LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED), ",
    take!()
);

/// Takes what is due; says what it took. What each branch is, the caller reads in a statement of its own.
async fn take(tx: &mut Tx<'_>, request: &ClaimRequest) -> Outcome<Vec<(RunNumber, BranchId)>> {
    let ClaimRequest { lease, ttl, limit, scope } = request;
    let query =
        |sql: &'static str| sqlx::query(sql).bind(tx.given()).bind(db(lease.0)).bind(micros(*ttl)).bind(most((*limit).min(1 << 20)));
    let asked = match scope {
        ClaimScope::Definitions { hashes, tags, ageing } => {
            let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.as_bytes().to_vec()).collect();
            query(CLAIM_DEFINITIONS).bind(hashes).bind(tags.to_vec()).bind(micros(*ageing).min(1 << 58))
        }
        ClaimScope::Instance(id) => query(CLAIM_INSTANCE).bind(id.to_string()),
        ClaimScope::Branch { run, branch } => query(CLAIM_BRANCH).bind(db(run.0)).bind(branch.as_str().to_owned()),
    };
    let taken = asked.fetch_all(&mut *tx.conn).await?;
    taken.iter().map(|row| Ok((run_of(row)?, branch_id(row, "branch")?))).collect()
}

pub(crate) async fn claim(tx: &mut Tx<'_>, request: &ClaimRequest) -> Outcome<Vec<BranchView>> {
    sessions::remember_ttl(tx, request.lease, request.ttl).await?;
    let taken = take(tx, request).await?;
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let mut claimed = Vec::with_capacity(taken.len());
    for seen in views::of_keys(tx, request.lease, &taken).await? {
        match seen {
            Ok(view) => claimed.push(view),
            Err((run, branch, Fault::Store(error @ StoreError::Corrupt { .. }))) => {
                set_aside(tx, request.lease, run, &branch, &error).await?;
            }
            Err((_, _, fault)) => return Err(fault),
        }
    }
    Ok(claimed)
}

/// A branch whose rows are damaged must not keep all the others from being taken: nobody is handed it again
/// until its run is unpaused, cancelled or replaced, and it stays to be seen.
async fn set_aside(tx: &mut Tx<'_>, lease: LeaseId, run: RunNumber, branch: &BranchId, error: &StoreError) -> Outcome<()> {
    tracing::error!(%run, %branch, %error, "a branch cannot be read; it is set aside");
    let sql = "UPDATE branch SET lease = NULL, run_at = NULL WHERE run = $1 AND branch = $2 AND lease = $3";
    sqlx::query(sql).bind(db(run.0)).bind(branch.as_str()).bind(db(lease.0)).execute(&mut *tx.conn).await?;
    Ok(())
}

pub(crate) const NEXT_OF_DEFINITIONS: &str = concat!(
    "WITH c AS MATERIALIZED (SELECT ",
    now!(),
    " AS now), ",
    served!("$2", "$3"),
    " SELECT min(x.run_at) - (SELECT now FROM c) AS wait FROM lanes CROSS JOIN generate_series(1, 5) p CROSS JOIN LATERAL (\
     SELECT b.run_at FROM branch b WHERE b.lane = lanes.id AND b.priority = p::smallint AND b.run_at IS NOT NULL \
     ORDER BY b.run_at LIMIT 1) x"
);

pub(crate) const NEXT_OF_INSTANCE: &str = concat!(
    "SELECT min(b.run_at) - ",
    now!(),
    " AS wait FROM branch b WHERE b.run = (SELECT i.run FROM instance i WHERE i.instance_id = $2)"
);

pub(crate) const NEXT_OF_BRANCH: &str =
    concat!("SELECT min(b.run_at) - ", now!(), " AS wait FROM branch b WHERE b.run = $2 AND b.branch = $3");

pub(crate) async fn next_due(tx: &mut Tx<'_>, scope: &ClaimScope) -> Outcome<Option<Duration>> {
    let query = |sql: &'static str| sqlx::query(sql).bind(tx.given());
    let asked = match scope {
        ClaimScope::Definitions { hashes, tags, ageing: _ } => {
            let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.as_bytes().to_vec()).collect();
            query(NEXT_OF_DEFINITIONS).bind(hashes).bind(tags.to_vec())
        }
        ClaimScope::Instance(id) => query(NEXT_OF_INSTANCE).bind(id.to_string()),
        ClaimScope::Branch { run, branch } => query(NEXT_OF_BRANCH).bind(db(run.0)).bind(branch.as_str().to_owned()),
    };
    let wait: Option<i64> = asked.fetch_one(&mut *tx.conn).await?.try_get("wait")?;
    Ok(wait.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
}

/// What a lease holds, by the index of leases.
pub(crate) async fn leased(tx: &mut Tx<'_>, lease: LeaseId) -> Outcome<Vec<(RunNumber, BranchId, u64)>> {
    let sql = "SELECT run, branch, revision FROM branch WHERE lease = $1 ORDER BY run, branch";
    let held = sqlx::query(sql).bind(db(lease.0)).fetch_all(&mut *tx.conn).await?;
    held.iter().map(|row| Ok((run_of(row)?, branch_id(row, "branch")?, number(row, "revision")?))).collect()
}

/// The branches of the keys that the lease still holds, locked in order; then all of them, extended.
pub(crate) const RENEW: &str = concat!(
    "WITH c AS MATERIALIZED (SELECT ",
    now!(),
    " AS now), t AS MATERIALIZED (SELECT * FROM unnest($4::bigint[], $5::text[]) WITH ORDINALITY t (run, branch, ord)), \
     l AS MATERIALIZED (SELECT b.run, b.branch FROM t JOIN branch b ON b.run = t.run AND b.branch = t.branch \
     WHERE b.lease IS NOT DISTINCT FROM $2 ORDER BY b.run, b.branch FOR NO KEY UPDATE OF b), \
     up AS (UPDATE branch b SET run_at = c.now + $3 FROM l, c WHERE b.run = l.run AND b.branch = l.branch \
     RETURNING b.run, b.branch, b.revision) \
     SELECT up.revision FROM t LEFT JOIN up ON up.run = t.run AND up.branch = t.branch ORDER BY t.ord"
);

/// Extends leases that are still held; revisions stay.
pub(crate) async fn renew(tx: &mut Tx<'_>, lease: LeaseId, ttl: Duration, branches: &[(RunNumber, BranchId)]) -> Outcome<Vec<Option<u64>>> {
    sessions::remember_ttl(tx, lease, ttl).await?;
    if branches.is_empty() {
        return Ok(Vec::new());
    }
    let runs: Vec<i64> = branches.iter().map(|(run, _)| db(run.0)).collect();
    let ids: Vec<&str> = branches.iter().map(|(_, branch)| branch.as_str()).collect();
    let asked = sqlx::query(RENEW).bind(tx.given()).bind(db(lease.0)).bind(micros(ttl)).bind(runs).bind(ids);
    asked.fetch_all(&mut *tx.conn).await?.iter().map(|row: &PgRow| maybe_number(row, "revision")).collect()
}

/// Makes what a lease holds due at once. The lease stays, so that whoever takes it counts a crash.
pub(crate) async fn expire(tx: &mut Tx<'_>, lease: LeaseId) -> Outcome<u64> {
    let sql = concat!(
        "WITH l AS MATERIALIZED (SELECT run, branch FROM branch WHERE lease = $2 ORDER BY run, branch FOR NO KEY UPDATE) \
         UPDATE branch b SET run_at = ",
        now!(),
        " FROM l WHERE b.run = l.run AND b.branch = l.branch AND b.lease IS NOT DISTINCT FROM $2"
    );
    let expired = sqlx::query(sql).bind(tx.given()).bind(db(lease.0)).execute(&mut *tx.conn).await?.rows_affected();
    tx.news.due |= expired > 0;
    Ok(expired)
}

/// Keeps what a task reports, if its branch is still held.
pub(crate) async fn report_progress(tx: &mut Tx<'_>, lease: LeaseId, run: RunNumber, branch: &BranchId, progress: &[u8]) -> Outcome<bool> {
    let sql = concat!(
        "UPDATE branch SET progress = $5, progress_at = ",
        now!(),
        " WHERE run = $2 AND branch = $3 AND lease IS NOT DISTINCT FROM $4"
    );
    let asked = sqlx::query(sql).bind(tx.given()).bind(db(run.0)).bind(branch.as_str()).bind(db(lease.0)).bind(progress);
    Ok(asked.execute(&mut *tx.conn).await?.rows_affected() > 0)
}
