//! The builder: steps one after the other, typed by what flows between them.
//!
//! Its code is one set of node kinds for every place: a branch, an arm and a loop's body are built by
//! the same type as the workflow itself.

mod children;
mod forks;
mod loops;
mod provided;
mod registered;
mod routes;
mod steps;
mod tasks;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

pub use forks::{BranchCollector, ForkBuilder};
pub use loops::LoopCodec;
pub use registered::{NoRegistry, RegistryMode, WithRegistry};
pub(crate) use routes::check_coverage;
pub use routes::{KeyFunction, RouteBuilder, RouteCodec, TextKeys, TypedKeys};
pub(crate) use steps::{Step, Steps};

use super::code::PayloadCode;
use super::{FlowEnd, Typed, Untyped, Workflow};
use crate::codec::sealed::{DecodeValue, EncodeValue};
use crate::codec::{Codec, Encoder};
use crate::context::WorkflowContext;
use crate::error::{BuildError, BuildErrors};
use crate::registry::TaskRegistry;
use crate::task::TaskMetadata;

/// Builds a workflow step by step.
///
/// `S` is what flows into the next step: [`Typed`], or [`Untyped`] after a wait for a signal, where the
/// next step's input says the type. `R` says whether the tasks are kept in a registry as well.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_core::prelude::*;
///
/// let workflow = WorkflowBuilder::new(WorkflowContext::new("orders", Arc::new(JsonCodec), Arc::new(())))
///     .then("price", |quantity: u32| async move { Ok(quantity * 5) })
///     .then("text", |total| async move { Ok(format!("{total} EUR")) })
///     .build()?;
/// assert_eq!(workflow.iter_nodes().count(), 2);
/// # Ok::<(), BuildErrors>(())
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct WorkflowBuilder<C, Input, S, M = (), R = NoRegistry> {
    context: WorkflowContext<C, M>,
    version: String,
    registry: R,
    steps: Steps<C>,
    types: PhantomData<fn(Input) -> S>,
}

impl<C, Input, M> WorkflowBuilder<C, Input, Typed<Input>, M> {
    /// Starts a workflow. Its input type is what the first step takes.
    pub fn new(context: WorkflowContext<C, M>) -> Self {
        Self { context, version: String::new(), registry: NoRegistry, steps: Steps::new(), types: PhantomData }
    }
}

impl<C, Input, S, M> WorkflowBuilder<C, Input, S, M> {
    /// Keeps the tasks in a registry too, so that the definition can be stored and rebuilt.
    pub fn with_registry(self) -> WorkflowBuilder<C, Input, S, M, WithRegistry> {
        self.with_existing_registry(TaskRegistry::new())
    }

    /// Takes tasks from this registry, and keeps the workflow's own in it too.
    pub fn with_existing_registry(self, registry: TaskRegistry) -> WorkflowBuilder<C, Input, S, M, WithRegistry> {
        let Self { context, version, registry: NoRegistry, steps, types } = self;
        WorkflowBuilder { context, version, registry: WithRegistry::new(registry), steps, types }
    }
}

impl<C, Input, S, M, R> WorkflowBuilder<C, Input, S, M, R> {
    /// Sets the workflow's version, which is part of the definition's identity. A branch, arm or body has none.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Says more about the step just added. After a join it is the join's, after a loop its body's, after
    /// a route its key task's. A delay, a wait, a child, and a loop around several steps run no task of
    /// their own and take names only.
    pub fn with_metadata(mut self, metadata: TaskMetadata) -> Self {
        self.steps.set_metadata(metadata);
        self
    }

    /// Waits this long, and hands on what it was given.
    pub fn delay(mut self, id: impl AsRef<str>, duration: Duration) -> Self {
        self.steps.push_delay(id.as_ref(), duration);
        self
    }

    /// Waits for an event of this name. The next step takes the event's payload; with a timeout, it may take
    /// an `Option` of it, which is `None` when the time ran out.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// use sayiir_core::prelude::*;
    ///
    /// let workflow = WorkflowBuilder::new(WorkflowContext::new("vacation", Arc::new(JsonCodec), Arc::new(())))
    ///     .then("ask", |days: u32| async move { Ok(days) })
    ///     .wait_for_signal("approval", "approve", Some(Duration::from_secs(3600)))
    ///     .then("answer", |approved: Option<bool>| async move { Ok(approved.unwrap_or(false)) })
    ///     .build()?;
    /// # Ok::<(), BuildErrors>(())
    /// ```
    pub fn wait_for_signal(
        mut self,
        id: impl AsRef<str>,
        name: impl AsRef<str>,
        timeout: Option<Duration>,
    ) -> WorkflowBuilder<C, Input, Untyped, M, R>
    where
        C: Codec + EncodeValue<Option<()>>,
    {
        self.steps.push_signal(id.as_ref(), name.as_ref(), timeout, PayloadCode::signal());
        self.flows()
    }

    /// Waits for an event of this name, and hands on its payload, or `None` when the time ran out. Works
    /// with every codec, also where the bytes of a `P` are no bytes of an `Option<P>`.
    pub fn wait_for_signal_opt<P>(
        mut self,
        id: impl AsRef<str>,
        name: impl AsRef<str>,
        timeout: Option<Duration>,
    ) -> WorkflowBuilder<C, Input, Typed<Option<P>>, M, R>
    where
        C: Codec + DecodeValue<P> + EncodeValue<Option<P>>,
    {
        self.steps.push_signal(id.as_ref(), name.as_ref(), timeout, PayloadCode::optional_signal::<P>());
        self.flows()
    }

    /// The same steps with another type flowing out of them.
    pub(crate) fn flows<S2>(self) -> WorkflowBuilder<C, Input, S2, M, R> {
        let Self { context, version, registry, steps, types: _ } = self;
        WorkflowBuilder { context, version, registry, steps, types: PhantomData }
    }

    fn codec(&self) -> Arc<C> {
        Arc::clone(&self.context.codec)
    }

    fn compile(self) -> Result<Compiled<C, Input, M, S::Output, R>, BuildErrors>
    where
        C: Encoder,
        S: FlowEnd<C>,
        R: RegistryMode,
    {
        let Self { context, version, registry, steps, types: _ } = self;
        let program = steps.compile(&context.workflow_id, &version, &context.codec, registry.registry())?;
        Ok((Workflow { program: Arc::new(program), context, decode: S::decode, input: PhantomData }, registry))
    }
}

/// A compiled workflow, and the registry it was built with.
type Compiled<C, Input, M, Out, R> = (Workflow<C, Input, M, Out>, R);

impl<C, Input, S, M, R: RegistryMode> WorkflowBuilder<C, Input, S, M, R> {
    /// What can build steps inside of this builder's.
    fn seed(&self) -> Seed<C, M, R> {
        Seed { context: self.context.clone(), registry: self.registry.clone(), steps: self.steps.inside() }
    }
}

impl<C: Encoder, Input, S: FlowEnd<C>, M> WorkflowBuilder<C, Input, S, M> {
    /// Checks the whole and compiles it. All errors are collected.
    pub fn build(self) -> Result<Workflow<C, Input, M, S::Output>, BuildErrors> {
        self.compile().map(|(workflow, NoRegistry)| workflow)
    }
}

/// The start of a branch, an arm or a body.
struct Seed<C, M, R> {
    context: WorkflowContext<C, M>,
    registry: R,
    steps: Steps<C>,
}

impl<C, M, R: RegistryMode> Seed<C, M, R> {
    /// Lets `build` add steps, unless they would be nested too deep: then it is not called.
    fn grow<Input, S, S2>(&self, name: &str, build: impl FnOnce(SubFlow<C, Input, S, M, R>) -> SubFlow<C, Input, S2, M, R>) -> Steps<C> {
        let mut steps = self.steps.empty();
        if steps.is_too_deep() {
            steps.error(BuildError::TooDeep(name.to_owned()));
            return steps;
        }
        let (context, registry) = (self.context.clone(), self.registry.clone());
        build(WorkflowBuilder { context, version: String::new(), registry, steps, types: PhantomData }).steps
    }
}

/// The builder of a branch, an arm or a body: the same type as a workflow's.
pub type SubFlow<C, Input, S, M, R> = WorkflowBuilder<C, Input, S, M, R>;
