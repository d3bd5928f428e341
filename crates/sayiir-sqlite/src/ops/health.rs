//! Counts, and what may be wrong. A reader's work: no writer waits for it, but in a store in memory, where there is one connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Row;
use sayiir_core::time::Timestamp;
use sayiir_persistence::{
    BranchHealth, BranchStats, Countable, Definition, HEALTH_ROWS, LaneHealth, RunState, SessionHealth, StoreHealth, StoreStats,
    WorkflowStats,
};

use crate::fault::Outcome;
use crate::ops::{lanes, sessions};
use crate::rows::{Col, Stage, branch_id, col, maybe, stage};
use crate::schema;
use crate::tx::{Look, first, rows};

pub(crate) fn stats(look: Look<'_>) -> Outcome<StoreStats> {
    let count = |sql: &str| first(look.conn, sql, [], |row| row.get::<_, u64>(0));
    let pages = count("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")?;
    Ok(StoreStats {
        workflows: workflows(look)?,
        branches: branches(look)?,
        events: count("SELECT count(*) FROM event")?.unwrap_or(0),
        bytes: pages,
        now: look.now,
    })
}

fn workflows(look: Look<'_>) -> Outcome<Vec<WorkflowStats>> {
    // No index has all three: to go along one is to look each row up.
    let sql = "SELECT coalesce((SELECT name FROM definition WHERE id = i.definition), '') AS name, i.status, i.paused, i.count FROM \
               (SELECT definition, status, paused, count(*) AS count FROM instance NOT INDEXED WHERE status > 0 \
               GROUP BY definition, status, paused) i";
    let found = rows(look.conn, sql, [], |row| Ok((row.get::<_, Arc<str>>("name")?, state(row)?, row.get::<_, u64>("count")?)))?;
    let mut by_name: BTreeMap<Arc<str>, WorkflowStats> = BTreeMap::new();
    for (name, state, count) in found {
        let of_name = by_name.entry(Arc::clone(&name)).or_insert_with(|| WorkflowStats { workflow: name, ..WorkflowStats::default() });
        *of_name.of(state) += count;
    }
    Ok(by_name.into_values().collect())
}

fn state(row: &Row<'_>) -> rusqlite::Result<RunState> {
    match stage(row)? {
        Stage::Run(state) => Ok(state),
        Stage::MailOnly => Err(rusqlite::Error::IntegralValueOutOfRange(0, 0)),
    }
}

fn branches(look: Look<'_>) -> Outcome<BranchStats> {
    let sql = "SELECT i.status, i.paused, b.lease IS NOT NULL AS leased, b.run_at > ?1 AS ahead, b.pending > 0 AS joining, \
               b.awaits IS NOT NULL AS awaiting, count(*) AS count FROM branch b JOIN instance i ON i.run = b.run GROUP BY 1, 2, 3, 4, 5, 6";
    let found = rows(look.conn, sql, [Col(look.now)], |row| {
        let ahead: Option<bool> = row.get("ahead")?;
        let branch = Countable {
            leased: row.get("leased")?,
            run_at: ahead.map(|ahead| look.now + Duration::from_micros(u64::from(ahead))),
            joining: row.get("joining")?,
            awaiting: row.get("awaiting")?,
            state: state(row)?,
        };
        Ok((branch, row.get::<_, u64>("count")?))
    })?;
    let mut stats = BranchStats::default();
    for (branch, count) in found {
        *stats.of(branch, look.now) += count;
    }
    Ok(stats)
}

/// What every list of branches shows.
macro_rules! branch_health {
    ($from_where_order:literal) => {
        concat!("SELECT i.instance_id, b.run, b.branch, b.node, b.lease, b.run_at, b.crashes FROM ", $from_where_order, " LIMIT ?1")
    };
}

pub(crate) fn health(look: Look<'_>) -> Outcome<StoreHealth> {
    let most = i64::try_from(HEALTH_ROWS).unwrap_or(i64::MAX);
    let lapsed = branch_health!(
        "branch b INDEXED BY branch_leased JOIN instance i ON i.run = b.run WHERE b.lease IS NOT NULL AND b.run_at <= ?2 \
         ORDER BY b.run_at, b.run, b.branch"
    );
    let crashed = branch_health!("branch b JOIN instance i ON i.run = b.run WHERE b.crashes > 0 ORDER BY b.crashes DESC, b.run, b.branch");
    let set_aside = branch_health!(
        "branch b JOIN instance i ON i.run = b.run WHERE b.run_at IS NULL AND b.lease IS NULL AND b.pending = 0 AND b.awaits IS NULL \
         AND i.status = 1 AND i.paused = 0 ORDER BY b.run, b.branch"
    );
    Ok(StoreHealth {
        schema: Arc::from(format!("SQLite, schema version {}", schema::VERSION)),
        now: look.now,
        sessions: session_health(look, most)?,
        lanes: lane_health(look, most)?,
        lapsed: rows(look.conn, lapsed, (most, Col(look.now)), branch)?,
        crashed: rows(look.conn, crashed, [most], branch)?,
        set_aside: rows(look.conn, set_aside, [most], branch)?,
    })
}

fn branch(row: &Row<'_>) -> rusqlite::Result<BranchHealth> {
    Ok(BranchHealth {
        instance_id: row.get("instance_id")?,
        run: col(row, "run")?,
        branch: branch_id(row, "branch")?,
        node: row.get("node")?,
        lease: maybe(row, "lease")?,
        run_at: maybe(row, "run_at")?,
        crashes: row.get("crashes")?,
    })
}

fn session_health(look: Look<'_>, most: i64) -> Outcome<Vec<SessionHealth>> {
    let sql = "SELECT s.*, (SELECT count(*) FROM branch b WHERE b.lease = s.lease) AS branches, \
               (SELECT max(run_at) FROM branch b WHERE b.lease = s.lease) AS leased_until \
               FROM session s ORDER BY s.seen_at DESC, s.lease DESC LIMIT ?1";
    rows(look.conn, sql, [most], |row| {
        Ok(SessionHealth {
            lease: col(row, "lease")?,
            process: sessions::process(row)?,
            branches: row.get("branches")?,
            seen_at: col(row, "seen_at")?,
            leased_until: maybe(row, "leased_until")?,
            ttl: row.get::<_, Option<u64>>("ttl")?.map(Duration::from_micros),
        })
    })
}

fn lane_health(look: Look<'_>, most: i64) -> Outcome<Vec<LaneHealth>> {
    let sql = "SELECT due.count, due.first, coalesce(held.count, 0) AS leased, coalesce(held.sessions, 0) AS holders, \
               l.tags, d.hash, d.name, d.version FROM \
               (SELECT lane, count(*) AS count, min(run_at) AS first FROM branch INDEXED BY branch_due WHERE run_at IS NOT NULL AND run_at <= ?1 \
               GROUP BY lane) due LEFT JOIN (SELECT lane, count(*) AS count, count(DISTINCT lease) AS sessions FROM branch INDEXED BY branch_leased \
               WHERE lease IS NOT NULL AND run_at > ?1 GROUP BY lane) held ON held.lane = due.lane \
               JOIN lane l ON l.id = due.lane JOIN definition d ON d.id = l.definition ORDER BY due.first, l.id LIMIT ?2";
    rows(look.conn, sql, (Col(look.now), most), |row| {
        let (first, tags): (Timestamp, String) = (col(row, "first")?, row.get("tags")?);
        let hash = sayiir_core::DefinitionHash::from_bytes(row.get("hash")?);
        Ok(LaneHealth {
            definition: Definition { hash, name: row.get("name")?, version: row.get("version")?, document: None },
            tags: lanes::tags(&tags),
            due: row.get("count")?,
            oldest: look.now.since(first),
            leased: row.get("leased")?,
            holders: row.get("holders")?,
        })
    })
}
