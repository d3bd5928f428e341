//! The definitions that a worker knows.

use std::fmt;
use std::sync::Arc;

use sayiir_core::DefinitionHash;
use sayiir_core::workflow::RunnableWorkflow;

/// Workflows of any input types, by definition: in order of their hashes.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_core::prelude::*;
/// use sayiir_driver::WorkflowSet;
///
/// let context = |name| WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(()));
/// let numbers = WorkflowBuilder::new(context("numbers")).then("double", |x: u32| async move { Ok(2 * x) }).build()?;
/// let texts = WorkflowBuilder::new(context("texts")).then("trim", |x: String| async move { Ok(x.trim().to_owned()) }).build()?;
/// let all = WorkflowSet::new().with(Arc::new(numbers)).with(Arc::new(texts));
/// assert!(!all.is_empty());
/// # Ok::<(), BuildErrors>(())
/// ```
#[derive(Clone, Default)]
pub struct WorkflowSet(Vec<(DefinitionHash, Arc<dyn RunnableWorkflow>)>);

impl WorkflowSet {
    /// No workflow yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a workflow; of two with one definition the later stays.
    #[must_use]
    pub fn with(mut self, workflow: Arc<dyn RunnableWorkflow>) -> Self {
        let hash = *workflow.plan().hash();
        match self.find(&hash) {
            Ok(at) => self.0.splice(at..=at, [(hash, workflow)]).for_each(drop),
            Err(at) => self.0.insert(at, (hash, workflow)),
        }
        self
    }

    /// The workflow of this definition.
    pub fn get(&self, hash: &DefinitionHash) -> Option<&Arc<dyn RunnableWorkflow>> {
        self.find(hash).ok().and_then(|at| self.0.get(at)).map(|(_, workflow)| workflow)
    }

    fn find(&self, hash: &DefinitionHash) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(hash))
    }

    /// The definitions, in order of their hashes.
    pub fn hashes(&self) -> Arc<[DefinitionHash]> {
        self.0.iter().map(|(hash, _)| *hash).collect()
    }

    /// The workflows, in order of their hashes.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn RunnableWorkflow>> {
        self.0.iter().map(|(_, workflow)| workflow)
    }

    /// Whether it holds no workflow.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Each is known by its own definition hash, whatever it is listed under.
impl<W: RunnableWorkflow> From<Vec<(DefinitionHash, Arc<W>)>> for WorkflowSet {
    fn from(workflows: Vec<(DefinitionHash, Arc<W>)>) -> Self {
        workflows.into_iter().map(|(listed, workflow)| (listed, workflow as Arc<dyn RunnableWorkflow>)).collect::<Vec<_>>().into()
    }
}

/// Each is known by its own definition hash, whatever it is listed under.
impl From<Vec<(DefinitionHash, Arc<dyn RunnableWorkflow>)>> for WorkflowSet {
    fn from(workflows: Vec<(DefinitionHash, Arc<dyn RunnableWorkflow>)>) -> Self {
        workflows.into_iter().fold(Self::new(), |all, (listed, workflow)| {
            let (own, name) = (workflow.plan().hash(), workflow.plan().name());
            if listed != *own {
                tracing::warn!(workflow = &**name, %listed, %own, "a workflow is listed under a hash that is not its own");
            }
            all.with(workflow)
        })
    }
}

impl fmt::Debug for WorkflowSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(_, workflow)| workflow.plan().name())).finish()
    }
}
