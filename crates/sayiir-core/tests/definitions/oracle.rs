//! What must be unchanged for a position to stay good, told from two plans instead of two documents.

use std::fmt::Write as _;

use sayiir_core::plan::{Container, NodeIx, NodeSpec, Place, Plan};

/// All that gives a position at a node its meaning, as text.
pub(crate) fn meaning(plan: &Plan, ix: NodeIx) -> String {
    format!("{}|{}|around {}|from {}", plan.codec(), deep(plan, ix), around(plan, ix), value(plan, ix))
}

/// A node by itself.
fn itself(plan: &Plan, ix: NodeIx) -> String {
    let node = plan.node(ix);
    let task = plan.task_at(ix).map(|task| (task.task.to_string(), task.metadata.version.clone().unwrap_or_default()));
    let more = match &node.spec {
        NodeSpec::Task(_) => "task".to_owned(),
        NodeSpec::Fork { branches, .. } => format!("fork {:?}", branches.iter().map(|branch| &branch.name).collect::<Vec<_>>()),
        NodeSpec::Route { arms, default, .. } => {
            format!("route {:?} {}", arms.iter().map(|arm| &arm.key).collect::<Vec<_>>(), default.is_some())
        }
        NodeSpec::Loop { .. } => "loop".to_owned(),
        NodeSpec::Delay { .. } => "delay".to_owned(),
        NodeSpec::Signal { name, .. } => format!("signal {name}"),
        NodeSpec::Child { version, .. } => format!("child {version}"),
    };
    format!("{} {} {task:?} {more}", node.path, node.id)
}

/// The first nodes of what a node contains.
fn firsts(plan: &Plan, ix: NodeIx) -> Vec<NodeIx> {
    match &plan.node(ix).spec {
        NodeSpec::Fork { branches, .. } => branches.iter().map(|branch| branch.first).collect(),
        NodeSpec::Route { arms, default, .. } => arms.iter().map(|arm| arm.first).chain(*default).collect(),
        NodeSpec::Loop { first, .. } | NodeSpec::Child { first, .. } => vec![*first],
        NodeSpec::Task(_) | NodeSpec::Delay { .. } | NodeSpec::Signal { .. } => Vec::new(),
    }
}

/// A node with all that is inside of it.
fn deep(plan: &Plan, ix: NodeIx) -> String {
    let mut text = itself(plan, ix);
    for first in firsts(plan, ix) {
        let mut next = Some(first);
        text.push('(');
        while let Some(at) = next {
            let _ = write!(text, "{};", deep(plan, at));
            next = plan.node(at).next;
        }
        text.push(')');
    }
    text
}

fn around(plan: &Plan, ix: NodeIx) -> String {
    let mut text = String::new();
    let mut container = plan.node(ix).container;
    while let Some(inside) = container {
        let outer = inside.node();
        let part = match inside {
            Container::Branch { .. } | Container::Body { .. } => deep(plan, outer),
            Container::Arm { .. } | Container::DefaultArm { .. } | Container::Child { .. } => itself(plan, outer),
        };
        let _ = write!(text, "{part}<");
        container = plan.node(outer).container;
    }
    text
}

/// Where a node's value comes from.
fn value(plan: &Plan, ix: NodeIx) -> String {
    let before = plan.iter().find(|(_, node)| node.next == Some(ix)).map(|(before, _)| before);
    match (before, plan.node(ix).container) {
        (Some(before), _) => match plan.node(before).spec {
            NodeSpec::Delay { .. } | NodeSpec::Child { .. } | NodeSpec::Route { .. } => {
                format!("{}<{}", deep(plan, before), value(plan, before))
            }
            NodeSpec::Task(_) | NodeSpec::Fork { .. } | NodeSpec::Loop { .. } | NodeSpec::Signal { .. } => deep(plan, before),
        },
        (None, Some(container)) => format!("in {}", value(plan, container.node())),
        (None, None) => "the workflow's input".to_owned(),
    }
}

/// Whether the stored path of a position is one of the newer plan's too, at a node of the same kind.
pub(crate) fn is_read(older: &Plan, newer: &Plan, ix: NodeIx) -> bool {
    let place = Place::first_at(older, ix);
    Place::parse(newer, &place.path(older)).is_ok_and(|read| {
        read.slots == place.slots
            && std::mem::discriminant(&newer.node(read.node).spec) == std::mem::discriminant(&older.node(place.node).spec)
    })
}
