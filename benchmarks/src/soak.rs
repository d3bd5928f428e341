//! A long run under full load, with a purge beside it: does anything grow, or become slower?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sayiir::persistence::{PurgeRequest, Purgeable, Store};
use sayiir::prelude::*;
use serde::Serialize;
use sqlx::{Connection, PgConnection, Row};

use crate::flows::{self, Flow};
use crate::measure::{peak_rss_mb, percentile, rss_mb};
use crate::report::{More, Report};
use crate::runs::FIRST;
use crate::store::{Ground, Kind, Place};
use crate::{Args, workers};

/// How long an instance is kept after its end.
const KEPT: Duration = Duration::from_secs(10);
/// So many are purged at a time.
const PURGED: usize = 200;
const STEPS: usize = 5;

/// What a part of the run was like.
#[derive(Debug, Serialize)]
pub(crate) struct Period {
    /// Seconds from the begin of the run to the end of the period.
    at: f64,
    steps_per_second: f64,
    /// Of an instance, from its start to its end.
    p50_ms: f64,
    p99_ms: f64,
    statements_per_step: f64,
    /// Log, that of the purge included.
    wal_bytes_per_step: f64,
    /// Of the updates of branches, how many touched no index.
    hot_percent: f64,
    dead_branches: i64,
    dead_instances: i64,
    dead_journal: i64,
    /// Of all tables, and of all their indexes.
    tables_mb: f64,
    indexes_mb: f64,
    branch_mb: f64,
    /// Instances that are kept.
    instances: i64,
    /// Ended runs whose journals are still to be deleted.
    to_purge: i64,
    rss_mb: f64,
}

/// What the lanes and the meter share.
#[derive(Default)]
struct Load {
    next: AtomicUsize,
    over: AtomicBool,
    latencies: Mutex<Vec<f64>>,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<Report> {
    ensure!(args.store == Kind::Postgres, "only PostgreSQL tells what a long run does to its tables: use --store postgres");
    let ground = Ground::new(args.store, &args.dir, args.url.clone())?;
    let before = ground.raw_commits_per_second()?;
    let place = ground.place().await?;
    let (flow, load) = (flows::linear(STEPS)?, Arc::new(Load::default()));
    let mut processes = workers::begin(args, args.workers.unwrap_or(0), &place, args.in_flight)?;
    let lanes: Vec<_> = (0..args.in_flight)
        .map(|_| tokio::spawn(lane(Arc::clone(&place.store), flow.clone(), Arc::clone(&load), args.workers.is_some())))
        .collect();
    workers::let_go(&mut processes)?;
    let purge = tokio::spawn(purge(Arc::clone(&place.store), Arc::clone(&load)));
    let periods = measure(args, &place, &load).await;
    load.over.store(true, Ordering::Relaxed);
    for lane in lanes {
        lane.await??;
    }
    purge.await??;
    let periods = periods?;
    drop(processes);
    let (first, last) = (periods.first().context("no period")?, periods.last().context("no period")?);
    let raw = f64::midpoint(before, ground.raw_commits_per_second()?);
    let (seconds, instances) = (last.at, load.next.load(Ordering::Relaxed));
    let steps: usize = instances * STEPS;
    Ok(Report {
        workload: "soak",
        store: args.store,
        rounds: 1,
        instances,
        branches: 1,
        steps_needed: steps,
        steps_executed: steps,
        seconds,
        steps_per_second: steps as f64 / seconds,
        p50_ms: first.p50_ms,
        p95_ms: 0.0,
        p99_ms: first.p99_ms,
        peak_rss_mb: peak_rss_mb(),
        raw_commits_per_second: raw,
        p50_in_raw_commits: first.p50_ms / 1000.0 * raw,
        steps_per_raw_commit: steps as f64 / seconds / raw,
        statements_per_step: last.statements_per_step,
        bytes_per_step: last.wal_bytes_per_step,
        more: More { last_p50_ms: Some(last.p50_ms), last_p99_ms: Some(last.p99_ms), periods: Some(periods), ..More::default() },
    })
}

/// Runs one instance after the other.
async fn lane(store: Arc<dyn Store>, flow: Flow, load: Arc<Load>, by_workers: bool) -> anyhow::Result<()> {
    let (runner, client) = (CheckpointingRunner::new(Arc::clone(&store)), WorkflowClient::new(store));
    while !load.over.load(Ordering::Relaxed) {
        let (number, begun) = (load.next.fetch_add(1, Ordering::Relaxed), Instant::now());
        let id = format!("bench-{number}");
        if by_workers {
            client.submit(&flow, id.as_str(), FIRST).await?;
            client.wait_for(&flow, &id, None).await?;
        } else {
            ensure!(runner.run(&flow, id, FIRST).await?.is_completed(), "instance {number} did not complete");
        }
        load.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(())
}

/// Forgets what has ended, as an operator's timer would.
async fn purge(store: Arc<dyn Store>, load: Arc<Load>) -> anyhow::Result<()> {
    while !load.over.load(Ordering::Relaxed) {
        let removed = store.purge(PurgeRequest { what: Purgeable::Ended { workflow: None }, older_than: KEPT, limit: PURGED }).await?;
        if removed < PURGED as u64 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

async fn measure(args: &Args, place: &Place, load: &Load) -> anyhow::Result<Vec<Period>> {
    let (url, schema) = place.address.split_once('#').context("a server")?;
    let mut conn = PgConnection::connect(url).await?;
    let (begun, mut periods) = (Instant::now(), Vec::new());
    let mut counts = Counts::read(&mut conn, schema).await?;
    let length = Duration::from_secs(args.seconds.div_ceil(10).clamp(1, 60));
    while begun.elapsed() < Duration::from_secs(args.seconds) {
        tokio::time::sleep(length).await;
        let mut latencies = std::mem::take(&mut *load.latencies.lock().unwrap_or_else(PoisonError::into_inner));
        let now = Counts::read(&mut conn, schema).await?;
        let period = period(begun, &mut latencies, &counts, &now, &mut conn, schema).await?;
        if !args.json {
            println!("{}", serde_json::to_string(&period)?);
        }
        periods.push(period);
        counts = now;
    }
    Ok(periods)
}

async fn period(
    begun: Instant,
    latencies: &mut [f64],
    before: &Counts,
    now: &Counts,
    conn: &mut PgConnection,
    schema: &str,
) -> anyhow::Result<Period> {
    let steps = (latencies.len() * STEPS) as f64;
    let sizes = "select coalesce(sum(pg_table_size(relid)), 0)::float8, coalesce(sum(pg_indexes_size(relid)), 0)::float8, \
                 coalesce(sum(pg_total_relation_size(relid)) filter (where relname = 'branch'), 0)::float8, \
                 coalesce(sum(n_dead_tup) filter (where relname = 'branch'), 0)::int8, \
                 coalesce(sum(n_dead_tup) filter (where relname = 'instance'), 0)::int8, \
                 coalesce(sum(n_dead_tup) filter (where relname = 'journal'), 0)::int8, \
                 coalesce(sum(n_live_tup) filter (where relname = 'instance'), 0)::int8 \
                 from pg_stat_user_tables where schemaname = $1";
    let row = sqlx::query(sizes).bind(schema).fetch_one(&mut *conn).await?;
    // A schema's name here is a plain word of this program's.
    let to_purge = format!("select count(*) from {schema}.purge");
    let mb = |bytes: f64| bytes / f64::from(1 << 20);
    Ok(Period {
        at: begun.elapsed().as_secs_f64(),
        steps_per_second: steps / now.at.duration_since(before.at).as_secs_f64(),
        p50_ms: percentile(latencies, 50),
        p99_ms: percentile(latencies, 99),
        statements_per_step: (now.statements - before.statements) / steps,
        wal_bytes_per_step: (now.log - before.log) / steps,
        hot_percent: 100.0 * (now.hot - before.hot) / (now.updates - before.updates).max(1.0),
        tables_mb: mb(row.try_get(0)?),
        indexes_mb: mb(row.try_get(1)?),
        branch_mb: mb(row.try_get(2)?),
        dead_branches: row.try_get(3)?,
        dead_instances: row.try_get(4)?,
        dead_journal: row.try_get(5)?,
        instances: row.try_get(6)?,
        to_purge: sqlx::query_scalar(sqlx::AssertSqlSafe(to_purge)).fetch_one(&mut *conn).await?,
        rss_mb: rss_mb(),
    })
}

/// What the server has counted so far.
struct Counts {
    at: Instant,
    statements: f64,
    log: f64,
    updates: f64,
    hot: f64,
}

impl Counts {
    async fn read(conn: &mut PgConnection, schema: &str) -> anyhow::Result<Self> {
        let sql = "select txid_snapshot_xmax(txid_current_snapshot())::float8, (pg_current_wal_insert_lsn() - '0/0')::float8, \
                   n_tup_upd::float8, n_tup_hot_upd::float8 from pg_stat_user_tables where schemaname = $1 and relname = 'branch'";
        let row = sqlx::query(sql).bind(schema).fetch_one(conn).await?;
        let [statements, log, updates, hot] = [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?];
        Ok(Self { at: Instant::now(), statements, log, updates, hot })
    }
}
