//! Tasks whose code is elsewhere: in another language, another process.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::context::TaskExecutionContext;
use sayiir_core::error::BoxError;
use sayiir_core::future::BoxFuture;
use sayiir_core::task::TaskInput;

/// Runs the tasks of a worker that was started with [`PooledWorker::spawn_with_executor`](crate::PooledWorker::spawn_with_executor).
///
/// Everything else stays with the worker: retries, time limits, leases, cancels. An attempt that is over (it took too long, its branch
/// was cancelled or taken over) drops the future; what is answered after that goes nowhere, and a retry is another call.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use sayiir_runtime::prelude::*;
/// use sayiir_runtime::core::future::BoxFuture;
/// use sayiir_runtime::{TaskCall, TaskExecutor, TaskInput};
/// use tokio::sync::{mpsc, oneshot};
///
/// type Answer = Result<bytes::Bytes, BoxError>;
///
/// /// Puts each call into a queue, with a way to answer it.
/// struct Queue(mpsc::UnboundedSender<(TaskCall, oneshot::Sender<Answer>)>);
///
/// impl TaskExecutor for Queue {
///     fn execute(&self, call: TaskCall) -> BoxFuture<'static, Answer> {
///         let (answer, answered) = oneshot::channel();
///         let sent = self.0.send((call, answer));
///         Box::pin(async move {
///             sent?;
///             answered.await?
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let double = workflow! { name: "double", steps: [twice(x: u32) { x }] }?; // what stands here is not run
/// let (queue, mut calls) = mpsc::unbounded_channel();
/// let worker = PooledWorker::new("other-language", InMemoryBackend::new(), TaskRegistry::new());
/// let workflows = WorkflowSet::new().with(Arc::new(double.clone()));
/// let worker = worker.spawn_with_executor(Duration::from_secs(1), workflows, Arc::new(Queue(queue)));
/// tokio::spawn(async move {
///     while let Some((call, answer)) = calls.recv().await {
///         let TaskInput::Value(x) = call.input else { continue };
///         let x: u32 = JsonCodec.decode(x).unwrap();
///         let _ = answer.send(JsonCodec.encode(&(2 * x))); // too late if nobody waits any more
///     }
/// });
/// let client = WorkflowClient::from_shared(Arc::clone(worker.backend()));
/// client.submit(&double, "d", 21).await?;
/// assert_eq!(client.wait_for(&double, "d", None).await?, 42);
/// worker.shutdown();
/// worker.join().await?;
/// # Ok(())
/// # }
/// ```
pub trait TaskExecutor: Send + Sync + 'static {
    /// Runs one attempt. The output is a payload of the workflow's codec; of a route's key task it is the key as UTF-8.
    ///
    /// An error is retried as the task's policy says, unless its chain holds a [`DoNotRetry`](sayiir_core::error::DoNotRetry) or a
    /// [`RetryAfter`](sayiir_core::error::RetryAfter).
    fn execute(&self, call: TaskCall) -> BoxFuture<'static, Result<Bytes, BoxError>>;

    /// Whether the code of a task is here. For the others the workflow's own code is run. Asked once, when the worker starts.
    fn has(&self, workflow_id: &str, task_id: &str) -> bool {
        let _ = (workflow_id, task_id);
        true
    }
}

/// One attempt at a task whose code is elsewhere.
#[derive(Debug, Clone)]
pub struct TaskCall {
    /// What the task is given: the value of the step before it, or a join's branches by name.
    pub input: TaskInput,
    /// Workflow, instance, run, node path, task, attempt, and the services that an attempt has (sub-steps, progress).
    pub context: Arc<TaskExecutionContext>,
}
