//! The nodes of a definition with what stands before, around and inside of each.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{DefinitionNode, Inside, WorkflowDefinition};
use crate::workflow::NodeKind;

/// What tells a node from all others: its path; and whether it is the only task of a loop, whose path it shares.
pub(super) type Key<'a> = (&'a str, bool);

/// A definition's nodes, to be walked. A container comes before what it contains, so what is inside of a node
/// are the nodes right behind it.
pub(super) struct Tree<'a> {
    pub(super) nodes: Vec<Branching<'a>>,
    by_key: BTreeMap<Key<'a>, usize>,
}

/// A node with its neighbours.
pub(super) struct Branching<'a> {
    pub(super) node: &'a DefinitionNode,
    /// What it stands directly inside of.
    pub(super) parent: Option<usize>,
    /// The node before it in its sequence.
    pub(super) before: Option<usize>,
    /// Where the nodes inside of it end.
    end: usize,
}

/// Whether nodes stand inside of a node of this kind.
pub(super) fn contains(kind: NodeKind) -> bool {
    match kind {
        NodeKind::Fork | NodeKind::Branch | NodeKind::Loop | NodeKind::ChildWorkflow => true,
        NodeKind::Task | NodeKind::Delay | NodeKind::AwaitSignal => false,
    }
}

pub(super) fn key(node: &DefinitionNode) -> Key<'_> {
    let shares_path = !contains(node.kind) && node.inside.as_ref().is_some_and(|inside| inside.node == node.path);
    (&node.path, shares_path)
}

impl<'a> Tree<'a> {
    pub(super) fn of(definition: &'a WorkflowDefinition) -> Self {
        let mut this = Self { nodes: Vec::with_capacity(definition.nodes.len()), by_key: BTreeMap::new() };
        let mut containers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut lasts: BTreeMap<Option<&Inside>, usize> = BTreeMap::new();
        for (at, node) in definition.nodes.iter().enumerate() {
            let inside = node.inside.as_ref();
            let parent = inside.and_then(|inside| containers.get(inside.node.as_str())).copied();
            let before = lasts.insert(inside, at);
            this.nodes.push(Branching { node, parent, before, end: at + 1 });
            if contains(node.kind) {
                containers.insert(&node.path, at);
            }
            this.by_key.insert(key(node), at);
        }
        for at in (0..this.nodes.len()).rev() {
            let Some(Branching { parent: Some(parent), end, .. }) = this.nodes.get(at) else { continue };
            let (parent, end) = (*parent, *end);
            if let Some(parent) = this.nodes.get_mut(parent) {
                parent.end = parent.end.max(end);
            }
        }
        this
    }

    pub(super) fn find(&self, key: Key<'_>) -> Option<usize> {
        self.by_key.get(&key).copied()
    }

    /// The node at which a branch stands whose path, without iterations, is this one.
    pub(super) fn standing_at(&self, path: &str) -> Option<usize> {
        self.find((path, true)).or_else(|| self.find((path, false)))
    }

    pub(super) fn get(&self, at: usize) -> Option<&Branching<'a>> {
        self.nodes.get(at)
    }

    /// The node and all that is inside of it.
    pub(super) fn with_inside(&self, at: usize) -> &[Branching<'a>] {
        let range: Range<usize> = at..self.get(at).map_or(at, |node| node.end);
        self.nodes.get(range).unwrap_or_default()
    }
}

/// Whether both are the same in all that gives a stored position its meaning.
pub(super) fn is_same(one: &DefinitionNode, other: &DefinitionNode) -> bool {
    let DefinitionNode { path, id, kind, task, registered_as: _, types: _, version, signal, branches, default_branch, inside } = one;
    *path == other.path
        && *id == other.id
        && *kind == other.kind
        && *task == other.task
        && *version == other.version
        && *signal == other.signal
        && *branches == other.branches
        && *default_branch == other.default_branch
        && *inside == other.inside
}
