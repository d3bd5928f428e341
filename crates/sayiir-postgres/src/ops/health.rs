//! Counts, and what may be wrong: reads of one snapshot, for which no writer waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sayiir_core::branch::LeaseId;
use sayiir_persistence::{
    BranchHealth, BranchStats, Countable, HEALTH_ROWS, LaneHealth, RunState, SessionHealth, StoreHealth, StoreStats, WorkflowStats,
};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::fault::{Fault, Outcome};
use crate::ops::sessions;
use crate::rows::{
    Stage, branch_id, count, definition, maybe_number, maybe_text, maybe_time, most, number, run as run_of, stage, tags, text, time,
};
use crate::schema;
use crate::tx::Tx;

pub(crate) async fn stats(tx: &mut Tx<'_>) -> Outcome<StoreStats> {
    tx.tell_time().await?;
    let events = sqlx::query("SELECT count(*) AS events FROM event").fetch_one(&mut *tx.conn).await?;
    let bytes = sqlx::query(BYTES).fetch_one(&mut *tx.conn).await?;
    Ok(StoreStats {
        workflows: workflows(tx).await?,
        branches: branches(tx).await?,
        events: number(&events, "events")?,
        bytes: maybe_number(&bytes, "bytes")?,
        now: tx.now,
    })
}

const BYTES: &str = "SELECT sum(pg_total_relation_size(c.oid))::bigint AS bytes FROM pg_class c WHERE c.relkind = 'r' \
                     AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'instance'::regclass)";

async fn workflows(tx: &mut Tx<'_>) -> Outcome<Vec<WorkflowStats>> {
    let sql = "SELECT d.name, i.status, i.paused, i.count FROM (SELECT definition, status, paused, count(*) AS count FROM instance \
               WHERE status > 0 GROUP BY definition, status, paused) i LEFT JOIN definition d ON d.id = i.definition";
    let mut by_name: BTreeMap<Arc<str>, WorkflowStats> = BTreeMap::new();
    for row in sqlx::query(sql).fetch_all(&mut *tx.conn).await? {
        let name = maybe_text(&row, "name")?.unwrap_or_default();
        let of_name = by_name.entry(Arc::clone(&name)).or_insert_with(|| WorkflowStats { workflow: name, ..WorkflowStats::default() });
        *of_name.of(state(&row)?) += number(&row, "count")?;
    }
    Ok(by_name.into_values().collect())
}

fn state(row: &PgRow) -> Outcome<RunState> {
    match stage(row)? {
        Stage::Run(state) => Ok(state),
        Stage::MailOnly => Err(Fault::corrupt("an instance without a run has branches")),
    }
}

async fn branches(tx: &mut Tx<'_>) -> Outcome<BranchStats> {
    let sql = "SELECT i.status, i.paused, b.lease IS NOT NULL AS leased, b.run_at > $1 AS ahead, b.pending > 0 AS joining, \
               b.awaits IS NOT NULL AS awaiting, count(*) AS count FROM branch b JOIN instance i ON i.run = b.run GROUP BY 1, 2, 3, 4, 5, 6";
    let mut stats = BranchStats::default();
    for row in sqlx::query(sql).bind(tx.now.as_micros()).fetch_all(&mut *tx.conn).await? {
        let ahead: Option<bool> = row.try_get("ahead")?;
        let branch = Countable {
            leased: row.try_get("leased")?,
            run_at: ahead.map(|ahead| tx.now + Duration::from_micros(u64::from(ahead))),
            joining: row.try_get("joining")?,
            awaiting: row.try_get("awaiting")?,
            state: state(&row)?,
        };
        *stats.of(branch, tx.now) += number(&row, "count")?;
    }
    Ok(stats)
}

/// What every list of branches shows.
macro_rules! branch_health {
    ($where_order:literal) => {
        concat!(
            "SELECT i.instance_id, b.run, b.branch, b.node, b.lease, b.run_at, b.crashes FROM branch b JOIN instance i ON i.run = b.run WHERE ",
            $where_order,
            " LIMIT $1"
        )
    };
}

pub(crate) async fn health(tx: &mut Tx<'_>) -> Outcome<StoreHealth> {
    tx.tell_time().await?;
    let (rows, now) = (most(HEALTH_ROWS), tx.now);
    let lapsed = branch_health!("b.lease IS NOT NULL AND b.run_at <= $2 ORDER BY b.run_at, b.run, b.branch");
    let crashed = branch_health!("b.crashes > 0 ORDER BY b.crashes DESC, b.run, b.branch");
    let set_aside = branch_health!(
        "b.run_at IS NULL AND b.lease IS NULL AND b.pending = 0 AND b.awaits IS NULL AND i.status = 1 AND NOT i.paused \
         ORDER BY b.run, b.branch"
    );
    let lapsed = sqlx::query(lapsed).bind(rows).bind(now.as_micros()).fetch_all(&mut *tx.conn).await?;
    let crashed = sqlx::query(crashed).bind(rows).fetch_all(&mut *tx.conn).await?;
    let set_aside = sqlx::query(set_aside).bind(rows).fetch_all(&mut *tx.conn).await?;
    let read = |rows: Vec<PgRow>| rows.iter().map(branch).collect::<Outcome<Vec<_>>>();
    Ok(StoreHealth {
        schema: Arc::from(format!("PostgreSQL, schema version {}", schema::VERSION)),
        now,
        sessions: session_health(tx).await?,
        lanes: lane_health(tx).await?,
        lapsed: read(lapsed)?,
        crashed: read(crashed)?,
        set_aside: read(set_aside)?,
    })
}

fn branch(row: &PgRow) -> Outcome<BranchHealth> {
    Ok(BranchHealth {
        instance_id: text(row, "instance_id")?,
        run: run_of(row)?,
        branch: branch_id(row, "branch")?,
        node: text(row, "node")?,
        lease: maybe_number(row, "lease")?.map(LeaseId),
        run_at: maybe_time(row, "run_at")?,
        crashes: count(row, "crashes")?,
    })
}

async fn session_health(tx: &mut Tx<'_>) -> Outcome<Vec<SessionHealth>> {
    let sql = "SELECT s.*, h.branches, h.leased_until FROM session s CROSS JOIN LATERAL \
               (SELECT count(*) AS branches, max(b.run_at) AS leased_until FROM branch b WHERE b.lease = s.lease) h \
               ORDER BY s.seen_at DESC, s.lease DESC LIMIT $1";
    let found = sqlx::query(sql).bind(most(HEALTH_ROWS)).fetch_all(&mut *tx.conn).await?;
    let read = |row: &PgRow| {
        Ok(SessionHealth {
            lease: LeaseId(number(row, "lease")?),
            process: sessions::process(row)?,
            branches: number(row, "branches")?,
            seen_at: time(row, "seen_at")?,
            leased_until: maybe_time(row, "leased_until")?,
            ttl: maybe_number(row, "ttl")?.map(Duration::from_micros),
        })
    };
    found.iter().map(read).collect()
}

async fn lane_health(tx: &mut Tx<'_>) -> Outcome<Vec<LaneHealth>> {
    let sql = "SELECT due.count, due.first, coalesce(held.count, 0) AS leased, coalesce(held.sessions, 0) AS holders, \
               l.tags, d.hash, d.name, d.version FROM \
               (SELECT lane, count(*) AS count, min(run_at) AS first FROM branch WHERE run_at IS NOT NULL AND run_at <= $1 GROUP BY lane) due \
               LEFT JOIN (SELECT lane, count(*) AS count, count(DISTINCT lease) AS sessions FROM branch WHERE lease IS NOT NULL \
               AND run_at > $1 GROUP BY lane) held ON held.lane = due.lane JOIN lane l ON l.id = due.lane JOIN definition d ON d.id = l.definition ORDER BY due.first, l.id LIMIT $2";
    let found = sqlx::query(sql).bind(tx.now.as_micros()).bind(most(HEALTH_ROWS)).fetch_all(&mut *tx.conn).await?;
    let read = |row: &PgRow| {
        Ok(LaneHealth {
            definition: definition(row)?,
            tags: tags(row)?,
            due: number(row, "count")?,
            oldest: tx.now.since(time(row, "first")?),
            leased: number(row, "leased")?,
            holders: number(row, "holders")?,
        })
    };
    found.iter().map(read).collect()
}
