//! Starts: those of a whole process go through a few starters, each of which makes one statement of what came together while
//! its last one was on its way. A lone start goes at once.
//!
//! Invariant: a group writes only under ids of which nothing is known. A start that meets something, or whose group met an error
//! that others need not share, goes on alone, as if it had never been in a group.

mod fresh;

#[cfg(test)]
pub(crate) use fresh::START;
pub(crate) use fresh::{Begun, New, begin};

use std::sync::Arc;

use rustc_hash::FxHashSet;
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{StartOutcome, StartRun, StoreError, StoreFuture};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::announce::say_the_rest;
use crate::commit::Caps;
use crate::core::{Core, Mode, Operation};
use crate::fault::{Outcome, Remedy, again, unavailable};
use crate::ops::{sessions, start};
use crate::tx::Tx;

/// Starts compare themselves with each other: beyond this a statement costs more than two.
const MOST: usize = 128;

/// What a start costs beside its input.
const ROW: usize = 512;

/// A start that waits, and who wants to know what became of it.
struct Job {
    request: Arc<StartRun>,
    reply: oneshot::Sender<Result<StartOutcome, StoreError>>,
}

type Jobs = Arc<Mutex<mpsc::UnboundedReceiver<Job>>>;

/// The way to the starters. They end when this is dropped and nothing waits.
pub(crate) struct Starters {
    way: mpsc::UnboundedSender<Job>,
}

impl Starters {
    pub(crate) fn begin(core: &Arc<Core>, runtime: &Handle, count: usize, caps: Caps) -> Self {
        let (way, jobs) = mpsc::unbounded_channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..count.max(1) {
            runtime.spawn(work(Arc::clone(core), Arc::clone(&jobs), caps));
        }
        Self { way }
    }

    /// Hands a start over. Whatever becomes of the returned future, it is done.
    pub(crate) fn start(&self, request: StartRun) -> StoreFuture<'static, StartOutcome> {
        let (reply, answer) = oneshot::channel();
        // If the starters are gone with their runtime, the answer says so.
        let _ = self.way.send(Job { request: Arc::new(request), reply });
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(unavailable("the store's runtime has ended; connect again"))) })
    }
}

async fn work(core: Arc<Core>, jobs: Jobs, caps: Caps) {
    while let Some(first) = next(&jobs, caps).await {
        serve(&core, first).await;
    }
    say_the_rest(&core).await;
}

/// What goes into one statement: what waits, in order, and one at least. `None` if there will be no more.
async fn next(jobs: &Jobs, caps: Caps) -> Option<Vec<Job>> {
    let mut jobs = jobs.lock().await;
    let first = jobs.recv().await?;
    let mut bytes = cost(&first.request);
    let mut taken = vec![first];
    while taken.len() < caps.transitions.min(MOST)
        && bytes < caps.bytes
        && let Ok(job) = jobs.try_recv()
    {
        bytes += cost(&job.request);
        taken.push(job);
    }
    Some(taken)
}

fn cost(request: &StartRun) -> usize {
    request.input.len() + ROW
}

/// Starts what can be started together, tells those, and lets the others go on alone.
async fn serve(core: &Arc<Core>, jobs: Vec<Job>) {
    let (together, met) = apart(jobs);
    for job in met {
        alone(core, job, true);
    }
    let begun = async {
        let mut conn = core.pool.acquire().await?;
        let mut tx = Tx::new(&mut conn, core.given(), &core.memo);
        let requests: Vec<&StartRun> = together.iter().map(|job| &*job.request).collect();
        let begun = start_new(&mut tx, &requests).await?;
        let news = std::mem::take(&mut tx.news);
        core.finish(conn, news).await;
        Outcome::Ok(begun)
    };
    match begun.await {
        Ok(outcomes) => {
            for (job, outcome) in together.into_iter().zip(outcomes) {
                match outcome {
                    Some(outcome) => tell(job, Ok(outcome)),
                    None => alone(core, job, true),
                }
            }
        }
        Err(fault) => match fault.remedy() {
            // Nothing was written.
            Remedy::Again | Remedy::OneByOne => {
                for job in together {
                    alone(core, job, false);
                }
            }
            Remedy::Tell => {
                let error = fault.into_store_error();
                for job in together {
                    tell(job, Err(again(&error)));
                }
            }
        },
    }
}

/// The first start of each id, and those that will meet it.
fn apart(jobs: Vec<Job>) -> (Vec<Job>, Vec<Job>) {
    let mut ids = FxHashSet::default();
    jobs.into_iter().partition(|job| ids.insert(Arc::clone(&job.request.instance_id)))
}

/// In one statement (and those that come before it where this process does not know a definition, a lane or a lease yet). `None`
/// for those that go on alone.
async fn start_new(tx: &mut Tx<'_>, requests: &[&StartRun]) -> Outcome<Vec<Option<StartOutcome>>> {
    let mut members = Vec::with_capacity(requests.len());
    for &request in requests {
        if let Some((lease, ttl)) = request.lease {
            sessions::remember_ttl(tx, lease, ttl).await?;
        }
        let (definition, lane) = tx.memo.numbers.of(tx.conn, &request.definition, &request.placement).await?;
        members.push(New { definition, lane, request });
    }
    let begun = begin(tx, &members).await?;
    let outcome = |(begun, request): (Begun, &&StartRun)| match begun {
        Begun::Fresh(run) => Some(start::fresh(tx, run, request)),
        Begun::Known | Begun::LaneForgotten => None,
    };
    Ok(begun.into_iter().zip(requests).map(outcome).collect())
}

/// Lets a start go on alone; `met` if something is likely to be known of its id.
fn alone(core: &Arc<Core>, Job { request, reply }: Job, met: bool) {
    let (core, meets) = (Arc::clone(core), met && request.policy != ConflictPolicy::TerminateExisting);
    tokio::spawn(async move {
        let operation: &Operation<StartOutcome> = &move |tx| {
            let request = Arc::clone(&request);
            Box::pin(async move { start::start(tx, &request, meets).await })
        };
        // Whoever dropped the future does not want to know.
        let _ = reply.send(core.perform(Mode::Single, operation).await);
    });
}

fn tell(job: Job, told: Result<StartOutcome, StoreError>) {
    // As above.
    let _ = job.reply.send(told);
}
