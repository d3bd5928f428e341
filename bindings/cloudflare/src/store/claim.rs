//! Leases: who takes which branch, and for how long. A claim looks at as many rows as it takes, however many there are.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_core::time::Timestamp;
use sayiir_persistence::{BranchView, ClaimRequest, ClaimScope, StoreError};

use super::SqlStore;
use super::fault::{Fault, Outcome};
use super::rows::{tags_text, view, views};
use super::sessions::remember_ttl;
use crate::sql::{Row, Statement, Value, statement};

/// The lanes of the definitions `?4` (a list) that a worker of the tags `?5` (a list) serves; no tags serve all.
macro_rules! served_lanes {
    () => {
        "(SELECT l.id FROM json_each(?4) h JOIN sayiir_definition d ON d.hash = h.value JOIN sayiir_lane l ON l.definition = d.id \
         WHERE ?5 = '[]' OR NOT EXISTS (SELECT 1 FROM json_each(l.tags) t WHERE t.value NOT IN (SELECT value FROM json_each(?5)))) \
         lane, json_each('[1,2,3,4,5]') p"
    };
}

/// The first `?7` in order of `run_at + (priority - 1) * ?6`: the first so many of each lane and priority, merged.
macro_rules! due_by_rank {
    () => {
        concat!(
            "SELECT e.value ->> 0 AS run, e.value ->> 1 AS branch FROM ",
            served_lanes!(),
            ", json_each((SELECT json_group_array(json_array(run, branch, run_at)) FROM (SELECT run, branch, run_at FROM sayiir_branch \
             WHERE lane = lane.id AND priority = p.value AND run_at <= ?3 ORDER BY run_at, run, branch LIMIT ?7))) e \
             ORDER BY (e.value ->> 2) + (p.value - 1) * ?6, e.value ->> 2, e.value ->> 0, e.value ->> 1 LIMIT ?7"
        )
    };
}

macro_rules! due_of_instance {
    () => {
        "SELECT run, branch FROM sayiir_branch WHERE run = (SELECT run FROM sayiir_instance WHERE instance_id = ?4 AND status > 0) \
         AND run_at <= ?3 ORDER BY run_at, branch LIMIT ?5"
    };
}

macro_rules! due_branch {
    () => {
        "SELECT run, branch FROM sayiir_branch WHERE run = ?4 AND branch = ?5 AND run_at <= ?3 LIMIT ?6"
    };
}

/// Takes the branches that a query names.
macro_rules! take {
    ($($due:tt)*) => {
        concat!(
            "UPDATE sayiir_branch SET revision = revision + 1, crashes = crashes + (lease IS NOT NULL), lease = ?1, run_at = ?2, \
             attempt_at = ?3 WHERE (run, branch) IN (SELECT run, branch FROM (",
            $($due)*,
            ")) RETURNING run, branch"
        )
    };
}

/// What a claim looks for: the query, and the statement that takes what it finds. They share their parameters.
struct Search {
    look: &'static str,
    take: &'static str,
    params: Vec<Value>,
}

impl Search {
    /// `?1` is the lease, `?2` its end, `?3` the time.
    fn new(scope: &ClaimScope, limit: usize, lease: LeaseId, until: Timestamp, now: Timestamp) -> Self {
        let mut params: Vec<Value> = vec![lease.into(), until.into(), now.into()];
        let (look, take) = match scope {
            ClaimScope::Definitions { hashes, tags, ageing } => {
                let hashes: Vec<_> = hashes.iter().map(DefinitionHash::to_hex).collect();
                let ageing = i64::try_from(ageing.as_micros()).unwrap_or(i64::MAX);
                params.extend([tags_text(&hashes).into(), tags_text(tags).into(), ageing.into(), limit.into()]);
                (due_by_rank!(), take!(due_by_rank!()))
            }
            ClaimScope::Instance(id) => {
                params.extend([id.into(), limit.into()]);
                (due_of_instance!(), take!(due_of_instance!()))
            }
            ClaimScope::Branch { run, branch } => {
                params.extend([(*run).into(), branch.into(), limit.into()]);
                (due_branch!(), take!(due_branch!()))
            }
        };
        Self { look, take, params }
    }

    fn statement(&self, sql: &'static str) -> Statement {
        Statement { sql: sql.into(), params: self.params.clone() }
    }
}

impl SqlStore {
    pub(super) async fn claim_due(self, request: ClaimRequest) -> Outcome<Vec<BranchView>> {
        let ClaimRequest { lease, ttl, limit, scope } = request;
        let now = self.now();
        let until = now + ttl;
        let search = Search::new(&scope, limit, lease, until, now);
        let statements = vec![
            remember_ttl(lease, ttl, now),
            search.statement(search.look),
            search.statement(search.take),
            statement!(views!("b.lease = ?1 AND b.run_at = ?2 AND b.attempt_at = ?3"), lease, until, now),
        ];
        let mut answers = self.batch(statements).await?;
        answers.skip(1);
        let order = answers.next()?.iter().map(key).collect::<Outcome<Vec<_>>>()?;
        let taken = answers.next()?.iter().map(key).collect::<Outcome<Vec<_>>>()?;
        let mut views = Vec::with_capacity(taken.len());
        for row in answers.next()? {
            let key = key_of_view(&row)?;
            if !taken.contains(&key) {
                continue;
            }
            match view(&row, now) {
                Ok(view) => views.push(view),
                Err(Fault::Store(StoreError::Corrupt { .. })) => self.set_aside(key).await?,
                Err(fault) => return Err(fault),
            }
        }
        let place = |view: &BranchView| order.iter().position(|(run, branch)| *run == view.run && *branch == view.branch);
        in_order(&mut views, &place);
        Ok(views)
    }

    /// A branch whose rows are damaged must not keep all the others from being taken: nobody is handed it again
    /// until its run is unpaused, cancelled or replaced, and it stays to be seen.
    async fn set_aside(&self, (run, branch): (RunNumber, BranchId)) -> Outcome<()> {
        let sql = "UPDATE sayiir_branch SET lease = NULL, run_at = NULL WHERE run = ?1 AND branch = ?2";
        self.ask(statement!(sql, run, &branch)).await.map(drop)
    }

    pub(super) async fn due_next(self, scope: ClaimScope) -> Outcome<Option<Duration>> {
        let now = self.now();
        let mut params = Search::new(&scope, 1, LeaseId(0), now, now).params;
        // Without those that only say how much is taken, and in what order.
        let (sql, asked) = match scope {
            ClaimScope::Definitions { .. } => {
                let earliest = "SELECT min((SELECT min(run_at) FROM sayiir_branch WHERE lane = lane.id AND priority = p.value \
                                AND run_at IS NOT NULL)) FROM ";
                (format!("{earliest}{}", served_lanes!()), 5)
            }
            ClaimScope::Instance(_) => {
                let run = "(SELECT run FROM sayiir_instance WHERE instance_id = ?4 AND status > 0)";
                (format!("SELECT min(run_at) FROM sayiir_branch WHERE run = {run}"), 4)
            }
            ClaimScope::Branch { .. } => ("SELECT run_at FROM sayiir_branch WHERE run = ?4 AND branch = ?5".to_owned(), 5),
        };
        params.truncate(asked);
        let rows = self.ask(Statement { sql: sql.into(), params }).await?;
        let at: Option<Option<Timestamp>> = rows.first().map(|row| row.columns().take()).transpose()?;
        Ok(at.flatten().map(|at| at.since(now)))
    }

    /// Extends leases that are still held; revisions stay.
    pub(super) async fn renew_leases(
        self,
        lease: LeaseId,
        ttl: Duration,
        branches: Vec<(RunNumber, BranchId)>,
    ) -> Outcome<Vec<Option<u64>>> {
        let keys: Vec<_> = branches.iter().map(|(run, branch)| (run.0, branch.as_str())).collect();
        let keys = serde_json::to_string(&keys).unwrap_or_default();
        let sql = "UPDATE sayiir_branch SET run_at = ?2 WHERE lease = ?1 AND (run, branch) IN \
                   (SELECT value ->> 0, value ->> 1 FROM json_each(?3)) RETURNING run, branch, revision";
        let mut answers = self.batch(vec![remember_ttl(lease, ttl, self.now()), statement!(sql, lease, self.now() + ttl, keys)]).await?;
        answers.skip(1);
        let renewed = answers.next()?.iter().map(key_and_revision).collect::<Outcome<Vec<_>>>()?;
        let revision = |(run, branch): &(RunNumber, BranchId)| {
            renewed.iter().find(|(of, id, _)| of == run && id == branch).map(|(_, _, revision)| *revision)
        };
        Ok(branches.iter().map(revision).collect())
    }

    /// Makes what a lease holds due at once. The lease stays, so that whoever takes it counts a crash.
    pub(super) async fn expire(self, lease: LeaseId) -> Outcome<u64> {
        let sql = "UPDATE sayiir_branch SET run_at = ?2 WHERE lease = ?1 RETURNING 1";
        let expired = self.ask(statement!(sql, lease, self.now())).await?.len();
        if expired > 0 {
            self.wakeups().announce_due();
        }
        Ok(u64::try_from(expired).unwrap_or(u64::MAX))
    }

    /// Keeps what a task reports, if its branch is still held.
    pub(super) async fn keep_progress(self, lease: LeaseId, run: RunNumber, branch: BranchId, progress: Bytes) -> Outcome<bool> {
        let sql = "UPDATE sayiir_branch SET progress = ?4, progress_at = ?5 WHERE run = ?1 AND branch = ?2 AND lease = ?3 RETURNING 1";
        let progress = Value::payload(&progress);
        Ok(!self.ask(statement!(sql, run, &branch, lease, progress, self.now())).await?.is_empty())
    }

    /// All that a lease holds, with its revisions.
    pub(super) async fn all_leased(self, lease: LeaseId) -> Outcome<Vec<(RunNumber, BranchId, u64)>> {
        let sql = "SELECT run, branch, revision FROM sayiir_branch WHERE lease = ?1 ORDER BY run, branch";
        self.ask(statement!(sql, lease)).await?.iter().map(key_and_revision).collect()
    }

    /// The given branches (all, if none is given) of a run, where they are leased to `lease`.
    pub(super) async fn load_held(self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> Outcome<Vec<BranchView>> {
        let now = self.now();
        let ids: Arc<[String]> = branches.iter().map(|branch| branch.as_str().to_owned()).collect();
        let statement = if branches.is_empty() {
            statement!(views!("b.lease = ?1 AND b.run = ?2 ORDER BY b.branch"), lease, run)
        } else {
            let sql = views!("b.run = ?2 AND b.branch IN (SELECT value FROM json_each(?3)) AND b.lease = ?1");
            statement!(sql, lease, run, tags_text(&ids))
        };
        let mut views = self.ask(statement).await?.iter().map(|row| view(row, now)).collect::<Outcome<Vec<_>>>()?;
        in_order(&mut views, &|view| branches.iter().position(|branch| *branch == view.branch));
        Ok(views)
    }
}

/// Compiled once.
fn in_order(views: &mut [BranchView], place: &dyn Fn(&BranchView) -> Option<usize>) {
    views.sort_unstable_by_key(place);
}

fn key_and_revision(row: &Row) -> Outcome<(RunNumber, BranchId, u64)> {
    let mut columns = row.columns();
    Ok((columns.take()?, columns.take()?, columns.take()?))
}

fn key(row: &Row) -> Outcome<(RunNumber, BranchId)> {
    let mut columns = row.columns();
    Ok((columns.take()?, columns.take()?))
}

/// The key of a row of [`views`].
fn key_of_view(row: &Row) -> Outcome<(RunNumber, BranchId)> {
    let mut columns = row.columns();
    let (_id, run, _hash): (String, _, String) = (columns.take()?, columns.take()?, columns.take()?);
    Ok((run, columns.take()?))
}
