//! The definitions that a worker knows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sayiir_core::DefinitionHash;
use sayiir_core::workflow::RunnableWorkflow;

/// Workflows of any input types, by definition.
#[derive(Clone, Default)]
pub struct WorkflowSet(BTreeMap<DefinitionHash, Arc<dyn RunnableWorkflow>>);

impl WorkflowSet {
    /// No workflow yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a workflow; of two with one definition the later stays.
    #[must_use]
    pub fn with(mut self, workflow: Arc<dyn RunnableWorkflow>) -> Self {
        self.0.insert(*workflow.plan().hash(), workflow);
        self
    }

    /// The workflow of this definition.
    pub fn get(&self, hash: &DefinitionHash) -> Option<&Arc<dyn RunnableWorkflow>> {
        self.0.get(hash)
    }

    /// The definitions, in order of their hashes.
    pub fn hashes(&self) -> Arc<[DefinitionHash]> {
        self.0.keys().copied().collect()
    }

    /// Whether it holds no workflow.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for WorkflowSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.values().map(|workflow| workflow.plan().name())).finish()
    }
}
