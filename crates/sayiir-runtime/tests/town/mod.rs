//! A town of workers under a clock that jumps: tokio's paused time is the hosts' and the store's.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sayiir_core::branch::LeaseId;
use sayiir_core::future::MaybeSend;
use sayiir_core::time::{Clock, Timestamp};
use sayiir_core::workflow::{RunnableWorkflow, Typed};
use sayiir_driver::{AbortTask, Host, Session, SessionOptions, Worker, WorkerOptions, WorkflowSet};
use sayiir_persistence::{AroundStore, InMemoryBackend, Operation, Process, Store, StoreError, StoreFuture, Wakeups, forward_store};
use sayiir_runtime::prelude::*;
use tokio::time::Instant;

/// The paused time, as stores read it.
struct JumpingClock(Instant);

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_000_000) + self.0.elapsed()
    }
}

/// A store in memory under the paused time.
pub(crate) fn memory() -> InMemoryBackend {
    InMemoryBackend::with_clock(Arc::new(JumpingClock(Instant::now())))
}

/// What a store's caller does before a call is answered: late, or not at all.
pub(crate) type Fate = Box<dyn Fn(Operation) -> BoxFuture<'static, bool> + Send + Sync>;

/// One worker's way to the store: counts its calls, holds them up, loses answers, hears no announcements.
pub(crate) struct Way {
    inner: InMemoryBackend,
    counts: Mutex<BTreeMap<Operation, u64>>,
    fate: Fate,
    deaf: Option<Wakeups>,
}

impl Way {
    pub(crate) fn to(inner: &InMemoryBackend) -> Self {
        Self { inner: inner.clone(), counts: Mutex::default(), fate: Box::new(|_| Box::pin(async { true })), deaf: None }
    }

    /// Acts once a call was applied; what is answered false is lost.
    pub(crate) fn with_fate(self, fate: impl Fn(Operation) -> BoxFuture<'static, bool> + Send + Sync + 'static) -> Self {
        Self { fate: Box::new(fate), ..self }
    }

    /// Hears no announcement.
    pub(crate) fn deaf(self) -> Self {
        Self { deaf: Some(Wakeups::new()), ..self }
    }

    /// How often an operation was asked for.
    pub(crate) fn count(&self, operation: Operation) -> u64 {
        self.counts.lock().unwrap().get(&operation).copied().unwrap_or(0)
    }

    /// How often anything was asked for.
    pub(crate) fn calls(&self) -> u64 {
        self.counts.lock().unwrap().values().sum()
    }
}

impl AroundStore for Way {
    fn around<'a, T: MaybeSend + 'a>(
        &'a self,
        operation: Operation,
        ask: impl FnOnce() -> StoreFuture<'a, T> + MaybeSend + 'a,
    ) -> StoreFuture<'a, T> {
        *self.counts.lock().unwrap().entry(operation).or_default() += 1;
        Box::pin(async move {
            let answer = ask().await;
            if (self.fate)(operation).await { answer } else { Err(StoreError::unavailable("the answer was lost")) }
        })
    }
}

impl Store for Way {
    fn wakeups(&self) -> &Wakeups {
        self.deaf.as_ref().unwrap_or_else(|| self.inner.wakeups())
    }

    forward_store!(around |me| me.inner, except wakeups);
}

/// A process whose time is the paused one.
struct TownHost(u32);

struct Spawned(tokio::task::AbortHandle);

impl AbortTask for Spawned {
    fn abort(&self) {
        self.0.abort();
    }
}

impl Host for TownHost {
    fn sleep(&self, duration: Duration) -> sayiir_core::future::BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn(&self, future: sayiir_core::future::BoxFuture<'static, ()>) -> Box<dyn AbortTask> {
        Box::new(Spawned(tokio::spawn(future).abort_handle()))
    }

    fn process(&self) -> Process {
        Process { host: format!("machine-{}", self.0), pid: self.0, started: 1, worker_id: "town".to_owned() }
    }

    fn is_alive(&self, process: &Process) -> Option<bool> {
        (process.pid == self.0).then_some(true)
    }
}

/// A worker of the town; dropping it ends its work, but not what it drives.
pub(crate) struct Employed {
    pub(crate) lease: LeaseId,
    work: tokio::task::JoinHandle<()>,
}

impl Drop for Employed {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// How a pooled worker holds its leases.
pub(crate) fn pooled() -> SessionOptions {
    SessionOptions {
        ttl: Duration::from_mins(5),
        patience: None,
        head_start: Some(Duration::from_millis(100)),
        offers_branches: true,
        ..SessionOptions::default()
    }
}

/// Puts a worker to work.
pub(crate) async fn employ(
    number: u32,
    way: &Arc<Way>,
    session: SessionOptions,
    worker: WorkerOptions,
    workflow: Arc<dyn RunnableWorkflow>,
) -> Employed {
    employ_all(number, way, session, worker, WorkflowSet::new().with(workflow)).await
}

/// Puts a worker of several workflows to work.
pub(crate) async fn employ_all(
    number: u32,
    way: &Arc<Way>,
    session: SessionOptions,
    worker: WorkerOptions,
    workflows: WorkflowSet,
) -> Employed {
    let session = Session::open(Arc::clone(way) as Arc<dyn Store>, Arc::new(TownHost(number)), session).await.unwrap();
    let lease = session.lease();
    let worker = Worker::new(session, Arc::new(workflows), worker);
    Employed { lease, work: tokio::spawn(async move { worker.work(std::future::pending()).await }) }
}

pub(crate) fn flow<Input>(name: &str) -> WorkflowBuilder<JsonCodec, Input, Typed<Input>> {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

/// Retried so often, each time after this long.
pub(crate) fn retried(max_retries: u32, delay: Duration) -> TaskMetadata {
    let retries = RetryPolicy { initial_delay: delay, backoff_multiplier: 1.0, ..RetryPolicy::with_max_retries(max_retries) };
    TaskMetadata { retries: Some(retries), ..TaskMetadata::default() }
}
