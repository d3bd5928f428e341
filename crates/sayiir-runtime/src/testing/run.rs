//! One instance under a clock that the test moves.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sayiir_core::branch::LeaseId;
use sayiir_core::codec::Codec;
use sayiir_core::codec::sealed::EncodeValue;
use sayiir_core::error::CodecError;
use sayiir_core::future::{MaybeSend, MaybeSync};
use sayiir_core::time::Clock;
use sayiir_core::workflow::{ConflictPolicy, RunnableWorkflow, Workflow, WorkflowStatus};
use sayiir_driver::{Host, Session, SessionOptions, Worker, WorkerOptions, WorkflowSet};
use sayiir_persistence::{InMemoryBackend, Store};

use super::timeline::Timeline;
use super::world::World;
use super::{TestSetup, world};
use crate::client::{Outcome, WorkflowClient, decoded};
use crate::error::RuntimeError;
use crate::progress::TaskProgress;
use crate::start::{Begin, start_run};

/// Longer than any test's time: leases do not end, and nothing is looked at for safety's sake, unless the test says so.
const FOR_EVER: Duration = Duration::from_hours(1_000 * 365 * 24);

/// One instance of a workflow in a test. See [the module](super).
///
/// A task that waits for something outside of the test (a thread, a socket, a real timer) is not waited for: the calls return
/// when nothing more happens by itself, and [`status`](Self::status) is `InProgress` then. Replace such tasks by stubs, or call
/// [`until_ended`](Self::until_ended).
pub struct TestRun<C, Input, M, Out> {
    workflow: Workflow<C, Input, M, Out>,
    runnable: Arc<dyn RunnableWorkflow>,
    instance_id: String,
    world: World,
    store: Arc<InMemoryBackend>,
    client: WorkflowClient<InMemoryBackend>,
    lease: LeaseId,
    workers: u32,
}

impl<C, Input, M, Out> TestRun<C, Input, M, Out>
where
    C: Codec,
    Input: 'static,
    M: MaybeSend + MaybeSync + 'static,
    Out: 'static,
{
    /// Sets a run up.
    pub fn of(workflow: &Workflow<C, Input, M, Out>) -> TestSetup<C, Input, M, Out> {
        TestSetup::new(workflow)
    }

    pub(super) async fn begin(
        workflow: Workflow<C, Input, M, Out>,
        runnable: Arc<dyn RunnableWorkflow>,
        instance_id: String,
        input: Bytes,
        now: DateTime<Utc>,
    ) -> Result<Self, RuntimeError> {
        let world = World::new(now.into());
        let store = Arc::new(InMemoryBackend::with_clock(Arc::<world::ManualClock>::clone(&world.clock)));
        start_run(&*store, runnable.plan(), &instance_id, Begin::new(input, ConflictPolicy::Fail, Duration::ZERO)).await?;
        let client = WorkflowClient::from_shared(Arc::clone(&store));
        let mut run = Self { workflow, runnable, instance_id, world, store, client, lease: LeaseId(0), workers: 0 };
        run.employ().await?;
        run.world.settle().await;
        Ok(run)
    }

    /// Puts a new worker to work.
    async fn employ(&mut self) -> Result<(), RuntimeError> {
        self.workers += 1;
        let host: Arc<dyn Host> = Arc::new(self.world.host(self.workers));
        let options = SessionOptions { ttl: FOR_EVER, look: FOR_EVER, ..SessionOptions::default() };
        let store: Arc<dyn Store> = Arc::clone(&self.store) as Arc<dyn Store>;
        let session = Session::open(store, Arc::clone(&host), options).await?;
        self.lease = session.lease();
        let workflows = Arc::new(WorkflowSet::new().with(Arc::clone(&self.runnable)));
        let worker =
            Worker::new(session, workflows, WorkerOptions { concurrency: 4096, safety_poll: FOR_EVER, ..WorkerOptions::default() });
        drop(host.spawn(Box::pin(async move { worker.work(pending()).await })));
        Ok(())
    }

    /// Moves the clock on by this long. Every timer on the way fires in order, at its own time, and what it wakes runs before
    /// the next one does.
    pub async fn advance(&mut self, by: Duration) {
        let until = self.world.clock.now() + by;
        self.world.settle().await;
        while let Some(next) = self.world.next_timer().filter(|next| *next <= until) {
            self.world.move_to(next);
            self.world.settle().await;
        }
        self.world.move_to(until);
        self.world.settle().await;
    }

    /// Moves the clock to the next time at which something happens (a delay's end, a retry, a timeout) and says how far that was;
    /// `None` if nothing will happen by itself.
    pub async fn advance_to_next(&mut self) -> Option<Duration> {
        self.world.settle().await;
        let (start, before) = (self.world.clock.now(), self.timeline().await);
        loop {
            // The worker has timers of its own.
            let next = self.world.next_timer().filter(|next| next.since(start) < FOR_EVER / 4)?;
            self.world.move_to(next);
            self.world.settle().await;
            if self.timeline().await != before {
                return Some(next.since(start));
            }
        }
    }

    /// The time in the test.
    pub fn now(&self) -> DateTime<Utc> {
        self.world.clock.now().into()
    }

    /// Waits, really, for a task that waits for something outside of the test, until the instance has ended. Time stands still.
    pub async fn until_ended(&mut self) {
        loop {
            self.world.settle().await;
            match self.status().await {
                Ok(status) if !status.is_terminal() => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Sends an event, encoded with the workflow's codec.
    ///
    /// # Errors
    ///
    /// If it cannot be encoded, or the instance has ended.
    pub async fn send_event<T: ?Sized>(&mut self, name: &str, payload: &T) -> Result<(), RuntimeError>
    where
        C: EncodeValue<T>,
    {
        let type_name = std::any::type_name::<T>();
        let payload = self.workflow.codec().encode(payload).map_err(|source| CodecError::Encode { type_name, source })?;
        self.client.send_event(&self.instance_id, name, payload).await?;
        self.world.settle().await;
        Ok(())
    }

    /// Cancels the instance.
    ///
    /// # Errors
    ///
    /// As [`WorkflowClient::cancel`].
    pub async fn cancel(&mut self) -> Result<(), RuntimeError> {
        self.client.cancel(&self.instance_id, None, None).await?;
        self.world.settle().await;
        Ok(())
    }

    /// Pauses the instance.
    ///
    /// # Errors
    ///
    /// As [`WorkflowClient::pause`].
    pub async fn pause(&mut self) -> Result<(), RuntimeError> {
        self.client.pause(&self.instance_id, None, None).await?;
        self.world.settle().await;
        Ok(())
    }

    /// Lets a paused instance go on.
    ///
    /// # Errors
    ///
    /// As [`WorkflowClient::unpause`].
    pub async fn unpause(&mut self) -> Result<(), RuntimeError> {
        self.client.unpause(&self.instance_id).await?;
        self.world.settle().await;
        Ok(())
    }

    /// Kills the worker at once, with all it runs, and lets another take over, as after a `kill -9`: what was stored is kept, a task
    /// that was running runs again.
    ///
    /// # Errors
    ///
    /// If the store cannot be asked, which the one in memory always can.
    pub async fn crash(&mut self) -> Result<(), RuntimeError> {
        self.world.kill();
        self.store.expire_leases(self.lease).await?;
        self.employ().await?;
        self.world.settle().await;
        Ok(())
    }

    /// How the instance stands.
    ///
    /// # Errors
    ///
    /// If a task deleted the instance.
    pub async fn status(&self) -> Result<WorkflowStatus, RuntimeError> {
        self.client.status(&self.instance_id).await
    }

    /// The workflow's output.
    ///
    /// # Errors
    ///
    /// The workflow's error if it ended without one, or has not ended.
    pub async fn output(&self) -> Result<Out, RuntimeError> {
        let record = self.store.instance(&self.instance_id).await?.ok_or_else(|| crate::client::not_found(&self.instance_id))?;
        decoded(&self.workflow, Outcome { status: record.summary.status, output: record.output })
    }

    /// What running tasks reported about how far they are.
    ///
    /// # Errors
    ///
    /// If a task deleted the instance.
    pub async fn progress(&self) -> Result<Vec<TaskProgress>, RuntimeError> {
        self.client.progress(&self.instance_id).await
    }

    /// What happened so far.
    pub async fn timeline(&self) -> Timeline {
        Timeline::new(self.client.history(&self.instance_id).await.unwrap_or_default())
    }

    /// A client of the store that the instance is in.
    pub const fn client(&self) -> &WorkflowClient<InMemoryBackend> {
        &self.client
    }
}

impl<C, Input, M, Out> fmt::Debug for TestRun<C, Input, M, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRun").field("instance_id", &self.instance_id).field("now", &self.world.clock.now()).finish_non_exhaustive()
    }
}
