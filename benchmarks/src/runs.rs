//! Workloads that run instances to their end through a checkpointing runner.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};
use sayiir::core::journal::EntryKind;
use sayiir::persistence::Store;
use sayiir::prelude::*;

use crate::flows::{self, Flow};
use crate::measure::{median, peak_rss_mb, percentile};
use crate::report::{More, Part, Report};
use crate::store::{Ground, row_bytes};
use crate::{Args, measure, workers};

/// The input: as many digits as what comes of it, so that every step stores as much.
pub(crate) const FIRST: u64 = 100_000;

/// The steps of a long instance.
pub(crate) const LONG: usize = 1000;

/// What is run, and how much of it.
struct Load {
    workload: &'static str,
    flow: Flow,
    instances: usize,
    in_flight: usize,
    branches: usize,
    steps: usize,
}

/// The figures of one round.
#[derive(Default)]
struct Round {
    seconds: f64,
    latencies: Vec<f64>,
    raw: f64,
    statements: f64,
    bytes: f64,
}

pub(crate) async fn linear(args: &Args) -> anyhow::Result<Report> {
    let (instances, in_flight) = (args.instances.unwrap_or(2000), args.in_flight);
    measured(args, Load { workload: "linear", flow: flows::linear(5)?, instances, in_flight, branches: 1, steps: 5 }).await
}

pub(crate) async fn single(args: &Args) -> anyhow::Result<Report> {
    let instances = args.instances.unwrap_or(200);
    measured(args, Load { workload: "single", flow: flows::linear(5)?, instances, in_flight: 1, branches: 1, steps: 5 }).await
}

pub(crate) async fn fanout(args: &Args) -> anyhow::Result<Report> {
    let instances = args.instances.unwrap_or(20);
    measured(args, Load { workload: "fanout", flow: flows::fanout(100)?, instances, in_flight: 1, branches: 100, steps: 101 }).await
}

pub(crate) async fn long(args: &Args) -> anyhow::Result<Report> {
    let instances = args.instances.unwrap_or(1);
    let flow = flows::linear(LONG)?;
    // Kept: a server ends with it.
    let ground = Ground::new(args.store, &args.dir, args.url.clone())?;
    let place = ground.place().await?;
    run_all(&place.store, &flow, 1, 1).await?;
    let rows = WorkflowClient::new(Arc::clone(&place.store)).history("bench-0").await?;
    let rows: Vec<_> = rows.into_iter().filter(|row| row.kind == EntryKind::TaskCompleted).collect();
    let part = |rows: &[sayiir::core::journal::JournalRow]| {
        let time = rows.first().zip(rows.last()).map_or(0, |(first, last)| last.at.as_micros() - first.at.as_micros());
        Part { rows: rows.len(), bytes: rows.iter().map(row_bytes).sum(), ms: time as f64 / 1000.0 }
    };
    let (first, last) =
        (rows.first_chunk::<100>().context("fewer than 100 steps")?, rows.last_chunk::<100>().context("fewer than 100 steps")?);
    let more = More { first_100: Some(part(first)), last_100: Some(part(last)), ..More::default() };
    let load = Load { workload: "long", flow, instances, in_flight: 1, branches: 1, steps: LONG };
    Ok(Report { more, ..measured(args, load).await? })
}

async fn measured(args: &Args, load: Load) -> anyhow::Result<Report> {
    let ground = Ground::new(args.store, &args.dir, args.url.clone())?;
    let mut rounds = Vec::new();
    for _ in 0..args.rounds.max(1) {
        rounds.push(round(args, &ground, &load).await?);
    }
    let Load { workload, flow: _, instances, in_flight: _, branches, steps } = load;
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let latency = |part| median(rounds.iter().map(|round| percentile(&mut round.latencies.clone(), part)).collect());
    let (needed, seconds, raw) = (instances * steps, of(|round| round.seconds), of(|round| round.raw));
    let (rate, p50) = (needed as f64 / seconds, latency(50));
    Ok(Report {
        workload,
        store: args.store,
        rounds: rounds.len(),
        instances,
        branches,
        steps_needed: needed,
        steps_executed: needed,
        seconds,
        steps_per_second: rate,
        p50_ms: p50,
        p95_ms: latency(95),
        p99_ms: latency(99),
        peak_rss_mb: peak_rss_mb(),
        raw_commits_per_second: raw,
        p50_in_raw_commits: p50 / 1000.0 * raw,
        // Each round beside the disk as it was then.
        steps_per_raw_commit: median(rounds.iter().map(|round| needed as f64 / round.seconds / round.raw).collect()),
        statements_per_step: of(|round| round.statements) / needed as f64,
        bytes_per_step: of(|round| round.bytes) / needed as f64,
        more: More::default(),
    })
}

async fn round(args: &Args, ground: &Ground, load: &Load) -> anyhow::Result<Round> {
    let before = ground.raw_commits_per_second()?;
    let place = ground.place().await?;
    let (empty, stated, resident) = (place.bytes().await?, place.statements().await?, measure::rss_mb());
    let Driven { latencies, seconds } = if let Some(workers) = args.workers {
        workers::run_all(args, workers, &place, &load.flow, load.instances, load.in_flight).await?
    } else {
        let begun = Instant::now();
        let latencies = run_all(&place.store, &load.flow, load.instances, load.in_flight).await?;
        Driven { latencies, seconds: begun.elapsed().as_secs_f64() }
    };
    let statements = place.statements().await? - stated;
    let bytes = if empty > 0.0 { place.bytes().await? - empty } else { (measure::rss_mb() - resident) * 1024.0 * 1024.0 };
    let raw = f64::midpoint(before, ground.raw_commits_per_second()?);
    Ok(Round { seconds, latencies, raw, statements, bytes })
}

/// How long instances took: each, in milliseconds, where that can be told, and all.
pub(crate) struct Driven {
    pub(crate) latencies: Vec<f64>,
    pub(crate) seconds: f64,
}

/// Runs instances, so many at a time, and gives how long each took, in milliseconds.
async fn run_all(store: &Arc<dyn Store>, flow: &Flow, instances: usize, in_flight: usize) -> anyhow::Result<Vec<f64>> {
    let runner = Arc::new(CheckpointingRunner::from_shared(Arc::new(Arc::clone(store))));
    let next = Arc::new(AtomicUsize::new(0));
    let lanes: Vec<_> = (0..in_flight)
        .map(|_| {
            let (runner, flow, next) = (Arc::clone(&runner), flow.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= instances {
                        return anyhow::Ok(latencies);
                    }
                    let begun = Instant::now();
                    let status = runner.run(&flow, format!("bench-{number}"), FIRST).await?;
                    latencies.push(begun.elapsed().as_secs_f64() * 1000.0);
                    ensure!(status.is_completed(), "instance {number} came to {status:?}");
                }
            })
        })
        .collect();
    let mut latencies = Vec::with_capacity(instances);
    for lane in lanes {
        latencies.extend(lane.await??);
    }
    Ok(latencies)
}
