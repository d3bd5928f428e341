//! Forks: branches side by side, and the task that joins their outputs.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use super::registered::or_registered;
use super::{RegistryMode, Seed, Step, Steps, SubFlow, WithRegistry, WorkflowBuilder, tasks};
use crate::branch_results::NamedBranchResults;
use crate::codec::sealed::{DecodeValue, EncodeValue};
use crate::codec::{Codec, EnvelopeCodec};
use crate::error::BoxError;
use crate::future::{MaybeSend, MaybeSync};
use crate::task::{BranchOutputs, Implementation, RegisterableTask, TaskMetadata};
use crate::workflow::{FlowsInto, Typed};

/// Collects the branches of a fork. Each is given what flows into the fork.
pub struct BranchCollector<C, Input, S, M, R> {
    seed: Seed<C, M, R>,
    branches: Vec<(String, Steps<C>)>,
    types: PhantomData<fn(Input) -> S>,
}

impl<C, Input, S, M, R: RegistryMode> BranchCollector<C, Input, S, M, R> {
    /// Adds a branch that is one closure.
    pub fn add<I, O, F, Fut>(&mut self, id: impl AsRef<str>, function: F) -> &mut Self
    where
        S: FlowsInto<I>,
        I: 'static,
        O: 'static,
        F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: Codec + DecodeValue<I> + EncodeValue<O>,
    {
        self.single(tasks::closure(id.as_ref(), self.codec(), function))
    }

    /// Adds a branch that is one task type; its name is the task's id.
    pub fn add_task<T>(&mut self) -> &mut Self
    where
        S: FlowsInto<T::Input>,
        T: RegisterableTask + Default,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        self.single(or_registered(&self.seed.registry, tasks::task(self.codec(), T::default())))
    }

    /// Adds a branch that is one task value; its name is the task's id.
    pub fn add_task_with<T>(&mut self, instance: T) -> &mut Self
    where
        S: FlowsInto<T::Input>,
        T: RegisterableTask,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        self.single(tasks::task(self.codec(), instance))
    }

    /// Adds a branch of any steps.
    pub fn add_flow<S2>(
        &mut self,
        id: impl AsRef<str>,
        build: impl FnOnce(SubFlow<C, Input, S, M, R>) -> SubFlow<C, Input, S2, M, R>,
    ) -> &mut Self {
        let steps = self.seed.grow(id.as_ref(), build);
        self.branches.push((id.as_ref().to_owned(), steps));
        self
    }

    pub(super) fn single(&mut self, step: Step) -> &mut Self {
        let name = step.id.clone();
        self.branches.push((name, self.seed.steps.empty().single(step)));
        self
    }

    fn codec(&self) -> Arc<C> {
        Arc::clone(&self.seed.context.codec)
    }
}

impl<C, Input, S, M> BranchCollector<C, Input, S, M, WithRegistry> {
    /// Adds a branch that is one task of the registry.
    pub fn add_registered(&mut self, id: impl AsRef<str>) -> &mut Self {
        self.single(self.seed.registry.step(id.as_ref()))
    }
}

/// A fork whose branches are being collected; it ends with a join.
#[must_use = "a fork must be joined"]
pub struct ForkBuilder<C, Input, S, M, R> {
    pub(super) builder: WorkflowBuilder<C, Input, S, M, R>,
    pub(super) branches: BranchCollector<C, Input, S, M, R>,
}

impl<C, Input, S, M, R: RegistryMode> WorkflowBuilder<C, Input, S, M, R> {
    /// Starts a fork: branches that run side by side, each on what this step was given.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sayiir_core::prelude::*;
    ///
    /// let workflow = WorkflowBuilder::new(WorkflowContext::new("stats", Arc::new(JsonCodec), Arc::new(())))
    ///     .fork()
    ///     .branch("min", |xs: Vec<u32>| async move { Ok(xs.into_iter().min().unwrap_or(0)) })
    ///     .branch_flow("max", |branch| {
    ///         branch
    ///             .then("sort", |mut xs: Vec<u32>| async move { xs.sort_unstable(); Ok(xs) })
    ///             .then("last", |xs| async move { Ok(xs.last().copied().unwrap_or(0)) })
    ///     })
    ///     .join("range", |outputs| async move {
    ///         Ok(outputs.get_by_id::<u32>("max")? - outputs.get_by_id::<u32>("min")?)
    ///     })
    ///     .build()?;
    /// # Ok::<(), BuildErrors>(())
    /// ```
    pub fn fork(self) -> ForkBuilder<C, Input, S, M, R> {
        let branches = BranchCollector { seed: self.seed(), branches: Vec::new(), types: PhantomData };
        ForkBuilder { builder: self, branches }
    }

    /// Starts a fork whose branches a closure adds.
    pub fn branches(self, collect: impl FnOnce(&mut BranchCollector<C, Input, S, M, R>)) -> ForkBuilder<C, Input, S, M, R> {
        let mut fork = self.fork();
        collect(&mut fork.branches);
        fork
    }
}

impl<C, Input, S, M, R: RegistryMode> ForkBuilder<C, Input, S, M, R> {
    /// Adds a branch that is one closure.
    pub fn branch<I, O, F, Fut>(mut self, id: impl AsRef<str>, function: F) -> Self
    where
        S: FlowsInto<I>,
        I: 'static,
        O: 'static,
        F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: Codec + DecodeValue<I> + EncodeValue<O>,
    {
        self.branches.add(id, function);
        self
    }

    /// Adds a branch that is one task type; its name is the task's id.
    pub fn branch_task<T>(mut self) -> Self
    where
        S: FlowsInto<T::Input>,
        T: RegisterableTask + Default,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        self.branches.add_task::<T>();
        self
    }

    /// Adds a branch that is one task value; its name is the task's id.
    pub fn branch_task_with<T>(mut self, instance: T) -> Self
    where
        S: FlowsInto<T::Input>,
        T: RegisterableTask,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        self.branches.add_task_with(instance);
        self
    }

    /// Adds a branch of any steps.
    pub fn branch_flow<S2>(
        mut self,
        id: impl AsRef<str>,
        build: impl FnOnce(SubFlow<C, Input, S, M, R>) -> SubFlow<C, Input, S2, M, R>,
    ) -> Self {
        self.branches.add_flow(id, build);
        self
    }

    /// Joins the branches with a closure that is given their outputs.
    pub fn join<O, F, Fut>(self, id: impl AsRef<str>, function: F) -> WorkflowBuilder<C, Input, Typed<O>, M, R>
    where
        O: 'static,
        F: Fn(BranchOutputs<C>) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: EnvelopeCodec + EncodeValue<O>,
    {
        let id = id.as_ref();
        let implementation = Implementation::of_join(id, self.builder.codec(), function);
        self.join_step(Step::new(id, implementation, TaskMetadata::default()))
    }

    /// Joins the branches with a task type.
    pub fn join_task<T>(self) -> WorkflowBuilder<C, Input, Typed<T::Output>, M, R>
    where
        T: RegisterableTask<Input = NamedBranchResults> + Default,
        C: EnvelopeCodec + DecodeValue<NamedBranchResults> + EncodeValue<T::Output>,
    {
        let step = or_registered(&self.builder.registry, tasks::task(self.builder.codec(), T::default()));
        self.join_step(step)
    }

    /// Joins the branches with a task value.
    pub fn join_task_with<T>(self, instance: T) -> WorkflowBuilder<C, Input, Typed<T::Output>, M, R>
    where
        T: RegisterableTask<Input = NamedBranchResults>,
        C: EnvelopeCodec + DecodeValue<NamedBranchResults> + EncodeValue<T::Output>,
    {
        let step = tasks::task(self.builder.codec(), instance);
        self.join_step(step)
    }

    pub(super) fn join_step<O>(self, join: Step) -> WorkflowBuilder<C, Input, Typed<O>, M, R> {
        let Self { mut builder, branches: BranchCollector { seed: _, branches, types: _ } } = self;
        builder.steps.push_fork(join, branches);
        builder.flows()
    }
}

impl<C, Input, S, M> ForkBuilder<C, Input, S, M, WithRegistry> {
    /// Adds a branch that is one task of the registry.
    pub fn branch_registered(mut self, id: impl AsRef<str>) -> Self {
        self.branches.add_registered(id);
        self
    }

    /// Joins the branches with a task of the registry, which gives an `Out`.
    pub fn join_registered<Out>(self, id: impl AsRef<str>) -> WorkflowBuilder<C, Input, Typed<Out>, M, WithRegistry> {
        let step = self.builder.registry.step(id.as_ref());
        self.join_step(step)
    }
}
