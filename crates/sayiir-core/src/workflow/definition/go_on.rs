//! Whether an instance that stands at a node can go on under a newer definition.

use std::fmt;

use super::WorkflowDefinition;
use super::diff::is_full;
use super::tree::{Tree, is_same, key};
use crate::workflow::NodeKind;

/// Whether what is stored of an instance means the same under a newer definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Yes,
    /// It may not.
    No(Obstacle),
}

impl Verdict {
    /// Whether the instance can go on.
    pub const fn is_yes(&self) -> bool {
        matches!(self, Self::Yes)
    }
}

/// Why an instance cannot go on under a newer definition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The workflow has another name.
    Name,
    /// Payloads are of another codec.
    Codec,
    /// One of the definitions was kept in the first format, which does not say enough.
    NotKept,
    /// The older definition has no such node.
    NoSuchNode(String),
    /// The node at which the instance stands, or something inside of it, has changed.
    Node(String),
    /// What is around the node has changed: this node, or something in it that may have left results.
    Around(String),
    /// What gave the node its value has changed: this node, or something in it.
    Input(String),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("the workflow has another name"),
            Self::Codec => f.write_str("stored payloads are of another codec"),
            Self::NotKept => f.write_str("too little was kept of one of the definitions"),
            Self::NoSuchNode(path) => write!(f, "the older definition has no node {path:?}"),
            Self::Node(path) => write!(f, "the node {path:?} has changed"),
            Self::Around(path) => write!(f, "{path:?}, in which it stands, has changed"),
            Self::Input(path) => write!(f, "what gave {path:?} its value has changed"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("can go on"),
            Self::No(obstacle) => write!(f, "cannot go on: {obstacle}"),
        }
    }
}

pub(super) fn verdict(older: &WorkflowDefinition, newer: &WorkflowDefinition, node_path: &str) -> Verdict {
    let obstacle = if older.name != newer.name {
        Some(Obstacle::Name)
    } else if !is_full(older) || !is_full(newer) {
        Some(Obstacle::NotKept)
    } else if older.codec != newer.codec {
        Some(Obstacle::Codec)
    } else {
        Both { older: Tree::of(older), newer: Tree::of(newer) }.obstacle(&without_iterations(node_path))
    };
    obstacle.map_or(Verdict::Yes, Verdict::No)
}

/// A path as definitions have it: without what stands in brackets.
pub(super) fn without_iterations(path: &str) -> String {
    let mut pieces = path.split('[');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |path, piece| path + piece.split_once(']').map_or("", |(_, rest)| rest))
}

struct Both<'a> {
    older: Tree<'a>,
    newer: Tree<'a>,
}

impl Both<'_> {
    fn obstacle(&self, path: &str) -> Option<Obstacle> {
        let Some(at) = self.older.standing_at(path) else { return Some(Obstacle::NoSuchNode(path.to_owned())) };
        if !self.same_with_inside(at) {
            return Some(Obstacle::Node(path.to_owned()));
        }
        self.around(at).or_else(|| self.input(at))
    }

    /// The node around this one that has changed.
    fn around(&self, at: usize) -> Option<Obstacle> {
        let mut outer = self.older.get(at)?.parent;
        while let Some(at) = outer {
            let branching = self.older.get(at)?;
            let same = match branching.node.kind {
                NodeKind::Fork | NodeKind::Loop => self.same_with_inside(at),
                NodeKind::Branch | NodeKind::ChildWorkflow | NodeKind::Task | NodeKind::Delay | NodeKind::AwaitSignal => self.same(at),
            };
            if !same {
                return Some(Obstacle::Around(branching.node.path.clone()));
            }
            outer = branching.parent;
        }
        None
    }

    /// The node whose value comes from elsewhere now, if that leads to this one's.
    fn input(&self, mut at: usize) -> Option<Obstacle> {
        loop {
            let branching = self.older.get(at)?;
            let obstacle = || Some(Obstacle::Input(branching.node.path.clone()));
            let Some(now) = self.newer.find(key(branching.node)).and_then(|at| self.newer.get(at)) else { return obstacle() };
            let giver = |tree: &Tree<'_>, before: Option<usize>| before.and_then(|at| tree.get(at)).map(|giver| giver.node.path.clone());
            if giver(&self.older, branching.before) != giver(&self.newer, now.before) {
                return obstacle();
            }
            at = match (branching.before, branching.parent) {
                (Some(before), _) if !self.same_with_inside(before) => return obstacle(),
                (Some(before), _) if self.hands_on(before) => before,
                (None, Some(parent)) => parent,
                (Some(_) | None, _) => return None,
            };
        }
    }

    /// Whether what a node gives may be what it was given, or wraps it.
    fn hands_on(&self, at: usize) -> bool {
        self.older.get(at).is_some_and(|branching| match branching.node.kind {
            NodeKind::Delay | NodeKind::Branch | NodeKind::ChildWorkflow => true,
            NodeKind::Task | NodeKind::Fork | NodeKind::Loop | NodeKind::AwaitSignal => false,
        })
    }

    fn same(&self, at: usize) -> bool {
        let Some(older) = self.older.get(at) else { return false };
        let newer = self.newer.find(key(older.node)).and_then(|at| self.newer.get(at));
        newer.is_some_and(|newer| is_same(older.node, newer.node))
    }

    /// Whether a node and all that is inside of it are the same, in the same order.
    fn same_with_inside(&self, at: usize) -> bool {
        let Some(older) = self.older.get(at) else { return false };
        let Some(now) = self.newer.find(key(older.node)) else { return false };
        let (older, newer) = (self.older.with_inside(at), self.newer.with_inside(now));
        older.len() == newer.len() && older.iter().zip(newer).all(|(older, newer)| is_same(older.node, newer.node))
    }
}

#[cfg(test)]
mod tests {
    use super::without_iterations;

    #[test]
    fn a_path_loses_its_iterations() {
        for (path, plain) in [
            ("a", "a"),
            ("pages[2]/fetch", "pages/fetch"),
            ("l[1]/m[22]", "l/m"),
            ("route/*[refund]/notify", "route/*/notify"),
            ("l[", "l"),
        ] {
            assert_eq!(without_iterations(path), plain);
        }
    }
}
