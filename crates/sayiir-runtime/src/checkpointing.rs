//! The runner that drives one instance at a time, here and now, and stores every step.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::branch::RunNumber;
use sayiir_core::codec::Codec;
use sayiir_core::codec::sealed::EncodeValue;
use sayiir_core::future::{MaybeSend, MaybeSync};
use sayiir_core::workflow::{ConflictPolicy, RunnableWorkflow, Workflow, WorkflowStatus};
use sayiir_driver::{Group, RunEnd, RunGuard, Session, SessionOptions, WaitFor, WorkflowSet, drive_instance};
use sayiir_persistence::{BranchView, Store};
use tokio::sync::OnceCell;

use crate::client::{Outcome, decoded, not_found};
use crate::error::RuntimeError;
use crate::host::TokioHost;
use crate::mismatch::mismatch;
use crate::start::{Begin, Started, start_run};

/// How long [`CheckpointingRunner::run_to_end`] waits at most before it looks again at an instance that waits for somebody else.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The most branches of one run that are driven at a time.
const BRANCHES: usize = 1024;

/// Runs instances to their end, or to the next wait, with every finished step stored.
///
/// After a crash, [`resume`](Self::resume) goes on from the last stored step. A step that was running at
/// the crash runs again; a step whose result was stored does not.
///
/// A runner holds its instances by leases of 10 seconds, which it renews. On one host the work of a
/// process that died is taken over at once; elsewhere when its leases end.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_runtime::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let context = WorkflowContext::new("greet", Arc::new(JsonCodec), Arc::new(()));
/// let workflow = WorkflowBuilder::new(context)
///     .then("greet", |name: String| async move { Ok(format!("hello {name}")) })
///     .build()?;
/// let runner = CheckpointingRunner::new(InMemoryBackend::new());
/// let status = runner.run(&workflow, "greet-ada", "Ada".to_owned()).await?;
/// assert!(status.is_completed());
/// # Ok(())
/// # }
/// ```
pub struct CheckpointingRunner<B> {
    backend: Arc<B>,
    policy: ConflictPolicy,
    options: SessionOptions,
    session: OnceCell<Arc<Session>>,
}

impl<B: Store> CheckpointingRunner<B> {
    /// A runner over this store.
    pub fn new(backend: B) -> Self {
        Self::from_shared(Arc::new(backend))
    }

    /// A runner over a store that others use too.
    pub fn from_shared(backend: Arc<B>) -> Self {
        Self { backend, policy: ConflictPolicy::default(), options: SessionOptions::default(), session: OnceCell::new() }
    }

    /// What [`run`](Self::run) does if the instance id is known.
    #[must_use]
    pub const fn with_conflict_policy(mut self, policy: ConflictPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How long a lease lasts; 10 seconds unless set. It is renewed at half that time.
    #[must_use]
    pub const fn with_lease(mut self, ttl: Duration) -> Self {
        self.options.ttl = ttl;
        self
    }

    /// How long to go on asking a store that gives no answer before a run is given up (it can be
    /// resumed); 30 seconds unless set.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.options.patience = Some(patience);
        self
    }

    /// The store.
    pub const fn backend(&self) -> &Arc<B> {
        &self.backend
    }

    /// Starts an instance and drives it until it has ended, is paused, or waits for delays and signals only.
    ///
    /// # Errors
    ///
    /// If the id is not a legal one, is known (see [`with_conflict_policy`](Self::with_conflict_policy)) or
    /// belongs to another definition, and if the store fails. A task's failure is a status, not an error.
    /// After an error in mid-run, and after this future is dropped, the instance can be resumed.
    pub async fn run<C, Input, M, Out>(
        &self,
        workflow: &Workflow<C, Input, M, Out>,
        instance_id: impl Into<String>,
        input: Input,
    ) -> Result<WorkflowStatus, RuntimeError>
    where
        C: Codec + EncodeValue<Input>,
        Input: 'static,
        M: MaybeSend + MaybeSync + 'static,
        Out: 'static,
    {
        let encoded = workflow.encode_input(&input)?;
        drop(input);
        Ok(self.run_encoded(runnable(workflow), instance_id.into(), encoded, WaitFor::Retries).await?.status)
    }

    /// Drives an instance on from where it stands.
    ///
    /// Returns `InProgress`, and touches nothing, if a live worker holds it.
    ///
    /// # Errors
    ///
    /// If the id is unknown or belongs to another definition, and if the store fails.
    pub async fn resume<C, Input, M, Out>(
        &self,
        workflow: &Workflow<C, Input, M, Out>,
        instance_id: &str,
    ) -> Result<WorkflowStatus, RuntimeError>
    where
        C: Codec,
        Input: 'static,
        M: MaybeSend + MaybeSync + 'static,
        Out: 'static,
    {
        Ok(self.resume_erased(runnable(workflow), instance_id.to_owned(), WaitFor::Retries).await?.status)
    }

    /// Starts an instance, or goes on with the one that is there, and drives it to its end, however long its delays and waits
    /// for signals are; gives its output. Whatever [`with_conflict_policy`](Self::with_conflict_policy) says, a known id goes on where
    /// it stands: call it again after a crash, with the same id. While another process drives the instance, and while it is
    /// paused, it waits.
    ///
    /// # Errors
    ///
    /// If the id is not a legal one or belongs to another definition, if the store fails, and the workflow's error if it ended
    /// without an output. After an error of the store, and after this future is dropped, it can be called again.
    pub async fn run_to_end<C, Input, M, Out>(
        &self,
        workflow: &Workflow<C, Input, M, Out>,
        instance_id: impl Into<String>,
        input: Input,
    ) -> Result<Out, RuntimeError>
    where
        C: Codec + EncodeValue<Input>,
        Input: 'static,
        M: MaybeSend + MaybeSync + 'static,
        Out: 'static,
    {
        let (id, erased) = (instance_id.into(), runnable(workflow));
        let encoded = workflow.encode_input(&input)?;
        drop(input);
        let patience = self.options.patience.unwrap_or(Duration::MAX);
        start_run(&*self.backend, erased.plan(), &id, Begin::new(encoded, ConflictPolicy::UseExisting, patience)).await?;
        let watch = self.backend.wakeups().listen_instance(&id);
        loop {
            let changed = watch.listen();
            let RunEnd { status, output } = self.resume_erased(Arc::clone(&erased), id.clone(), WaitFor::Timers).await?;
            if status.is_terminal() {
                return decoded(workflow, Outcome { status, output });
            }
            // Either way it looks again.
            let _ = tokio::time::timeout(LOOK_AGAIN, changed).await;
        }
    }

    pub(crate) async fn run_encoded(
        &self,
        workflow: Arc<dyn RunnableWorkflow>,
        instance_id: String,
        input: Bytes,
        wait_for: WaitFor,
    ) -> Result<RunEnd, RuntimeError> {
        let session = self.session().await?;
        let lease = Some((session.lease(), self.options.ttl));
        let patience = self.options.patience.unwrap_or(Duration::MAX);
        let begin = Begin { lease, ..Begin::new(input, self.policy, patience) };
        match start_run(&*self.backend, workflow.plan(), &instance_id, begin).await? {
            Started::Existing(status, output) => Ok(RunEnd { status, output }),
            Started::Fresh(root, run) => self.drive(session, workflow, instance_id, run, root, wait_for).await,
        }
    }

    async fn resume_erased(
        &self,
        workflow: Arc<dyn RunnableWorkflow>,
        instance_id: String,
        wait_for: WaitFor,
    ) -> Result<RunEnd, RuntimeError> {
        let session = self.session().await?;
        let record = session.instance(&instance_id).await?.ok_or_else(|| not_found(&instance_id))?;
        let found = record.summary.definition.hash;
        if *workflow.plan().hash() != found {
            return Err(mismatch(&*self.backend, workflow.plan(), &instance_id, found).await);
        }
        if record.summary.status.is_terminal() {
            return Ok(RunEnd { status: record.summary.status, output: record.output });
        }
        session.reap().await?;
        self.drive(session, workflow, instance_id, record.summary.run, None, wait_for).await
    }

    async fn drive(
        &self,
        session: Arc<Session>,
        workflow: Arc<dyn RunnableWorkflow>,
        instance_id: String,
        run: RunNumber,
        root: Option<Box<BranchView>>,
        wait_for: WaitFor,
    ) -> Result<RunEnd, RuntimeError> {
        let group = Arc::new(Group::of_run(BRANCHES));
        let workflows = Arc::new(WorkflowSet::new().with(workflow));
        let mut guard = RunGuard::new(&session, &group, &workflows, Some(run));
        let end = drive_instance(&session, &group, &workflows, &Arc::from(instance_id), run, root, wait_for).await;
        if end.is_ok() {
            guard.ended();
        }
        drop(guard);
        Ok(end?)
    }

    async fn session(&self) -> Result<Arc<Session>, RuntimeError> {
        let open = || async {
            let store: Arc<dyn Store> = Arc::clone(&self.backend) as Arc<dyn Store>;
            Session::open(store, Arc::new(TokioHost::current(None)), self.options.clone()).await
        };
        Ok(Arc::clone(self.session.get_or_try_init(open).await?))
    }
}

/// The workflow as drivers take it.
pub(crate) fn runnable<C, Input, M, Out>(workflow: &Workflow<C, Input, M, Out>) -> Arc<dyn RunnableWorkflow>
where
    C: Codec,
    Input: 'static,
    M: MaybeSend + MaybeSync + 'static,
    Out: 'static,
{
    Arc::new(workflow.clone())
}
