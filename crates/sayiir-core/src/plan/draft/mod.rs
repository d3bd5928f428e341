//! A draft: what a builder has collected of a plan. Drafts of branches, arms, bodies and children are
//! absorbed by the draft around them, so a draft is flat from the start.

mod node;
mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use self::node::{DraftNode, check_name};
use self::paths::{depths, name_nodes};
use super::place::escape;
use super::{Container, ForkBranch, Node, NodeIx, NodeSpec, Plan, RouteArm, TaskSpec, hash};
use crate::codec::JSON;
use crate::error::{BuildError, BuildErrors};
use crate::loop_result::MaxIterationsPolicy;

/// How deep nodes can be nested.
pub const MAX_DEPTH: usize = 64;

/// The longest path of a node, in bytes, without iterations.
pub const MAX_PATH_BYTES: usize = 1024;

/// A sequence of nodes under construction.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    nodes: Vec<DraftNode>,
    /// The last node of the top-level sequence.
    last: Option<usize>,
    depth: usize,
    errors: BuildErrors,
}

impl Draft {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no node was added.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many nodes there are, nested ones included. A node that is added next, and is no container,
    /// gets this number; a container gets it too, and what it absorbs follows.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The last node of the top-level sequence.
    pub fn last(&self) -> Option<NodeIx> {
        self.last.map(NodeIx)
    }

    /// What stands at a node of this draft.
    pub fn spec(&self, ix: NodeIx) -> Option<&NodeSpec> {
        self.nodes.get(ix.0).map(|node| &node.spec)
    }

    /// The id of a node of this draft.
    pub fn id(&self, ix: NodeIx) -> Option<&Arc<str>> {
        self.nodes.get(ix.0).map(|node| &node.id)
    }

    /// The task of every node in order: its own, its join or its key task.
    pub fn tasks(&self) -> impl Iterator<Item = Option<&TaskSpec>> {
        self.nodes.iter().map(|node| node.spec.task())
    }

    /// Notes an error that [`Draft::compile`] is to return.
    pub fn error(&mut self, error: BuildError) {
        self.errors.push(error);
    }

    /// Takes the errors noted so far.
    pub fn take_errors(&mut self) -> BuildErrors {
        std::mem::take(&mut self.errors)
    }

    /// The task of a node, to be changed: its own, its join, its key task, or the only task of a loop's body.
    pub fn task_mut(&mut self, ix: NodeIx) -> Option<&mut TaskSpec> {
        let body = match &self.nodes.get(ix.0)?.spec {
            NodeSpec::Loop { first, .. } => self.nodes.get(first.0).filter(|body| body.collapsed).map(|_| *first)?,
            NodeSpec::Task(_)
            | NodeSpec::Fork { .. }
            | NodeSpec::Route { .. }
            | NodeSpec::Delay { .. }
            | NodeSpec::Signal { .. }
            | NodeSpec::Child { .. } => ix,
        };
        match &mut self.nodes.get_mut(body.0)?.spec {
            NodeSpec::Task(task) | NodeSpec::Fork { join: task, .. } | NodeSpec::Route { key: task, .. } => Some(task),
            NodeSpec::Loop { .. } | NodeSpec::Delay { .. } | NodeSpec::Signal { .. } | NodeSpec::Child { .. } => None,
        }
    }

    /// Adds a task.
    pub fn push_task(&mut self, id: &str, task: TaskSpec) -> NodeIx {
        self.push(id, NodeSpec::Task(task))
    }

    /// Adds a delay.
    pub fn push_delay(&mut self, id: &str, duration: Duration) -> NodeIx {
        self.push(id, NodeSpec::Delay { duration })
    }

    /// Adds a wait for an event.
    pub fn push_signal(&mut self, id: &str, name: &str, timeout: Option<Duration>) -> NodeIx {
        self.push(id, NodeSpec::Signal { name: Arc::from(name), timeout })
    }

    /// Adds a fork whose branches are these drafts. The node's id is the join task's.
    /// Returns the fork's number and, for each branch, the number its first node got.
    pub fn push_fork(&mut self, id: &str, join: TaskSpec, branches: Vec<(String, Draft)>) -> (NodeIx, Vec<usize>) {
        if branches.is_empty() {
            self.error(BuildError::EmptyFork(id.to_owned()));
        }
        let fork = self.push(id, NodeSpec::Fork { branches: Vec::new(), join });
        let (mut names, mut offsets, mut done) = (BTreeSet::new(), Vec::new(), Vec::new());
        for (index, (name, draft)) in branches.into_iter().enumerate() {
            check_name(&name, &mut self.errors);
            if !names.insert(name.clone()) {
                self.error(BuildError::DuplicateBranch { node: id.to_owned(), branch: name.clone() });
            }
            offsets.push(self.len());
            if let Some(first) = self.absorb(&name, draft, Container::Branch { fork, index }) {
                done.push(ForkBranch { name: Arc::from(name), first });
            }
        }
        if let Some(DraftNode { spec: NodeSpec::Fork { branches, .. }, .. }) = self.nodes.get_mut(fork.0) {
            *branches = done;
        }
        (fork, offsets)
    }

    /// Adds a route. Returns its number and where each arm's nodes (the default's last) begin.
    pub fn push_route(&mut self, id: &str, key: TaskSpec, arms: Vec<(String, Draft)>, default: Option<Draft>) -> (NodeIx, Vec<usize>) {
        if arms.is_empty() && default.is_none() {
            self.error(BuildError::EmptyBranch(id.to_owned()));
        }
        let route = self.push(id, NodeSpec::Route { key, arms: Vec::new(), default: None });
        let (mut keys, mut offsets, mut done) = (BTreeSet::new(), Vec::new(), Vec::new());
        for (index, (key, draft)) in arms.into_iter().enumerate() {
            check_name(&key, &mut self.errors);
            if !keys.insert(key.clone()) {
                self.error(BuildError::DuplicateBranch { node: id.to_owned(), branch: key.clone() });
            }
            offsets.push(self.len());
            if let Some(first) = self.absorb(&key, draft, Container::Arm { route, index }) {
                done.push(RouteArm { key: Arc::from(key), first });
            }
        }
        let mut default_first = None;
        if let Some(draft) = default {
            offsets.push(self.len());
            default_first = self.absorb("default", draft, Container::DefaultArm { route });
        }
        if let Some(DraftNode { spec: NodeSpec::Route { arms, default, .. }, .. }) = self.nodes.get_mut(route.0) {
            *arms = done;
            *default = default_first;
        }
        (route, offsets)
    }

    /// Adds a loop. Returns its number and where its body's nodes begin.
    pub fn push_loop(&mut self, id: &str, body: Draft, max_iterations: u32, on_max: MaxIterationsPolicy) -> (NodeIx, usize) {
        if max_iterations == 0 {
            self.error(BuildError::InvalidMaxIterations(id.to_owned()));
        }
        let repeat = self.push(id, NodeSpec::Loop { first: NodeIx(0), max_iterations, on_max });
        let offset = self.len();
        let body_first = self.absorb(id, body, Container::Body { repeat });
        if let (Some(DraftNode { spec: NodeSpec::Loop { first, .. }, .. }), Some(body_first)) = (self.nodes.get_mut(repeat.0), body_first) {
            *first = body_first;
        }
        (repeat, offset)
    }

    /// Adds an inlined child workflow. Returns its number and where its nodes begin.
    pub fn push_child(&mut self, child: &Plan) -> (NodeIx, usize) {
        let node = self.push(child.name(), NodeSpec::Child { first: NodeIx(0), version: Arc::clone(child.version()) });
        let offset = self.len();
        let first = self.absorb(child.name(), Self::of_plan(child), Container::Child { child: node });
        if let (Some(DraftNode { spec: NodeSpec::Child { first: child_first, .. }, .. }), Some(first)) = (self.nodes.get_mut(node.0), first)
        {
            *child_first = first;
        }
        (node, offset)
    }

    /// Makes this draft's only node share the path of the branch or loop that will absorb it.
    #[must_use]
    pub fn collapsed(mut self) -> Self {
        if let [node] = self.nodes.as_mut_slice() {
            node.collapsed = true;
        }
        self
    }

    fn of_plan(plan: &Plan) -> Self {
        let draft = |node: &Node| DraftNode {
            id: Arc::clone(&node.id),
            spec: node.spec.clone(),
            next: node.next,
            container: node.container,
            collapsed: node.container.is_some_and(|container| match container {
                Container::Body { repeat } => plan.node(repeat).path == node.path,
                Container::Branch { fork, index } => match &plan.node(fork).spec {
                    NodeSpec::Fork { branches, .. } => {
                        branches.get(index).is_some_and(|branch| *node.path == format!("{}/{}", plan.node(fork).path, escape(&branch.name)))
                    }
                    NodeSpec::Task(_)
                    | NodeSpec::Route { .. }
                    | NodeSpec::Loop { .. }
                    | NodeSpec::Delay { .. }
                    | NodeSpec::Signal { .. }
                    | NodeSpec::Child { .. } => false,
                },
                Container::Arm { .. } | Container::DefaultArm { .. } | Container::Child { .. } => false,
            }),
        };
        let nodes: Vec<_> = plan.nodes().iter().map(draft).collect();
        let depth = depths(&nodes).into_iter().max().unwrap_or(0);
        Self { last: None, depth, nodes, errors: BuildErrors::new() }
    }

    fn push(&mut self, id: &str, spec: NodeSpec) -> NodeIx {
        let ix = NodeIx(self.nodes.len());
        if let Some(last) = self.last.and_then(|last| self.nodes.get_mut(last)) {
            last.next = Some(ix);
        }
        self.last = Some(ix.0);
        self.depth = self.depth.max(1);
        self.nodes.push(DraftNode { id: Arc::from(id), spec, next: None, container: None, collapsed: false });
        ix
    }

    fn absorb(&mut self, name: &str, mut draft: Self, container: Container) -> Option<NodeIx> {
        let errors = draft.take_errors();
        if draft.is_empty() {
            // A draft that is empty because of an error has said why.
            if errors.is_empty() {
                self.error(BuildError::EmptyBranch(name.to_owned()));
            }
            self.errors.extend(errors);
            return None;
        }
        self.errors.extend(errors);
        if draft.depth >= MAX_DEPTH {
            self.error(BuildError::TooDeep(name.to_owned()));
            return None;
        }
        self.depth = self.depth.max(draft.depth + 1);
        let offset = self.nodes.len();
        self.nodes.extend(draft.nodes.into_iter().map(|node| node.moved_by(offset, container)));
        Some(NodeIx(offset))
    }

    /// Checks the whole and makes it a plan whose payloads are JSON.
    pub fn compile(self, name: &str, version: &str) -> Result<Plan, BuildErrors> {
        self.compile_for(name, version, JSON)
    }

    /// Checks the whole and makes it a plan whose payloads are of this codec.
    pub fn compile_for(mut self, name: &str, version: &str, codec: &str) -> Result<Plan, BuildErrors> {
        let mut errors = self.take_errors();
        if self.is_empty() && errors.is_empty() {
            errors.push(BuildError::EmptyWorkflow);
        }
        check_name(name, &mut errors);
        for node in &self.nodes {
            node.check(&mut errors);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let pieces = name_nodes(&self.nodes);
        let mut nodes = Vec::with_capacity(self.nodes.len());
        let mut by_path = BTreeMap::new();
        for (index, (node, pieces)) in self.nodes.into_iter().zip(pieces).enumerate() {
            let path: Arc<str> = Arc::from(pieces.concat());
            if path.len() > MAX_PATH_BYTES {
                errors.push(BuildError::InvalidName {
                    name: path.to_string(),
                    reason: format!("a node path has at most {MAX_PATH_BYTES} bytes"),
                });
            }
            // A collapsed body comes after its loop and takes its path: no branch ever stands at the loop itself.
            by_path.insert(Arc::clone(&path), NodeIx(index));
            let DraftNode { id, spec, next, container, collapsed: _ } = node;
            nodes.push(Node { path, id, spec, next, container, pieces: pieces.into_iter().map(String::into_boxed_str).collect() });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let hash = hash::definition_hash(name, version, codec, &nodes);
        Ok(Plan {
            name: Arc::from(name),
            version: Arc::from(version),
            codec: Arc::from(codec),
            nodes,
            by_path,
            hash,
            document: OnceLock::new(),
        })
    }
}
