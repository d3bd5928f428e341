//! Instances that wait for an event: what they cost while nothing happens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use sayiir::prelude::*;

use crate::measure::{cpu_seconds, peak_rss_mb, rss_mb};
use crate::report::{More, Report};
use crate::store::Ground;
use crate::{Args, flows};

pub(crate) async fn run(args: &Args) -> anyhow::Result<Report> {
    let instances = args.instances.unwrap_or(10_000);
    let ground = Ground::new(args.store, &args.dir, args.url.clone())?;
    let (raw, place) = (ground.raw_commits_per_second()?, ground.place().await?);
    let flow = flows::waiting()?;
    let client = WorkflowClient::from_shared(Arc::new(Arc::clone(&place.store)));
    let worker = LocalWorker::from_shared(Arc::new(Arc::clone(&place.store)));
    let worker = worker.spawn(WorkflowSet::new().with(Arc::new(flow.clone()))).await?;
    // One first, so that what is set up once is not counted.
    client.submit(&flow, "first", 1).await?;
    parked(&client, "first").await?;

    let (before, empty, stated, begun) = (rss_mb(), place.bytes().await?, place.statements().await?, Instant::now());
    for batch in (0..instances).collect::<Vec<_>>().chunks(256) {
        let submits = batch.iter().map(|number| client.submit(&flow, format!("bench-{number}"), 1));
        futures_util::future::try_join_all(submits).await?;
    }
    for number in 0..instances {
        parked(&client, &format!("bench-{number}")).await?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (parked_mb, statements_to_park) = (rss_mb() - before, place.statements().await? - stated);
    let bytes = place.bytes().await? - empty;

    // What was just written is still looked at for a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stated = place.statements_at_rest().await?;
    let (cpu, begun) = (cpu_seconds(), Instant::now());
    tokio::time::sleep(Duration::from_secs(args.idle)).await;
    let idle_queries = place.statements_at_rest().await? - stated;
    let (idle_cpu, idle_seconds) = (cpu_seconds() - cpu, begun.elapsed().as_secs_f64());

    client.send_event("bench-0", "go", "7").await?;
    ensure!(client.wait_for(&flow, "bench-0", Some(Duration::from_secs(5))).await? == 7, "a parked instance goes on");
    worker.shutdown();
    worker.join().await?;
    Ok(Report {
        workload: "parked",
        store: args.store,
        rounds: 1,
        instances,
        branches: 1,
        steps_needed: instances,
        steps_executed: instances,
        seconds,
        steps_per_second: instances as f64 / seconds,
        p50_ms: 0.0,
        p95_ms: 0.0,
        p99_ms: 0.0,
        peak_rss_mb: peak_rss_mb(),
        raw_commits_per_second: raw,
        p50_in_raw_commits: 0.0,
        steps_per_raw_commit: instances as f64 / seconds / raw,
        statements_per_step: statements_to_park / instances as f64,
        bytes_per_step: bytes / instances as f64,
        more: More {
            seconds_to_park: Some(seconds),
            idle_seconds: Some(idle_seconds),
            idle_cpu_seconds: Some(idle_cpu),
            idle_queries: Some(idle_queries),
            parked_mb: Some(parked_mb),
            ..More::default()
        },
    })
}

async fn parked<B: sayiir::persistence::Store>(client: &WorkflowClient<B>, id: &str) -> anyhow::Result<()> {
    while !matches!(client.status(id).await?, WorkflowStatus::AwaitingSignal { .. }) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
