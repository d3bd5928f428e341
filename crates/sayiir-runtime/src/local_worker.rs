//! A worker that drives a store by itself: submissions, timers, events, and what crashed processes left.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use event_listener::Event;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use sayiir_driver::{Session, SessionOptions, Worker, WorkerOptions, WorkflowSet};
use sayiir_persistence::Store;

use crate::error::RuntimeError;
use crate::host::TokioHost;

/// How long a shutdown waits for running tasks before it drops them.
const GRACE: Duration = Duration::from_secs(30);

/// Drives every instance of the workflows it knows.
///
/// It claims what is due, keeps a branch through its steps, and sleeps until the next timer or until
/// something is announced; with `SqliteBackend` that includes what other processes write. On its host
/// it takes over the work of a process that died at once.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_runtime::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let order = workflow! { name: "order", steps: [charge(euros: u32) { euros }] }?;
/// let store = InMemoryBackend::new();
/// let worker = LocalWorker::builder(store.clone()).concurrency(8).spawn(WorkflowSet::new().with(Arc::new(order.clone()))).await?;
/// let client = WorkflowClient::new(store);
/// client.submit(&order, "order-17", 5).await?;
/// assert_eq!(client.wait_for(&order, "order-17", None).await?, 5);
/// worker.shutdown();
/// worker.join().await?;
/// # Ok(())
/// # }
/// ```
pub struct LocalWorker;

impl LocalWorker {
    /// A worker over this store, still to be set up.
    pub fn builder<B: Store>(backend: B) -> LocalWorkerBuilder<B> {
        Self::from_shared(Arc::new(backend))
    }

    /// A worker over a store that others use too, still to be set up.
    pub fn from_shared<B: Store>(backend: Arc<B>) -> LocalWorkerBuilder<B> {
        LocalWorkerBuilder {
            backend,
            worker_id: None,
            grace: GRACE,
            session: SessionOptions { patience: None, ..SessionOptions::default() },
            worker: WorkerOptions::default(),
        }
    }
}

/// How a worker is set up.
pub struct LocalWorkerBuilder<B> {
    backend: Arc<B>,
    worker_id: Option<String>,
    grace: Duration,
    session: SessionOptions,
    worker: WorkerOptions,
}

impl<B: Store> LocalWorkerBuilder<B> {
    /// The most branches it drives at a time; 64 unless set.
    #[must_use]
    pub const fn concurrency(mut self, branches: usize) -> Self {
        self.worker.concurrency = branches;
        self
    }

    /// How long a lease lasts; 10 seconds unless set.
    #[must_use]
    pub const fn lease(mut self, ttl: Duration) -> Self {
        self.session.ttl = ttl;
        self
    }

    /// Its name, for people; host and process id unless set.
    #[must_use]
    pub fn worker_id(mut self, id: impl Into<String>) -> Self {
        self.worker_id = Some(id.into());
        self
    }

    /// The tags it serves: tasks with other tags are left to others. Without any it serves all.
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.session.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// How long a shutdown waits for running tasks before it drops them (they run again elsewhere); 30 seconds unless set.
    #[must_use]
    pub const fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Begins to work in the background of the present tokio runtime.
    ///
    /// # Errors
    ///
    /// If there is no workflow to serve, or the store cannot be asked.
    pub async fn spawn(self, workflows: WorkflowSet) -> Result<WorkerHandle, RuntimeError> {
        if workflows.is_empty() {
            return Err(RuntimeError::NoWorkflow);
        }
        let Self { backend, worker_id, grace, session, worker } = self;
        let host = Arc::new(TokioHost::current(worker_id));
        let session = Session::open(backend, host, session).await?;
        let worker = Worker::new(session, Arc::new(workflows), worker);
        let stop = Arc::new(Stop::default());
        let task = tokio::spawn(work(worker, Arc::clone(&stop), grace));
        let ended = task.map(|ended| ended.map_err(|error| error.to_string())).boxed().shared();
        Ok(WorkerHandle { stop, ended })
    }
}

async fn work(worker: Worker, stop: Arc<Stop>, grace: Duration) {
    worker.work(stop.wait()).await;
    let ended = async {
        loop {
            let end = worker.group().listen();
            if worker.group().active() == 0 {
                return;
            }
            end.await;
        }
    };
    if tokio::time::timeout(grace, ended).await.is_err() {
        tracing::warn!(branches = worker.group().active(), "tasks outlast the shutdown; they are dropped and will run again");
        worker.give_up().await;
    }
}

#[derive(Default)]
struct Stop {
    asked: std::sync::atomic::AtomicBool,
    event: Event,
}

impl Stop {
    async fn wait(&self) {
        loop {
            let listener = self.event.listen();
            if self.asked.load(std::sync::atomic::Ordering::SeqCst) {
                return;
            }
            listener.await;
        }
    }
}

/// A running worker. Dropping the handle lets it work on.
#[derive(Clone)]
pub struct WorkerHandle {
    stop: Arc<Stop>,
    ended: Shared<BoxFuture<'static, Result<(), String>>>,
}

impl WorkerHandle {
    /// Tells the worker to take nothing new and to end when its tasks have ended; what comes after them is given back.
    pub fn shutdown(&self) {
        self.stop.asked.store(true, std::sync::atomic::Ordering::SeqCst);
        self.stop.event.notify(usize::MAX);
    }

    /// Waits for the worker's end; any number of callers may, and may give up waiting.
    ///
    /// # Errors
    ///
    /// If the worker's own code panicked.
    pub async fn join(&self) -> Result<(), RuntimeError> {
        self.ended.clone().await.map_err(RuntimeError::Join)
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle").finish_non_exhaustive()
    }
}
