//! What an instance did: its journal, results, failure and progress.

use bytes::Bytes;
use sayiir_core::TaskId;
use sayiir_core::branch::{JournalRef, RunNumber};
use sayiir_core::journal::JournalRow;
use sayiir_core::task::TaskIdentifier;
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{Store, StoreFuture};

use super::WorkflowClient;
use crate::error::RuntimeError;
use crate::failure::InstanceFailure;
use crate::progress::TaskProgress;

/// So many journal rows are read at a time.
const PAGE: usize = 1000;

/// A task of an instance: a node path, or the id that the task has wherever it stands.
///
/// ```
/// use sayiir_runtime::TaskRef;
///
/// assert_eq!(TaskRef::from("fan/email/render"), TaskRef::Path("fan/email/render".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskRef {
    /// A node path, with iterations (one of them) or without (the latest); or the id of a task.
    Path(String),
    /// The hash of a node path without iterations, or of the id of a task.
    Id(TaskId),
}

impl From<&str> for TaskRef {
    fn from(path: &str) -> Self {
        Self::Path(path.to_owned())
    }
}

impl From<String> for TaskRef {
    fn from(path: String) -> Self {
        Self::Path(path)
    }
}

impl From<TaskId> for TaskRef {
    fn from(id: TaskId) -> Self {
        Self::Id(id)
    }
}

impl From<&TaskId> for TaskRef {
    fn from(id: &TaskId) -> Self {
        Self::Id(*id)
    }
}

impl TaskRef {
    fn id(&self) -> TaskId {
        match self {
            Self::Path(path) => TaskId::of_label(path),
            Self::Id(id) => *id,
        }
    }

    /// Whether this is the node's path: with its iterations if any are given, else whichever they are.
    fn is_path_of(&self, node: &str) -> bool {
        match self {
            Self::Path(path) if path.contains('[') => node == path,
            Self::Path(_) | Self::Id(_) => TaskId::of_label(node) == self.id(),
        }
    }
}

impl<B: Store> WorkflowClient<B> {
    /// The stored result of a task, join, route key or event; `None` if there is none (yet), or no such node.
    ///
    /// `task` is a node path, as [`Workflow::iter_nodes`](sayiir_core::workflow::Workflow::iter_nodes) lists them (`ship/charge` for the branch `charge` of
    /// the fork that `ship` joins), or, if no node has that path, the id of a task that stands anywhere. Of several
    /// results the latest is given.
    ///
    /// # Errors
    ///
    /// `NotFound` if the instance is unknown.
    pub async fn get_task_result(&self, instance_id: &str, task: impl Into<TaskRef>) -> Result<Option<Bytes>, RuntimeError> {
        let (task, results) = (task.into(), self.results(instance_id).await?);
        let at_path = results.iter().rfind(|row| task.is_path_of(&row.node));
        Ok(at_path.or_else(|| latest_of(&results, task.id())).and_then(|row| row.output.clone()))
    }

    /// The stored result of a task type, wherever it stands; of several results the latest.
    ///
    /// # Errors
    ///
    /// `NotFound` if the instance is unknown.
    pub async fn get_task_result_of<T: TaskIdentifier>(&self, instance_id: &str) -> Result<Option<Bytes>, RuntimeError> {
        let results = self.results(instance_id).await?;
        Ok(latest_of(&results, TaskId::from(T::identifier())).and_then(|row| row.output.clone()))
    }

    async fn results(&self, instance_id: &str) -> Result<Vec<JournalRow>, RuntimeError> {
        let mut rows = self.history(instance_id).await?;
        rows.retain(|row| row.kind.is_result());
        Ok(rows)
    }

    /// Why an instance failed: node, task, attempt, and the error with its causes; `None` if it has not failed.
    ///
    /// # Errors
    ///
    /// `NotFound` if the id is unknown.
    pub async fn failure(&self, instance_id: &str) -> Result<Option<InstanceFailure>, RuntimeError> {
        match self.status(instance_id).await? {
            WorkflowStatus::Failed(_) => Ok(InstanceFailure::of(self.history(instance_id).await?)),
            WorkflowStatus::InProgress
            | WorkflowStatus::Completed
            | WorkflowStatus::Cancelled { .. }
            | WorkflowStatus::Paused { .. }
            | WorkflowStatus::Waiting { .. }
            | WorkflowStatus::AwaitingSignal { .. } => Ok(None),
        }
    }

    /// What the tasks that run now reported about how far they are, by node: see `TaskExecutionContext::report_progress`.
    /// Of a task whose worker died it is the last it said, until the next attempt says more.
    ///
    /// # Errors
    ///
    /// `NotFound` if the id is unknown.
    pub async fn progress(&self, instance_id: &str) -> Result<Vec<TaskProgress>, RuntimeError> {
        let branches = self.record(instance_id).await?.branches;
        Ok(branches.into_iter().filter_map(TaskProgress::of).collect())
    }

    /// The whole journal of an instance's present run.
    ///
    /// # Errors
    ///
    /// `NotFound` if the id is unknown.
    pub async fn history(&self, instance_id: &str) -> Result<Vec<JournalRow>, RuntimeError> {
        let run = self.record(instance_id).await?.summary.run;
        self.pages(|after| self.backend.journal(run, after, PAGE)).await
    }

    /// The whole journal without the values that its rows hold (`output` and `handed_on` are `None`): what happened, when and where,
    /// however large the payloads are.
    ///
    /// # Errors
    ///
    /// `NotFound` if the id is unknown.
    pub async fn timeline(&self, instance_id: &str) -> Result<Vec<JournalRow>, RuntimeError> {
        let run = self.record(instance_id).await?.summary.run;
        self.timeline_of(run).await
    }

    pub(super) async fn timeline_of(&self, run: RunNumber) -> Result<Vec<JournalRow>, RuntimeError> {
        self.pages(|after| self.backend.timeline(run, after, PAGE)).await
    }

    async fn pages<'a>(&'a self, page: impl Fn(Behind) -> StoreFuture<'a, Vec<JournalRow>>) -> Result<Vec<JournalRow>, RuntimeError> {
        let (mut rows, mut after): (Vec<JournalRow>, _) = (Vec::new(), None);
        loop {
            let page = page(after).await?;
            let full = page.len() == PAGE;
            rows.extend(page);
            after = rows.last().map(|row| (row.at, JournalRef { branch: row.branch.clone(), revision: row.revision }));
            if !full {
                return Ok(rows);
            }
        }
    }
}

/// The row that a page begins behind.
type Behind = Option<(Timestamp, JournalRef)>;

/// The latest result of the task of this id, at whatever node.
fn latest_of(results: &[JournalRow], id: TaskId) -> Option<&JournalRow> {
    results.iter().rfind(|row| TaskId::of_name_in(&row.node) == id)
}
