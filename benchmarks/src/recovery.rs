//! Instances whose process is killed half-way: the next process completes them.

use std::collections::HashSet;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sayiir::core::branch::LeaseId;
use sayiir::core::journal::EntryKind;
use sayiir::persistence::{InstanceFilter, Process, RunState, Store, StoreFuture, forward_store};
use sayiir::prelude::*;

use crate::measure::{median, peak_rss_mb};
use crate::report::{More, Report};
use crate::store::{Ground, Kind, open};
use crate::{Args, flows};

/// How many instances there are unless it is said.
pub(crate) const INSTANCES: usize = 500;
/// How long a step's own work takes.
const STEP: Duration = Duration::from_millis(5);
/// How often it is looked whether all have ended.
const LOOK: Duration = Duration::from_millis(5);
/// After this long what has not ended is lost.
const PATIENCE: Duration = Duration::from_mins(1);

/// Submits all, drives them until half of their steps have begun, and dies as by `kill -9`.
pub(crate) async fn die(address: &str, instances: usize) -> anyhow::Result<()> {
    let begun = Arc::new(AtomicUsize::new(0));
    let half = move || {
        if begun.fetch_add(1, Ordering::SeqCst) > instances * 5 / 2 {
            std::process::abort();
        }
    };
    let flow = flows::slow(half, STEP)?;
    let backend = Arc::new(open(address).await?);
    let client = WorkflowClient::from_shared(Arc::clone(&backend));
    let submits = (0..instances).map(|number| client.submit(&flow, format!("bench-{number}"), 1));
    futures_util::future::try_join_all(submits).await?;
    let workflows = WorkflowSet::new().with(Arc::new(flow));
    let worker = LocalWorker::from_shared(backend).concurrency(instances).spawn(workflows).await?;
    worker.join().await?;
    Ok(())
}

/// One round after the crash.
struct Round {
    seconds: f64,
    since_crash: f64,
    lost: usize,
    repeated: usize,
    stored: usize,
    executed: usize,
    raw: f64,
    statements: f64,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<Report> {
    ensure!(args.store != Kind::Memory, "nothing in memory survives its process: use --store sqlite or postgres");
    let ground = Ground::new(args.store, &args.dir, args.url.clone())?;
    let instances = args.instances.unwrap_or(INSTANCES);
    let mut rounds = Vec::new();
    for _ in 0..args.rounds.max(1) {
        rounds.push(round(args, &ground, instances).await?);
    }
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let (seconds, executed) = (of(|round| round.seconds), of(|round| round.executed as f64));
    let most = |figure: fn(&Round) -> usize| rounds.iter().map(figure).max();
    Ok(Report {
        workload: "recovery",
        store: args.store,
        rounds: rounds.len(),
        instances,
        branches: 1,
        steps_needed: instances * 5 * rounds.len() - rounds.iter().map(|round| round.stored).sum::<usize>(),
        steps_executed: rounds.iter().map(|round| round.executed).sum(),
        seconds,
        steps_per_second: executed / seconds,
        p50_ms: 0.0,
        p95_ms: 0.0,
        p99_ms: 0.0,
        peak_rss_mb: peak_rss_mb(),
        raw_commits_per_second: of(|round| round.raw),
        p50_in_raw_commits: 0.0,
        steps_per_raw_commit: executed / seconds / of(|round| round.raw),
        statements_per_step: of(|round| round.statements) / executed,
        bytes_per_step: 0.0,
        more: More {
            lost: most(|round| round.lost),
            repeated: most(|round| round.repeated),
            seconds_to_complete: Some(seconds),
            seconds_since_crash: Some(of(|round| round.since_crash)),
            ..More::default()
        },
    })
}

async fn round(args: &Args, ground: &Ground, instances: usize) -> anyhow::Result<Round> {
    let place = ground.place().await?;
    let own = std::env::current_exe()?;
    let died = Command::new(own).args(["recovery", "--instances", &instances.to_string(), "--die-on", &place.address]).output()?;
    ensure!(!died.status.success(), "the first process was to die half-way: {}", String::from_utf8_lossy(&died.stderr));
    let crashed = Instant::now();
    let stored = stored(&place.store, instances).await?;
    let raw = ground.raw_commits_per_second()?;

    let ran = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&ran);
    let note = move || {
        if let Some(context) = get_task_context() {
            noted.lock().unwrap_or_else(PoisonError::into_inner).push((context.instance_id.to_string(), context.node_path.to_string()));
        }
    };
    let flow = flows::slow(note, STEP)?;
    let stated = place.statements().await?;
    let begun = Instant::now();
    let backend = open(&place.address).await?;
    let backend = Arc::new(if args.other_host { elsewhere(backend) } else { backend });
    let workflows = WorkflowSet::new().with(Arc::new(flow.clone()));
    let worker = LocalWorker::from_shared(Arc::clone(&backend)).concurrency(instances).spawn(workflows).await?;
    // Asking for each instance in turn would take longer than they do.
    let running = InstanceFilter { states: vec![RunState::Running], limit: Some(1), ..InstanceFilter::default() };
    while begun.elapsed() < PATIENCE && !backend.list(running.clone()).await?.is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    let (seconds, since_crash) = (begun.elapsed().as_secs_f64(), crashed.elapsed().as_secs_f64());
    let statements = place.statements().await? - stated;
    let (client, mut lost) = (WorkflowClient::from_shared(backend), 0);
    for number in 0..instances {
        let output = client.wait_for(&flow, &format!("bench-{number}"), Some(Duration::ZERO)).await;
        lost += usize::from(!matches!(output, Ok(6)));
    }
    worker.shutdown();
    worker.join().await?;
    let ran = std::mem::take(&mut *ran.lock().unwrap_or_else(PoisonError::into_inner));
    let repeated = ran.iter().filter(|step| stored.contains(*step)).count();
    Ok(Round { seconds, since_crash, lost, repeated, stored: stored.len(), executed: ran.len(), raw, statements })
}

/// The steps that were stored when the process died.
async fn stored(store: &Arc<dyn Store>, instances: usize) -> anyhow::Result<HashSet<(String, String)>> {
    let client = WorkflowClient::from_shared(Arc::new(Arc::clone(store)));
    let mut stored = HashSet::new();
    for number in 0..instances {
        let id = format!("bench-{number}");
        let rows = client.history(&id).await.with_context(|| format!("instance {id} was submitted"))?;
        let results = rows.into_iter().filter(|row| row.kind == EntryKind::TaskCompleted);
        stored.extend(results.map(|row| (id.clone(), row.node.to_string())));
    }
    Ok(stored)
}

/// The store as a process on another host uses it: it cannot see which processes have died.
fn elsewhere(inner: Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(Elsewhere(inner))
}

struct Elsewhere(Arc<dyn Store>);

impl Store for Elsewhere {
    forward_store!(|me| me.0, except open_session, sessions);

    fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId> {
        self.0.open_session(Process { host: "elsewhere".to_owned(), ..process })
    }

    fn sessions(&self, _host: &str) -> StoreFuture<'_, Vec<(LeaseId, Process)>> {
        self.0.sessions("elsewhere")
    }
}
