//! The plan: a definition in its validated, flat form. Nodes refer to each other by number, so that no
//! operation on a plan, however long, recurses.

mod draft;
mod hash;
mod place;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

pub use draft::{Draft, MAX_DEPTH, MAX_PATH_BYTES};
pub use place::{InvalidPath, Place, sub_step_path};
pub(crate) use place::{escape, unescape};

use crate::error::BoxError;
use crate::future::{MaybeSend, MaybeSync};
use crate::ids::{DefinitionHash, TaskId};
use crate::loop_result::{LoopResult, MaxIterationsPolicy};
use crate::task::TaskMetadata;
use crate::workflow::WorkflowDefinition;

/// The number of a node in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIx(usize);

impl NodeIx {
    /// The number itself: an index into the plan's nodes.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// A validated workflow graph with its name and version.
#[derive(Debug, Clone)]
pub struct Plan {
    name: Arc<str>,
    version: Arc<str>,
    codec: Arc<str>,
    nodes: Vec<Node>,
    by_path: BTreeMap<Arc<str>, NodeIx>,
    hash: DefinitionHash,
    document: OnceLock<Arc<str>>,
}

/// A place in the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The unique readable name, without iterations.
    pub path: Arc<str>,
    /// The id given to the builder.
    pub id: Arc<str>,
    /// What stands here.
    pub spec: NodeSpec,
    /// The node that follows in the same sequence.
    pub next: Option<NodeIx>,
    /// What this node stands inside of; `None` at the top level.
    pub container: Option<Container>,
    /// The path's text before, between and after its slots (iterations, and the keys of default arms).
    pieces: Arc<[Box<str>]>,
}

/// What a node stands directly inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// A branch of a fork, by its number.
    Branch {
        /// The fork.
        fork: NodeIx,
        /// Which of its branches.
        index: usize,
    },
    /// An arm of a route.
    Arm {
        /// The route.
        route: NodeIx,
        /// Which of its arms.
        index: usize,
    },
    /// The default arm of a route.
    DefaultArm {
        /// The route.
        route: NodeIx,
    },
    /// The body of a loop.
    Body {
        /// The loop.
        repeat: NodeIx,
    },
    /// An inlined child workflow.
    Child {
        /// The child node.
        child: NodeIx,
    },
}

impl Container {
    /// The fork, route, loop or child itself.
    pub const fn node(self) -> NodeIx {
        match self {
            Self::Branch { fork, .. } => fork,
            Self::Arm { route, .. } | Self::DefaultArm { route } => route,
            Self::Body { repeat } => repeat,
            Self::Child { child } => child,
        }
    }
}

/// What stands at a node.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeSpec {
    /// A task.
    Task(TaskSpec),
    /// Branches that run side by side, and the task that joins their outputs.
    Fork {
        /// The branches, at least one.
        branches: Vec<ForkBranch>,
        /// The join task; the node's path is its.
        join: TaskSpec,
    },
    /// A choice between arms by a key.
    Route {
        /// The task that gives the key.
        key: TaskSpec,
        /// The arms.
        arms: Vec<RouteArm>,
        /// The first node of the default arm.
        default: Option<NodeIx>,
    },
    /// A body that runs until it says that it is done.
    Loop {
        /// The first node of the body.
        first: NodeIx,
        /// The most iterations, at least 1.
        max_iterations: u32,
        /// What happens after the last of them.
        on_max: MaxIterationsPolicy,
    },
    /// A wait for a time.
    Delay {
        /// How long.
        duration: Duration,
    },
    /// A wait for an event.
    Signal {
        /// The event's name.
        name: Arc<str>,
        /// The longest wait.
        timeout: Option<Duration>,
    },
    /// An inlined child workflow.
    Child {
        /// Its first node.
        first: NodeIx,
        /// Its version; empty if it has none.
        version: Arc<str>,
    },
}

impl NodeSpec {
    /// The task that runs here: its own, its join or its key task.
    pub const fn task(&self) -> Option<&TaskSpec> {
        match self {
            Self::Task(task) | Self::Fork { join: task, .. } | Self::Route { key: task, .. } => Some(task),
            Self::Loop { .. } | Self::Delay { .. } | Self::Signal { .. } | Self::Child { .. } => None,
        }
    }
}

/// A task at a node.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSpec {
    /// The task's id, under which a registry knows its implementation.
    pub task: Arc<str>,
    /// Its policies.
    pub metadata: TaskMetadata,
}

/// A branch of a fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkBranch {
    /// Its name, by which the join finds its output.
    pub name: Arc<str>,
    /// Its first node.
    pub first: NodeIx,
}

/// An arm of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteArm {
    /// Its key.
    pub key: Arc<str>,
    /// Its first node.
    pub first: NodeIx,
}

/// What a definition does to payloads between its nodes: the part that knows types and codec.
pub trait Payloads: MaybeSend + MaybeSync {
    /// Takes apart what a loop's body returned.
    fn loop_result(&self, repeat: NodeIx, output: &Bytes) -> Result<LoopResult<Bytes>, BoxError>;

    /// Wraps what a route's arm handed on with the key that chose it.
    fn route_envelope(&self, route: NodeIx, key: &str, output: &Bytes) -> Result<Bytes, BoxError>;

    /// What the node after a signal gets for an event's payload.
    fn event_value(&self, signal: NodeIx, payload: &Bytes) -> Result<Bytes, BoxError>;

    /// What the node after a signal gets when the wait timed out.
    fn timeout_value(&self, signal: NodeIx) -> Result<Bytes, BoxError>;
}

impl Plan {
    /// The workflow's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The workflow's version; empty if it has none.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// The name of the codec of all payloads ([`Encoder::name`](crate::codec::Encoder::name)).
    pub fn codec(&self) -> &Arc<str> {
        &self.codec
    }

    /// The definition's identity.
    pub const fn hash(&self) -> &DefinitionHash {
        &self.hash
    }

    /// The definition as text, which stores keep: a [`WorkflowDefinition`] as JSON. Made once.
    pub fn document(&self) -> &Arc<str> {
        // A definition is made of names and numbers, which JSON can hold.
        self.document.get_or_init(|| Arc::from(serde_json::to_string(&WorkflowDefinition::of(self)).unwrap_or_default()))
    }

    /// The nodes; a container comes before what it contains.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Every node with its number.
    pub fn iter(&self) -> impl Iterator<Item = (NodeIx, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeIx(index), node))
    }

    /// The node at which the workflow starts.
    pub const fn first(&self) -> NodeIx {
        NodeIx(0)
    }

    /// The node with this number. A number comes from the same plan, so it is there.
    #[allow(clippy::indexing_slicing, reason = "a NodeIx is only made by the plan that it indexes")]
    pub fn node(&self, ix: NodeIx) -> &Node {
        &self.nodes[ix.0]
    }

    /// The node with this path (without iterations).
    pub fn find(&self, path: &str) -> Option<NodeIx> {
        self.by_path.get(path).copied()
    }

    /// The node whose path (or, at the top level, whose id) has this hash.
    pub fn find_by_task_id(&self, id: TaskId) -> Option<NodeIx> {
        self.iter().find(|(_, node)| TaskId::from(&*node.path) == id || TaskId::from(&*node.id) == id).map(|(ix, _)| ix)
    }

    /// The task that runs at a node: its own, its join or its key task.
    pub fn task_at(&self, ix: NodeIx) -> Option<&TaskSpec> {
        self.node(ix).spec.task()
    }

    /// The first node at or inside `ix` that does something itself: loops and children are entered.
    pub fn entry(&self, mut ix: NodeIx) -> NodeIx {
        loop {
            match &self.node(ix).spec {
                NodeSpec::Loop { first, .. } | NodeSpec::Child { first, .. } => ix = *first,
                NodeSpec::Task(_) | NodeSpec::Fork { .. } | NodeSpec::Route { .. } | NodeSpec::Delay { .. } | NodeSpec::Signal { .. } => {
                    return ix;
                }
            }
        }
    }

    /// The path at which the workflow starts, as an instance shows it before its first step.
    pub fn first_path(&self) -> Arc<str> {
        Place::start(self).path(self)
    }
}

#[cfg(test)]
mod tests;
