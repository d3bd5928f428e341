//! What the code that the macros write calls. No public interface.
#![allow(missing_docs, reason = "called by generated code only")]

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;

pub use bytes::Bytes;

use crate::branch_results::NamedBranchResults;
use crate::deps::Deps;
use crate::error::{BoxError, TaskError, advised};
use crate::loop_result::LoopResult;
use crate::task::CoreTask;
use crate::workflow::{RegistryMode, SerializableWorkflow, Typed, Untyped, Workflow, WorkflowBuilder};

/// Where a workflow's tasks come from.
#[derive(Debug, Clone, Copy)]
pub struct Provider<'a> {
    pub(crate) deps: Option<&'a Deps>,
}

impl<'a> Provider<'a> {
    pub const fn new(deps: Option<&'a Deps>) -> Self {
        Self { deps }
    }
}

/// An error on its way out of a task. Method lookup on `&&&Failed` takes the first trait below that fits.
pub struct Failed<E>(Cell<Option<E>>);

impl<E> Failed<E> {
    pub const fn new(error: E) -> Self {
        Self(Cell::new(Some(error)))
    }
}

/// An error that says itself whether a retry makes sense.
pub trait FailedAdvised {
    fn into_box_error(self) -> BoxError;
}

impl<E: TaskError + Send + Sync + 'static> FailedAdvised for &&&Failed<E> {
    fn into_box_error(self) -> BoxError {
        self.0.take().map_or_else(|| "an error".into(), advised)
    }
}

/// Any other error.
pub trait FailedPlain {
    fn into_box_error(self) -> BoxError;
}

impl<E: Into<BoxError>> FailedPlain for &&Failed<E> {
    fn into_box_error(self) -> BoxError {
        self.0.take().map_or_else(|| "an error".into(), Into::into)
    }
}

/// Anything else, which [`is_error_of_task`] refuses: once is enough.
pub trait FailedRefused {
    fn into_box_error(self) -> BoxError;
}

impl<E> FailedRefused for &Failed<E> {
    fn into_box_error(self) -> BoxError {
        "an error".into()
    }
}

/// What an inline step evaluated to: a result, or a plain value. The method of the type itself comes before the trait's.
pub struct Evaluated<T>(pub T);

impl<T, E> Evaluated<Result<T, E>> {
    pub fn into_result(self) -> Result<T, E> {
        self.0
    }
}

pub trait EvaluatedPlain<T> {
    fn into_result(self) -> Result<T, Infallible>;
}

impl<T> EvaluatedPlain<T> for Evaluated<T> {
    fn into_result(self) -> Result<T, Infallible> {
        Ok(self.0)
    }
}

/// A look at what an inline step evaluated to: a future is one whose `.await` was forgotten.
pub struct Look<'a, T>(pub &'a T);

pub trait LookAtFuture {
    type Value;

    fn look(self)
    where
        Self::Value: Awaited;
}

impl<T: Future> LookAtFuture for Look<'_, T> {
    type Value = T;

    fn look(self) {}
}

pub trait LookAtValue {
    fn look(self);
}

impl<T> LookAtValue for &Look<'_, T> {
    fn look(self) {}
}

#[diagnostic::on_unimplemented(
    message = "this step gives a future, and not what comes of it",
    label = "a future",
    note = "put `.await` behind it"
)]
pub trait Awaited {}

/// What can be the error of a task.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a task",
    label = "this error type",
    note = "a task's error is one that converts into `Box<dyn Error + Send + Sync>`: implement `std::error::Error`, or use `BoxError`"
)]
pub trait ErrorOfTask {}

impl<E: Into<BoxError>> ErrorOfTask for E {}

pub const fn is_error_of_task<E: ErrorOfTask>() {}

/// What one task gives is what the next takes.
#[diagnostic::on_unimplemented(
    message = "the step `{Next}` cannot follow the step `{Before}`: it takes a `{Input}`, and is given a `{Self}`",
    label = "takes a `{Input}`, and is given a `{Self}`"
)]
pub trait Feeds<Input, Before, Next> {}

impl<T, Before, Next> Feeds<T, Before, Next> for T {}

pub const fn feeds<Before: CoreTask, Next: CoreTask>()
where
    Before::Output: Feeds<Next::Input, Before, Next>,
{
}

/// What flows to a step of the list is what it takes. (`FlowsInto` says the same, and lets a workflow's input be found by it.)
#[diagnostic::on_unimplemented(message = "a step that takes a `{Next}` cannot stand here: the step before it gives `{Self}`")]
pub trait Given<Next> {}

impl<T: GivenTo<Next>, Next> Given<Next> for Typed<T> {}
impl<Next> Given<Next> for Untyped {}

#[diagnostic::on_unimplemented(
    message = "a step that takes a `{Next}` cannot stand here: the step before it gives a `{Self}`",
    label = "takes a `{Next}`, and is given a `{Self}`",
    note = "a route hands on a `BranchEnvelope`, a signal with a timeout an `Option`, a fork `BranchOutputs` to the step that joins it"
)]
pub trait GivenTo<Next> {}

impl<T> GivenTo<T> for T {}

/// The builder in front of a step that takes a `Next`.
pub fn takes<Next, C, Input, S: Given<Next>, M, R: RegistryMode>(
    builder: WorkflowBuilder<C, Input, S, M, R>,
) -> WorkflowBuilder<C, Input, Typed<Next>, M, R> {
    builder.flows()
}

/// The builder behind a child workflow. Both in one argument: the compiler knows their types before it compares them.
pub fn then_child<W: ChildFlow, C, Input, S: GivenToChild<W>, M, R: RegistryMode>(
    (builder, child): (WorkflowBuilder<C, Input, S, M, R>, W),
) -> WorkflowBuilder<C, Input, Typed<W::Output>, M, R>
where
    W::Codec: CodecOf<C>,
{
    builder.flows::<Typed<W::Input>>().then_flow(W::Codec::same(child.into_workflow()))
}

/// What flows to a child workflow is what it takes.
pub trait GivenToChild<W> {}

impl<S: Given<W::Input>, W: ChildFlow> GivenToChild<W> for S {}

/// A child's payloads are its parent's: both have one codec.
#[diagnostic::on_unimplemented(
    message = "the codec of this child workflow is `{Self}`, and that of the workflow around it `{C}`",
    label = "its codec is `{Self}`",
    note = "build both with one `codec:`"
)]
pub trait CodecOf<C>: Sized {
    fn same<I, M, O>(child: Workflow<Self, I, M, O>) -> Workflow<C, I, M, O>;
}

impl<C> CodecOf<C> for C {
    fn same<I, M, O>(child: Workflow<C, I, M, O>) -> Workflow<C, I, M, O> {
        child
    }
}

/// What a join takes.
#[diagnostic::on_unimplemented(
    message = "the task `{Task}` cannot join branches: it takes a `{Self}`",
    label = "a joining task takes `NamedBranchResults`",
    note = "write the join in place to have typed outputs: `name(outputs: BranchOutputs<_>) {{ .. }}`"
)]
pub trait JoinInput<Task> {}

impl<Task> JoinInput<Task> for NamedBranchResults {}

pub const fn joins<Task: CoreTask>()
where
    Task::Input: JoinInput<Task>,
{
}

/// What a loop's task gives.
#[diagnostic::on_unimplemented(
    message = "the task `{Task}` cannot be a loop: it takes a `{Input}`, and gives a `{Self}`",
    label = "a loop's task that takes a `{Input}` gives a `LoopResult<{Input}>`"
)]
pub trait LoopOutput<Input, Task> {}

impl<Input, Task> LoopOutput<Input, Task> for LoopResult<Input> {}

pub const fn repeats<Task: CoreTask>()
where
    Task::Output: LoopOutput<Task::Input, Task>,
{
}

/// What a route's key task gives.
#[diagnostic::on_unimplemented(
    message = "the task `{Task}` cannot choose an arm: it gives a `{Self}`",
    label = "a route's key task gives a `String`",
    note = "of a `BranchKey`, give `Key::A.as_key().to_owned()`"
)]
pub trait KeyOutput<Task> {}

impl<Task> KeyOutput<Task> for String {}

pub const fn chooses<Task: CoreTask>()
where
    Task::Output: KeyOutput<Task>,
{
}

/// A workflow that can be another's child.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no workflow",
    note = "`flow` takes a built `Workflow` or `SerializableWorkflow`: put `?` behind its `workflow!` or `build()`"
)]
pub trait ChildFlow {
    type Codec;
    type Input;
    type Metadata;
    type Output;

    fn into_workflow(self) -> Workflow<Self::Codec, Self::Input, Self::Metadata, Self::Output>;
}

impl<C, I, M, O> ChildFlow for Workflow<C, I, M, O> {
    type Codec = C;
    type Input = I;
    type Metadata = M;
    type Output = O;

    fn into_workflow(self) -> Self {
        self
    }
}

impl<C, I, M, O> ChildFlow for SerializableWorkflow<C, I, M, O> {
    type Codec = C;
    type Input = I;
    type Metadata = M;
    type Output = O;

    fn into_workflow(self) -> Workflow<C, I, M, O> {
        self.into_parts().0
    }
}

impl<W: ChildFlow + Clone> ChildFlow for &W {
    type Codec = W::Codec;
    type Input = W::Input;
    type Metadata = W::Metadata;
    type Output = W::Output;

    fn into_workflow(self) -> Workflow<W::Codec, W::Input, W::Metadata, W::Output> {
        self.clone().into_workflow()
    }
}

/// A builder behind a child workflow. The method of the type itself comes before the trait's.
pub struct AfterChild<B>(pub B);

impl<C, Input, M, R> AfterChild<WorkflowBuilder<C, Input, Typed<Untyped>, M, R>> {
    /// The child ends with a signal: the next step says the payload's type.
    pub fn settled(self) -> WorkflowBuilder<C, Input, Untyped, M, R> {
        self.0.untyped()
    }
}

pub trait Settled<B> {
    fn settled(self) -> B;
}

impl<B> Settled<B> for AfterChild<B> {
    fn settled(self) -> B {
        self.0
    }
}
