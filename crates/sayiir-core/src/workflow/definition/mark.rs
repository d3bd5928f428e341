//! How an instance stands at a node, for a drawing of its definition.

/// A mark at a node of a drawing: see [`WorkflowDefinition::to_mermaid`](super::WorkflowDefinition::to_mermaid).
///
/// ```
/// use sayiir_core::workflow::{NodeMark, Standing};
///
/// let mark = NodeMark::new("pages[2]/fetch", Standing::Runs).note("attempt 2");
/// assert_eq!(mark.standing.as_str(), "runs");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeMark {
    /// The node's path; iterations in it are not looked at.
    pub path: String,
    /// What is said of it. Of several marks at one node the last variant counts.
    pub standing: Standing,
    /// Whether a fork is marked where its branches meet.
    pub at_join: bool,
    /// A few words for people.
    pub note: Option<String>,
}

impl NodeMark {
    /// A mark without a note.
    pub fn new(path: impl Into<String>, standing: Standing) -> Self {
        Self { path: path.into(), standing, at_join: false, note: None }
    }

    /// With these words.
    #[must_use]
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    /// Where the branches of a fork meet, instead of where they begin.
    #[must_use]
    pub fn at_join(self) -> Self {
        Self { at_join: true, ..self }
    }
}

/// How an instance stands at a node, the more important the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Its result is stored.
    Done,
    /// A branch is held there: the instance is paused, or has ended.
    Held,
    /// A branch waits there: for a time, an event, its children.
    Waits,
    /// A branch runs there, or is ready to.
    Runs,
    /// The instance failed there.
    Failed,
}

impl Standing {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Done, Self::Held, Self::Waits, Self::Runs, Self::Failed];

    /// Its name, which is its class in a drawing.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Held => "held",
            Self::Waits => "waits",
            Self::Runs => "runs",
            Self::Failed => "failed",
        }
    }

    /// How its class looks, on a bright ground and on a dark one.
    pub(super) const fn style(self) -> &'static str {
        match self {
            Self::Done => "fill:#d7f0d9,stroke:#2e7d32,color:#111",
            Self::Held => "fill:#e6e6e6,stroke:#616161,color:#111",
            Self::Waits => "fill:#fff3cd,stroke:#b58100,color:#111",
            Self::Runs => "fill:#cfe4ff,stroke:#1565c0,color:#111",
            Self::Failed => "fill:#fbd5d5,stroke:#c62828,color:#111",
        }
    }
}
