//! Instances that pooled workers drive, in processes of their own.
//!
//! All instances are submitted before the workers are let go, so that what is measured is the workers.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use sayiir::PooledWorker;
use sayiir::persistence::{InstanceFilter, RunState, Store};
use sayiir::prelude::*;

use crate::flows::{self, Flow};
use crate::runs::{Driven, FIRST};
use crate::store::{Place, open};
use crate::{Args, Workload};

/// A worker has room for a whole fork.
const FANOUT_ROOM: usize = 128;
/// How often it is asked whether all have ended.
const LOOK: Duration = Duration::from_millis(5);

/// Submits the instances, lets the workers go, and waits until all have ended.
pub(crate) async fn run_all(
    args: &Args,
    workers: usize,
    place: &Place,
    flow: &Flow,
    instances: usize,
    in_flight: usize,
) -> anyhow::Result<Driven> {
    ensure!(place.address != "memory", "processes do not share memory: use --store sqlite or postgres");
    let client = WorkflowClient::from_shared(Arc::new(Arc::clone(&place.store)));
    for batch in (0..instances).collect::<Vec<_>>().chunks(64) {
        let submits = batch.iter().map(|number| client.submit(flow, format!("bench-{number}"), FIRST));
        futures_util::future::try_join_all(submits).await?;
    }
    let mut processes = begin(args, workers.max(1), place, in_flight)?;
    let begun = Instant::now();
    let_go(&mut processes)?;
    let running = InstanceFilter { states: vec![RunState::Running], limit: Some(1), ..InstanceFilter::default() };
    while !place.store.list(running.clone()).await?.is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let completed = InstanceFilter { states: vec![RunState::Completed], limit: Some(instances), ..InstanceFilter::default() };
    let completed = place.store.list(completed).await?;
    ensure!(completed.len() == instances, "{} of {instances} instances completed", completed.len());
    Ok(Driven { latencies: Vec::new(), seconds })
}

/// Starts worker processes, which wait until they are let go.
pub(crate) fn begin(args: &Args, workers: usize, place: &Place, in_flight: usize) -> anyhow::Result<Vec<Process>> {
    (0..workers).map(|_| Process::begin(args, &place.address, in_flight)).collect()
}

pub(crate) fn let_go(processes: &mut [Process]) -> anyhow::Result<()> {
    processes.iter_mut().try_for_each(Process::go)
}

/// A worker process; it ends when its input does.
pub(crate) struct Process(Child);

impl Process {
    /// Starts it, and waits until it is ready.
    fn begin(args: &Args, address: &str, in_flight: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(args.workload.name()).args(["--in-flight", &in_flight.to_string(), "--serve", address]);
        let mut process = Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let mut ready = String::new();
        BufReader::new(process.0.stdout.as_mut().context("a worker without output")?).read_line(&mut ready)?;
        ensure!(ready == "ready\n", "a worker is not ready: {ready:?}");
        Ok(process)
    }

    fn go(&mut self) -> anyhow::Result<()> {
        Ok(self.0.stdin.as_mut().context("a worker without input")?.write_all(b"go\n")?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It may have ended by itself.
        let _ = self.0.wait();
    }
}

/// Is a worker, from the first line of its input to the end of it.
pub(crate) async fn serve(address: &str, workload: Workload, in_flight: usize) -> anyhow::Result<()> {
    let flow = match workload {
        Workload::Linear | Workload::Single | Workload::Soak => flows::linear(5)?,
        Workload::Long => flows::linear(crate::runs::LONG)?,
        Workload::Fanout => flows::fanout(100)?,
        Workload::Recovery | Workload::Parked | Workload::Pickup => bail!("no pooled workers in this workload"),
    };
    let store = open(address).await?;
    println!("ready");
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    let many = match workload {
        // One instance at a time has all its branches at once.
        Workload::Fanout => in_flight.max(FANOUT_ROOM),
        Workload::Linear
        | Workload::Single
        | Workload::Long
        | Workload::Recovery
        | Workload::Parked
        | Workload::Pickup
        | Workload::Soak => in_flight,
    };
    let many = std::num::NonZeroUsize::new(many).unwrap_or(std::num::NonZeroUsize::MIN);
    let worker = PooledWorker::builder(store, TaskRegistry::new()).max_concurrent_tasks(many).batch_size(many).build();
    let handle = worker.spawn(Duration::from_mins(1), WorkflowSet::new().with(Arc::new(flow)));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    handle.shutdown();
    Ok(handle.join().await?)
}
