//! The worker of one machine: short leases, errors of the store told at once.

use std::sync::Arc;
use std::time::Duration;

use sayiir_driver::{Session, SessionOptions, Worker, WorkerOptions, WorkflowSet};
use sayiir_persistence::Store;

use super::GRACE;
use super::handle::{Stop, WorkerHandle, work};
use crate::error::RuntimeError;
use crate::host::TokioHost;

/// Drives every instance of the workflows it knows.
///
/// It claims what is due, keeps a branch through its steps, and sleeps until the next timer or until
/// something is announced; with `SqliteBackend` that includes what other processes write. On its host
/// it takes over the work of a process that died at once.
///
/// This is the worker for one machine. For a fleet there is [`PooledWorker`](crate::PooledWorker): the same loop with long leases.
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
    pub async fn spawn(self, workflows: WorkflowSet) -> Result<WorkerHandle<B>, RuntimeError> {
        if workflows.is_empty() {
            return Err(RuntimeError::NoWorkflow);
        }
        let Self { backend, worker_id, grace, session, worker } = self;
        let host = Arc::new(TokioHost::current(worker_id));
        let session = Session::open(Arc::clone(&backend) as Arc<dyn Store>, host, session).await?;
        let worker = Worker::new(session, Arc::new(workflows), worker);
        let stop = Arc::new(Stop::default());
        let told = Arc::clone(&stop);
        Ok(WorkerHandle::spawn(backend, stop, async move {
            work(worker, &told, grace).await;
            Ok(())
        }))
    }
}
