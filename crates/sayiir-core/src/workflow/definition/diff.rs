//! The difference between two definitions.

use std::collections::BTreeMap;
use std::fmt;

use super::tree::{Branching, Tree, key};
use super::{DefinitionChange, DefinitionFormat, DefinitionNode, Inside, Verdict, WorkflowDefinition, go_on};

/// So many changes are put into words; the rest is counted.
const TOLD: usize = 12;

/// What changed from an older to a newer definition. Its text says it in words, by node paths.
///
/// Policies (retries, timeouts, tags, priorities, names for people, lengths of delays, bounds of loops) are no part of
/// a definition, so they make no difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionDiff {
    older: WorkflowDefinition,
    newer: WorkflowDefinition,
    changes: Vec<DefinitionChange>,
}

impl DefinitionDiff {
    pub(super) fn new(older: WorkflowDefinition, newer: WorkflowDefinition) -> Self {
        let mut changes = Changes { list: Vec::new(), full: is_full(&older) && is_full(&newer) };
        changes.heads(&older, &newer);
        changes.nodes(&Tree::of(&older), &Tree::of(&newer));
        let Changes { mut list, full: _ } = changes;
        if list.is_empty() && older.definition_hash != newer.definition_hash {
            list.push(DefinitionChange::NotKept);
        }
        Self { older, newer, changes: list }
    }

    /// The older definition.
    pub const fn older(&self) -> &WorkflowDefinition {
        &self.older
    }

    /// The newer definition.
    pub const fn newer(&self) -> &WorkflowDefinition {
        &self.newer
    }

    /// What changed: what concerns the whole first, then node by node.
    pub fn changes(&self) -> &[DefinitionChange] {
        &self.changes
    }

    /// Whether nothing changed: both have one hash.
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The older codec and the newer, if they are known to differ.
    pub fn codecs(&self) -> Option<(&str, &str)> {
        let (older, newer) = (self.older.codec.as_deref()?, self.newer.codec.as_deref()?);
        (older != newer).then_some((older, newer))
    }

    /// Whether what is stored of an instance that stands at this node of the older definition means the same
    /// under the newer one. The path may have iterations. Ask for every branch of an instance.
    ///
    /// It does if all of this is unchanged:
    ///
    /// - the workflow's name and codec;
    /// - the node: kind, id, task and its version, event name, branch names, keys; with all that is inside of it, for
    ///   its branches may have ended there;
    /// - what is around it, and, if that is a fork or a loop, all that is inside of that: other branches, and other
    ///   iterations, have left results there;
    /// - what gave it the value it is to go on with: the node before it, with all that is inside of that; where that hands
    ///   on what it was given (a delay, a child, a route), the one before that too; and for the first node in a fork, route, loop or
    ///   child what gave that its value.
    ///
    /// What comes later may have changed, and so may what came long before: the instance takes the new way from here, and does not
    /// go back to what was added behind it. The version of the workflow does not matter here, nor do policies. Rust types
    /// are not seen: change a task's version when its types change.
    pub fn can_go_on_at(&self, node_path: &str) -> Verdict {
        go_on::verdict(&self.older, &self.newer, node_path)
    }
}

impl fmt::Display for DefinitionDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return f.write_str("nothing changed");
        }
        for (number, change) in self.changes.iter().take(TOLD).enumerate() {
            let comma = if number > 0 { "; " } else { "" };
            write!(f, "{comma}{change}")?;
        }
        match self.changes.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "; and {more} more changes"),
        }
    }
}

/// Whether it says all that the hash covers.
pub(super) fn is_full(definition: &WorkflowDefinition) -> bool {
    match definition.format {
        DefinitionFormat::V1 => false,
        DefinitionFormat::V2 => true,
    }
}

struct Changes {
    list: Vec<DefinitionChange>,
    /// Both definitions say all that the hash covers; else only what both say is compared.
    full: bool,
}

impl Changes {
    fn heads(&mut self, older: &WorkflowDefinition, newer: &WorkflowDefinition) {
        let WorkflowDefinition { format: _, name, version, codec, definition_hash: _, nodes: _ } = newer;
        if older.name != *name {
            self.list.push(DefinitionChange::Name { from: older.name.clone(), to: name.clone() });
        }
        if older.version != *version {
            self.list.push(DefinitionChange::Version { from: older.version.clone(), to: version.clone() });
        }
        if let (Some(from), Some(to)) = (&older.codec, codec)
            && from != to
        {
            self.list.push(DefinitionChange::Codec { from: from.clone(), to: to.clone() });
        }
    }

    fn nodes(&mut self, older: &Tree<'_>, newer: &Tree<'_>) {
        let away = Away::new(older, newer);
        for (at, branching) in older.nodes.iter().enumerate() {
            match newer.find(key(branching.node)).and_then(|to| newer.get(to)) {
                Some(now) => self.node(branching.node, now.node),
                None => self.list.extend(away.gone(older, newer, at)),
            }
        }
        self.list.extend(away.added(newer));
        if self.full {
            self.orders(older, newer);
        }
    }

    /// What changed at a path.
    fn node(&mut self, older: &DefinitionNode, newer: &DefinitionNode) {
        let DefinitionNode { path, id, kind, task, registered_as: _, types: _, version, signal, branches, default_branch, inside: _ } =
            newer;
        let path = path.clone();
        if older.kind != *kind {
            self.list.push(DefinitionChange::Kind { path, from: older.kind, to: *kind });
            return;
        }
        let ids = (older.task.as_ref().unwrap_or(&older.id), task.as_ref().unwrap_or(id));
        if self.full && ids.0 != ids.1 {
            self.list.push(DefinitionChange::Task { path: path.clone(), from: ids.0.clone(), to: ids.1.clone() });
        } else if older.id != *id {
            self.list.push(DefinitionChange::Task { path: path.clone(), from: older.id.clone(), to: id.clone() });
        }
        if !self.full {
            return;
        }
        if older.version != *version {
            self.list.push(DefinitionChange::TaskVersion { path: path.clone(), from: older.version.clone(), to: version.clone() });
        }
        if let (Some(from), Some(to)) = (&older.signal, signal)
            && from != to
        {
            self.list.push(DefinitionChange::Signal { path: path.clone(), from: from.clone(), to: to.clone() });
        }
        let (from, to) = (names(&older.branches, older.default_branch), names(branches, *default_branch));
        if from != to {
            self.list.push(match kind {
                super::NodeKind::Branch => DefinitionChange::RouteKeys { path, from, to },
                super::NodeKind::Fork
                | super::NodeKind::Task
                | super::NodeKind::Delay
                | super::NodeKind::AwaitSignal
                | super::NodeKind::Loop
                | super::NodeKind::ChildWorkflow => DefinitionChange::Branches { path, from, to },
            });
        }
    }

    /// Nodes that have kept their path, but not their place among their neighbours: as few as explain it.
    fn orders(&mut self, older: &Tree<'_>, newer: &Tree<'_>) {
        let mut sequences: BTreeMap<Option<&Inside>, Vec<(usize, usize)>> = BTreeMap::new();
        for (to, branching) in newer.nodes.iter().enumerate() {
            if let Some(from) = older.find(key(branching.node)) {
                sequences.entry(branching.node.inside.as_ref()).or_default().push((from, to));
            }
        }
        for sequence in sequences.into_values() {
            let stayed = longest_rising(&sequence.iter().map(|(from, _)| *from).collect::<Vec<_>>());
            for (_, to) in sequence.iter().enumerate().filter(|(at, _)| !holds(&stayed, *at)).map(|(_, moved)| *moved) {
                if let Some(branching) = newer.get(to) {
                    let path = branching.node.path.clone();
                    self.list.push(DefinitionChange::Moved { from: path.clone(), to: path, behind: path_of(newer, branching.before) });
                }
            }
        }
    }
}

/// The keys of a route with its default arm, or the branches of a fork.
fn names(branches: &[String], default: bool) -> Vec<String> {
    branches.iter().cloned().chain(default.then(|| "*".to_owned())).collect()
}

fn path_of(tree: &Tree<'_>, at: Option<usize>) -> Option<String> {
    at.and_then(|at| tree.get(at)).map(|branching| branching.node.path.clone())
}

/// Nodes whose path only one of the definitions has.
struct Away {
    /// Where a node of the older definition now is.
    moved: Vec<Option<usize>>,
    /// Whether a node of the newer one is one that no node of the older one became.
    added: Vec<bool>,
}

impl Away {
    fn new(older: &Tree<'_>, newer: &Tree<'_>) -> Self {
        let mut added: Vec<bool> = newer.nodes.iter().map(|node| older.find(key(node.node)).is_none()).collect();
        // By what a node keeps wherever it stands; of several alike the first goes with the first.
        let mut alike: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, branching) in newer.nodes.iter().enumerate().rev().filter(|(at, _)| holds(&added, *at)) {
            alike.entry(itself(branching.node)).or_default().push(at);
        }
        let mut moved = vec![None; older.nodes.len()];
        for (from, branching) in older.nodes.iter().enumerate().filter(|(_, node)| newer.find(key(node.node)).is_none()) {
            if let Some(to) = alike.get_mut(&itself(branching.node)).and_then(Vec::pop)
                && let (Some(moved), Some(added)) = (moved.get_mut(from), added.get_mut(to))
            {
                (*moved, *added) = (Some(to), false);
            }
        }
        Self { moved, added }
    }

    fn moved(&self, from: usize) -> Option<usize> {
        self.moved.get(from).copied().flatten()
    }

    /// What is said of an older node whose path is gone; nothing if it went with what it stood in.
    fn gone(&self, older: &Tree<'_>, newer: &Tree<'_>, from: usize) -> Option<DefinitionChange> {
        let branching = older.get(from)?;
        let parent = branching.parent;
        let parent_gone = parent.and_then(|parent| older.get(parent)).is_some_and(|parent| newer.find(key(parent.node)).is_none());
        let path = branching.node.path.clone();
        let Some(to) = self.moved(from).and_then(|to| newer.get(to)) else {
            let told = parent_gone && parent.is_some_and(|parent| self.moved(parent).is_none());
            return (!told).then_some(DefinitionChange::Removed { path, kind: branching.node.kind });
        };
        let with_parent = parent_gone && to.parent.is_some() && parent.and_then(|parent| self.moved(parent)) == to.parent;
        (!with_parent).then(|| DefinitionChange::Moved { from: path, to: to.node.path.clone(), behind: path_of(newer, to.before) })
    }

    /// What is said of new nodes, unless what they stand in is new.
    fn added(&self, newer: &Tree<'_>) -> Vec<DefinitionChange> {
        let told = |(at, branching): &(usize, &Branching<'_>)| {
            holds(&self.added, *at) && branching.parent.is_none_or(|parent| !holds(&self.added, parent))
        };
        let added = newer.nodes.iter().enumerate().filter(told);
        added.map(|(_, branching)| DefinitionChange::Added { path: branching.node.path.clone(), kind: branching.node.kind }).collect()
    }
}

/// What a node keeps wherever it stands.
fn itself(node: &DefinitionNode) -> impl Ord + use<'_> {
    (&node.id, node.kind.as_str(), &node.task, &node.version, &node.signal)
}

fn holds(flags: &[bool], at: usize) -> bool {
    flags.get(at).copied().unwrap_or(false)
}

/// Which positions belong to a longest rising subsequence.
fn longest_rising(numbers: &[usize]) -> Vec<bool> {
    // `tails[n]` ends the rising sequence of n + 1 numbers that ends lowest; `links` leads back through each.
    let mut tails: Vec<usize> = Vec::new();
    let mut links: Vec<Option<usize>> = Vec::with_capacity(numbers.len());
    for (at, number) in numbers.iter().enumerate() {
        let length = tails.partition_point(|tail| numbers.get(*tail).is_some_and(|other| other < number));
        links.push(length.checked_sub(1).and_then(|shorter| tails.get(shorter)).copied());
        match tails.get_mut(length) {
            Some(tail) => *tail = at,
            None => tails.push(at),
        }
    }
    let mut rising = vec![false; numbers.len()];
    let mut next = tails.last().copied();
    while let Some(at) = next {
        if let Some(flag) = rising.get_mut(at) {
            *flag = true;
        }
        next = links.get(at).copied().flatten();
    }
    rising
}
