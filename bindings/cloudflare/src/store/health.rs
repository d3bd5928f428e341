//! Counts, and what may be wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sayiir_persistence::{
    BranchHealth, BranchStats, Countable, Definition, HEALTH_ROWS, LaneHealth, Process, RunState, SessionHealth, StoreHealth, StoreStats,
    WorkflowStats,
};

use super::fault::{Fault, Outcome};
use super::rows::tags;
use super::{SqlStore, schema};
use crate::sql::{Row, statement};

const WORKFLOWS: &str = "SELECT coalesce((SELECT name FROM sayiir_definition WHERE id = i.definition), ''), i.status, i.paused, i.count FROM \
     (SELECT definition, status, paused, count(*) AS count FROM sayiir_instance WHERE status > 0 GROUP BY definition, status, paused) i";

const BRANCHES: &str = "SELECT i.status, i.paused, b.lease IS NOT NULL, b.run_at > ?1, b.pending > 0, b.awaits IS NOT NULL, count(*) \
     FROM sayiir_branch b JOIN sayiir_instance i ON i.run = b.run GROUP BY 1, 2, 3, 4, 5, 6";

const SESSIONS: &str = "SELECT s.lease, s.host, s.pid, s.started, s.worker_id, s.seen_at, s.ttl, \
     (SELECT count(*) FROM sayiir_branch b WHERE b.lease = s.lease), (SELECT max(run_at) FROM sayiir_branch b WHERE b.lease = s.lease) \
     FROM sayiir_session s ORDER BY s.seen_at DESC, s.lease DESC LIMIT ?1";

const LANES: &str = "SELECT d.hash, d.name, d.version, l.tags, due.count, due.first, coalesce(held.count, 0), \
     coalesce(held.sessions, 0) FROM (SELECT lane, count(*) AS count, min(run_at) AS first FROM sayiir_branch \
     WHERE run_at IS NOT NULL AND run_at <= ?2 GROUP BY lane) due LEFT JOIN (SELECT lane, count(*) AS count, \
     count(DISTINCT lease) AS sessions FROM sayiir_branch WHERE lease IS NOT NULL AND run_at > ?2 GROUP BY lane) held \
     ON held.lane = due.lane JOIN sayiir_lane l ON l.id = due.lane JOIN sayiir_definition d ON d.id = l.definition ORDER BY due.first, l.id LIMIT ?1";

/// What every list of branches shows.
macro_rules! branches {
    ($where_order:literal) => {
        concat!(
            "SELECT i.instance_id, b.run, b.branch, b.node, b.lease, b.run_at, b.crashes FROM sayiir_branch b \
             JOIN sayiir_instance i ON i.run = b.run WHERE ",
            $where_order,
            " LIMIT ?1"
        )
    };
}

impl SqlStore {
    pub(super) async fn counts(self) -> Outcome<StoreStats> {
        let now = self.now();
        let statements = vec![statement!(WORKFLOWS), statement!(BRANCHES, now), statement!("SELECT count(*) FROM sayiir_event")];
        let mut answers = self.batch(statements).await?;
        let mut by_name: BTreeMap<Arc<str>, WorkflowStats> = BTreeMap::new();
        for row in answers.next()? {
            let mut columns = row.columns();
            let name: Arc<str> = columns.take()?;
            let state = state(columns.take()?, columns.take()?)?;
            let of_name = by_name.entry(Arc::clone(&name)).or_insert_with(|| WorkflowStats { workflow: name, ..WorkflowStats::default() });
            *of_name.of(state) += columns.take::<u64>()?;
        }
        let mut branches = BranchStats::default();
        for row in answers.next()? {
            let mut columns = row.columns();
            let state = state(columns.take()?, columns.take()?)?;
            let (leased, ahead) = (columns.take()?, columns.take::<Option<bool>>()?);
            let run_at = ahead.map(|ahead| now + Duration::from_micros(u64::from(ahead)));
            let branch = Countable { leased, run_at, joining: columns.take()?, awaiting: columns.take()?, state };
            *branches.of(branch, now) += columns.take::<u64>()?;
        }
        let events = answers.first()?.map_or(Ok(0), |row| row.columns().take())?;
        // How large a database is, D1 does not say.
        Ok(StoreStats { workflows: by_name.into_values().collect(), branches, events, bytes: None, now })
    }

    pub(super) async fn look_after(self) -> Outcome<StoreHealth> {
        let (now, most) = (self.now(), HEALTH_ROWS);
        let lapsed = branches!("b.lease IS NOT NULL AND b.run_at <= ?2 ORDER BY b.run_at, b.run, b.branch");
        let crashed = branches!("b.crashes > 0 ORDER BY b.crashes DESC, b.run, b.branch");
        let set_aside = branches!(
            "b.run_at IS NULL AND b.lease IS NULL AND b.pending = 0 AND b.awaits IS NULL AND i.status = 1 AND i.paused = 0 \
             ORDER BY b.run, b.branch"
        );
        let statements = vec![
            statement!(SESSIONS, most),
            statement!(LANES, most, now),
            statement!(lapsed, most, now),
            statement!(crashed, most),
            statement!(set_aside, most),
        ];
        let mut answers = self.batch(statements).await?;
        let sessions = answers.next()?.iter().map(session).collect::<Outcome<_>>()?;
        let lane = |row: &Row| {
            let mut columns = row.columns();
            let (hash, name, version) = (columns.take()?, columns.take()?, columns.take()?);
            let (text, due, first): (String, _, sayiir_core::time::Timestamp) = (columns.take()?, columns.take()?, columns.take()?);
            let definition = Definition { hash, name, version, document: None };
            let (leased, holders) = (columns.take()?, columns.take()?);
            Ok(LaneHealth { definition, tags: tags(&text)?, due, oldest: now.since(first), leased, holders })
        };
        let lanes = answers.next()?.iter().map(lane).collect::<Outcome<_>>()?;
        let mut branches = || answers.next()?.iter().map(branch).collect::<Outcome<Vec<_>>>();
        let (lapsed, crashed, set_aside) = (branches()?, branches()?, branches()?);
        let schema = Arc::from(format!("SQLite of Cloudflare, schema version {}", schema::VERSION));
        Ok(StoreHealth { schema, now, sessions, lanes, lapsed, crashed, set_aside })
    }
}

fn state(status: i64, paused: bool) -> Outcome<RunState> {
    match (status, paused) {
        (1, false) => Ok(RunState::Running),
        (1, true) => Ok(RunState::Paused),
        (2, _) => Ok(RunState::Completed),
        (3, _) => Ok(RunState::Failed),
        (4, _) => Ok(RunState::Cancelled),
        (other, _) => Err(Fault::corrupt(format!("an instance with branches has the status {other}"))),
    }
}

fn session(row: &Row) -> Outcome<SessionHealth> {
    let mut columns = row.columns();
    let (lease, host, pid, started) = (columns.take()?, columns.take()?, columns.take()?, columns.take::<String>()?);
    let started = started.parse().map_err(|_| Fault::corrupt(format!("a session started at {started:?}")))?;
    let process = Process { host, pid, started, worker_id: columns.take()? };
    let (seen_at, ttl) = (columns.take()?, columns.take::<Option<u64>>()?.map(Duration::from_micros));
    Ok(SessionHealth { lease, process, branches: columns.take()?, seen_at, leased_until: columns.take()?, ttl })
}

fn branch(row: &Row) -> Outcome<BranchHealth> {
    let mut columns = row.columns();
    let (instance_id, run, branch, node) = (columns.take()?, columns.take()?, columns.take()?, columns.take()?);
    Ok(BranchHealth { instance_id, run, branch, node, lease: columns.take()?, run_at: columns.take()?, crashes: columns.take()? })
}
