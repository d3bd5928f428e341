//! Which nodes are given a signal's payload: those right after the wait, and where delays, branches,
//! arms, bodies and children hand it on. Their decode errors name the signal.

use std::sync::Arc;

use crate::plan::{Container, NodeIx, NodeSpec, Plan};

/// For each node, the signal whose payload it is given (a loop's body: in the first iteration).
///
/// A node's predecessor, all that is inside of it, and the node's container have lower numbers, so one
/// pass in order suffices.
pub(super) fn signals(plan: &Plan) -> Vec<Option<Arc<str>>> {
    let (before, lasts) = neighbours(plan);
    let mut given: Vec<Option<Arc<str>>> = Vec::with_capacity(plan.nodes().len());
    for (ix, node) in plan.iter() {
        let signal = match (before.get(ix.index()).copied().flatten(), node.container) {
            (Some(mut predecessor), _) => {
                while let Some(last) = lasts.get(predecessor.index()).copied().flatten() {
                    predecessor = last;
                }
                handed_on(plan, &given, predecessor)
            }
            (None, Some(container)) => given.get(container.node().index()).cloned().flatten(),
            (None, None) => None,
        };
        given.push(signal);
    }
    given
}

/// Each node's predecessor, and each child's last node.
fn neighbours(plan: &Plan) -> (Vec<Option<NodeIx>>, Vec<Option<NodeIx>>) {
    let mut before = vec![None; plan.nodes().len()];
    let mut lasts = before.clone();
    for (ix, node) in plan.iter() {
        let slot = match (node.next, node.container) {
            (Some(next), _) => before.get_mut(next.index()),
            (None, Some(Container::Child { child })) => lasts.get_mut(child.index()),
            (
                None,
                Some(Container::Branch { .. } | Container::Arm { .. } | Container::DefaultArm { .. } | Container::Body { .. }) | None,
            ) => None,
        };
        if let Some(slot) = slot {
            *slot = Some(ix);
        }
    }
    (before, lasts)
}

/// The signal whose payload a node hands on.
fn handed_on(plan: &Plan, given: &[Option<Arc<str>>], ix: NodeIx) -> Option<Arc<str>> {
    match &plan.node(ix).spec {
        NodeSpec::Signal { name, .. } => Some(Arc::clone(name)),
        NodeSpec::Delay { .. } => given.get(ix.index()).cloned().flatten(),
        NodeSpec::Task(_) | NodeSpec::Fork { .. } | NodeSpec::Route { .. } | NodeSpec::Loop { .. } | NodeSpec::Child { .. } => None,
    }
}
