//! The client: starts instances and asks and tells them things, from any process.

mod control;
mod history;
mod operate;
mod submission;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::codec::Codec;
use sayiir_core::error::WorkflowError;
use sayiir_core::future::{MaybeSend, MaybeSync};
use sayiir_core::snapshot::WorkflowSnapshot;
use sayiir_core::workflow::{ConflictPolicy, Workflow, WorkflowStatus};
use sayiir_persistence::{BackendError, InstanceRecord, NewEvent, SendOutcome, SnapshotStore, Store};

use crate::checkpointing::runnable;
use crate::error::RuntimeError;
use crate::mismatch::{check_codec, mismatch};

pub use history::TaskRef;
pub use operate::Rewinding;
pub use submission::Submission;

/// How often a wait looks even if nothing was announced: only a safety net.
const SAFETY_POLL: Duration = Duration::from_secs(5);

/// Starts instances, and asks and tells them things. It runs no task itself: a worker does.
///
/// ```
/// use sayiir_runtime::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let order = workflow! { name: "order", steps: [charge(euros: u32) { euros }] }?;
/// let store = InMemoryBackend::new();
/// let client = WorkflowClient::new(store.clone()).with_conflict_policy(ConflictPolicy::UseExisting);
/// client.submit(&order, "order-17", 5).await?;
/// client.pause("order-17", Some("the shop is closed".into()), None).await?;
/// assert!(matches!(client.status("order-17").await?, WorkflowStatus::Paused { .. }));
/// client.unpause("order-17").await?;
/// CheckpointingRunner::new(store).resume(&order, "order-17").await?; // or a worker, in any process
/// assert_eq!(client.wait_for(&order, "order-17", None).await?, 5);
/// # Ok(())
/// # }
/// ```
pub struct WorkflowClient<B> {
    backend: Arc<B>,
    policy: ConflictPolicy,
}

impl<B> Clone for WorkflowClient<B> {
    fn clone(&self) -> Self {
        Self { backend: Arc::clone(&self.backend), policy: self.policy }
    }
}

/// How an instance ended.
///
/// ```
/// use sayiir_runtime::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let flow = workflow! { name: "double", steps: [double(x: u32) { 2 * x }] }?;
/// let store = InMemoryBackend::new();
/// flow.run_durable(store.clone(), "one", 4).await?;
/// let outcome = WorkflowClient::new(store).wait("one", None).await?;
/// assert_eq!(outcome, Outcome { status: WorkflowStatus::Completed, output: Some("8".into()) });
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its status.
    pub status: WorkflowStatus,
    /// Its encoded output, if completed.
    pub output: Option<Bytes>,
}

impl<B: Store> WorkflowClient<B> {
    /// A client of this store.
    pub fn new(backend: B) -> Self {
        Self::from_shared(Arc::new(backend))
    }

    /// A client of a store that others use too.
    pub const fn from_shared(backend: Arc<B>) -> Self {
        Self { backend, policy: ConflictPolicy::Fail }
    }

    /// What [`submit`](Self::submit) does if the instance id is known.
    #[must_use]
    pub const fn with_conflict_policy(mut self, policy: ConflictPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The store.
    pub const fn backend(&self) -> &Arc<B> {
        &self.backend
    }

    /// Sends an event. It may come before the wait for it, and before the instance; it is used once.
    ///
    /// # Errors
    ///
    /// If the instance has ended, or the payload is larger than the store accepts.
    pub async fn send_event(&self, instance_id: &str, name: &str, payload: impl Into<Bytes>) -> Result<(), RuntimeError> {
        self.send(instance_id, name, payload.into(), None).await
    }

    /// Sends an event once, however often it is asked for with the same `key`.
    ///
    /// # Errors
    ///
    /// As [`send_event`](Self::send_event).
    pub async fn send_event_once(&self, instance_id: &str, name: &str, payload: impl Into<Bytes>, key: &str) -> Result<(), RuntimeError> {
        self.send(instance_id, name, payload.into(), Some(Arc::from(key))).await
    }

    async fn send(&self, instance_id: &str, name: &str, payload: Bytes, key: Option<Arc<str>>) -> Result<(), RuntimeError> {
        sayiir_core::validate_instance_id(instance_id)?;
        let event = NewEvent { instance_id: Arc::from(instance_id), name: Arc::from(name), payload, key };
        match self.backend.put_event(event).await? {
            SendOutcome::Stored(_) | SendOutcome::Duplicate => Ok(()),
            SendOutcome::Finished(status) => {
                let text = format!("cannot send event {name:?}: instance {instance_id:?} is {}", status.as_str());
                Err(BackendError::Backend(text.into()).into())
            }
        }
    }

    /// How an instance stands.
    ///
    /// # Errors
    ///
    /// `NotFound` if the id is unknown.
    pub async fn status(&self, instance_id: &str) -> Result<WorkflowStatus, RuntimeError> {
        Ok(self.record(instance_id).await?.summary.status)
    }

    /// An instance as a snapshot shows it, which says what follows a delay or a wait, too.
    ///
    /// # Errors
    ///
    /// `NotFound` if the id is unknown, and if it belongs to another definition.
    pub async fn snapshot<C, Input, M, Out>(
        &self,
        workflow: &Workflow<C, Input, M, Out>,
        instance_id: &str,
    ) -> Result<WorkflowSnapshot, RuntimeError>
    where
        C: Codec,
        Input: 'static,
        M: MaybeSend + MaybeSync + 'static,
        Out: 'static,
    {
        let mut snapshot = self.backend.load_snapshot(instance_id).await?;
        let (workflow, found) = (runnable(workflow), snapshot.definition_hash);
        let plan = workflow.plan();
        if *plan.hash() != found {
            return Err(mismatch(&*self.backend, plan, instance_id, found).await);
        }
        snapshot.tell_next(plan);
        Ok(snapshot)
    }

    /// Waits until an instance has ended, or until `timeout` is over: then the status is as it stands.
    ///
    /// # Errors
    ///
    /// `NotFound` if the id is unknown.
    pub async fn wait(&self, instance_id: &str, timeout: Option<Duration>) -> Result<Outcome, RuntimeError> {
        let InstanceRecord { summary, output, .. } = self.record_at_end(instance_id, timeout).await?;
        Ok(Outcome { status: summary.status, output })
    }

    /// An instance that has ended, or as it stands when `timeout` is over.
    async fn record_at_end(&self, instance_id: &str, timeout: Option<Duration>) -> Result<InstanceRecord, RuntimeError> {
        // A time beyond what the clock can tell never comes.
        let deadline = timeout.and_then(|timeout| tokio::time::Instant::now().checked_add(timeout));
        let watch = self.backend.wakeups().listen_instance(instance_id);
        loop {
            let changed = watch.listen();
            let record = self.record(instance_id).await?;
            let left = deadline.map(|deadline| deadline.saturating_duration_since(tokio::time::Instant::now()));
            if record.summary.status.is_terminal() || left.is_some_and(|left| left.is_zero()) {
                return Ok(record);
            }
            // Either way it looks again.
            let _ = tokio::time::timeout(left.unwrap_or(SAFETY_POLL).min(SAFETY_POLL), changed).await;
        }
    }

    /// Waits until an instance of `workflow` has ended, and gives its decoded output.
    ///
    /// # Errors
    ///
    /// The workflow's error if it ended without an output, or has not ended when `timeout` is over;
    /// `NotFound` if the id is unknown; [`CodecError::Mismatch`](sayiir_core::error::CodecError::Mismatch) if the instance's payloads
    /// are of another codec.
    pub async fn wait_for<C, Input, M, Out>(
        &self,
        workflow: &Workflow<C, Input, M, Out>,
        instance_id: &str,
        timeout: Option<Duration>,
    ) -> Result<Out, RuntimeError> {
        let InstanceRecord { summary, output, .. } = self.record_at_end(instance_id, timeout).await?;
        check_codec(&*self.backend, workflow.plan(), instance_id, summary.definition.hash).await?;
        decoded(workflow, Outcome { status: summary.status, output })
    }

    async fn record(&self, instance_id: &str) -> Result<InstanceRecord, RuntimeError> {
        self.backend.instance(instance_id).await?.ok_or_else(|| not_found(instance_id))
    }
}

pub(crate) fn not_found(instance_id: &str) -> RuntimeError {
    BackendError::NotFound(format!("{instance_id:?}").into()).into()
}

/// The output of an ended instance, decoded, or the error that it has none.
pub(crate) fn decoded<C, Input, M, Out>(workflow: &Workflow<C, Input, M, Out>, outcome: Outcome) -> Result<Out, RuntimeError> {
    match outcome {
        Outcome { status: WorkflowStatus::Completed, output: Some(output) } => Ok(workflow.decode_output(output)?),
        Outcome { status, output: _ } => Err(no_output(status).into()),
    }
}

/// The error of a workflow that has no output.
fn no_output(status: WorkflowStatus) -> WorkflowError {
    match status {
        WorkflowStatus::Failed(error) => WorkflowError::TaskFailed(error),
        WorkflowStatus::Cancelled { reason, cancelled_by } => WorkflowError::Cancelled { reason, cancelled_by },
        WorkflowStatus::Paused { reason, paused_by } => WorkflowError::Paused { reason, paused_by },
        WorkflowStatus::Waiting { wake_at: _, delay_id } => WorkflowError::Waiting(delay_id),
        WorkflowStatus::AwaitingSignal { signal_id: _, signal_name, wake_at: _ } => WorkflowError::AwaitingSignal(signal_name),
        WorkflowStatus::InProgress | WorkflowStatus::Completed => WorkflowError::ResumeError("it is still in progress".to_owned()),
    }
}
