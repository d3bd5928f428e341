//! Where the nodes of a draft lie: how deep, and at which paths.

use std::collections::BTreeMap;

use super::node::DraftNode;
use crate::plan::place::escape;
use crate::plan::{Container, NodeSpec};

/// How deep each node is; a container comes before what it contains.
pub(super) fn depths(nodes: &[DraftNode]) -> Vec<usize> {
    let mut depths: Vec<usize> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let outer = node.container.and_then(|container| depths.get(container.node().0)).copied().unwrap_or(0);
        depths.push(outer + 1);
    }
    depths
}

/// The pieces of every node's path. A name that its sequence has already becomes `name#2`, `name#3`.
pub(super) fn name_nodes(nodes: &[DraftNode]) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = Vec::with_capacity(nodes.len());
    let mut counts: BTreeMap<(Vec<String>, String), usize> = BTreeMap::new();
    for node in nodes {
        let mut pieces = node.container.map_or_else(|| vec![String::new()], |container| prefix(nodes, &all, container));
        if !node.collapsed {
            let id = escape(&node.id);
            let count = counts.entry((pieces.clone(), id.clone())).or_insert(0);
            *count += 1;
            if let Some(last) = pieces.last_mut() {
                if node.container.is_some() {
                    last.push('/');
                }
                last.push_str(&id);
                if *count > 1 {
                    last.push('#');
                    last.push_str(&count.to_string());
                }
            }
        }
        all.push(pieces);
    }
    all
}

/// The pieces of a container's path, up to where the nodes inside it go on.
fn prefix(nodes: &[DraftNode], all: &[Vec<String>], container: Container) -> Vec<String> {
    let outer = container.node();
    let mut pieces = all.get(outer.0).cloned().unwrap_or_default();
    let (segment, slot) = match (container, nodes.get(outer.0).map(|node| &node.spec)) {
        (Container::Branch { index, .. }, Some(NodeSpec::Fork { branches, .. })) => {
            (branches.get(index).map(|branch| escape(&branch.name)), false)
        }
        (Container::Arm { index, .. }, Some(NodeSpec::Route { arms, .. })) => (arms.get(index).map(|arm| escape(&arm.key)), false),
        (Container::DefaultArm { .. }, _) => (Some("*".to_owned()), true),
        (Container::Body { .. }, _) => (None, true),
        (Container::Child { .. } | Container::Branch { .. } | Container::Arm { .. }, _) => (None, false),
    };
    if let (Some(last), Some(segment)) = (pieces.last_mut(), segment) {
        last.push('/');
        last.push_str(&segment);
    }
    if slot {
        pieces.push(String::new());
    }
    pieces
}
