//! What a task is: an async function of one input, and what has an id of its own.

use std::future::Future;
use std::marker::PhantomData;

use super::TaskMetadata;
use crate::error::BoxError;
use crate::future::{MaybeSend, MaybeSync};

/// A task: an async function of one input.
///
/// ```
/// use std::future::{Ready, ready};
/// use sayiir_core::error::BoxError;
/// use sayiir_core::task::CoreTask;
///
/// struct Double;
///
/// impl CoreTask for Double {
///     type Input = u32;
///     type Output = u32;
///     type Future = Ready<Result<u32, BoxError>>;
///
///     fn run(&self, x: u32) -> Self::Future {
///         ready(Ok(2 * x))
///     }
/// }
/// ```
pub trait CoreTask: MaybeSend + MaybeSync + 'static {
    /// What it takes.
    type Input: 'static;
    /// What it gives.
    type Output: 'static;
    /// Its future.
    type Future: Future<Output = Result<Self::Output, BoxError>> + MaybeSend + 'static;

    /// Runs one attempt.
    fn run(&self, input: Self::Input) -> Self::Future;
}

/// A task that knows its own id and metadata.
///
/// ```
/// use std::future::{Ready, ready};
/// use sayiir_core::error::BoxError;
/// use sayiir_core::task::{CoreTask, RegisterableTask};
///
/// #[derive(Default)]
/// struct Double;
///
/// impl CoreTask for Double {
///     type Input = u32;
///     type Output = u32;
///     type Future = Ready<Result<u32, BoxError>>;
///
///     fn run(&self, input: u32) -> Self::Future {
///         ready(Ok(2 * input))
///     }
/// }
///
/// impl RegisterableTask for Double {
///     fn task_id() -> &'static str {
///         "double"
///     }
/// }
///
/// assert_eq!(Double::task_id(), "double");
/// ```
pub trait RegisterableTask: CoreTask {
    /// The id under which it stands in workflows and registries.
    fn task_id() -> &'static str;

    /// What is said of it besides its code.
    fn metadata() -> TaskMetadata {
        TaskMetadata::default()
    }
}

/// A type that names a task and its output: every [`RegisterableTask`].
pub trait TaskIdentifier {
    /// What the task gives.
    type Output;

    /// The task's id.
    fn identifier() -> &'static str;
}

impl<T: RegisterableTask> TaskIdentifier for T {
    type Output = <T as CoreTask>::Output;

    fn identifier() -> &'static str {
        T::task_id()
    }
}

/// A closure as a [`CoreTask`]; made by [`fn_task`].
pub struct FnTask<F, I> {
    function: F,
    input: PhantomData<fn(I)>,
}

/// Makes an async closure a task.
///
/// ```
/// use sayiir_core::task::{CoreTask, fn_task};
/// let double = fn_task(|x: u32| async move { Ok(2 * x) });
/// let _future = double.run(21);
/// ```
pub fn fn_task<F, I, O, Fut>(function: F) -> FnTask<F, I>
where
    F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
    Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
    I: 'static,
    O: 'static,
{
    FnTask { function, input: PhantomData }
}

impl<F, I, O, Fut> CoreTask for FnTask<F, I>
where
    F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
    Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
    I: 'static,
    O: 'static,
{
    type Input = I;
    type Output = O;
    type Future = Fut;

    fn run(&self, input: I) -> Fut {
        (self.function)(input)
    }
}
