//! A node of an outline as JSON has it: the fields of every kind side by side.
//!
//! Read so, and sorted afterwards, it needs a tenth of the code of an enum that serde tags: this is loaded with each isolate at the edge.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Outline, OutlineBranch, OutlineJoin, OutlineNode, OutlineOptions};
use crate::loop_result::MaxIterationsPolicy;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node {
    kind: String,
    id: Option<String>,
    #[serde(default)]
    options: OutlineOptions,
    branches: Option<Vec<OutlineBranch>>,
    join: Option<OutlineJoin>,
    keys: Option<Vec<String>>,
    arms: Option<BTreeMap<String, Vec<OutlineNode>>>,
    default: Option<Vec<OutlineNode>>,
    ms: Option<u64>,
    name: Option<String>,
    timeout_ms: Option<u64>,
    nodes: Option<Vec<OutlineNode>>,
    max_iterations: Option<u32>,
    #[serde(default)]
    on_max: MaxIterationsPolicy,
    workflow: Option<Box<Outline>>,
}

impl TryFrom<Node> for OutlineNode {
    type Error = String;

    fn try_from(node: Node) -> Result<Self, String> {
        let Node { kind, id, options, branches, join, keys, arms, default, ms, name, timeout_ms, nodes, max_iterations, on_max, workflow } =
            node;
        let shown = id.clone().unwrap_or_default();
        let missing = |field: &str| format!("the {kind} node {shown:?}: missing field `{field}`");
        let id = id.ok_or_else(|| missing("id"));
        Ok(match kind.as_str() {
            "task" => Self::Task { id: id?, options },
            "fork" => Self::Fork { branches: branches.ok_or_else(|| missing("branches"))?, join: join.ok_or_else(|| missing("join"))? },
            "route" => Self::Route {
                id: id?,
                options,
                keys: keys.ok_or_else(|| missing("keys"))?,
                arms: arms.ok_or_else(|| missing("arms"))?,
                default,
            },
            "delay" => Self::Delay { id: id?, ms: ms.ok_or_else(|| missing("ms"))? },
            "signal" => Self::Signal { id: id?, name: name.ok_or_else(|| missing("name"))?, timeout_ms },
            "loop" => Self::Loop {
                id: id?,
                nodes: nodes.ok_or_else(|| missing("nodes"))?,
                max_iterations: max_iterations.ok_or_else(|| missing("maxIterations"))?,
                on_max,
            },
            "child" => Self::Child { id: id?, workflow: workflow.ok_or_else(|| missing("workflow"))? },
            _ => return Err(format!("there is no node of the kind {kind:?}: it is task, fork, route, delay, signal, loop or child")),
        })
    }
}
