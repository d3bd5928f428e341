//! Instances that wait, by an event or by a timer: what it costs to park them, what they cost while nothing happens, and how soon
//! and in which order they wake.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sayiir::core::journal::EntryKind;
use sayiir::core::time::{Clock, Timestamp};
use sayiir::persistence::{Store, SystemClock};
use sayiir::prelude::*;

use crate::flows::{self, Flow};
use crate::measure::{cpu_seconds, peak_rss_mb, percentile, rss_mb};
use crate::report::{More, Report};
use crate::store::{Ground, Place};
use crate::{Args, store};

/// How often it is asked how many wait.
const LOOK: Duration = Duration::from_millis(25);
/// So many are submitted or sent to at a time.
const AT_ONCE: usize = 256;

/// Who woke, in the order in which their tasks began, and when.
type Woken = Arc<Mutex<Vec<(usize, Timestamp)>>>;

pub(crate) async fn run(args: &Args) -> anyhow::Result<Report> {
    let instances = args.instances.unwrap_or(10_000);
    let ground = Ground::new(args.store, &args.dir, args.url.clone())?;
    let (raw, place) = (ground.raw_commits_per_second()?, ground.place().await?);
    let (woken, nap) = (Woken::default(), Duration::from_secs(args.idle));
    let (by_event, by_timer) = (flows::waiting(noting(&woken))?, flows::napping(noting(&woken), nap)?);
    let client = WorkflowClient::from_shared(Arc::new(Arc::clone(&place.store)));
    let worker = LocalWorker::from_shared(Arc::new(Arc::clone(&place.store)));
    let workflows = WorkflowSet::new().with(Arc::new(by_event.clone())).with(Arc::new(by_timer.clone()));
    let worker = worker.spawn(workflows).await?;
    // One first, so that what is set up once is not counted.
    client.submit(&by_event, "first", 1).await?;
    until(&place, |waits, _| waits == 1).await?;

    let (before, empty, stated, begun) = (rss_mb(), place.bytes().await?, place.statements().await?, Instant::now());
    submit(&client, &by_event, "waiting", instances).await?;
    until(&place, |waits, _| waits == instances + 1).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let (parked_mb, statements_to_park) = (rss_mb() - before, place.statements().await? - stated);
    let bytes = place.bytes().await? - empty;
    let rest = at_rest(args, &place).await?;

    let seconds_to_wake = wake(&client, &place, instances).await?;
    ensure!(client.wait_for(&by_event, "waiting-0", None).await? == 7, "a parked instance goes on with its event");
    woken.lock().unwrap_or_else(PoisonError::into_inner).clear();
    submit(&client, &by_timer, "napping", instances).await?;
    until(&place, |_, completed| completed == 2 * instances).await?;
    worker.shutdown();
    worker.join().await?;
    let woken = std::mem::take(&mut *woken.lock().unwrap_or_else(PoisonError::into_inner));
    let timers = Timers::of(&client, &woken, instances, nap).await?;
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
            idle_seconds: Some(rest.seconds),
            idle_cpu_seconds: Some(rest.cpu),
            idle_queries: Some(rest.queries),
            idle_queries_per_minute: Some(rest.queries * 60.0 / rest.seconds),
            parked_mb: Some(parked_mb),
            seconds_to_wake: Some(seconds_to_wake),
            timer_p50_ms: Some(percentile(&mut timers.late.clone(), 50)),
            timer_p99_ms: Some(percentile(&mut timers.late.clone(), 99)),
            timer_out_of_order: Some(timers.out_of_order),
            timer_out_of_order_ms: Some(timers.out_of_order_ms),
            ..More::default()
        },
    })
}

/// Notes the instance whose task begins.
fn noting(woken: &Woken) -> impl Fn() + Clone + Send + Sync + 'static + use<> {
    let woken = Arc::clone(woken);
    move || {
        let number = get_task_context().and_then(|context| context.instance_id.rsplit('-').next()?.parse().ok());
        // The first one has no number.
        if let Some(number) = number {
            woken.lock().unwrap_or_else(PoisonError::into_inner).push((number, SystemClock.now()));
        }
    }
}

async fn submit(client: &WorkflowClient<Arc<dyn Store>>, flow: &Flow, name: &str, instances: usize) -> anyhow::Result<()> {
    for batch in (0..instances).collect::<Vec<_>>().chunks(AT_ONCE) {
        let submits = batch.iter().map(|number| client.submit(flow, format!("{name}-{number}"), 1));
        futures_util::future::try_join_all(submits).await?;
    }
    Ok(())
}

/// Asks until as many wait for an event, and have completed, as are wanted.
async fn until(place: &Place, enough: impl Fn(usize, usize) -> bool) -> anyhow::Result<()> {
    loop {
        let stats = place.store.stats().await?;
        let completed: u64 = stats.workflows.iter().map(|workflow| workflow.completed).sum();
        if enough(usize::try_from(stats.branches.parked)?, usize::try_from(completed)?) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the process and the store do while nothing happens.
struct Rest {
    seconds: f64,
    cpu: f64,
    queries: f64,
}

async fn at_rest(args: &Args, place: &Place) -> anyhow::Result<Rest> {
    // What was just written is still looked at for a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stated = place.statements_at_rest().await?;
    let (cpu, begun) = (cpu_seconds(), Instant::now());
    tokio::time::sleep(Duration::from_secs(args.idle)).await;
    let queries = place.statements_at_rest().await? - stated;
    Ok(Rest { seconds: begun.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu, queries })
}

/// Sends all of them their event; says how long it took until all had ended.
async fn wake(client: &WorkflowClient<Arc<dyn Store>>, place: &store::Place, instances: usize) -> anyhow::Result<f64> {
    let begun = Instant::now();
    for batch in (0..instances).collect::<Vec<_>>().chunks(AT_ONCE) {
        let ids: Vec<_> = batch.iter().map(|number| format!("waiting-{number}")).collect();
        futures_util::future::try_join_all(ids.iter().map(|id| client.send_event(id, "go", "7"))).await?;
    }
    until(place, |_, completed| completed == instances).await?;
    Ok(begun.elapsed().as_secs_f64())
}

/// How those that waited for a time woke.
struct Timers {
    /// How long after they were due their tasks began, in milliseconds.
    late: Vec<f64>,
    /// How many began after one that was due later.
    out_of_order: usize,
    /// By how much they were due sooner, at most.
    out_of_order_ms: f64,
}

impl Timers {
    async fn of(
        client: &WorkflowClient<Arc<dyn Store>>,
        woken: &[(usize, Timestamp)],
        instances: usize,
        nap: Duration,
    ) -> anyhow::Result<Self> {
        ensure!(woken.len() == instances, "{} of {instances} woke, or some twice", woken.len());
        let mut timers = Self { late: Vec::with_capacity(instances), out_of_order: 0, out_of_order_ms: 0.0 };
        let (mut latest, ms) = (Timestamp::default(), |micros: i64| micros as f64 / 1000.0);
        for (number, begun) in woken {
            let rows = client.history(&format!("napping-{number}")).await?;
            let before = rows.iter().take_while(|row| row.kind != EntryKind::DelayElapsed).last().context("a nap without a begin")?;
            let due = before.at + nap;
            timers.late.push(ms(begun.as_micros() - due.as_micros()));
            if due < latest {
                timers.out_of_order += 1;
                timers.out_of_order_ms = timers.out_of_order_ms.max(ms(latest.as_micros() - due.as_micros()));
            }
            latest = latest.max(due);
        }
        Ok(timers)
    }
}
