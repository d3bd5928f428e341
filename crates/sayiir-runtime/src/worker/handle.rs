//! A worker at work in the background, and the way to end it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_listener::Event;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, select};
use sayiir_driver::Worker;
use sayiir_persistence::{BackendError, Detail, StoreError};

use crate::error::RuntimeError;

/// A running worker.
///
/// - [`shutdown`](Self::shutdown) is gentle: nothing new is taken, running tasks may end within the worker's grace. Calling it again changes nothing.
/// - [`shutdown_now`](Self::shutdown_now), also after `shutdown`, drops the tasks that run; they run again elsewhere.
/// - Clones are handles of one worker. Dropping them all lets it work on until the runtime ends.
///
/// Whichever way a worker ends, nothing is lost: what it held is given back, and at most the tasks that ran are run again. Where
/// the store cannot be told, or the process is killed, its leases end by themselves.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use sayiir_runtime::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let flow = workflow! { name: "double", steps: [double(x: u32) { 2 * x }] }?;
/// let store = InMemoryBackend::new();
/// let handle = LocalWorker::builder(store.clone()).spawn(WorkflowSet::new().with(Arc::new(flow.clone()))).await?;
/// let client = WorkflowClient::new(store);
/// client.submit(&flow, "one", 4).await?;
/// assert_eq!(client.wait_for(&flow, "one", Some(Duration::from_secs(30))).await?, 8);
/// handle.shutdown(); // what runs may end
/// handle.join().await?;
/// # Ok(())
/// # }
/// ```
pub struct WorkerHandle<B> {
    backend: Arc<B>,
    stop: Arc<Stop>,
    ended: Shared<BoxFuture<'static, Result<(), Failed>>>,
}

/// Why a worker does not work.
#[derive(Debug, Clone)]
pub(super) enum Failed {
    NoWorkflow,
    Store(Arc<StoreError>),
    Panicked(String),
}

impl<B> WorkerHandle<B> {
    /// Runs a worker in the background of the present tokio runtime.
    pub(super) fn spawn(backend: Arc<B>, stop: Arc<Stop>, work: impl Future<Output = Result<(), Failed>> + Send + 'static) -> Self {
        let ended = tokio::spawn(work).map(|ended| ended.unwrap_or_else(|error| Err(Failed::Panicked(error.to_string()))));
        Self { backend, stop, ended: ended.boxed().shared() }
    }

    /// Tells the worker to take nothing new, and to end when its tasks have ended; what comes after them is given back.
    pub fn shutdown(&self) {
        self.stop.ask(&self.stop.gently);
    }

    /// Tells the worker to drop its tasks at their next await, and to give everything back.
    pub fn shutdown_now(&self) {
        self.stop.ask(&self.stop.now);
        self.shutdown();
    }

    /// Waits for the worker's end; any number of callers may, and may give up waiting.
    ///
    /// # Errors
    ///
    /// If it had no workflow to serve, if the store refused it, or if its own code panicked.
    pub async fn join(&self) -> Result<(), RuntimeError> {
        self.ended.clone().await.map_err(|failed| match failed {
            Failed::NoWorkflow => RuntimeError::NoWorkflow,
            Failed::Panicked(what) => RuntimeError::Join(what),
            Failed::Store(error) => {
                let what = "the store refuses this worker".to_owned();
                RuntimeError::Backend(BackendError::Backend(Detail::with_source(what, error)))
            }
        })
    }

    /// The store that it serves.
    pub const fn backend(&self) -> &Arc<B> {
        &self.backend
    }
}

impl<B> Clone for WorkerHandle<B> {
    fn clone(&self) -> Self {
        let Self { backend, stop, ended } = self;
        Self { backend: Arc::clone(backend), stop: Arc::clone(stop), ended: ended.clone() }
    }
}

impl<B> fmt::Debug for WorkerHandle<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle").finish_non_exhaustive()
    }
}

/// What a handle tells its worker.
#[derive(Default)]
pub(super) struct Stop {
    gently: AtomicBool,
    now: AtomicBool,
    event: Event,
}

impl Stop {
    fn ask(&self, what: &AtomicBool) {
        what.store(true, Ordering::SeqCst);
        self.event.notify(usize::MAX);
    }

    /// Resolves when the worker is to stop.
    pub(super) async fn gently(&self) {
        self.wait(&self.gently).await;
    }

    async fn wait(&self, what: &AtomicBool) {
        loop {
            // Before the look, so that nothing is missed.
            let listener = self.event.listen();
            if what.load(Ordering::SeqCst) {
                return;
            }
            listener.await;
        }
    }
}

/// Works until it is told to stop; then lets tasks end, and after the grace gives everything back.
pub(super) async fn work(worker: Worker, stop: &Stop, grace: Duration) {
    worker.work(stop.gently()).await;
    let enough = select(Box::pin(stop.wait(&stop.now)), Box::pin(tokio::time::sleep(grace)));
    if let Either::Right(_) = select(Box::pin(worker.ended()), enough).await {
        tracing::warn!(branches = worker.group().active(), "tasks outlast the shutdown; they are dropped and will run again");
        worker.give_up().await;
    }
}
