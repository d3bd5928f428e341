//! How long a submitted instance waits for an idle worker that shares nothing but the store with who submits it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sayiir::prelude::*;
use tokio::sync::mpsc;

use crate::measure::{peak_rss_mb, percentile};
use crate::report::{More, Report};
use crate::store::{Ground, Kind, open};
use crate::{Args, flows};

/// How long the worker is idle before each instance.
const IDLE: Duration = Duration::from_millis(20);

pub(crate) async fn run(args: &Args) -> anyhow::Result<Report> {
    ensure!(args.store != Kind::Memory, "two stores in memory share nothing: use --store sqlite or postgres");
    let instances = args.instances.unwrap_or(500);
    let ground = Ground::new(args.store, &args.dir, args.url.clone())?;
    let (raw, place) = (ground.raw_commits_per_second()?, ground.place().await?);
    let (told, mut begun) = mpsc::unbounded_channel();
    let flow = flows::noting(move || {
        // Nobody asks any more once all were measured.
        let _ = told.send(Instant::now());
    })?;
    let client = WorkflowClient::from_shared(Arc::new(Arc::clone(&place.store)));
    let worker = LocalWorker::from_shared(Arc::new(open(&place.address).await?));
    let worker = worker.spawn(WorkflowSet::new().with(Arc::new(flow.clone()))).await?;
    let (mut latencies, stated, whole) = (Vec::with_capacity(instances), place.statements().await?, Instant::now());
    for number in 0..=instances {
        tokio::time::sleep(IDLE).await;
        let submitted = Instant::now();
        client.submit(&flow, format!("bench-{number}"), 1).await?;
        let begun = tokio::time::timeout(Duration::from_secs(30), begun.recv()).await?.context("the worker is gone")?;
        // What is set up once, by the first, is not counted.
        if number > 0 {
            latencies.push(begun.duration_since(submitted).as_secs_f64() * 1000.0);
        }
    }
    let (seconds, statements) = (whole.elapsed().as_secs_f64(), place.statements().await? - stated);
    worker.shutdown();
    worker.join().await?;
    let p50 = percentile(&mut latencies, 50);
    Ok(Report {
        workload: "pickup",
        store: args.store,
        rounds: 1,
        instances,
        branches: 1,
        steps_needed: instances,
        steps_executed: instances,
        seconds,
        steps_per_second: instances as f64 / seconds,
        p50_ms: p50,
        p95_ms: percentile(&mut latencies, 95),
        p99_ms: percentile(&mut latencies, 99),
        peak_rss_mb: peak_rss_mb(),
        raw_commits_per_second: raw,
        p50_in_raw_commits: p50 / 1000.0 * raw,
        steps_per_raw_commit: instances as f64 / seconds / raw,
        statements_per_step: statements / instances as f64,
        bytes_per_step: 0.0,
        more: More::default(),
    })
}
