//! Loops: a body that runs until it says that it is done.

use std::future::Future;

use super::registered::or_registered;
use super::{RegistryMode, Step, SubFlow, WithRegistry, WorkflowBuilder, tasks};
use crate::codec::Codec;
use crate::codec::sealed::{DecodeValue, EncodeValue};
use crate::error::BoxError;
use crate::future::{MaybeSend, MaybeSync};
use crate::loop_result::{LoopResult, MaxIterationsPolicy};
use crate::task::RegisterableTask;
use crate::workflow::code::PayloadCode;
use crate::workflow::{BodyGives, FlowsInto, Typed};

/// What a codec must carry for a loop over a `T`.
pub trait LoopCodec<T>: Codec + DecodeValue<T> + EncodeValue<T> + DecodeValue<LoopResult<T>> + EncodeValue<LoopResult<T>> {}

impl<T, C> LoopCodec<T> for C where C: Codec + DecodeValue<T> + EncodeValue<T> + DecodeValue<LoopResult<T>> + EncodeValue<LoopResult<T>> {}

impl<C, Input, S, M, R: RegistryMode> WorkflowBuilder<C, Input, S, M, R> {
    /// Runs a closure until it returns [`LoopResult::Done`]; the instance fails if that is not within `max`
    /// iterations.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sayiir_core::prelude::*;
    ///
    /// let workflow = WorkflowBuilder::new(WorkflowContext::new("halve", Arc::new(JsonCodec), Arc::new(())))
    ///     .loop_task(
    ///         "halve",
    ///         |x: u32| async move { Ok(if x > 1 { LoopResult::Again(x / 2) } else { LoopResult::Done(x) }) },
    ///         32,
    ///     )
    ///     .build()?;
    /// # Ok::<(), BuildErrors>(())
    /// ```
    pub fn loop_task<T, F, Fut>(self, id: impl AsRef<str>, body: F, max: u32) -> WorkflowBuilder<C, Input, Typed<T>, M, R>
    where
        S: FlowsInto<T>,
        T: 'static,
        F: Fn(T) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<LoopResult<T>, BoxError>> + MaybeSend + 'static,
        C: LoopCodec<T>,
    {
        self.loop_task_with_policy(id, body, max, MaxIterationsPolicy::Fail)
    }

    /// Runs a closure until it returns [`LoopResult::Done`], at most `max` times.
    pub fn loop_task_with_policy<T, F, Fut>(
        self,
        id: impl AsRef<str>,
        body: F,
        max: u32,
        on_max: MaxIterationsPolicy,
    ) -> WorkflowBuilder<C, Input, Typed<T>, M, R>
    where
        S: FlowsInto<T>,
        T: 'static,
        F: Fn(T) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<LoopResult<T>, BoxError>> + MaybeSend + 'static,
        C: LoopCodec<T>,
    {
        let step = tasks::closure(id.as_ref(), self.codec(), body);
        self.loop_single(step, max, on_max)
    }

    /// Runs a task type until it returns [`LoopResult::Done`]; the instance fails if that is not within `max`
    /// iterations.
    pub fn loop_task_struct<T, Out>(self, max: u32) -> WorkflowBuilder<C, Input, Typed<Out>, M, R>
    where
        S: FlowsInto<Out>,
        T: RegisterableTask<Input = Out, Output = LoopResult<Out>> + Default,
        C: LoopCodec<Out>,
    {
        self.loop_task_struct_with_policy::<T, Out>(max, MaxIterationsPolicy::Fail)
    }

    /// Runs a task type until it returns [`LoopResult::Done`], at most `max` times.
    pub fn loop_task_struct_with_policy<T, Out>(self, max: u32, on_max: MaxIterationsPolicy) -> WorkflowBuilder<C, Input, Typed<Out>, M, R>
    where
        S: FlowsInto<Out>,
        T: RegisterableTask<Input = Out, Output = LoopResult<Out>> + Default,
        C: LoopCodec<Out>,
    {
        let step = or_registered(&self.registry, tasks::task(self.codec(), T::default()));
        self.loop_single(step, max, on_max)
    }

    /// Runs a task value until it returns [`LoopResult::Done`]; the instance fails if that is not within `max`
    /// iterations.
    pub fn loop_task_struct_with<T, Out>(self, instance: T, max: u32) -> WorkflowBuilder<C, Input, Typed<Out>, M, R>
    where
        S: FlowsInto<Out>,
        T: RegisterableTask<Input = Out, Output = LoopResult<Out>>,
        C: LoopCodec<Out>,
    {
        self.loop_task_struct_with_with_policy(instance, max, MaxIterationsPolicy::Fail)
    }

    /// Runs a task value until it returns [`LoopResult::Done`], at most `max` times.
    pub fn loop_task_struct_with_with_policy<T, Out>(
        self,
        instance: T,
        max: u32,
        on_max: MaxIterationsPolicy,
    ) -> WorkflowBuilder<C, Input, Typed<Out>, M, R>
    where
        S: FlowsInto<Out>,
        T: RegisterableTask<Input = Out, Output = LoopResult<Out>>,
        C: LoopCodec<Out>,
    {
        let step = tasks::task(self.codec(), instance);
        self.loop_single(step, max, on_max)
    }

    /// Runs steps of any kind until the last of them gives [`LoopResult::Done`]; the instance fails if that is
    /// not within `max` iterations.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// use sayiir_core::prelude::*;
    ///
    /// let workflow = WorkflowBuilder::new(WorkflowContext::new("poll", Arc::new(JsonCodec), Arc::new(())))
    ///     .loop_flow(
    ///         "poll",
    ///         |body| {
    ///             body.delay("pause", Duration::from_secs(5))
    ///                 .then("ask", |left: u32| async move {
    ///                     Ok(left.checked_sub(1).map_or(LoopResult::Done(0), LoopResult::Again))
    ///                 })
    ///         },
    ///         100,
    ///     )
    ///     .build()?;
    /// # Ok::<(), BuildErrors>(())
    /// ```
    pub fn loop_flow<T, S2>(
        self,
        id: impl AsRef<str>,
        body: impl FnOnce(SubFlow<C, Input, S, M, R>) -> SubFlow<C, Input, S2, M, R>,
        max: u32,
    ) -> WorkflowBuilder<C, Input, Typed<T>, M, R>
    where
        S: FlowsInto<T>,
        S2: BodyGives<T>,
        C: LoopCodec<T>,
    {
        self.loop_flow_with_policy(id, body, max, MaxIterationsPolicy::Fail)
    }

    /// Runs steps of any kind until the last of them gives [`LoopResult::Done`], at most `max` times.
    pub fn loop_flow_with_policy<T, S2>(
        mut self,
        id: impl AsRef<str>,
        body: impl FnOnce(SubFlow<C, Input, S, M, R>) -> SubFlow<C, Input, S2, M, R>,
        max: u32,
        on_max: MaxIterationsPolicy,
    ) -> WorkflowBuilder<C, Input, Typed<T>, M, R>
    where
        S: FlowsInto<T>,
        S2: BodyGives<T>,
        C: LoopCodec<T>,
    {
        let body = self.seed().grow(id.as_ref(), body);
        self.steps.push_loop(id.as_ref(), body, max, on_max, PayloadCode::repeat::<T>());
        self.flows()
    }

    pub(super) fn loop_single<T>(mut self, body: Step, max: u32, on_max: MaxIterationsPolicy) -> WorkflowBuilder<C, Input, Typed<T>, M, R>
    where
        C: LoopCodec<T>,
    {
        let id = body.id.clone();
        let body = self.steps.inside().single(body);
        self.steps.push_loop(&id, body, max, on_max, PayloadCode::repeat::<T>());
        self.flows()
    }
}

impl<C, Input, S, M> WorkflowBuilder<C, Input, S, M, WithRegistry> {
    /// Runs a task of the registry until it returns [`LoopResult::Done`]; the instance fails if that is not
    /// within `max` iterations.
    pub fn loop_task_registered<Out>(self, id: impl AsRef<str>, max: u32) -> WorkflowBuilder<C, Input, Typed<Out>, M, WithRegistry>
    where
        C: LoopCodec<Out>,
    {
        self.loop_task_registered_with_policy(id, max, MaxIterationsPolicy::Fail)
    }

    /// Runs a task of the registry until it returns [`LoopResult::Done`], at most `max` times.
    pub fn loop_task_registered_with_policy<Out>(
        self,
        id: impl AsRef<str>,
        max: u32,
        on_max: MaxIterationsPolicy,
    ) -> WorkflowBuilder<C, Input, Typed<Out>, M, WithRegistry>
    where
        C: LoopCodec<Out>,
    {
        let step = self.registry.step(id.as_ref());
        self.loop_single(step, max, on_max)
    }
}
