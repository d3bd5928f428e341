//! A worker of a fleet, in a process of its own.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sayiir_core::branch::{BranchId, LeaseId, Phase, RunNumber};
use sayiir_core::registry::TaskRegistry;
use sayiir_core::time::{Clock, Timestamp};
use sayiir_core::transition::Transition;
use sayiir_persistence::{BranchView, ClaimRequest, CommitOutcome, Refusal, Store, StoreError, StoreFuture, SystemClock, forward_store};
use sayiir_runtime::{PooledWorker, WorkflowSet};

use crate::build::{Notes, workflow};
use crate::generate::case;

use super::log::{Line, Log};
use super::place::open;

/// How long the workers' leases last: a frozen one is to be taken over soon.
pub(super) const LEASE: Duration = Duration::from_secs(1);
/// How many branches a worker drives: few, so that others have their part.
const CONCURRENCY: NonZeroUsize = match NonZeroUsize::new(12) {
    Some(many) => many,
    None => NonZeroUsize::MIN,
};
/// How soon a worker looks again by itself.
const POLL: Duration = Duration::from_secs(5);

/// How long a store that is away is left alone.
const AWAY: Duration = Duration::from_millis(50);

/// What a worker process is told.
#[derive(Debug, Clone)]
pub struct Serve {
    /// Where the store is.
    pub address: String,
    /// Where it notes what it does.
    pub log: PathBuf,
    /// What decides the cases.
    pub seed: u64,
    /// How many cases there are.
    pub cases: u64,
}

/// Works until the process is ended.
///
/// # Errors
///
/// If the store cannot be opened or a case cannot be built.
pub async fn serve(serve: &Serve) -> anyhow::Result<()> {
    let log = Arc::new(Log::open(&serve.log)?);
    let begun = Arc::clone(&log);
    let notes = Notes::logged(Arc::new(SystemClock), move |instance, what| begun.begun(instance, what));
    let mut workflows = WorkflowSet::new();
    for number in 0..serve.cases {
        workflows = workflows.with(Arc::new(workflow(&format!("case-{number}"), &case(serve.seed, number).nodes, &notes)?));
    }
    let store = Noting { inner: open_patiently(&serve.address).await?, log };
    let worker = PooledWorker::builder(store, TaskRegistry::new()).claim_ttl(LEASE).max_concurrent_tasks(CONCURRENCY).build();
    Ok(worker.spawn(POLL, workflows).join().await?)
}

/// Opens a store that may be away just now, as whoever starts processes would do by starting this one again.
async fn open_patiently(address: &str) -> anyhow::Result<Arc<dyn Store>> {
    loop {
        match open(address).await {
            Err(error) if error.downcast_ref().is_some_and(StoreError::is_transient) => tokio::time::sleep(AWAY).await,
            opened => return opened,
        }
    }
}

/// Notes the branches that are handed out, and the writes that are refused.
struct Noting {
    inner: Arc<dyn Store>,
    log: Arc<Log>,
}

impl Noting {
    /// Notes what was handed out to who asked at `asked`. In phase `Start` the node is only a label.
    fn handed(&self, asked: Timestamp, views: &[BranchView]) {
        for view in views.iter().filter(|view| view.head.phase != Phase::Start) {
            let (instance, path) = (Arc::clone(&view.instance_id), Arc::clone(&view.head.node));
            self.log.add(&Line::Handed { instance, path, asked: asked.as_micros() });
        }
    }
}

impl Store for Noting {
    forward_store!(|me| me.inner, except commit, claim, load);

    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        Box::pin(async move {
            let asked = SystemClock.now();
            let views = self.inner.claim(request).await?;
            self.handed(asked, &views);
            Ok(views)
        })
    }

    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
        Box::pin(async move {
            let asked = SystemClock.now();
            let views = self.inner.load(lease, run, branches).await?;
            self.handed(asked, &views);
            Ok(views)
        })
    }

    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
        Box::pin(async move {
            let outcomes = self.inner.commit(lease, transitions.clone()).await?;
            let told = SystemClock.now().as_micros();
            for (Transition { instance_id, entry, .. }, outcome) in transitions.iter().zip(&outcomes) {
                match outcome {
                    CommitOutcome::Refused(Refusal::Replaced | Refusal::Ended | Refusal::LeaseLost) => self.log.add(&Line::Refused),
                    CommitOutcome::Refused(Refusal::Moved) => {}
                    CommitOutcome::Accepted { .. } | CommitOutcome::AlreadyAccepted => {
                        if let Some(entry) = entry.as_ref().filter(|entry| entry.kind.is_result()) {
                            let (instance, path) = (Arc::clone(instance_id), Arc::clone(&entry.node));
                            self.log.add(&Line::Stored { instance, path, told });
                        }
                    }
                }
            }
            Ok(outcomes)
        })
    }
}
