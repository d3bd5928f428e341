//! Requests in groups: those of a whole process go a few ways, and each worker of a way makes one statement of what came together
//! while its last one was on its way. A lone request goes at once.
//!
//! Invariant: a request that meets something unusual, or whose group met an error that others need not share, goes on alone, as if
//! it had never been in a group.

use std::hash::BuildHasher;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustc_hash::FxBuildHasher;
use sayiir_persistence::{StoreError, StoreFuture};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::announce::say_the_rest;
use crate::commit::Caps;
use crate::core::{Core, Mode, Operation};
use crate::fault::{Outcome, Remedy};
use crate::tx::Tx;

/// The members of a group are compared with each other: beyond this a statement costs more than two.
const MOST: usize = 128;

/// What a request costs beside its payload.
const ROW: usize = 512;

/// A request that goes in groups.
pub(crate) trait Grouped: Sized + Send + Sync + 'static {
    type Answer: Send + 'static;
    /// How its connection is used, together and alone.
    const MODE: Mode;

    /// Which instance it is for (those of one go the same way), and how large its payload is.
    fn extent(&self) -> (&str, usize);

    /// Does what can be done together, and says what became of each, in order; `None` of those that go on alone.
    fn together<'t>(tx: &'t mut Tx<'_>, requests: &'t [Arc<Self>]) -> BoxFuture<'t, Outcome<Vec<Option<Self::Answer>>>>;

    /// Does it, whatever it meets; `unusual` if a group left it out.
    fn alone<'t>(&'t self, tx: &'t mut Tx<'_>, unusual: bool) -> BoxFuture<'t, Outcome<Self::Answer>>;
}

/// A request that waits, and who wants to know what became of it.
struct Job<G: Grouped> {
    request: Arc<G>,
    reply: oneshot::Sender<Result<G::Answer, StoreError>>,
}

type Jobs<G> = Arc<Mutex<mpsc::UnboundedReceiver<Job<G>>>>;

/// The ways of one kind of request. Their workers end when this is dropped and nothing waits.
pub(crate) struct Groups<G: Grouped> {
    ways: Vec<mpsc::UnboundedSender<Job<G>>>,
}

impl<G: Grouped> Groups<G> {
    /// So many ways, each with so many workers.
    pub(crate) fn begin(core: &Arc<Core>, runtime: &Handle, (ways, workers): (usize, usize), caps: Caps) -> Self {
        let begin = |_| {
            let (way, jobs) = mpsc::unbounded_channel();
            let jobs: Jobs<G> = Arc::new(Mutex::new(jobs));
            for _ in 0..workers.max(1) {
                runtime.spawn(work(Arc::clone(core), Arc::clone(&jobs), caps));
            }
            way
        };
        Self { ways: (0..ways.max(1)).map(begin).collect() }
    }

    /// Hands a request over. Whatever becomes of the returned future, it is done.
    pub(crate) fn ask(&self, request: G) -> StoreFuture<'static, G::Answer> {
        let (reply, answer) = oneshot::channel();
        if let Some(way) = self.ways.get(self.way_of(request.extent().0)) {
            // If the workers are gone with their runtime, the answer says so.
            let _ = way.send(Job { request: Arc::new(request), reply });
        }
        Box::pin(
            async move { answer.await.unwrap_or_else(|_| Err(StoreError::unavailable("the store's runtime has ended; connect again"))) },
        )
    }

    fn way_of(&self, instance_id: &str) -> usize {
        let count = u64::try_from(self.ways.len()).unwrap_or(1).max(1);
        usize::try_from(FxBuildHasher.hash_one(instance_id) % count).unwrap_or(0)
    }
}

async fn work<G: Grouped>(core: Arc<Core>, jobs: Jobs<G>, caps: Caps) {
    while let Some(group) = next(&jobs, caps).await {
        serve(&core, group).await;
    }
    say_the_rest(&core).await;
}

/// What goes into one statement: what waits, in order, and one at least. `None` if there will be no more.
async fn next<G: Grouped>(jobs: &Jobs<G>, caps: Caps) -> Option<Vec<Job<G>>> {
    let mut jobs = jobs.lock().await;
    let first = jobs.recv().await?;
    // The last one may go over: it is not put back.
    let cost = |job: &Job<G>| job.request.extent().1 + ROW;
    let mut bytes = cost(&first);
    let mut taken = vec![first];
    while taken.len() < caps.transitions.min(MOST)
        && bytes < caps.bytes
        && let Ok(job) = jobs.try_recv()
    {
        bytes += cost(&job);
        taken.push(job);
    }
    Some(taken)
}

/// Does what can be done together, tells those, and lets the others go on alone.
async fn serve<G: Grouped>(core: &Arc<Core>, group: Vec<Job<G>>) {
    let requests: Arc<[Arc<G>]> = group.iter().map(|job| Arc::clone(&job.request)).collect();
    let operation: &Operation<Vec<Option<G::Answer>>> = &move |tx| {
        let requests = Arc::clone(&requests);
        Box::pin(async move { G::together(tx, &requests).await })
    };
    match core.once(G::MODE, operation).await {
        Ok(answers) => {
            for (job, answer) in group.into_iter().zip(answers) {
                match answer {
                    Some(answer) => tell(job.reply, Ok(answer)),
                    None => alone(core, job, true),
                }
            }
        }
        Err(fault) => match fault.remedy() {
            // Nothing was written.
            Remedy::Again | Remedy::OneByOne | Remedy::Apart => {
                for job in group {
                    alone(core, job, false);
                }
            }
            Remedy::Tell => {
                let error = fault.into_store_error();
                for job in group {
                    tell(job.reply, Err(error.again()));
                }
            }
        },
    }
}

fn alone<G: Grouped>(core: &Arc<Core>, Job { request, reply }: Job<G>, unusual: bool) {
    let core = Arc::clone(core);
    tokio::spawn(async move {
        let operation: &Operation<G::Answer> = &move |tx| {
            let request = Arc::clone(&request);
            Box::pin(async move { request.alone(tx, unusual).await })
        };
        tell(reply, core.perform(G::MODE, operation).await);
    });
}

fn tell<T>(reply: oneshot::Sender<Result<T, StoreError>>, told: Result<T, StoreError>) {
    // Whoever dropped the future does not want to know.
    let _ = reply.send(told);
}
