//! Why an instance failed, in parts.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sayiir_core::journal::{EntryKind, JournalRow};

/// Why an instance failed: where, at which attempt, and the error with all its causes.
///
/// ```
/// use sayiir_runtime::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let order = workflow! { name: "order", steps: [charge(_x: u32) { Err::<u32, BoxError>("no money".into()) }] }?;
/// let store = InMemoryBackend::new();
/// assert!(order.run_durable(store.clone(), "order-17", 5).await.is_err());
/// let failure = WorkflowClient::new(store).failure("order-17").await?.ok_or("it has failed")?;
/// assert_eq!((&*failure.node, failure.attempt), ("charge", 1));
/// assert_eq!(failure.error, "charge: attempt 1 failed: no money");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFailure {
    /// The node's path, with iterations: `fan/email/render`.
    pub node: Arc<str>,
    /// The id of the task that stands there; the node's own id, where no task failed (a loop over its bound).
    pub task: String,
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// The text of the failure, as in [`WorkflowStatus::Failed`](sayiir_core::workflow::WorkflowStatus): node, attempt, the error and its causes.
    pub error: String,
    /// When, by the store's clock.
    pub at: DateTime<Utc>,
}

impl InstanceFailure {
    /// The last failure of a journal.
    pub(crate) fn of(journal: Vec<JournalRow>) -> Option<Self> {
        let row = journal.into_iter().rfind(|row| row.kind == EntryKind::Failed)?;
        let JournalRow { node, attempt, error, at, .. } = row;
        let task = task_id(&node).to_owned();
        Some(Self { node, task, attempt, error: error.unwrap_or_default(), at: at.into() })
    }
}

/// The task's id is the last part of the path, without the number of its repetition and the iteration.
fn task_id(node: &str) -> &str {
    let last = node.rsplit('/').next().unwrap_or(node);
    last.split(['#', '[']).next().unwrap_or(last)
}
