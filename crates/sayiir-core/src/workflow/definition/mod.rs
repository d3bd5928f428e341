//! A definition as data, to be stored and compared: names and structure, no code.
//!
//! A definition of the second format holds everything that the definition hash covers, and nothing else that
//! counts: two of them without a difference have one hash.

mod change;
mod diff;
mod go_on;
mod mark;
mod mermaid;
mod tree;

use serde::{Deserialize, Serialize};

pub use change::DefinitionChange;
pub use diff::DefinitionDiff;
pub use go_on::{Obstacle, Verdict};
pub use mark::{NodeMark, Standing};

use super::NodeKind;
use crate::ids::DefinitionHash;
use crate::plan::{Container, Node, NodeSpec, Plan};

/// A workflow's definition as data.
///
/// ```
/// # use std::sync::Arc;
/// use sayiir_core::prelude::*;
///
/// let context = || WorkflowContext::new("orders", Arc::new(JsonCodec), Arc::new(()));
/// let old = WorkflowBuilder::new(context()).then("pay", |x: u32| async move { Ok(x) }).build()?;
/// let new = WorkflowBuilder::new(context())
///     .then("pay", |x: u32| async move { Ok(x) })
///     .then("ship", |x: u32| async move { Ok(x) })
///     .build()?;
/// let diff = old.definition().diff(&new.definition());
/// assert_eq!(diff.to_string(), "\"ship\" (task) added");
/// assert!(diff.can_go_on_at("pay").is_yes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowDefinition {
    /// How it is written down. An unknown format does not deserialize.
    pub format: DefinitionFormat,
    /// The workflow's name.
    pub name: String,
    /// The workflow's version; empty if it has none.
    pub version: String,
    /// The codec of all payloads; the first format does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// The definition's identity.
    pub definition_hash: DefinitionHash,
    /// The nodes in the plan's order.
    pub nodes: Vec<DefinitionNode>,
}

/// How a definition is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum DefinitionFormat {
    /// The first format: of each node its path, id, kind, and where a registry has its task.
    #[serde(rename = "sayiir-definition-1")]
    V1,
    /// All that gives a stored position its meaning.
    #[default]
    #[serde(rename = "sayiir-definition-2")]
    V2,
}

/// One node of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionNode {
    /// Its path.
    pub path: String,
    /// The id given to the builder.
    pub id: String,
    /// What it is.
    pub kind: NodeKind,
    /// The id of its task, join or key task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Under which id a registry has its task, if under another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_as: Option<String>,
    /// What its task takes and gives, if a registry says it. No part of the definition's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<TaskTypes>,
    /// The version of its task's code, or of the child workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The name of the event that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// The names of a fork's branches, or the keys of a route's arms, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<String>,
    /// Whether a route has an arm for every other key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_branch: bool,
    /// What it stands directly inside of; `None` at the top level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<Inside>,
}

/// What a node stands directly inside of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Inside {
    /// The path of the fork, route, loop or child.
    pub node: String,
    /// The fork's branch, or the key of the route's arm; `None` in a default arm, a body and a child.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// The Rust types of a task, without their modules: `Vec<Order>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTypes {
    /// What it takes.
    pub input: String,
    /// What it gives.
    pub output: String,
}

impl std::fmt::Display for TaskTypes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { input, output } = self;
        write!(f, "{input} -> {output}")
    }
}

impl WorkflowDefinition {
    /// The definition of a plan.
    pub fn of(plan: &Plan) -> Self {
        Self {
            format: DefinitionFormat::V2,
            name: plan.name().to_string(),
            version: plan.version().to_string(),
            codec: Some(plan.codec().to_string()),
            definition_hash: *plan.hash(),
            nodes: plan.nodes().iter().map(|node| DefinitionNode::of(plan, node)).collect(),
        }
    }

    /// What changes from this definition to a newer one.
    pub fn diff(&self, newer: &Self) -> DefinitionDiff {
        DefinitionDiff::new(self.clone(), newer.clone())
    }
}

impl DefinitionNode {
    fn of(plan: &Plan, node: &Node) -> Self {
        let Node { path, id, spec, next: _, container, .. } = node;
        let mut this = Self {
            path: path.to_string(),
            id: id.to_string(),
            kind: NodeKind::of(spec),
            task: spec.task().map(|task| task.task.to_string()),
            registered_as: None,
            types: None,
            version: spec.task().and_then(|task| task.metadata.version.clone()),
            signal: None,
            branches: Vec::new(),
            default_branch: false,
            inside: container.map(|container| Inside::of(plan, container)),
        };
        match spec {
            NodeSpec::Fork { branches, join: _ } => this.branches = branches.iter().map(|branch| branch.name.to_string()).collect(),
            NodeSpec::Route { key: _, arms, default } => {
                this.branches = arms.iter().map(|arm| arm.key.to_string()).collect();
                this.default_branch = default.is_some();
            }
            NodeSpec::Signal { name, timeout: _ } => this.signal = Some(name.to_string()),
            NodeSpec::Child { first: _, version } => this.version = Some(version.to_string()),
            NodeSpec::Task(_) | NodeSpec::Loop { .. } | NodeSpec::Delay { .. } => {}
        }
        this.version = this.version.filter(|version| !version.is_empty());
        this
    }

    /// Under which id a registry has its task.
    pub fn registry_key(&self) -> Option<&str> {
        self.registered_as.as_deref().or(self.task.as_deref())
    }
}

impl Inside {
    fn of(plan: &Plan, container: Container) -> Self {
        let outer = plan.node(container.node());
        let branch = match (container, &outer.spec) {
            (Container::Branch { index, .. }, NodeSpec::Fork { branches, .. }) => branches.get(index).map(|branch| branch.name.to_string()),
            (Container::Arm { index, .. }, NodeSpec::Route { arms, .. }) => arms.get(index).map(|arm| arm.key.to_string()),
            (
                Container::Branch { .. }
                | Container::Arm { .. }
                | Container::DefaultArm { .. }
                | Container::Body { .. }
                | Container::Child { .. },
                _,
            ) => None,
        };
        Self { node: outer.path.to_string(), branch }
    }
}
