//! A workflow with a registry of its tasks: its definition can be stored, and run by whoever has a
//! registry with the same ids.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::code::Program;
use super::definition::{DefinitionFormat, DefinitionNode, TaskTypes, WorkflowDefinition};
use super::{RunnableWorkflow, Untyped, Workflow};
use crate::codec::Codec;
use crate::error::{BuildError, BuildErrors};
use crate::future::{MaybeSend, MaybeSync};
use crate::plan::{NodeIx, Payloads, Plan};
use crate::registry::TaskRegistry;
use crate::task::{ErasedTask, Implementation};

/// A workflow that was built with a registry. Wherever a [`Workflow`] is taken, it is taken too.
///
/// ```
/// # use std::sync::Arc;
/// use sayiir_core::prelude::*;
///
/// let workflow = WorkflowBuilder::new(WorkflowContext::new("orders", Arc::new(JsonCodec), Arc::new(())))
///     .with_registry()
///     .then("double", |x: u32| async move { Ok(2 * x) })
///     .build()?;
/// let stored = serde_json::to_string(&workflow.to_serializable())?;
/// let rebuilt = workflow.to_runnable(&serde_json::from_str(&stored)?)?;
/// assert_eq!(rebuilt.definition_hash(), workflow.definition_hash());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SerializableWorkflow<C, Input, M = (), Out = Untyped> {
    workflow: Workflow<C, Input, M, Out>,
    registry: TaskRegistry,
    /// Each node's task in the registry.
    keys: Vec<Option<Arc<str>>>,
}

impl<C, Input, M, Out> SerializableWorkflow<C, Input, M, Out> {
    pub(super) const fn new(workflow: Workflow<C, Input, M, Out>, registry: TaskRegistry, keys: Vec<Option<Arc<str>>>) -> Self {
        Self { workflow, registry, keys }
    }

    /// The workflow itself.
    pub const fn workflow(&self) -> &Workflow<C, Input, M, Out> {
        &self.workflow
    }

    /// The tasks.
    pub const fn registry(&self) -> &TaskRegistry {
        &self.registry
    }

    /// The workflow and its tasks.
    pub fn into_parts(self) -> (Workflow<C, Input, M, Out>, TaskRegistry) {
        let Self { workflow, registry, keys: _ } = self;
        (workflow, registry)
    }

    /// The definition as data, with where this registry has each task, and what types it takes and gives.
    pub fn to_serializable(&self) -> WorkflowDefinition {
        let mut definition = self.workflow.definition();
        for (node, key) in definition.nodes.iter_mut().zip(&self.keys) {
            let Some(key) = key else { continue };
            node.types = self.registry.implementation(key).map(Implementation::types);
            node.registered_as = (node.task.as_deref() != Some(key)).then(|| key.to_string());
        }
        definition
    }

    /// The workflow of a stored definition, with the code that this registry has for it.
    ///
    /// # Errors
    ///
    /// `DefinitionMismatch` if the definition is not this one's, and with it `DefinitionChanged`, which says what differs: nodes,
    /// the version of a task, the codec. `TaskNotFound` for each task that the registry lacks, `TaskTypes` for each that
    /// takes or gives other types than when the definition was stored.
    pub fn to_runnable(&self, stored: &WorkflowDefinition) -> Result<Workflow<C, Input, M, Out>, BuildErrors> {
        let program = &self.workflow.program;
        let WorkflowDefinition { format, name: _, version: _, codec: _, definition_hash, nodes: stored_nodes } = stored;
        match format {
            DefinitionFormat::V1 | DefinitionFormat::V2 => {}
        }
        let same_nodes = program.plan.nodes().iter().map(|node| &*node.path).eq(stored_nodes.iter().map(|node| node.path.as_str()));
        if definition_hash != program.plan.hash() || !same_nodes {
            let mut errors: BuildErrors = BuildError::DefinitionMismatch { expected: *program.plan.hash(), found: *definition_hash }.into();
            let diff = stored.diff(&self.workflow.definition());
            if !diff.is_empty() {
                errors.push(BuildError::DefinitionChanged(Box::new(diff)));
            }
            return Err(errors);
        }
        let mut errors = BuildErrors::new();
        let mut nodes = program.nodes.clone();
        for (node, stored) in nodes.iter_mut().zip(stored_nodes) {
            match self.implementation(stored) {
                Ok(Some(implementation)) => *node = node.with_implementation(implementation.clone(), &program.codec),
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let program = Program { plan: program.plan.clone(), codec: Arc::clone(&program.codec), nodes };
        Ok(Workflow { program: Arc::new(program), ..self.workflow.clone() })
    }

    /// The registry's code for a stored node; `None` if it runs none.
    fn implementation(&self, stored: &DefinitionNode) -> Result<Option<&Implementation>, BuildError> {
        let Some(key) = stored.registry_key() else { return Ok(None) };
        let Some(implementation) = self.registry.implementation(key) else { return Err(BuildError::TaskNotFound(key.to_owned())) };
        let here = implementation.types();
        match &stored.types {
            Some(TaskTypes { input, output }) if (input, output) != (&here.input, &here.output) => {
                Err(BuildError::TaskTypes { task: key.to_owned(), stored: format!("{input} -> {output}"), here: here.to_string() })
            }
            Some(_) | None => Ok(Some(implementation)),
        }
    }
}

impl<C, Input, M, Out> Deref for SerializableWorkflow<C, Input, M, Out> {
    type Target = Workflow<C, Input, M, Out>;

    fn deref(&self) -> &Self::Target {
        &self.workflow
    }
}

impl<C, Input, M, Out> Clone for SerializableWorkflow<C, Input, M, Out> {
    fn clone(&self) -> Self {
        let Self { workflow, registry, keys } = self;
        Self { workflow: workflow.clone(), registry: registry.clone(), keys: keys.clone() }
    }
}

impl<C, Input, M, Out> fmt::Debug for SerializableWorkflow<C, Input, M, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workflow, registry, keys: _ } = self;
        f.debug_struct("SerializableWorkflow").field("workflow", workflow).field("registry", registry).finish_non_exhaustive()
    }
}

impl<C, Input, M, Out> RunnableWorkflow for SerializableWorkflow<C, Input, M, Out>
where
    C: Codec,
    Input: 'static,
    M: MaybeSend + MaybeSync + 'static,
    Out: 'static,
{
    fn plan(&self) -> &Plan {
        self.workflow.plan()
    }

    fn payloads(&self) -> &dyn Payloads {
        self.workflow.payloads()
    }

    fn task(&self, node: NodeIx) -> Option<&Arc<dyn ErasedTask>> {
        self.workflow.task(node)
    }

    fn metadata_json(&self) -> Option<&Arc<str>> {
        self.workflow.metadata_json()
    }
}
