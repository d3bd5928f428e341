//! What a test run is made of: the workflow, the stubs in it, the time at which it starts.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, TimeZone, Utc};
use sayiir_core::codec::sealed::{DecodeValue, EncodeValue};
use sayiir_core::codec::{Codec, EnvelopeCodec};
use sayiir_core::context::get_task_context;
use sayiir_core::error::{BoxError, BuildError, BuildErrors};
use sayiir_core::future::{BoxFuture, MaybeSend, MaybeSync};
use sayiir_core::plan::{NodeIx, Payloads, Plan};
use sayiir_core::task::{BranchOutputs, ErasedTask, TaskInput};
use sayiir_core::workflow::{RunnableWorkflow, Workflow};

use super::TestRun;
use crate::checkpointing::runnable;
use crate::error::RuntimeError;

/// How a test run is set up: made by [`TestRun::of`].
#[must_use = "a test run begins with `start`"]
pub struct TestSetup<C, Input, M, Out> {
    workflow: Workflow<C, Input, M, Out>,
    failing: Vec<(NodeIx, u32, String)>,
    errors: BuildErrors,
    instance_id: String,
    now: DateTime<Utc>,
}

impl<C, Input, M, Out> TestSetup<C, Input, M, Out>
where
    C: Codec,
    Input: 'static,
    M: MaybeSend + MaybeSync + 'static,
    Out: 'static,
{
    pub(super) fn new(workflow: &Workflow<C, Input, M, Out>) -> Self {
        let now = Utc.timestamp_opt(1_767_225_600, 0).single().unwrap_or_default();
        Self { workflow: workflow.clone(), failing: Vec::new(), errors: BuildErrors::new(), instance_id: "test".to_owned(), now }
    }

    /// Runs this function instead of the task at the node path `task`, or of the task of this id wherever it stands. In the
    /// place of a route's key task it gives the key as a `String`.
    pub fn stub<I, O, F, Fut>(mut self, task: &str, function: F) -> Self
    where
        I: 'static,
        O: 'static,
        F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: DecodeValue<I> + EncodeValue<O>,
    {
        let stubbed = self.workflow.with_task(task, function);
        self.replace(stubbed);
        self
    }

    /// Runs this function instead of a join.
    pub fn stub_join<O, F, Fut>(mut self, task: &str, function: F) -> Self
    where
        O: 'static,
        F: Fn(BranchOutputs<C>) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: EnvelopeCodec + EncodeValue<O>,
    {
        let stubbed = self.workflow.with_join(task, function);
        self.replace(stubbed);
        self
    }

    /// Lets the first `attempts` attempts at a task (in each iteration of a loop) fail with this error; the task itself, or
    /// its stub, is not run by them.
    pub fn fail(mut self, task: &str, attempts: u32, error: impl Into<String>) -> Self {
        let error = error.into();
        match self.workflow.find_tasks(task) {
            Ok(nodes) => self.failing.extend(nodes.into_iter().map(|node| (node, attempts, error.clone()))),
            Err(unknown) => self.errors.push(unknown),
        }
        self
    }

    /// The instance's id, where tasks look at it; `test` unless set.
    pub fn instance_id(mut self, id: impl Into<String>) -> Self {
        self.instance_id = id.into();
        self
    }

    /// The time at which it starts; the first of January 2026 unless set.
    pub const fn at(mut self, now: DateTime<Utc>) -> Self {
        self.now = now;
        self
    }

    /// Starts the instance and lets it run as far as it comes without time.
    ///
    /// # Errors
    ///
    /// If a stub is for a task that the workflow does not have (the error names those it has), and if the input cannot be encoded.
    pub async fn start(self, input: Input) -> Result<TestRun<C, Input, M, Out>, RuntimeError>
    where
        C: EncodeValue<Input>,
    {
        let Self { workflow, failing, errors, instance_id, now } = self;
        if !errors.is_empty() {
            return Err(errors.into());
        }
        let input = workflow.encode_input(&input)?;
        let failing = failing.into_iter().map(|(node, attempts, error)| (node, (attempts, error)));
        let stubbed = Stubbed::new(runnable(&workflow), failing.collect());
        TestRun::begin(workflow, Arc::new(stubbed), instance_id, input, now).await
    }

    fn replace(&mut self, stubbed: Result<Workflow<C, Input, M, Out>, BuildError>) {
        match stubbed {
            Ok(workflow) => self.workflow = workflow,
            Err(unknown) => self.errors.push(unknown),
        }
    }
}

/// A workflow whose tasks fail where they are to.
struct Stubbed {
    inner: Arc<dyn RunnableWorkflow>,
    failing: BTreeMap<NodeIx, Arc<dyn ErasedTask>>,
}

impl Stubbed {
    fn new(inner: Arc<dyn RunnableWorkflow>, failing: BTreeMap<NodeIx, (u32, String)>) -> Self {
        let wrap = |(node, (attempts, error)): (NodeIx, (u32, String))| {
            let task = Failing { inner: Arc::clone(inner.task(node)?), attempts, error };
            Some((node, Arc::new(task) as Arc<dyn ErasedTask>))
        };
        let failing = failing.into_iter().filter_map(wrap).collect();
        Self { inner, failing }
    }
}

impl RunnableWorkflow for Stubbed {
    fn plan(&self) -> &Plan {
        self.inner.plan()
    }

    fn payloads(&self) -> &dyn Payloads {
        self.inner.payloads()
    }

    fn task(&self, node: NodeIx) -> Option<&Arc<dyn ErasedTask>> {
        self.failing.get(&node).or_else(|| self.inner.task(node))
    }

    fn metadata_json(&self) -> Option<&Arc<str>> {
        self.inner.metadata_json()
    }
}

/// A task that fails at first.
struct Failing {
    inner: Arc<dyn ErasedTask>,
    attempts: u32,
    error: String,
}

impl ErasedTask for Failing {
    fn run(&self, input: TaskInput) -> BoxFuture<'static, Result<Bytes, BoxError>> {
        let attempt = get_task_context().map_or(1, |context| context.attempt);
        if attempt <= self.attempts { Box::pin(ready(Err(self.error.clone().into()))) } else { self.inner.run(input) }
    }
}
