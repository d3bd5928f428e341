//! The steps a builder has collected, without their types: a draft of the plan, and the code of its
//! nodes in the same order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Encoder;
use crate::error::{BuildError, BuildErrors};
use crate::loop_result::MaxIterationsPolicy;
use crate::plan::{Draft, MAX_DEPTH, NodeIx, TaskSpec};
use crate::registry::TaskRegistry;
use crate::task::{Implementation, TaskMetadata};
use crate::workflow::code::{NodeCode, NodeNames, PayloadCode, Program};
use crate::workflow::incoming;

/// A sequence of steps: `nodes[i]` is the code of the draft's node `i`.
pub(crate) struct Steps<C> {
    draft: Draft,
    nodes: Vec<NodeCode<C>>,
    /// How deep these steps are nested; the workflow's own are at 1.
    depth: usize,
}

/// A task on its way into the steps.
pub(crate) struct Step {
    pub(crate) id: String,
    /// `None` if there is none, which is an error noted with it.
    pub(crate) implementation: Option<Implementation>,
    pub(crate) metadata: TaskMetadata,
    /// What is wrong with it.
    pub(crate) errors: Vec<BuildError>,
}

impl Step {
    pub(crate) fn new(id: &str, implementation: Implementation, metadata: TaskMetadata) -> Self {
        Self { id: id.to_owned(), implementation: Some(implementation), metadata, errors: Vec::new() }
    }
}

impl<C> Steps<C> {
    pub(crate) fn new() -> Self {
        Self { draft: Draft::new(), nodes: Vec::new(), depth: 1 }
    }

    /// No steps yet, beside these.
    pub(crate) fn empty(&self) -> Self {
        Self { depth: self.depth, ..Self::new() }
    }

    /// No steps yet, inside of one of these.
    pub(crate) fn inside(&self) -> Self {
        Self { depth: self.depth + 1, ..Self::new() }
    }

    /// Nothing but one task, which shares the path of its branch or loop.
    pub(crate) fn single(mut self, step: Step) -> Self {
        self.push_task(step);
        let Self { draft, nodes, depth } = self;
        Self { draft: draft.collapsed(), nodes, depth }
    }

    pub(crate) fn is_too_deep(&self) -> bool {
        self.depth > MAX_DEPTH
    }

    pub(crate) fn error(&mut self, error: BuildError) {
        self.draft.error(error);
    }

    pub(crate) fn push_task(&mut self, step: Step) {
        let Step { id, implementation, metadata, errors } = step;
        self.note(errors);
        self.draft.push_task(&id, TaskSpec { task: Arc::from(id.as_str()), metadata });
        self.nodes.push(NodeCode::task(implementation));
    }

    pub(crate) fn push_delay(&mut self, id: &str, duration: Duration) {
        self.draft.push_delay(id, duration);
        self.nodes.push(NodeCode::without_task(PayloadCode::None));
    }

    pub(crate) fn push_signal(&mut self, id: &str, name: &str, timeout: Option<Duration>, payload: PayloadCode<C>) {
        self.draft.push_signal(id, name, timeout);
        self.nodes.push(NodeCode::without_task(payload));
    }

    pub(crate) fn push_fork(&mut self, join: Step, branches: Vec<(String, Self)>) {
        let Step { id, implementation, metadata, errors } = join;
        self.note(errors);
        self.nodes.push(NodeCode::task(implementation));
        let branches = branches.into_iter().map(|(name, steps)| (name, self.take_code(steps))).collect();
        self.draft.push_fork(&id, TaskSpec { task: Arc::from(id.as_str()), metadata }, branches);
    }

    pub(crate) fn push_route(&mut self, key: Step, code: NodeCode<C>, arms: Vec<(String, Self)>, default: Option<Self>) {
        let Step { id, implementation, metadata, errors } = key;
        self.note(errors);
        self.nodes.push(NodeCode { implementation, ..code });
        let arms = arms.into_iter().map(|(key, steps)| (key, self.take_code(steps))).collect();
        let default = default.map(|steps| self.take_code(steps));
        self.draft.push_route(&id, TaskSpec { task: Arc::from(id.as_str()), metadata }, arms, default);
    }

    pub(crate) fn push_loop(&mut self, id: &str, body: Self, max: u32, on_max: MaxIterationsPolicy, payload: PayloadCode<C>) {
        self.nodes.push(NodeCode::without_task(payload));
        let body = self.take_code(body);
        self.draft.push_loop(id, body, max, on_max);
    }

    pub(crate) fn push_child(&mut self, child: &Program<C>) {
        self.nodes.push(NodeCode::without_task(PayloadCode::None));
        self.nodes.extend(child.nodes.iter().map(|node| NodeCode { scoped: true, ..node.clone() }));
        self.draft.push_child(&child.plan);
    }

    fn note(&mut self, errors: Vec<BuildError>) {
        for error in errors {
            self.draft.error(error);
        }
    }

    /// Moves the code behind this one's, where the draft will put the nodes.
    fn take_code(&mut self, steps: Self) -> Draft {
        let Self { draft, nodes, depth: _ } = steps;
        self.nodes.extend(nodes);
        draft
    }

    /// Replaces what is said of the last step.
    pub(crate) fn set_metadata(&mut self, metadata: TaskMetadata) {
        let Some(last) = self.draft.last() else {
            let node = "the workflow's start".to_owned();
            return self.error(BuildError::MetadataNotApplicable { node, field: "metadata of a step" });
        };
        if let Some(task) = self.draft.task_mut(last) {
            task.metadata = metadata;
            return;
        }
        self.refuse_policies(last, &metadata);
        if let Some(code) = self.nodes.get_mut(last.index()) {
            code.names = NodeNames::of(&metadata);
        }
    }

    /// A node without a task carries names and nothing else.
    fn refuse_policies(&mut self, node: NodeIx, metadata: &TaskMetadata) {
        let TaskMetadata { display_name: _, description: _, timeout, retries, tags, version, priority } = metadata;
        let id = self.draft.id(node).map(ToString::to_string).unwrap_or_default();
        let set = [
            ("timeout", timeout.is_some()),
            ("retries", retries.is_some()),
            ("tags", !tags.is_empty()),
            ("version", version.is_some()),
            ("priority", priority.is_some()),
        ];
        for (field, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
            self.error(BuildError::MetadataNotApplicable { node: id.clone(), field });
        }
    }

    /// Checks the whole and puts plan and code together.
    pub(crate) fn compile(
        mut self,
        name: &str,
        version: &str,
        codec: &Arc<C>,
        registry: Option<&TaskRegistry>,
    ) -> Result<Program<C>, BuildErrors>
    where
        C: Encoder,
    {
        for id in self.duplicates(registry) {
            self.error(BuildError::DuplicateTaskId(id));
        }
        let Self { draft, nodes, depth: _ } = self;
        let plan = draft.compile_for(name, version, &codec.name())?;
        let signals = incoming::signals(&plan);
        let nodes = nodes.into_iter().zip(signals).map(|(node, signal)| node.ready(signal, codec)).collect();
        Ok(Program { plan, codec: Arc::clone(codec), nodes })
    }

    /// The ids under which two different implementations stand, here or here and in the registry.
    fn duplicates(&self, registry: Option<&TaskRegistry>) -> BTreeSet<String> {
        let mut seen: BTreeMap<&str, &Implementation> = BTreeMap::new();
        let mut duplicates = BTreeSet::new();
        for (code, task) in self.nodes.iter().zip(self.draft.tasks()).filter(|(code, _)| !code.scoped) {
            let (Some(implementation), Some(task)) = (&code.implementation, task) else { continue };
            let id = &*task.task;
            let first =
                seen.entry(id).or_insert_with(|| registry.and_then(|registry| registry.implementation(id)).unwrap_or(implementation));
            if !first.is_same(implementation) {
                duplicates.insert(id.to_owned());
            }
        }
        duplicates
    }
}
