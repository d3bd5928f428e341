//! The worker of a fleet: long claims, a share of the work that others take too.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use sayiir_core::registry::TaskRegistry;
use sayiir_driver::{Session, SessionOptions, Worker, WorkerOptions, WorkflowSet};
use sayiir_persistence::Store;

use super::GRACE;
use super::handle::{Failed, Stop, WorkerHandle, work};
use super::overlay::{with_executor, with_registry};
use crate::executor::TaskExecutor;
use crate::host::TokioHost;

/// How long a claim lasts unless it is said. It is renewed while its task runs: this is how late the work of a machine that died goes on.
const CLAIM_TTL: Duration = Duration::from_mins(5);

/// How long another worker may take what failed here before this one tries it again. A fleet hears of it and claims it in less.
const HEAD_START: Duration = Duration::from_millis(100);

/// One of a fleet of workers that share a store.
///
/// It claims what is due of the workflows it is given (and of nothing else), by priority, for the tags it serves; keeps a branch through its
/// steps; and leaves to others what it has no room for, and half of the branches of a fork, unless nobody takes them. Any number of workers, in any
/// number of processes, may serve one store.
///
/// It is the same loop as [`LocalWorker`](crate::LocalWorker) with other defaults. Take `LocalWorker` on a single machine: its leases are short
/// (10 s), and it tells at once if the store cannot be opened. Take `PooledWorker` on a fleet: its claims are long (5 min), so that a process that
/// stands still for a while keeps its work, and a store that is away is waited for.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use sayiir_runtime::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let order = workflow! { name: "order", steps: [charge(euros: u32) { euros }] }?;
/// let hello = workflow! { name: "hello", steps: [hello(name: String) { format!("hello {name}") }] }?;
/// let store = InMemoryBackend::new();
/// let worker = PooledWorker::new("worker-1", store.clone(), TaskRegistry::new());
/// let workflows = WorkflowSet::new().with(Arc::new(order.clone())).with(Arc::new(hello));
/// let worker = worker.spawn(Duration::from_secs(1), workflows);
/// let client = WorkflowClient::new(store);
/// client.submit(&order, "order-17", 5).await?;
/// assert_eq!(client.wait_for(&order, "order-17", None).await?, 5);
/// worker.shutdown();
/// worker.join().await?;
/// # Ok(())
/// # }
/// ```
pub struct PooledWorker<B> {
    backend: Arc<B>,
    registry: TaskRegistry,
    worker_id: Option<String>,
    grace: Duration,
    session: SessionOptions,
    worker: WorkerOptions,
}

impl<B: Store> PooledWorker<B> {
    /// A worker of this name. The registry's tasks are run where a workflow has no code of its own; it may be empty.
    pub fn new(worker_id: impl Into<String>, backend: B, registry: TaskRegistry) -> Self {
        Self::builder(backend, registry).worker_id(worker_id).build()
    }

    /// A worker still to be set up.
    pub fn builder(backend: B, registry: TaskRegistry) -> PooledWorkerBuilder<B> {
        Self::from_shared(Arc::new(backend), registry)
    }

    /// A worker over a store that others use too, still to be set up.
    pub fn from_shared(backend: Arc<B>, registry: TaskRegistry) -> PooledWorkerBuilder<B> {
        let session = SessionOptions {
            ttl: CLAIM_TTL,
            patience: None,
            head_start: Some(HEAD_START),
            offers_branches: true,
            ..SessionOptions::default()
        };
        PooledWorkerBuilder(Self { backend, registry, worker_id: None, grace: GRACE, session, worker: WorkerOptions::default() })
    }

    /// How long a claim lasts, unless it is renewed; `None` is the default of 5 minutes, never for ever.
    #[must_use]
    pub fn with_claim_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.session.ttl = ttl.unwrap_or(CLAIM_TTL);
        self
    }

    /// How long a branch waits to rise by one priority; 5 minutes unless set.
    #[must_use]
    pub const fn with_aging_interval(mut self, interval: Duration) -> Self {
        self.worker.ageing = interval;
        self
    }

    /// The most branches it claims at a time; 64 unless set.
    #[must_use]
    pub const fn with_batch_size(mut self, branches: NonZeroUsize) -> Self {
        self.worker.batch = branches.get();
        self
    }

    /// The most tasks it runs at a time; 64 unless set. For tasks that are busy all the time: the number of cores.
    #[must_use]
    pub const fn with_max_concurrent_tasks(mut self, tasks: NonZeroUsize) -> Self {
        self.worker.concurrency = tasks.get();
        self
    }

    /// The tags it serves: tasks with other tags are left to others. Without any it serves all.
    #[must_use]
    pub fn with_tags(mut self, tags: Vec<String>) -> Self {
        self.session.tags = tags.into();
        self
    }

    /// How long a shutdown waits for running tasks before it drops them (they run again elsewhere); 30 seconds unless set.
    #[must_use]
    pub const fn with_shutdown_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Begins to work in the background of the present tokio runtime; a store that does not answer yet is waited for.
    ///
    /// Stores announce what is new, so that `poll_interval` is only a safety net: how soon a worker looks again by itself after it had
    /// work. Each look that finds nothing doubles it, up to a minute.
    ///
    /// `workflows` is a [`WorkflowSet`], or a `Vec` of definition hashes with workflows of one type. A workflow is known by its own
    /// definition hash. What [`WorkerHandle::join`] says if there is none is [`RuntimeError::NoWorkflow`](crate::RuntimeError::NoWorkflow).
    pub fn spawn(self, poll_interval: Duration, workflows: impl Into<WorkflowSet>) -> WorkerHandle<B> {
        let workflows = with_registry(workflows.into(), &self.registry);
        self.begin(poll_interval, workflows)
    }

    /// As [`spawn`](Self::spawn), with the tasks run by `executor`: for code in other languages.
    pub fn spawn_with_executor(
        self,
        poll_interval: Duration,
        workflows: impl Into<WorkflowSet>,
        executor: Arc<dyn TaskExecutor>,
    ) -> WorkerHandle<B> {
        let workflows = with_executor(&with_registry(workflows.into(), &self.registry), executor);
        self.begin(poll_interval, workflows)
    }

    fn begin(self, poll_interval: Duration, workflows: WorkflowSet) -> WorkerHandle<B> {
        let Self { backend, registry: _, worker_id, grace, session, worker } = self;
        let worker = WorkerOptions { poll: poll_interval, ..worker };
        let (host, store) = (Arc::new(TokioHost::current(worker_id)), Arc::clone(&backend) as Arc<dyn Store>);
        let stop = Arc::new(Stop::default());
        let told = Arc::clone(&stop);
        WorkerHandle::spawn(backend, stop, async move {
            if workflows.is_empty() {
                return Err(Failed::NoWorkflow);
            }
            let opened = match select(Box::pin(Session::open(store, host, session)), Box::pin(told.gently())).await {
                Either::Left((opened, _)) => opened,
                Either::Right(((), _)) => return Ok(()),
            };
            let session = opened.map_err(|error| Failed::Store(Arc::new(error)))?;
            work(Worker::new(session, Arc::new(workflows), worker), &told, grace).await;
            Ok(())
        })
    }
}

/// A pooled worker still to be set up.
pub struct PooledWorkerBuilder<B>(PooledWorker<B>);

impl<B: Store> PooledWorkerBuilder<B> {
    /// Its name, for people; host and process id unless set. Two workers of one name do not disturb each other.
    #[must_use]
    pub fn worker_id(mut self, id: impl Into<String>) -> Self {
        self.0.worker_id = Some(id.into());
        self
    }

    /// See [`PooledWorker::with_claim_ttl`].
    #[must_use]
    pub fn claim_ttl(self, ttl: impl Into<Option<Duration>>) -> Self {
        Self(self.0.with_claim_ttl(ttl.into()))
    }

    /// See [`PooledWorker::with_aging_interval`].
    #[must_use]
    pub fn aging_interval(self, interval: Duration) -> Self {
        Self(self.0.with_aging_interval(interval))
    }

    /// See [`PooledWorker::with_batch_size`].
    #[must_use]
    pub fn batch_size(self, branches: NonZeroUsize) -> Self {
        Self(self.0.with_batch_size(branches))
    }

    /// See [`PooledWorker::with_max_concurrent_tasks`].
    #[must_use]
    pub fn max_concurrent_tasks(self, tasks: NonZeroUsize) -> Self {
        Self(self.0.with_max_concurrent_tasks(tasks))
    }

    /// See [`PooledWorker::with_tags`].
    #[must_use]
    pub fn tags(self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(self.0.with_tags(tags.into_iter().map(Into::into).collect()))
    }

    /// See [`PooledWorker::with_shutdown_grace`].
    #[must_use]
    pub fn shutdown_grace(self, grace: Duration) -> Self {
        Self(self.0.with_shutdown_grace(grace))
    }

    /// The worker.
    pub fn build(self) -> PooledWorker<B> {
        self.0
    }
}
