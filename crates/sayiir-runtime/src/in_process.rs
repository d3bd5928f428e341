//! Running a workflow without a durable store: for tests and for work that need not survive the process.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::codec::Codec;
use sayiir_core::codec::sealed::EncodeValue;
use sayiir_core::future::{MaybeSend, MaybeSync};
use sayiir_core::workflow::{RunnableWorkflow, Workflow, WorkflowStatus};
use sayiir_driver::WaitFor;
use sayiir_persistence::{InMemoryBackend, Store};

use crate::checkpointing::{CheckpointingRunner, runnable};
use crate::client::{Outcome, decoded};
use crate::error::RuntimeError;

/// The instance id that tasks see in [`TaskExecutionContext`](sayiir_core::context::TaskExecutionContext).
const INSTANCE_ID: &str = "in-process";

/// Runs a workflow to its end in memory, with the same engine as every other runner: retries, timeouts,
/// delays and forks behave the same. Nothing survives the process.
///
/// A wait for a signal without a timeout ends the run with the status `AwaitingSignal`, for nobody can
/// send one here.
///
/// ```
/// use sayiir_runtime::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let flow = workflow! { name: "double", steps: [double(x: u32) { 2 * x }] }?;
/// assert_eq!(InProcessRunner.run(&flow, 4).await?, WorkflowStatus::Completed);
/// // For the output: `flow.run_once(4)`.
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcessRunner;

/// Runs workflows to a status.
///
/// ```
/// use sayiir_runtime::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let flow = workflow! { name: "fails", steps: [fail(x: u32) { Err::<u32, BoxError>(format!("no {x}").into()) }] }?;
/// let WorkflowStatus::Failed(error) = InProcessRunner.run(&flow, 4).await? else { unreachable!() };
/// assert_eq!(error, "fail: attempt 1 failed: no 4");
/// # Ok(())
/// # }
/// ```
pub trait WorkflowRunner {
    /// Runs `workflow` with `input`.
    ///
    /// # Errors
    ///
    /// If the input cannot be encoded. A task's failure is a status, not an error.
    fn run<C, Input, M, Out>(
        &self,
        workflow: &Workflow<C, Input, M, Out>,
        input: Input,
    ) -> impl Future<Output = Result<WorkflowStatus, RuntimeError>> + Send
    where
        C: Codec + EncodeValue<Input>,
        Input: Send + 'static,
        M: MaybeSend + MaybeSync + 'static,
        Out: 'static;
}

impl WorkflowRunner for InProcessRunner {
    fn run<C, Input, M, Out>(
        &self,
        workflow: &Workflow<C, Input, M, Out>,
        input: Input,
    ) -> impl Future<Output = Result<WorkflowStatus, RuntimeError>> + Send
    where
        C: Codec + EncodeValue<Input>,
        Input: Send + 'static,
        M: MaybeSend + MaybeSync + 'static,
        Out: 'static,
    {
        let (workflow, input) = (runnable(workflow), workflow.encode_input(&input));
        async move { Ok(run(workflow, input?).await?.status) }
    }
}

/// Runs a workflow once, without storing it.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_runtime::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let context = WorkflowContext::new("double", Arc::new(JsonCodec), Arc::new(()));
/// let workflow = WorkflowBuilder::new(context).then("double", |x: u32| async move { Ok(2 * x) }).build()?;
/// assert_eq!(workflow.run_once(21).await?, 42);
/// # Ok(())
/// # }
/// ```
pub trait WorkflowRunExt<Input> {
    /// What the workflow gives.
    type Output;

    /// Runs the workflow in memory and gives its decoded output.
    ///
    /// # Errors
    ///
    /// The workflow's error if it ended without an output: a failed task, or a wait for a signal.
    fn run_once(&self, input: Input) -> impl Future<Output = Result<Self::Output, RuntimeError>> + Send;

    /// Runs the workflow durably to its end, as an instance of this id in the store, and gives its decoded output. Called again
    /// after a crash, with the same id, it goes on where it was: see [`CheckpointingRunner::run_to_end`].
    ///
    /// # Errors
    ///
    /// If the store fails or the id belongs to another definition; the workflow's error if it ended without an output.
    fn run_durable<B: Store>(
        &self,
        store: B,
        instance_id: impl Into<String> + Send,
        input: Input,
    ) -> impl Future<Output = Result<Self::Output, RuntimeError>> + Send;
}

impl<C, Input, M, Out> WorkflowRunExt<Input> for Workflow<C, Input, M, Out>
where
    C: Codec + EncodeValue<Input>,
    Input: Send + 'static,
    M: MaybeSend + MaybeSync + 'static,
    Out: 'static,
{
    type Output = Out;

    fn run_once(&self, input: Input) -> impl Future<Output = Result<Out, RuntimeError>> + Send {
        let (workflow, input) = (self.clone(), self.encode_input(&input));
        async move {
            let outcome = run(runnable(&workflow), input?).await?;
            decoded(&workflow, outcome)
        }
    }

    fn run_durable<B: Store>(
        &self,
        store: B,
        instance_id: impl Into<String> + Send,
        input: Input,
    ) -> impl Future<Output = Result<Out, RuntimeError>> + Send {
        let (workflow, id) = (self.clone(), instance_id.into());
        async move { CheckpointingRunner::new(store).run_to_end(&workflow, id, input).await }
    }
}

async fn run(workflow: Arc<dyn RunnableWorkflow>, input: Bytes) -> Result<Outcome, RuntimeError> {
    let runner = CheckpointingRunner::new(InMemoryBackend::new());
    let end = runner.run_encoded(workflow, INSTANCE_ID.to_owned(), input, WaitFor::Timers).await?;
    Ok(Outcome { status: end.status, output: end.output })
}
