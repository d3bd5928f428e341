//! The nodes of a workflow as a list for people and tools.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::code::{NodeNames, Program};
use crate::plan::{Container, Node, NodeIx, NodeSpec, Plan};
use crate::priority::Priority;
use crate::task::{RetryPolicy, TaskMetadata};

/// What kind of node it is.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use sayiir_core::prelude::*;
///
/// let workflow = WorkflowBuilder::new(WorkflowContext::new("order", Arc::new(JsonCodec), Arc::new(())))
///     .then("charge", |euros: u32| async move { Ok(euros) })
///     .delay("pause", Duration::from_secs(60))
///     .build()?;
/// let kinds: Vec<_> = workflow.iter_nodes().map(|node| node.kind).collect();
/// assert_eq!(kinds, [NodeKind::Task, NodeKind::Delay]);
/// assert_eq!(NodeKind::AwaitSignal.to_string(), "await_signal");
/// # Ok::<(), BuildErrors>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// A task.
    Task,
    /// Branches side by side, and their join.
    Fork,
    /// A wait for a time.
    Delay,
    /// A wait for an event.
    AwaitSignal,
    /// A choice between arms.
    Branch,
    /// A body that runs until it is done.
    Loop,
    /// An inlined child workflow.
    ChildWorkflow,
}

impl NodeKind {
    /// The kind's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Fork => "fork",
            Self::Delay => "delay",
            Self::AwaitSignal => "await_signal",
            Self::Branch => "branch",
            Self::Loop => "loop",
            Self::ChildWorkflow => "child_workflow",
        }
    }

    /// The kind of a node of a plan.
    pub const fn of(spec: &NodeSpec) -> Self {
        match spec {
            NodeSpec::Task(_) => Self::Task,
            NodeSpec::Fork { .. } => Self::Fork,
            NodeSpec::Route { .. } => Self::Branch,
            NodeSpec::Loop { .. } => Self::Loop,
            NodeSpec::Delay { .. } => Self::Delay,
            NodeSpec::Signal { .. } => Self::AwaitSignal,
            NodeSpec::Child { .. } => Self::ChildWorkflow,
        }
    }
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One node of a workflow.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use sayiir_core::prelude::*;
///
/// let context = WorkflowContext::new("trial", Arc::new(JsonCodec), Arc::new(()));
/// let trial = WorkflowBuilder::new(context).delay("wait", Duration::from_secs(60)).then("end", |x: u32| async move { Ok(x) }).build()?;
/// let kinds: Vec<_> = trial.iter_nodes().map(|node| (node.id, node.kind)).collect();
/// assert_eq!(kinds, [("wait".to_owned(), NodeKind::Delay), ("end".to_owned(), NodeKind::Task)]);
/// # Ok::<(), BuildErrors>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NodeInfo {
    /// The id given to the builder.
    pub id: String,
    /// The path: unique, unlike the id.
    pub path: String,
    /// What it is.
    pub kind: NodeKind,
    /// The id of the node before it; of what it stands in, for the first node of a branch, arm, body or child.
    pub predecessor_id: Option<String>,
    /// A name for people.
    pub display_name: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// The longest an attempt of its task, or a wait for its event, may take.
    pub timeout: Option<Duration>,
    /// When its task is repeated.
    pub retry_policy: Option<RetryPolicy>,
    /// How urgent its task is.
    pub priority: Option<Priority>,
    /// Tags that a worker must serve to run its task.
    pub tags: Vec<String>,
    /// The version of its task's code, or of the child workflow.
    pub version: Option<String>,
}

/// The nodes of a program, without the bodies that are one with their loop.
pub(super) fn of_program<C>(program: &Program<C>) -> Vec<NodeInfo> {
    let plan = &program.plan;
    let predecessors = predecessors(plan);
    let mut infos = Vec::with_capacity(plan.nodes().len());
    for ((_, node), (code, predecessor)) in plan.iter().zip(program.nodes.iter().zip(predecessors)) {
        if is_loop_itself(plan, node) {
            continue;
        }
        let NodeNames { display_name, description } = &code.names;
        let mut info = NodeInfo::of(plan, node, predecessor);
        info.display_name = info.display_name.or_else(|| display_name.clone());
        info.description = info.description.or_else(|| description.clone());
        infos.push(info);
    }
    infos
}

/// Whether the node is the only task of a loop and shares its path.
pub(super) fn is_loop_itself(plan: &Plan, node: &Node) -> bool {
    match node.container {
        Some(Container::Body { repeat }) => plan.node(repeat).path == node.path,
        Some(Container::Branch { .. } | Container::Arm { .. } | Container::DefaultArm { .. } | Container::Child { .. }) | None => false,
    }
}

fn predecessors(plan: &Plan) -> Vec<Option<NodeIx>> {
    let mut before: Vec<_> = plan.nodes().iter().map(|node| node.container.map(Container::node)).collect();
    for (ix, node) in plan.iter() {
        if let Some(slot) = node.next.and_then(|next| before.get_mut(next.index())) {
            *slot = Some(ix);
        }
    }
    before
}

impl NodeInfo {
    fn of(plan: &Plan, node: &Node, predecessor: Option<NodeIx>) -> Self {
        let mut timeout = None;
        let mut version = None;
        let metadata = match &node.spec {
            NodeSpec::Task(task) | NodeSpec::Fork { join: task, .. } | NodeSpec::Route { key: task, .. } => Some(&task.metadata),
            NodeSpec::Loop { first, .. } if is_loop_itself(plan, plan.node(*first)) => plan.task_at(*first).map(|task| &task.metadata),
            NodeSpec::Signal { timeout: wait, .. } => {
                timeout = *wait;
                None
            }
            NodeSpec::Child { version: child, .. } => {
                version = (!child.is_empty()).then(|| child.to_string());
                None
            }
            NodeSpec::Delay { .. } | NodeSpec::Loop { .. } => None,
        };
        let TaskMetadata { display_name, description, timeout: task_timeout, retries, tags, version: task_version, priority } =
            metadata.cloned().unwrap_or_default();
        Self {
            id: node.id.to_string(),
            path: node.path.to_string(),
            kind: NodeKind::of(&node.spec),
            predecessor_id: predecessor.map(|before| plan.node(before).id.to_string()),
            display_name,
            description,
            timeout: task_timeout.or(timeout),
            retry_policy: retries,
            priority,
            tags,
            version: task_version.or(version),
        }
    }
}
