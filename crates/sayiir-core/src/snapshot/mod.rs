//! A snapshot: an instance as the vocabulary API shows and imports it, by task id.
//!
//! It is a view. Stores keep branches and a journal; a snapshot is made from them, and saving one is an import.

mod state;

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::branch::RunNumber;
pub use crate::control::{PauseRequest, SignalKind, SignalRequest};
use crate::ids::{DefinitionHash, TaskId};
use crate::plan::Plan;

pub use self::state::{ControlDetails, ExecutionPosition, TaskResult, TaskResults, WorkflowSnapshotState};

/// What a run's first task asks of the worker that takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskHint {
    /// The task.
    pub id: TaskId,
    /// How urgent it is: 1 (critical) to 5 (minimal); normal if absent.
    pub priority: Option<u8>,
    /// Tags that a worker must serve.
    pub tags: Vec<String>,
}

impl TaskHint {
    /// A hint for the task of this name.
    pub fn new(name: &str, priority: Option<u8>, tags: &[String]) -> Self {
        Self { id: TaskId::from(name), priority, tags: tags.to_vec() }
    }
}

/// Where a store read a snapshot, or put it: what tells a later save whether the instance has gone on since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAt {
    /// The run.
    pub run: RunNumber,
    /// The revision of its root branch; 0 of a run that has ended without one.
    pub revision: u64,
}

/// An instance as the vocabulary API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowSnapshot {
    /// The caller's id.
    pub instance_id: Arc<str>,
    /// Its definition.
    pub definition_hash: DefinitionHash,
    /// How it stands.
    pub state: WorkflowSnapshotState,
    /// When it was created; the epoch until a store has stamped it.
    pub created_at: DateTime<Utc>,
    /// When it last changed its status; the epoch until a store has stamped it.
    pub updated_at: DateTime<Utc>,
    /// The workflow's encoded input.
    pub initial_input: Option<Bytes>,
    /// How urgent the next task is, if that was said.
    pub task_priority: Option<u8>,
    /// The tags of the next task.
    pub task_tags: Vec<String>,
    /// Where the store had it; `None` until it was loaded or saved.
    #[serde(default)]
    pub stored: Option<StoredAt>,
}

impl WorkflowSnapshot {
    /// An instance that has not started.
    pub fn new(instance_id: &str, definition_hash: impl Into<DefinitionHash>) -> Self {
        Self {
            instance_id: Arc::from(instance_id),
            definition_hash: definition_hash.into(),
            state: WorkflowSnapshotState::InProgress {
                position: ExecutionPosition::NotStarted,
                completed_tasks: TaskResults::new(),
                last_completed_task_id: None,
            },
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            initial_input: None,
            task_priority: None,
            task_tags: Vec::new(),
            stored: None,
        }
    }

    /// An instance that has not started, with its input.
    pub fn with_initial_input(instance_id: &str, definition_hash: impl Into<DefinitionHash>, input: Bytes) -> Self {
        Self { initial_input: Some(input), ..Self::new(instance_id, definition_hash) }
    }

    /// Puts the instance at `to`, unless it has ended.
    pub fn update_position(&mut self, to: ExecutionPosition) {
        if let Some((position, ..)) = self.state.progress_mut() {
            *position = to;
        }
    }

    /// Says what follows the delay or the wait at which the instance stands: only its plan knows.
    pub fn tell_next(&mut self, plan: &Plan) {
        let Some((position, ..)) = self.state.progress_mut() else { return };
        let (at, next) = match position {
            ExecutionPosition::AtDelay { delay_id, next_task_id, .. } => (*delay_id, next_task_id),
            ExecutionPosition::AtSignal { signal_id, next_task_id, .. } => (*signal_id, next_task_id),
            ExecutionPosition::NotStarted
            | ExecutionPosition::AtTask { .. }
            | ExecutionPosition::AtFork { .. }
            | ExecutionPosition::AtJoin { .. }
            | ExecutionPosition::InLoop { .. } => return,
        };
        let node = plan.find_by_task_id(at).map(|ix| plan.node(ix));
        let following = node.and_then(|node| node.next).map(|ix| plan.node(plan.entry(ix)));
        *next = following.map(|node| TaskId::from(&*node.path));
    }

    /// Notes what the next task asks for.
    pub fn set_task_hint(&mut self, hint: &TaskHint) {
        let TaskHint { id: _, priority, tags } = hint;
        self.task_priority = *priority;
        self.task_tags.clone_from(tags);
    }

    /// Notes what a task gave, unless the instance has ended.
    pub fn mark_task_completed(&mut self, task_id: TaskId, output: Bytes) {
        if let Some((_, completed, last)) = self.state.progress_mut() {
            completed.insert(task_id, TaskResult { task_id, output });
            *last = Some(task_id);
        }
    }

    /// Ends the instance with an output.
    pub fn mark_completed(&mut self, final_output: Bytes) {
        self.state = WorkflowSnapshotState::Completed { final_output };
    }

    /// Ends the instance with an error.
    pub fn mark_failed(&mut self, error: impl Into<String>) {
        self.state = WorkflowSnapshotState::Failed { error: error.into() };
    }

    /// Cancels the instance.
    pub fn mark_cancelled(&mut self, reason: Option<String>, cancelled_by: Option<String>) {
        self.state = WorkflowSnapshotState::Cancelled { reason, cancelled_by };
    }

    /// Pauses the instance, unless it has ended.
    pub fn mark_paused(&mut self, request: &PauseRequest) {
        if let Some((position, completed_tasks, last_completed_task_id)) = self.take_progress() {
            let SignalRequest { reason, requested_by, requested_at: _ } = request.clone();
            self.state =
                WorkflowSnapshotState::Paused { reason, paused_by: requested_by, position, completed_tasks, last_completed_task_id };
        }
    }

    /// Lets a paused instance go on.
    pub fn mark_unpaused(&mut self) {
        if let Some((position, completed_tasks, last_completed_task_id)) = self.take_progress() {
            self.state = WorkflowSnapshotState::InProgress { position, completed_tasks, last_completed_task_id };
        }
    }

    fn take_progress(&mut self) -> Option<(ExecutionPosition, TaskResults, Option<TaskId>)> {
        let (position, completed, last) = self.state.progress_mut()?;
        Some((position.clone(), std::mem::take(completed), *last))
    }

    /// What a task gave, while the instance goes on.
    pub fn get_task_result(&self, task_id: &TaskId) -> Option<&TaskResult> {
        self.completed_tasks()?.get(task_id)
    }

    /// The bytes that a task gave, while the instance goes on.
    pub fn get_task_result_bytes(&self, task_id: &TaskId) -> Option<Bytes> {
        self.get_task_result(task_id).map(|result| result.output.clone())
    }

    /// What the last task gave, while the instance goes on.
    pub fn get_last_task_output(&self) -> Option<Bytes> {
        self.get_task_result_bytes(&self.last_completed_task_id()?)
    }

    /// What tasks gave, while the instance goes on.
    pub const fn completed_tasks(&self) -> Option<&TaskResults> {
        match &self.state {
            WorkflowSnapshotState::InProgress { completed_tasks, .. } | WorkflowSnapshotState::Paused { completed_tasks, .. } => {
                Some(completed_tasks)
            }
            WorkflowSnapshotState::Completed { .. } | WorkflowSnapshotState::Failed { .. } | WorkflowSnapshotState::Cancelled { .. } => {
                None
            }
        }
    }

    /// The task that gave something last, while the instance goes on.
    pub const fn last_completed_task_id(&self) -> Option<TaskId> {
        match &self.state {
            WorkflowSnapshotState::InProgress { last_completed_task_id, .. }
            | WorkflowSnapshotState::Paused { last_completed_task_id, .. } => *last_completed_task_id,
            WorkflowSnapshotState::Completed { .. } | WorkflowSnapshotState::Failed { .. } | WorkflowSnapshotState::Cancelled { .. } => {
                None
            }
        }
    }

    /// The output of a completed instance.
    pub fn final_output_bytes(&self) -> Option<Bytes> {
        self.state.completed_output()
    }

    /// The workflow's input.
    pub fn initial_input_bytes(&self) -> Option<Bytes> {
        self.initial_input.clone()
    }

    /// The error of a failed instance.
    pub fn error_message(&self) -> Option<&str> {
        match &self.state {
            WorkflowSnapshotState::Failed { error } => Some(error),
            WorkflowSnapshotState::InProgress { .. }
            | WorkflowSnapshotState::Completed { .. }
            | WorkflowSnapshotState::Cancelled { .. }
            | WorkflowSnapshotState::Paused { .. } => None,
        }
    }

    /// The kind of the position, if the instance has not ended.
    pub fn position_kind(&self) -> Option<&str> {
        self.state.position().map(ExecutionPosition::kind)
    }
}
