//! The client: starts instances and asks and tells them things, from any process.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::TaskId;
use sayiir_core::branch::JournalRef;
use sayiir_core::codec::Codec;
use sayiir_core::codec::sealed::EncodeValue;
use sayiir_core::control::SignalRequest;
use sayiir_core::error::WorkflowError;
use sayiir_core::future::{MaybeSend, MaybeSync};
use sayiir_core::journal::JournalRow;
use sayiir_core::snapshot::WorkflowSnapshot;
use sayiir_core::task::TaskIdentifier;
use sayiir_core::workflow::{ConflictPolicy, Workflow, WorkflowStatus};
use sayiir_persistence::{
    BackendError, ControlAction, ControlCommand, ControlOutcome, InstanceFilter, InstanceRecord, InstanceSummary, NewEvent, SendOutcome,
    SnapshotStore, Store,
};

use crate::checkpointing::runnable;
use crate::error::RuntimeError;
use crate::failure::InstanceFailure;
use crate::mismatch::{check_codec, mismatch};
use crate::progress::TaskProgress;
use crate::start::{Begin, Started, start_run};

/// So many journal rows are read at a time.
const PAGE: usize = 1000;
/// How often a wait looks even if nothing was announced: only a safety net.
const SAFETY_POLL: Duration = Duration::from_secs(5);

/// How long a submit goes on asking a store that gives no answer.
const SUBMIT_PATIENCE: Duration = Duration::from_millis(300);

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

/// A task of an instance: a node path, or the id that the task has wherever it stands.
///
/// ```
/// use sayiir_runtime::TaskRef;
///
/// assert_eq!(TaskRef::from("fan/email/render"), TaskRef::Path("fan/email/render".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskRef {
    /// A node path, with iterations (one of them) or without (the latest); or the id of a task.
    Path(String),
    /// The hash of a node path without iterations, or of the id of a task.
    Id(TaskId),
}

impl From<&str> for TaskRef {
    fn from(path: &str) -> Self {
        Self::Path(path.to_owned())
    }
}

impl From<String> for TaskRef {
    fn from(path: String) -> Self {
        Self::Path(path)
    }
}

impl From<TaskId> for TaskRef {
    fn from(id: TaskId) -> Self {
        Self::Id(id)
    }
}

impl From<&TaskId> for TaskRef {
    fn from(id: &TaskId) -> Self {
        Self::Id(*id)
    }
}

impl TaskRef {
    fn id(&self) -> TaskId {
        match self {
            Self::Path(path) => TaskId::of_label(path),
            Self::Id(id) => *id,
        }
    }

    /// Whether this is the node's path: with its iterations if any are given, else whichever they are.
    fn is_path_of(&self, node: &str) -> bool {
        match self {
            Self::Path(path) if path.contains('[') => node == path,
            Self::Path(_) | Self::Id(_) => TaskId::of_label(node) == self.id(),
        }
    }
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

    /// Stores a new instance for a worker to run. Once this returns, it survives any crash.
    ///
    /// Returns its status, and with the policy `UseExisting` the output of one that is completed.
    ///
    /// # Errors
    ///
    /// As [`CheckpointingRunner::run`](crate::CheckpointingRunner::run).
    pub async fn submit<C, Input, M, Out>(
        &self,
        workflow: &Workflow<C, Input, M, Out>,
        instance_id: impl Into<String>,
        input: Input,
    ) -> Result<(WorkflowStatus, Option<Bytes>), RuntimeError>
    where
        C: Codec + EncodeValue<Input>,
        Input: 'static,
        M: MaybeSend + MaybeSync + 'static,
        Out: 'static,
    {
        let encoded = workflow.encode_input(&input)?;
        drop(input);
        let (workflow, instance_id) = (runnable(workflow), instance_id.into());
        match start_run(&*self.backend, workflow.plan(), &instance_id, Begin::new(encoded, self.policy, SUBMIT_PATIENCE)).await? {
            Started::Fresh(_, _) => Ok((WorkflowStatus::InProgress, None)),
            Started::Existing(status, output) => Ok((status, output)),
        }
    }

    /// Cancels an instance at once, wherever it stands. Cancelling twice is fine.
    ///
    /// # Errors
    ///
    /// `CannotCancel` if it has completed or failed, `NotFound` if the id is unknown.
    pub async fn cancel(&self, instance_id: &str, reason: Option<String>, cancelled_by: Option<String>) -> Result<(), RuntimeError> {
        match self.control(instance_id, ControlAction::Cancel, SignalRequest::new(reason, cancelled_by)).await? {
            ControlOutcome::Applied | ControlOutcome::AlreadySo | ControlOutcome::Finished(WorkflowStatus::Cancelled { .. }) => Ok(()),
            ControlOutcome::Finished(status) => Err(BackendError::CannotCancel(ended(instance_id, &status).into()).into()),
            ControlOutcome::NotFound => Err(not_found(instance_id)),
        }
    }

    /// Pauses an instance: what runs may finish its step, then everything is held. Pausing twice is fine.
    ///
    /// # Errors
    ///
    /// `CannotPause` if it has ended, `NotFound` if the id is unknown.
    pub async fn pause(&self, instance_id: &str, reason: Option<String>, paused_by: Option<String>) -> Result<(), RuntimeError> {
        match self.control(instance_id, ControlAction::Pause, SignalRequest::new(reason, paused_by)).await? {
            ControlOutcome::Applied | ControlOutcome::AlreadySo => Ok(()),
            ControlOutcome::Finished(status) => Err(BackendError::CannotPause(ended(instance_id, &status).into()).into()),
            ControlOutcome::NotFound => Err(not_found(instance_id)),
        }
    }

    /// Lets a paused instance go on. One that is not paused is left as it is.
    ///
    /// # Errors
    ///
    /// `CannotPause` if it has ended, `NotFound` if the id is unknown.
    pub async fn unpause(&self, instance_id: &str) -> Result<(), RuntimeError> {
        match self.control(instance_id, ControlAction::Unpause, SignalRequest::default()).await? {
            ControlOutcome::Applied | ControlOutcome::AlreadySo => Ok(()),
            ControlOutcome::Finished(status) => Err(BackendError::CannotPause(ended(instance_id, &status).into()).into()),
            ControlOutcome::NotFound => Err(not_found(instance_id)),
        }
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
            return Err(mismatch(&*self.backend, plan, found).await);
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
        check_codec(&*self.backend, workflow.plan(), summary.definition.hash).await?;
        decoded(workflow, Outcome { status: summary.status, output })
    }

    /// The stored result of a task, join, route key or event; `None` if there is none (yet), or no such node.
    ///
    /// `task` is a node path, as [`Workflow::iter_nodes`] lists them (`ship/charge` for the branch `charge` of
    /// the fork that `ship` joins), or, if no node has that path, the id of a task that stands anywhere. Of several
    /// results the latest is given.
    ///
    /// # Errors
    ///
    /// `NotFound` if the instance is unknown.
    pub async fn get_task_result(&self, instance_id: &str, task: impl Into<TaskRef>) -> Result<Option<Bytes>, RuntimeError> {
        let (task, results) = (task.into(), self.results(instance_id).await?);
        let at_path = results.iter().rfind(|row| task.is_path_of(&row.node));
        Ok(at_path.or_else(|| latest_of(&results, task.id())).and_then(|row| row.output.clone()))
    }

    /// The stored result of a task type, wherever it stands; of several results the latest.
    ///
    /// # Errors
    ///
    /// `NotFound` if the instance is unknown.
    pub async fn get_task_result_of<T: TaskIdentifier>(&self, instance_id: &str) -> Result<Option<Bytes>, RuntimeError> {
        let results = self.results(instance_id).await?;
        Ok(latest_of(&results, TaskId::from(T::identifier())).and_then(|row| row.output.clone()))
    }

    async fn results(&self, instance_id: &str) -> Result<Vec<JournalRow>, RuntimeError> {
        let mut rows = self.history(instance_id).await?;
        rows.retain(|row| row.kind.is_result());
        Ok(rows)
    }

    /// Why an instance failed: node, task, attempt, and the error with its causes; `None` if it has not failed.
    ///
    /// # Errors
    ///
    /// `NotFound` if the id is unknown.
    pub async fn failure(&self, instance_id: &str) -> Result<Option<InstanceFailure>, RuntimeError> {
        match self.status(instance_id).await? {
            WorkflowStatus::Failed(_) => Ok(InstanceFailure::of(self.history(instance_id).await?)),
            WorkflowStatus::InProgress
            | WorkflowStatus::Completed
            | WorkflowStatus::Cancelled { .. }
            | WorkflowStatus::Paused { .. }
            | WorkflowStatus::Waiting { .. }
            | WorkflowStatus::AwaitingSignal { .. } => Ok(None),
        }
    }

    /// What the tasks that run now reported about how far they are, by node: see `TaskExecutionContext::report_progress`.
    /// Of a task whose worker died it is the last it said, until the next attempt says more.
    ///
    /// # Errors
    ///
    /// `NotFound` if the id is unknown.
    pub async fn progress(&self, instance_id: &str) -> Result<Vec<TaskProgress>, RuntimeError> {
        let branches = self.record(instance_id).await?.branches;
        Ok(branches.into_iter().filter_map(TaskProgress::of).collect())
    }

    /// Instances, filtered, in order of their ids.
    ///
    /// # Errors
    ///
    /// If the store cannot be asked.
    pub async fn list(&self, filter: InstanceFilter) -> Result<Vec<InstanceSummary>, RuntimeError> {
        Ok(self.backend.list(filter).await?)
    }

    /// The whole journal of an instance's present run.
    ///
    /// # Errors
    ///
    /// `NotFound` if the id is unknown.
    pub async fn history(&self, instance_id: &str) -> Result<Vec<JournalRow>, RuntimeError> {
        let run = self.record(instance_id).await?.summary.run;
        let (mut rows, mut after): (Vec<JournalRow>, _) = (Vec::new(), None);
        loop {
            let page = self.backend.journal(run, after, PAGE).await?;
            let full = page.len() == PAGE;
            rows.extend(page);
            after = rows.last().map(|row| (row.at, JournalRef { branch: row.branch.clone(), revision: row.revision }));
            if !full {
                return Ok(rows);
            }
        }
    }

    async fn record(&self, instance_id: &str) -> Result<InstanceRecord, RuntimeError> {
        self.backend.instance(instance_id).await?.ok_or_else(|| not_found(instance_id))
    }

    async fn control(&self, instance_id: &str, action: ControlAction, request: SignalRequest) -> Result<ControlOutcome, RuntimeError> {
        Ok(self.backend.control(ControlCommand { instance_id: Arc::from(instance_id), action, request }).await?)
    }
}

/// The latest result of the task of this id, at whatever node.
fn latest_of(results: &[JournalRow], id: TaskId) -> Option<&JournalRow> {
    results.iter().rfind(|row| TaskId::of_name_in(&row.node) == id)
}

pub(crate) fn not_found(instance_id: &str) -> RuntimeError {
    BackendError::NotFound(format!("{instance_id:?}").into()).into()
}

fn ended(instance_id: &str, status: &WorkflowStatus) -> String {
    format!("instance {instance_id:?} is {}", status.as_str())
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
