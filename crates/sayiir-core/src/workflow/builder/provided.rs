//! Steps of `workflow!`: task types whose instances come from deps or a registry.
//!
//! That a task fits where it stands is checked by the macro where its words can be better (`macro_support`).

use std::sync::Arc;

use super::{ForkBuilder, LoopCodec, RegistryMode, RouteBuilder, RouteCodec, Step, TextKeys, TypedKeys, WorkflowBuilder, tasks};
use crate::branch_key::BranchKey;
use crate::codec::sealed::{DecodeValue, EncodeValue};
use crate::codec::{Codec, EnvelopeCodec};
use crate::deps::{Deps, DepsInjectable};
use crate::error::BuildError;
use crate::loop_result::MaxIterationsPolicy;
use crate::macro_support::Provider;
use crate::registry::TaskRegistry;
use crate::task::RegisterableTask;
use crate::workflow::{FlowsInto, Typed};

/// The step of a task: made from the deps, or taken from the registry; the errors if neither has it.
fn provided<T, C>(codec: Arc<C>, registry: Option<&TaskRegistry>, provider: Provider<'_>) -> Step
where
    T: RegisterableTask + DepsInjectable,
    C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
{
    let id = T::task_id();
    let registered = registry.and_then(|registry| registry.implementation(id).map(|found| (found, registry.get_metadata(id))));
    let needs_deps = !T::verify_deps(&Deps::new()).is_empty();
    let failed = |errors| Step { id: id.to_owned(), implementation: None, metadata: T::metadata(), errors };
    match (registered, provider.deps) {
        (Some(_), Some(_)) if needs_deps => failed(vec![BuildError::RegistryDepsConflict { task_id: id }]),
        (Some((found, metadata)), _) => {
            let metadata = metadata.cloned().unwrap_or_else(T::metadata);
            Step { id: id.to_owned(), implementation: Some(found.clone()), metadata, errors: Vec::new() }
        }
        (None, deps) => {
            let none = Deps::new();
            let deps = deps.unwrap_or(&none);
            let missing = T::verify_deps(deps);
            if missing.is_empty() {
                return tasks::task(codec, T::from_deps(deps));
            }
            failed(missing.into_iter().map(|missing| BuildError::MissingDep { task_id: id, type_name: missing.type_name }).collect())
        }
    }
}

#[doc(hidden)]
impl<C, Input, S, M, R: RegistryMode> WorkflowBuilder<C, Input, S, M, R> {
    pub fn then_provided<T>(self, provider: Provider<'_>) -> WorkflowBuilder<C, Input, Typed<T::Output>, M, R>
    where
        S: FlowsInto<T::Input>,
        T: RegisterableTask + DepsInjectable,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        self.then_after::<T>(provider)
    }

    /// A task behind one whose output it was found to take.
    pub fn then_after<T>(mut self, provider: Provider<'_>) -> WorkflowBuilder<C, Input, Typed<T::Output>, M, R>
    where
        T: RegisterableTask + DepsInjectable,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        let step = provided::<T, C>(self.codec(), self.registry.registry(), provider);
        self.steps.push_task(step);
        self.flows()
    }

    pub fn loop_provided<T>(
        self,
        provider: Provider<'_>,
        max: u32,
        on_max: MaxIterationsPolicy,
    ) -> WorkflowBuilder<C, Input, Typed<T::Input>, M, R>
    where
        S: FlowsInto<T::Input>,
        T: RegisterableTask + DepsInjectable,
        C: LoopCodec<T::Input> + EncodeValue<T::Output>,
    {
        let step = provided::<T, C>(self.codec(), self.registry.registry(), provider);
        self.loop_single(step, max, on_max)
    }

    pub fn route_provided<T, K, Out>(self, provider: Provider<'_>) -> RouteBuilder<C, Input, S, M, R, Out, TypedKeys<K>>
    where
        S: FlowsInto<T::Input>,
        T: RegisterableTask + DepsInjectable,
        K: BranchKey,
        C: RouteCodec<Out> + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        let step = provided::<T, C>(self.codec(), self.registry.registry(), provider);
        self.start_route(step, false, Some(K::all_keys()))
    }

    pub fn route_str_provided<T, Out>(self, provider: Provider<'_>) -> RouteBuilder<C, Input, S, M, R, Out, TextKeys>
    where
        S: FlowsInto<T::Input>,
        T: RegisterableTask + DepsInjectable,
        C: RouteCodec<Out> + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        let step = provided::<T, C>(self.codec(), self.registry.registry(), provider);
        self.start_route(step, false, None)
    }
}

#[doc(hidden)]
impl<C, Input, S, M, R: RegistryMode> ForkBuilder<C, Input, S, M, R> {
    pub fn branch_provided<T>(mut self, provider: Provider<'_>) -> Self
    where
        S: FlowsInto<T::Input>,
        T: RegisterableTask + DepsInjectable,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        let step = provided::<T, C>(self.builder.codec(), self.builder.registry.registry(), provider);
        self.branches.single(step);
        self
    }

    pub fn join_provided<T>(self, provider: Provider<'_>) -> WorkflowBuilder<C, Input, Typed<T::Output>, M, R>
    where
        T: RegisterableTask + DepsInjectable,
        C: EnvelopeCodec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        let step = provided::<T, C>(self.builder.codec(), self.builder.registry.registry(), provider);
        self.join_step(step)
    }
}
