//! Running a task: its context, its time limit, its panics, its errors as text.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use sayiir_core::branch::{BranchView, RunNumber};
use sayiir_core::context::{self, IterationInfo, TaskExecutionContext};
use sayiir_core::error::{BoxError, Retry, WorkflowError, error_chain};
use sayiir_core::plan::{NodeSpec, Place, Plan};
use sayiir_core::task::TaskInput;
use sayiir_core::workflow::RunnableWorkflow;
use sayiir_engine::{Input, RetryAdvice, RunTask, TaskFailure};
use sayiir_persistence::StoreError;
use tracing::Instrument;

use crate::ask::ask;
use crate::attempt::RunningAttempt;
use crate::beside::Permit;
use crate::figures;
use crate::group::Fault;
use crate::held::Hold;
use crate::session::Session;
use crate::span;

/// How long a task that is to run alone waits for others to end, and how long it keeps others from starting.
const ALONE_WAIT: Duration = Duration::from_secs(5);

/// How a task ended.
pub(crate) enum TaskEnd {
    /// With something to tell the engine, and the branch as its sub-steps left it.
    Told(Box<BranchView>, Input),
    /// It was aborted, since the branch is no longer this session's.
    Aborted,
}

impl Session {
    /// Runs the task that is owed.
    pub(crate) async fn run_task(
        self: &Arc<Self>,
        hold: &Hold,
        workflow: &Arc<dyn RunnableWorkflow>,
        branch: Box<BranchView>,
        run: RunTask,
    ) -> Result<TaskEnd, Fault> {
        let Some(task) = workflow.task(run.node).map(Arc::clone) else {
            let error = WorkflowError::TaskNotImplemented(run.path.to_string());
            return Ok(TaskEnd::Told(branch, Input::TaskFailed(TaskFailure::for_good(error.to_string()))));
        };
        let input = self.task_input(&**workflow, &branch, &run).await.map_err(|cause| Fault::at(&branch, cause))?;
        let context = Self::context(&**workflow, &branch, &run);
        let (instance_id, id, number) = (Arc::clone(&branch.instance_id), branch.branch.clone(), branch.run);
        let attempt = RunningAttempt::new(self, workflow, branch, Arc::clone(&run.path), Arc::clone(hold.drive()));
        let guard = attempt.guard();
        let context = Arc::new(context.with_services(Arc::<RunningAttempt>::clone(&attempt)));
        let running = async move { task.run(input).await };
        let running = context::scope(context, AssertUnwindSafe(running).catch_unwind());
        let span = span::of_task(workflow.plan(), &run);
        let limited = self.within(run.timeout, &run.path, running).instrument(span.clone());
        let Some(ended) = hold.unless_aborted(self.beside(run.alone, limited)).await else {
            self.count_if_lost(instance_id, number);
            return Ok(TaskEnd::Aborted);
        };
        let fault = |cause| Fault { instance_id: Arc::clone(&instance_id), branch: id, node: Arc::clone(&run.path), cause };
        let Some(branch) = attempt.end().await.map_err(fault)? else {
            self.count_if_lost(instance_id, number);
            return Ok(TaskEnd::Aborted);
        };
        drop(guard);
        let input = match ended {
            Ok(output) => self.fitting(&branch, &run, output),
            Err(failure) => {
                span.record("error", failure.error.as_str());
                tracing::debug!(parent: &span, error = failure.error, "an attempt failed");
                Input::TaskFailed(failure)
            }
        };
        Ok(TaskEnd::Told(branch, input))
    }

    /// Counts a lost lease if an aborted task's run goes on without it, and has not ended or been replaced. Nobody waits for that.
    fn count_if_lost(self: &Arc<Self>, instance_id: Arc<str>, run: RunNumber) {
        if !figures::ARE_COUNTED {
            return;
        }
        let session = Arc::clone(self);
        let counted = async move {
            let found = session.store.instance(&instance_id).await;
            if found.is_ok_and(|found| found.is_some_and(|one| one.summary.run == run && !one.summary.status.is_terminal())) {
                figures::lease_lost();
            }
        };
        drop(self.host.spawn(Box::pin(counted)));
    }

    /// Runs beside other tasks, or alone as far as that can be had in bounded time.
    async fn beside<T>(&self, alone: bool, task: impl Future<Output = T>) -> T {
        let turn = if alone { self.within_the_wait(self.beside.alone()).await } else { None };
        let turn = match turn.or_else(|| self.beside.try_together()) {
            Some(turn) => Some(turn),
            // Whoever runs alone may take long, or wait for this very task: it has had its time alone.
            None => self.within_the_wait(self.beside.together()).await,
        };
        let ended = task.await;
        drop(turn);
        ended
    }

    /// A turn, if it comes in bounded time: a branch must not wait for ever for tasks that take long.
    async fn within_the_wait<'a>(&self, turn: impl Future<Output = Permit<'a>>) -> Option<Permit<'a>> {
        match select(Box::pin(turn), self.host.sleep(ALONE_WAIT)).await {
            Either::Left((turn, _)) => Some(turn),
            Either::Right(_) => None,
        }
    }

    async fn within(
        &self,
        timeout: Option<Duration>,
        path: &str,
        attempt: impl Future<Output = Result<Result<Bytes, BoxError>, Box<dyn Any + Send>>>,
    ) -> Result<Bytes, TaskFailure> {
        let ended = match timeout {
            None => attempt.await,
            Some(timeout) => match select(pin!(attempt), self.host.sleep(timeout)).await {
                Either::Left((ended, _)) => ended,
                Either::Right(_) => {
                    return Err(TaskFailure::by_policy(WorkflowError::TaskTimedOut { node: path.to_owned(), timeout }.to_string()));
                }
            },
        };
        match ended {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) => Err(failure_of(&error)),
            Err(panic) => Err(TaskFailure::by_policy(format!("the task panicked: {}", panic_text(&*panic)))),
        }
    }

    async fn task_input(&self, workflow: &dyn RunnableWorkflow, branch: &BranchView, run: &RunTask) -> Result<TaskInput, StoreError> {
        let is_join = matches!(workflow.plan().node(run.node).spec, NodeSpec::Fork { .. });
        if !is_join {
            return Ok(TaskInput::Value(branch.input.clone()));
        }
        let ids: Vec<_> = run.children.iter().map(|(_, id)| id.clone()).collect();
        let outputs = ask(&*self.host, self.options.patience, || self.store.read_branch_outputs(branch.run, ids.clone())).await?;
        Ok(TaskInput::Branches(run.children.iter().map(|(name, _)| Arc::clone(name)).zip(outputs).collect()))
    }

    fn context(workflow: &dyn RunnableWorkflow, branch: &BranchView, run: &RunTask) -> TaskExecutionContext {
        let plan = workflow.plan();
        let task = plan.task_at(run.node);
        let task_id = task.map_or_else(|| Arc::clone(&run.path), |task| Arc::clone(&task.task));
        let mut context =
            TaskExecutionContext::new(Arc::clone(plan.name()), Arc::clone(&branch.instance_id), branch.run, task_id, Arc::clone(&run.path));
        context.metadata = task.map(|task| task.metadata.clone()).unwrap_or_default();
        context.workflow_metadata_json = workflow.metadata_json().cloned();
        context.iterations = iterations(plan, &run.path);
        context.attempt = run.attempt;
        context
    }

    /// Refuses an output that the store cannot hold, before it is tried.
    fn fitting(&self, branch: &BranchView, run: &RunTask, output: Bytes) -> Input {
        let limit = self.store.limits().payload_bytes;
        if output.len() <= limit {
            return Input::TaskReturned(output);
        }
        let error = StoreError::Limit {
            what: format!("the output of {} of instance {:?}", run.path, branch.instance_id),
            actual: output.len(),
            limit,
        };
        Input::TaskFailed(TaskFailure::for_good(error.to_string()))
    }
}

/// The loops around a node, with their iterations. A path without slots has none.
fn iterations(plan: &Plan, path: &str) -> Vec<IterationInfo> {
    if !path.contains('[') {
        return Vec::new();
    }
    Place::parse(plan, path).map(|place| place.iterations(plan)).unwrap_or_default()
}

fn failure_of(error: &BoxError) -> TaskFailure {
    let retry = match Retry::of(&**error) {
        Retry::ByPolicy => RetryAdvice::ByPolicy,
        Retry::Never => RetryAdvice::Never,
        Retry::After(delay) => RetryAdvice::After(delay),
    };
    TaskFailure { error: error_chain(&**error), retry }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
