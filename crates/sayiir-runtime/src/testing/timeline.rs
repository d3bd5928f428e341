//! The journal as a test reads it: assertions that say what happened instead.

use std::fmt;
use std::time::Duration;

use sayiir_core::journal::{EntryKind, JournalRow};

/// What happened to an instance, in order.
///
/// ```
/// use sayiir_runtime::prelude::*;
/// use sayiir_runtime::testing::TestRun;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let order = workflow! { name: "order", steps: [charge(euros: u32) { euros }] }?;
/// let timeline = TestRun::of(&order).start(5).await?.timeline().await;
/// timeline.ran(&["charge"]);
/// assert!(timeline.to_string().contains("task_completed"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    rows: Vec<JournalRow>,
}

impl Timeline {
    pub(super) const fn new(rows: Vec<JournalRow>) -> Self {
        Self { rows }
    }

    /// The journal itself.
    pub fn rows(&self) -> &[JournalRow] {
        &self.rows
    }

    /// The node paths whose tasks have stored a result, in order.
    pub fn results(&self) -> Vec<&str> {
        self.rows.iter().filter(|row| is_task_result(row.kind)).map(|row| &*row.node).collect()
    }

    /// How many attempts at a node have ended, well or not.
    pub fn attempts(&self, node: &str) -> usize {
        let ended = |kind| is_task_result(kind) || matches!(kind, EntryKind::AttemptFailed | EntryKind::Failed);
        self.rows.iter().filter(|row| &*row.node == node && ended(row.kind) && row.attempt > 0).count()
    }

    /// How long after the start a node's result was stored.
    pub fn elapsed(&self, node: &str) -> Option<Duration> {
        let row = self.rows.iter().find(|row| &*row.node == node && row.kind.is_result())?;
        Some(row.at.since(self.rows.first()?.at))
    }

    /// Asserts that the tasks at these nodes have stored their results, in this order, and no others have.
    ///
    /// # Panics
    ///
    /// If not, with what happened.
    #[allow(clippy::panic, reason = "an assertion of a test")]
    #[track_caller]
    pub fn ran(&self, nodes: &[&str]) {
        let results = self.results();
        assert!(results == nodes, "these tasks ran: {results:?}\nexpected:         {nodes:?}\n{self}");
    }

    /// Asserts that no attempt at a node has ended.
    ///
    /// # Panics
    ///
    /// If one has, with what happened.
    #[track_caller]
    pub fn did_not_run(&self, node: &str) {
        assert!(self.attempts(node) == 0, "{node:?} was not to run\n{self}");
    }
}

const fn is_task_result(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::TaskCompleted | EntryKind::JoinCompleted | EntryKind::RouteTaken)
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(start) = self.rows.first().map(|row| row.at) else { return f.write_str("nothing happened") };
        for row in &self.rows {
            let node = if row.node.is_empty() { "(the instance)" } else { &row.node };
            write!(f, "{:>16} {node:<32} {}", format!("+{:?}", row.at.since(start)), row.kind.as_str())?;
            if row.attempt > 1 {
                write!(f, ", attempt {}", row.attempt)?;
            }
            if let Some(error) = &row.error {
                write!(f, ": {error}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
