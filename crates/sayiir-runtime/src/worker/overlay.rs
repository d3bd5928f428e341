//! Workflows with code from elsewhere at some nodes: from a registry, or from an executor in another language.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::context::get_task_context;
use sayiir_core::error::BoxError;
use sayiir_core::future::BoxFuture;
use sayiir_core::plan::{NodeIx, NodeSpec, Payloads, Plan};
use sayiir_core::registry::TaskRegistry;
use sayiir_core::task::{ErasedTask, TaskInput};
use sayiir_core::workflow::RunnableWorkflow;
use sayiir_driver::WorkflowSet;

use crate::executor::{TaskCall, TaskExecutor};

/// A workflow with other code at some nodes.
struct Overlay {
    inner: Arc<dyn RunnableWorkflow>,
    tasks: BTreeMap<NodeIx, Arc<dyn ErasedTask>>,
}

impl RunnableWorkflow for Overlay {
    fn plan(&self) -> &Plan {
        self.inner.plan()
    }

    fn payloads(&self) -> &dyn Payloads {
        self.inner.payloads()
    }

    fn task(&self, node: NodeIx) -> Option<&Arc<dyn ErasedTask>> {
        self.tasks.get(&node).or_else(|| self.inner.task(node))
    }

    fn metadata_json(&self) -> Option<&Arc<str>> {
        self.inner.metadata_json()
    }
}

/// The workflows, with the registry's code where they have none of their own.
pub(super) fn with_registry(workflows: WorkflowSet, registry: &TaskRegistry) -> WorkflowSet {
    if registry.is_empty() {
        return workflows;
    }
    overlay(&workflows, |workflow, node| {
        // A route's key task gives more than a task of that id does: only its builder can make it.
        let plain = matches!(workflow.plan().node(node).spec, NodeSpec::Task(_) | NodeSpec::Fork { .. });
        let missing = plain && workflow.task(node).is_none();
        missing.then(|| registry.get(&workflow.plan().task_at(node)?.task).map(Arc::clone)).flatten()
    })
}

/// The workflows, with the executor at each task that it has.
pub(super) fn with_executor(workflows: &WorkflowSet, executor: Arc<dyn TaskExecutor>) -> WorkflowSet {
    overlay(workflows, move |workflow, node| {
        let plan = workflow.plan();
        let has = executor.has(plan.name(), &plan.task_at(node)?.task);
        has.then(|| Arc::new(Elsewhere(Arc::clone(&executor))) as Arc<dyn ErasedTask>)
    })
}

fn overlay(workflows: &WorkflowSet, task: impl Fn(&dyn RunnableWorkflow, NodeIx) -> Option<Arc<dyn ErasedTask>>) -> WorkflowSet {
    workflows.iter().fold(WorkflowSet::new(), |all, workflow| {
        let tasks: BTreeMap<_, _> = workflow.plan().iter().filter_map(|(node, _)| Some((node, task(&**workflow, node)?))).collect();
        all.with(if tasks.is_empty() { Arc::clone(workflow) } else { Arc::new(Overlay { inner: Arc::clone(workflow), tasks }) })
    })
}

/// A task whose code an executor has.
struct Elsewhere(Arc<dyn TaskExecutor>);

impl ErasedTask for Elsewhere {
    fn run(&self, input: TaskInput) -> BoxFuture<'static, Result<Bytes, BoxError>> {
        match get_task_context() {
            Some(context) => self.0.execute(TaskCall { input, context }),
            None => Box::pin(async { Err("a task was run outside of a worker".into()) }),
        }
    }
}
