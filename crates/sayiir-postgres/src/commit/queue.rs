//! The committers: each takes what came together while its last statement was on its way. A lone transition goes at once.

use std::collections::VecDeque;
use std::sync::Arc;

use sayiir_core::branch::{LeaseId, RunNumber};
use sayiir_core::transition::Transition;
use sayiir_persistence::{CommitOutcome, StoreError};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::announce::say_the_rest;
use crate::commit::Member;
use crate::commit::apply::{Told, apply};
use crate::commit::batch::{self, Caps};
use crate::core::Core;
use crate::fault::Fault;
use crate::tx::Tx;

/// So many statements in a row keep their connection; then others of the pool have their turn.
const IN_A_ROW: usize = 64;

/// A transition that waits, and who wants to know what became of it.
struct Job {
    member: Member,
    reply: oneshot::Sender<Told>,
}

/// The ways to the committers. They end when this is dropped and their queues are empty.
pub(crate) struct Committers {
    ways: Vec<mpsc::UnboundedSender<Vec<Job>>>,
}

impl Committers {
    pub(crate) fn start(core: &Arc<Core>, runtime: &Handle, count: usize, caps: Caps) -> Self {
        let start = |_| {
            let (way, jobs) = mpsc::unbounded_channel();
            runtime.spawn(work(Arc::clone(core), jobs, caps));
            way
        };
        Self { ways: (0..count.max(1)).map(start).collect() }
    }

    /// Hands transitions over. Whatever becomes of the returned future, they are applied.
    pub(crate) fn commit(
        &self,
        lease: LeaseId,
        transitions: Vec<Transition>,
    ) -> impl Future<Output = Result<Vec<CommitOutcome>, StoreError>> + Send + use<> {
        let mut bundles: Vec<Vec<Job>> = self.ways.iter().map(|_| Vec::new()).collect();
        let mut answers = Vec::with_capacity(transitions.len());
        for transition in transitions {
            let (reply, answer) = oneshot::channel();
            answers.push(answer);
            if let Some(bundle) = bundles.get_mut(self.way_of(transition.run)) {
                bundle.push(Job { member: Member { lease, transition }, reply });
            }
        }
        for (way, bundle) in self.ways.iter().zip(bundles).filter(|(_, bundle)| !bundle.is_empty()) {
            // If the committer is gone with its runtime, the answers say so.
            let _ = way.send(bundle);
        }
        async move {
            let mut outcomes = Vec::with_capacity(answers.len());
            for answer in answers {
                outcomes
                    .push(answer.await.unwrap_or_else(|_| Err(StoreError::unavailable("the store's runtime has ended; connect again")))?);
            }
            Ok(outcomes)
        }
    }

    /// All transitions of a run go one way, and so keep their order.
    fn way_of(&self, run: RunNumber) -> usize {
        let count = u64::try_from(self.ways.len()).unwrap_or(1).max(1);
        usize::try_from(run.0 % count).unwrap_or(0)
    }
}

async fn work(core: Arc<Core>, mut jobs: mpsc::UnboundedReceiver<Vec<Job>>, caps: Caps) {
    let mut queue = VecDeque::new();
    while let Some(bundle) = jobs.recv().await {
        queue.extend(bundle);
        let mut conn = None;
        let mut in_a_row = 0;
        while !queue.is_empty() {
            while let Ok(bundle) = jobs.try_recv() {
                queue.extend(bundle);
            }
            let batch = batch::next(&mut queue, caps, |job| &job.member);
            if in_a_row == IN_A_ROW {
                (conn, in_a_row) = (None, 0);
            }
            in_a_row += 1;
            if !serve(&core, &mut conn, batch).await {
                conn = None;
            }
        }
    }
    say_the_rest(&core).await;
}

/// Applies a batch and tells its members. False if the connection is not to be used again.
async fn serve(core: &Core, conn: &mut Option<PoolConnection<Postgres>>, batch: Vec<Job>) -> bool {
    let conn = match conn {
        Some(conn) => conn,
        none @ None => match core.pool.acquire().await {
            Ok(acquired) => none.insert(acquired),
            Err(error) => {
                let error = Fault::from(error).into_store_error();
                for job in batch {
                    tell(job.reply, Err(error.again()));
                }
                return false;
            }
        },
    };
    let mut tx = Tx::new(conn, core.given(), &core.memo);
    let members: Vec<&Member> = batch.iter().map(|job| &job.member).collect();
    let told = apply(&mut tx, &members).await;
    let news = std::mem::take(&mut tx.news);
    core.announce(news);
    let healthy = told.iter().all(Result::is_ok);
    for (job, told) in batch.into_iter().zip(told) {
        tell(job.reply, told);
    }
    healthy
}

fn tell(reply: oneshot::Sender<Told>, told: Told) {
    // Whoever dropped the future does not want to know.
    let _ = reply.send(told);
}
