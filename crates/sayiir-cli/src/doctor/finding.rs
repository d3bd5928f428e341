//! What the doctor found.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// To know.
    Notice,
    /// Something must be done.
    Problem,
}

/// What kind of thing was found. The names stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The store's clock and this machine's differ.
    ClockSkew,
    /// Due work, and no worker at all.
    NoWorker,
    /// Due work of a definition or tags of which no worker holds anything.
    NotTaken,
    /// Due work of which workers hold some, and do not come to the rest.
    Overload,
    /// A worker's leases have ended, and nobody took over.
    LapsedLease,
    /// A branch lost its workers again and again.
    Crashes,
    /// A branch that a worker could not read.
    SetAside,
    /// Workers come and go.
    Churn,
    /// Instances have failed.
    Failed,
    /// An instance cannot be read.
    Unreadable,
    /// A journal row is missing.
    LostRow,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
    /// What was found.
    pub(super) text: String,
    /// What to do.
    pub(super) advice: String,
}

impl Finding {
    pub(super) fn problem(kind: Kind, text: String, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Problem, kind, instance_id: None, node: None, count: None, text, advice: advice.into() }
    }

    pub(super) fn notice(kind: Kind, text: String, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Notice, ..Self::problem(kind, text, advice) }
    }

    pub(super) fn at(self, instance_id: &str, node: &str) -> Self {
        Self { instance_id: Some(instance_id.to_owned()), node: Some(node.to_owned()), ..self }
    }

    pub(super) fn count(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }
}
