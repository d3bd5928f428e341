//! One difference between two definitions, and how it is said.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::workflow::NodeKind;

/// One difference between an older and a newer definition. Paths are without iterations.
///
/// What is inside of a node that was added, removed or moved is not told again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
#[non_exhaustive]
pub enum DefinitionChange {
    /// The workflow has another name.
    Name {
        /// The older one.
        from: String,
        /// The newer one.
        to: String,
    },
    /// The workflow has another version.
    Version {
        /// The older one; empty if there was none.
        from: String,
        /// The newer one.
        to: String,
    },
    /// Payloads are of another codec.
    Codec {
        /// The older one.
        from: String,
        /// The newer one.
        to: String,
    },
    /// There is a new node.
    Added {
        /// Its path.
        path: String,
        /// What it is.
        kind: NodeKind,
    },
    /// A node is gone.
    Removed {
        /// Its path.
        path: String,
        /// What it was.
        kind: NodeKind,
    },
    /// A node stands elsewhere: it has another path, or is behind another node.
    Moved {
        /// Its older path.
        from: String,
        /// Its newer path.
        to: String,
        /// The path of the node that it now stands behind; `None` if it is the first in its sequence.
        behind: Option<String>,
    },
    /// What stands at a path is of another kind.
    Kind {
        /// The path.
        path: String,
        /// The older kind.
        from: NodeKind,
        /// The newer kind.
        to: NodeKind,
    },
    /// A node runs another task.
    Task {
        /// The node.
        path: String,
        /// The older task's id.
        from: String,
        /// The newer task's id.
        to: String,
    },
    /// A node's task, or a child workflow, has another version.
    TaskVersion {
        /// The node.
        path: String,
        /// The older one; `None` if there was none.
        from: Option<String>,
        /// The newer one.
        to: Option<String>,
    },
    /// A wait is for another event.
    Signal {
        /// The node.
        path: String,
        /// The older event's name.
        from: String,
        /// The newer event's name.
        to: String,
    },
    /// A fork has other branches, or has them in another order.
    Branches {
        /// The fork.
        path: String,
        /// The older names.
        from: Vec<String>,
        /// The newer names.
        to: Vec<String>,
    },
    /// A route has other keys, or has them in another order. The default arm is `*`.
    RouteKeys {
        /// The route.
        path: String,
        /// The older keys.
        from: Vec<String>,
        /// The newer keys.
        to: Vec<String>,
    },
    /// The definitions have different hashes, but what differs is not in what was kept of them.
    NotKept,
}

impl fmt::Display for DefinitionChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { from, to } => write!(f, "the name changed from {from:?} to {to:?}"),
            Self::Version { from, to } => write!(f, "the version changed from {} to {}", version(Some(from)), version(Some(to))),
            Self::Codec { from, to } => write!(f, "the codec changed from {from:?} to {to:?}"),
            Self::Added { path, kind } => write!(f, "{path:?} ({kind}) added"),
            Self::Removed { path, kind } => write!(f, "{path:?} ({kind}) removed"),
            Self::Moved { from, to, behind } => {
                write!(f, "{from:?} moved")?;
                if from != to {
                    write!(f, " to {to:?}")?;
                }
                match behind {
                    Some(behind) => write!(f, " behind {behind:?}"),
                    None => write!(f, " to the front"),
                }
            }
            Self::Kind { path, from, to } => write!(f, "{path:?} is now a {to}, not a {from}"),
            Self::Task { path, from, to } => write!(f, "{path:?} now runs the task {to:?}, not {from:?}"),
            Self::TaskVersion { path, from, to } => {
                write!(f, "the version of {path:?} changed from {} to {}", version(from.as_deref()), version(to.as_deref()))
            }
            Self::Signal { path, from, to } => write!(f, "{path:?} now waits for {to:?}, not for {from:?}"),
            Self::Branches { path, from, to } => write!(f, "the branches of {path:?} are now {}, not {}", list(to), list(from)),
            Self::RouteKeys { path, from, to } => write!(f, "the keys of {path:?} are now {}, not {}", list(to), list(from)),
            Self::NotKept => f.write_str("something that was not kept of the older definition"),
        }
    }
}

fn version(version: Option<&str>) -> String {
    version.filter(|version| !version.is_empty()).map_or_else(|| "none".to_owned(), |version| format!("{version:?}"))
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ") }
}
