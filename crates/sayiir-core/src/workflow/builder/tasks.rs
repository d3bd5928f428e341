//! Single tasks: closures, task types, registered tasks.

use std::future::Future;
use std::sync::Arc;

use super::registered::or_registered;
use super::{RegistryMode, Step, WithRegistry, WorkflowBuilder};
use crate::codec::Codec;
use crate::codec::sealed::{DecodeValue, EncodeValue};
use crate::error::BoxError;
use crate::future::{MaybeSend, MaybeSync};
use crate::task::{Implementation, RegisterableTask, TaskMetadata, fn_task};
use crate::workflow::{FlowsInto, Typed};

/// A closure as a step.
pub(super) fn closure<I, O, F, Fut, C>(id: &str, codec: Arc<C>, function: F) -> Step
where
    I: 'static,
    O: 'static,
    F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
    Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
    C: Codec + DecodeValue<I> + EncodeValue<O>,
{
    Step::new(id, Implementation::of_closure(id, codec, fn_task(function)), TaskMetadata::default())
}

/// A task value as a step.
pub(super) fn task<T, C>(codec: Arc<C>, task: T) -> Step
where
    T: RegisterableTask,
    C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
{
    Step::new(T::task_id(), Implementation::of_task(T::task_id(), codec, task), T::metadata())
}

impl<C, Input, S, M, R: RegistryMode> WorkflowBuilder<C, Input, S, M, R> {
    /// Adds an async closure.
    pub fn then<I, O, F, Fut>(mut self, id: impl AsRef<str>, function: F) -> WorkflowBuilder<C, Input, Typed<O>, M, R>
    where
        S: FlowsInto<I>,
        I: 'static,
        O: 'static,
        F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: Codec + DecodeValue<I> + EncodeValue<O>,
    {
        let step = closure(id.as_ref(), self.codec(), function);
        self.steps.push_task(step);
        self.flows()
    }

    /// Adds a task type, under its own id and with its own metadata. A registry that holds the task already
    /// gives its instance.
    pub fn then_task<T>(mut self) -> WorkflowBuilder<C, Input, Typed<T::Output>, M, R>
    where
        S: FlowsInto<T::Input>,
        T: RegisterableTask + Default,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        let step = or_registered(&self.registry, task(self.codec(), T::default()));
        self.steps.push_task(step);
        self.flows()
    }

    /// Adds a task value, under its type's id and with its type's metadata.
    pub fn then_task_with<T>(mut self, instance: T) -> WorkflowBuilder<C, Input, Typed<T::Output>, M, R>
    where
        S: FlowsInto<T::Input>,
        T: RegisterableTask,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        let step = task(self.codec(), instance);
        self.steps.push_task(step);
        self.flows()
    }
}

impl<C, Input, S, M> WorkflowBuilder<C, Input, S, M, WithRegistry> {
    /// Adds a task of the registry, which gives an `Out`. Types are checked when it runs.
    pub fn then_registered<Out>(mut self, id: impl AsRef<str>) -> WorkflowBuilder<C, Input, Typed<Out>, M, WithRegistry> {
        let step = self.registry.step(id.as_ref());
        self.steps.push_task(step);
        self.flows()
    }
}
