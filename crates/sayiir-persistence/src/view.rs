//! The snapshot that shows a stored instance: where its root branch stands, and what its tasks gave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::TaskId;
use sayiir_core::branch::{BranchId, Phase};
use sayiir_core::journal::JournalRow;
use sayiir_core::snapshot::{ExecutionPosition, StoredAt, TaskResult, TaskResults, WorkflowSnapshot, WorkflowSnapshotState};
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::WorkflowStatus;

use crate::store::{BranchSummary, InstanceRecord};

/// The snapshot that shows a stored instance.
pub(crate) fn snapshot_of(record: InstanceRecord, journal: &[JournalRow]) -> WorkflowSnapshot {
    let (completed_tasks, last_completed_task_id) = results_of(journal);
    let entered_at = journal.last().map_or(record.summary.updated_at, |row| row.at);
    let position = position_of(&record.branches, journal, entered_at);
    let root = record.branches.into_iter().find(|branch| branch.branch.is_root());
    let stored = StoredAt { run: record.summary.run, revision: root.as_ref().map_or(0, |root| root.revision) };
    let placement = root.map_or(record.placement, |root| root.placement);
    let in_progress =
        |position| WorkflowSnapshotState::InProgress { position, completed_tasks: completed_tasks.clone(), last_completed_task_id };
    let state = match record.summary.status {
        WorkflowStatus::InProgress | WorkflowStatus::Waiting { .. } | WorkflowStatus::AwaitingSignal { .. } => in_progress(position),
        WorkflowStatus::Completed => WorkflowSnapshotState::Completed { final_output: record.output.unwrap_or_default() },
        WorkflowStatus::Failed(error) => WorkflowSnapshotState::Failed { error },
        WorkflowStatus::Cancelled { reason, cancelled_by } => WorkflowSnapshotState::Cancelled { reason, cancelled_by },
        WorkflowStatus::Paused { reason, paused_by } => {
            WorkflowSnapshotState::Paused { reason, paused_by, position, completed_tasks, last_completed_task_id }
        }
    };
    WorkflowSnapshot {
        instance_id: record.summary.instance_id,
        definition_hash: record.summary.definition.hash,
        state,
        created_at: record.summary.created_at.into(),
        updated_at: record.summary.updated_at.into(),
        initial_input: Some(record.input),
        task_priority: Some(placement.priority.as_u8()),
        task_tags: placement.tags.to_vec(),
        stored: Some(stored),
    }
}

pub(crate) fn results_of(journal: &[JournalRow]) -> (TaskResults, Option<TaskId>) {
    let (mut results, mut last) = (TaskResults::new(), None);
    for row in journal {
        if let Some(output) = &row.output
            && row.kind.is_result()
        {
            let task_id = TaskId::of_label(&row.node);
            results.insert(task_id, TaskResult { task_id, output: output.clone() });
            last = Some(task_id);
        }
    }
    (results, last)
}

/// The innermost loop around a node, and its iteration.
fn loop_around(node: &str) -> Option<(TaskId, u32)> {
    // The key of a default arm stands in brackets too, but is seldom a number.
    let mut ends = node.rmatch_indices('[');
    ends.find_map(|(at, _)| {
        let (path, rest) = node.split_at(at);
        let slot = rest.strip_prefix('[')?.split_once(']')?.0;
        Some((TaskId::of_label(path), slot.parse().ok()?))
    })
}

/// The path in another iteration of its innermost loop.
pub(crate) fn in_iteration(node: &Arc<str>, iteration: u32) -> Arc<str> {
    let slots = node.rmatch_indices('[').filter_map(|(at, _)| {
        let (path, rest) = node.split_at(at);
        let (slot, behind) = rest.strip_prefix('[')?.split_once(']')?;
        slot.parse::<u32>().ok().map(|_| (path, behind))
    });
    slots.into_iter().next().map_or_else(|| Arc::clone(node), |(path, behind)| Arc::from(format!("{path}[{iteration}]{behind}")))
}

/// Where the root branch stands.
fn position_of(branches: &[BranchSummary], journal: &[JournalRow], entered_at: Timestamp) -> ExecutionPosition {
    let Some(root) = branches.iter().find(|branch| branch.branch.is_root()) else { return ExecutionPosition::NotStarted };
    let id = TaskId::of_label(&root.head.node);
    match root.head.phase {
        Phase::Start | Phase::At => match loop_around(&root.head.node) {
            Some((loop_id, iteration)) => ExecutionPosition::InLoop { loop_id, iteration, next_task_id: Some(id) },
            None => ExecutionPosition::AtTask { task_id: id },
        },
        Phase::Delaying => ExecutionPosition::AtDelay {
            delay_id: id,
            entered_at: entered_at.into(),
            wake_at: root.due_at.unwrap_or(entered_at).into(),
            next_task_id: None,
        },
        Phase::Awaiting => ExecutionPosition::AtSignal {
            signal_id: id,
            signal_name: root.awaits.as_deref().unwrap_or_default().to_owned(),
            wake_at: root.due_at.map(Into::into),
            next_task_id: None,
        },
        Phase::Joining if root.pending == 0 => {
            ExecutionPosition::AtJoin { join_id: id, completed_branches: ended_branches(root, branches, journal) }
        }
        Phase::Joining => ExecutionPosition::AtFork {
            fork_id: id,
            completed_branches: ended_branches(root, branches, journal),
            wake_at: branches.iter().filter_map(|branch| branch.due_at).min().map(Into::into),
        },
    }
}

/// What the ended branches of the fork at which the root waits gave, by each one's last node.
fn ended_branches(root: &BranchSummary, branches: &[BranchSummary], journal: &[JournalRow]) -> TaskResults {
    let last: BTreeMap<&BranchId, &JournalRow> = journal.iter().map(|row| (&row.branch, row)).collect();
    let live: BTreeSet<&BranchId> = branches.iter().map(|branch| &branch.branch).collect();
    let mut results = TaskResults::new();
    for index in 0.. {
        let child = root.branch.child(root.head.fork_revision, index);
        match (live.contains(&child), last.get(&child)) {
            (true, _) => {}
            (false, None) => break,
            (false, Some(row)) => {
                let task_id = TaskId::of_label(&row.node);
                results.extend(value_of(row, journal).map(|output| (task_id, TaskResult { task_id, output })));
            }
        }
    }
    results
}

/// The value that a row handed on, here or in the row that it refers to.
fn value_of<'a>(mut row: &'a JournalRow, journal: &'a [JournalRow]) -> Option<Bytes> {
    for _ in 0..journal.len() {
        if let Some(value) = row.handed_on.as_ref().or(row.output.as_ref()) {
            return Some(value.clone());
        }
        let of = row.same_as.as_ref()?;
        row = journal.iter().find(|row| row.branch == of.branch && row.revision == of.revision)?;
    }
    None
}
