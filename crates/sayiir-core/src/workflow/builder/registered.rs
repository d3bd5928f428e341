//! Building with a registry: where its tasks come in, and where the workflow's own go.

use std::sync::Arc;

use super::{Step, WorkflowBuilder};
use crate::codec::Encoder;
use crate::error::{BuildError, BuildErrors};
use crate::plan::TaskSpec;
use crate::registry::TaskRegistry;
use crate::task::Implementation;
use crate::workflow::code::Program;
use crate::workflow::{FlowEnd, SerializableWorkflow};

/// Whether a builder has a registry: [`NoRegistry`] or [`WithRegistry`].
pub trait RegistryMode: Clone {
    /// The registry, if there is one.
    fn registry(&self) -> Option<&TaskRegistry>;
}

/// The builder has no registry.
#[derive(Debug, Clone, Copy)]
pub struct NoRegistry;

/// The builder takes tasks from a registry, and builds a [`SerializableWorkflow`].
#[derive(Debug, Clone)]
pub struct WithRegistry(Arc<TaskRegistry>);

impl RegistryMode for NoRegistry {
    fn registry(&self) -> Option<&TaskRegistry> {
        None
    }
}

impl RegistryMode for WithRegistry {
    fn registry(&self) -> Option<&TaskRegistry> {
        Some(&self.0)
    }
}

/// The step as the registry holds it, if it holds the same code; else as it is.
pub(super) fn or_registered(registry: &impl RegistryMode, step: Step) -> Step {
    let registered = registry.registry().and_then(|registry| registry.implementation(&step.id));
    let same = registered.filter(|registered| step.implementation.as_ref().is_some_and(|own| own.is_same(registered)));
    Step { implementation: same.cloned().or(step.implementation), ..step }
}

impl WithRegistry {
    pub(super) fn new(registry: TaskRegistry) -> Self {
        Self(Arc::new(registry))
    }

    /// The task of this id as a step.
    pub(super) fn step(&self, id: &str) -> Step {
        let implementation = self.0.implementation(id).cloned();
        let error = implementation.is_none().then(|| BuildError::TaskNotFound(id.to_owned()));
        Step {
            id: id.to_owned(),
            implementation,
            metadata: self.0.get_metadata(id).cloned().unwrap_or_default(),
            errors: error.into_iter().collect(),
        }
    }
}

impl<C: Encoder, Input, S: FlowEnd<C>, M> WorkflowBuilder<C, Input, S, M, WithRegistry> {
    /// Checks the whole and compiles it, with a registry of all its tasks. All errors are collected.
    pub fn build(self) -> Result<SerializableWorkflow<C, Input, M, S::Output>, BuildErrors> {
        let (workflow, WithRegistry(registry)) = self.compile()?;
        let mut registry = Arc::unwrap_or_clone(registry);
        let keys = register(&workflow.program, &mut registry);
        Ok(SerializableWorkflow::new(workflow, registry, keys))
    }
}

/// Registers the code of every node, and says for each node under which id.
fn register<C>(program: &Program<C>, registry: &mut TaskRegistry) -> Vec<Option<Arc<str>>> {
    let mut keys = vec![None; program.nodes.len()];
    // The workflow's own ids first: what is scoped gives way to them.
    for scoped in [false, true] {
        for ((ix, node), code) in program.plan.iter().zip(&program.nodes).filter(|(_, code)| code.scoped == scoped) {
            let (Some(implementation), Some(TaskSpec { task, metadata })) = (&code.implementation, node.spec.task()) else { continue };
            let key =
                if is_free(registry, task, implementation) { task.to_string() } else { free_key(registry, &node.path, implementation) };
            if !registry.contains(&key) {
                registry.insert(&key, implementation.clone(), metadata.clone());
            }
            if let Some(slot) = keys.get_mut(ix.index()) {
                *slot = Some(Arc::from(key));
            }
        }
    }
    keys
}

fn is_free(registry: &TaskRegistry, key: &str, implementation: &Implementation) -> bool {
    registry.implementation(key).is_none_or(|registered| registered.is_interchangeable(implementation))
}

/// The node's path, or the first `path#n` that is free.
fn free_key(registry: &TaskRegistry, path: &str, implementation: &Implementation) -> String {
    let numbered = (2_u64..).map(|number| format!("{path}#{number}"));
    std::iter::once(path.to_owned()).chain(numbered).find(|key| is_free(registry, key, implementation)).unwrap_or_default()
}
