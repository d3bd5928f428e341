//! A definition as data, to be stored and compared: names and structure, no code.

use serde::{Deserialize, Serialize};

use super::NodeKind;
use crate::ids::DefinitionHash;

/// A workflow's definition as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowDefinition {
    /// How it is written down. An unknown format does not deserialize.
    pub format: DefinitionFormat,
    /// The workflow's name.
    pub name: String,
    /// The workflow's version; empty if it has none.
    pub version: String,
    /// The definition's identity.
    pub definition_hash: DefinitionHash,
    /// The nodes in the plan's order.
    pub nodes: Vec<DefinitionNode>,
}

/// How a definition is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum DefinitionFormat {
    /// The first format.
    #[default]
    #[serde(rename = "sayiir-definition-1")]
    V1,
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
    /// Under which id a registry has its task, join or key task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}
