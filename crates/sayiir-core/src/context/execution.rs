//! What a running task can ask about itself. The answer is carried by the task's future: it is set
//! while that future is polled, so it holds on every executor, with and without threads.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::{future, mem};

use super::attempt::Services;
use crate::branch::RunNumber;
use crate::plan::escape;
use crate::task::TaskMetadata;

/// One attempt at a task, as the task itself sees it.
///
/// ```
/// use sayiir_core::error::BoxError;
/// use sayiir_core::context::get_task_context;
///
/// async fn charge(euros: u32) -> Result<u32, BoxError> {
///     let context = get_task_context().ok_or("not in a workflow")?;
///     let key = context.idempotency_key(); // hand it to the bank
///     println!("attempt {} at {} under {key}", context.attempt, context.node_path);
///     Ok(euros)
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TaskExecutionContext {
    /// The workflow's name.
    pub workflow_id: Arc<str>,
    /// The instance.
    pub instance_id: Arc<str>,
    /// The task's id.
    pub task_id: Arc<str>,
    /// What is said of the task where it stands.
    pub metadata: TaskMetadata,
    /// The workflow's metadata as JSON.
    pub workflow_metadata_json: Option<Arc<str>>,
    /// The run of the instance.
    pub run: RunNumber,
    /// The path of the node, with iterations.
    pub node_path: Arc<str>,
    /// The loops around the node, from the outside in.
    pub iterations: Vec<IterationInfo>,
    /// The attempt, counted from 1.
    pub attempt: u32,
    pub(super) services: Services,
}

/// A loop that a task runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IterationInfo {
    /// The loop's path, without iterations.
    pub loop_id: Arc<str>,
    /// The iteration, counted from 0.
    pub iteration: u32,
    /// The most iterations there may be.
    pub max_iterations: u32,
}

impl TaskExecutionContext {
    /// A context with nothing but the names that every task has; the other fields are public.
    pub fn new(workflow_id: Arc<str>, instance_id: Arc<str>, run: RunNumber, task_id: Arc<str>, node_path: Arc<str>) -> Self {
        Self {
            workflow_id,
            instance_id,
            task_id,
            metadata: TaskMetadata::default(),
            workflow_metadata_json: None,
            run,
            node_path,
            iterations: Vec::new(),
            attempt: 1,
            services: Services::default(),
        }
    }

    /// A text that is the same on every attempt at this node in this run and iteration, and on no
    /// other: what to hand to a service that must do a thing only once.
    pub fn idempotency_key(&self) -> String {
        // The first part has no slash and the second is a number, so no two keys run together.
        format!("{}/{}/{}", escape(&self.instance_id), self.run, self.node_path)
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<TaskExecutionContext>>> = const { RefCell::new(None) };
}

/// The context of the task that is being polled on this thread; `None` outside of tasks.
pub fn get_task_context() -> Option<Arc<TaskExecutionContext>> {
    CURRENT.with_borrow(Clone::clone)
}

/// The context of the running task: [`get_task_context`](crate::context::get_task_context).
#[macro_export]
macro_rules! task_context {
    () => {
        $crate::context::get_task_context()
    };
}

/// Restores the context that was there before.
struct Entered(Option<Arc<TaskExecutionContext>>);

impl Entered {
    fn new(context: Arc<TaskExecutionContext>) -> Self {
        Self(CURRENT.replace(Some(context)))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(mem::take(&mut self.0));
    }
}

/// Runs a task's future with its context: [`get_task_context`] gives it while the future is polled.
///
/// ```
/// # use std::sync::Arc;
/// use sayiir_core::branch::RunNumber;
/// use sayiir_core::context::{TaskExecutionContext, get_task_context, scope};
///
/// let text = |text: &str| Arc::<str>::from(text);
/// let context = TaskExecutionContext::new(text("orders"), text("order-17"), RunNumber(3), text("charge"), text("charge"));
/// let _future = scope(Arc::new(context), async {
///     assert_eq!(get_task_context().unwrap().idempotency_key(), "order-17/3/charge");
/// });
/// assert!(get_task_context().is_none());
/// ```
pub async fn scope<F: Future>(context: Arc<TaskExecutionContext>, task: F) -> F::Output {
    let mut task = pin!(task);
    future::poll_fn(move |cx| {
        let _entered = Entered::new(Arc::clone(&context));
        task.as_mut().poll(cx)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn context(instance: &str, node_path: &str) -> Arc<TaskExecutionContext> {
        let [workflow, instance, task, path] = ["w", instance, "t", node_path].map(Arc::from);
        Arc::new(TaskExecutionContext::new(workflow, instance, RunNumber(7), task, path))
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_context_is_there_while_its_task_is_polled() {
        let seen = || task_context!().map(|context| context.instance_id.to_string());
        let waits = || {
            let mut first = true;
            future::poll_fn(move |_| if mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) })
        };
        let task = |instance| {
            scope(context(instance, "n"), async move {
                let before = seen();
                waits().await;
                let inner = scope(context("inner", "n"), async move { seen() }).await;
                (before, inner, seen())
            })
        };
        let (mut a, mut b) = (pin!(task("a")), pin!(task("b")));
        assert!(poll(a.as_mut()).is_pending() && poll(b.as_mut()).is_pending());
        assert_eq!(seen(), None);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(poll(a.as_mut()), Poll::Ready((text("a"), text("inner"), text("a"))));
        assert_eq!(poll(b.as_mut()), Poll::Ready((text("b"), text("inner"), text("b"))));
        assert_eq!(seen(), None);
    }

    #[test]
    fn a_panic_takes_the_context_away() {
        let polled = std::panic::catch_unwind(|| poll(pin!(scope(context("a", "n"), async { panic!("a task panics") }))));
        assert!(polled.is_err());
        assert!(get_task_context().is_none());
    }

    #[test]
    fn idempotency_keys_never_run_together() {
        assert_eq!(context("order/17", "pages[2]/fetch").idempotency_key(), "order%2F17/7/pages[2]/fetch");
        assert_ne!(context("a/7/b", "c").idempotency_key(), context("a", "b/7/c").idempotency_key());
    }
}
