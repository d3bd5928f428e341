//! The vocabulary traits over a [`Store`]: views of its records, and operations built on its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{JournalRef, Phase, Placement, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::JournalRow;
use sayiir_core::priority::Priority;
use sayiir_core::snapshot::{ExecutionPosition, StoredAt, TaskResult, WorkflowSnapshot, WorkflowSnapshotState};
use sayiir_core::workflow::WorkflowStatus;
use sayiir_core::{DefinitionHash, TaskId};

use crate::backend_error::{BackendError, Detail};
use crate::claims;
use crate::store::{
    ControlAction, ControlCommand, ControlOutcome, Definition, Import, ImportOutcome, ImportState, InstanceFilter, InstanceRecord,
    NewEvent, SendOutcome, Store,
};
use crate::traits::BackendResult;
use crate::view::{in_iteration, results_of, snapshot_of};

const PAGE: usize = 1000;
/// How often a result is saved again because the instance went on meanwhile.
const SAVED_AGAIN: usize = 10;

pub(crate) fn not_found(instance_id: &str) -> BackendError {
    BackendError::NotFound(format!("{instance_id:?}").into())
}

/// The placement of a task with this priority and these tags.
pub(crate) fn placement_of(priority: Option<u8>, tags: &[String]) -> Placement {
    let mut tags = tags.to_vec();
    tags.sort();
    tags.dedup();
    Placement { tags: Arc::from(tags), priority: priority.and_then(Priority::from_u8).unwrap_or_default() }
}

async fn whole_journal<S: Store + ?Sized>(store: &S, run: RunNumber) -> BackendResult<Vec<JournalRow>> {
    let mut rows: Vec<JournalRow> = Vec::new();
    loop {
        let after = rows.last().map(|row| (row.at, JournalRef { branch: row.branch.clone(), revision: row.revision }));
        let page = store.journal(run, after, PAGE).await?;
        let last = page.len() < PAGE;
        rows.extend(page);
        if last {
            return Ok(rows);
        }
    }
}

pub(crate) async fn load_snapshot<S: Store + ?Sized>(store: &S, instance_id: &str) -> BackendResult<WorkflowSnapshot> {
    let record = store.instance(instance_id).await?.ok_or_else(|| not_found(instance_id))?;
    let journal = whole_journal(store, record.summary.run).await?;
    Ok(snapshot_of(record, &journal))
}

pub(crate) async fn save_snapshot<S: Store + ?Sized>(store: &S, snapshot: &mut WorkflowSnapshot) -> BackendResult<()> {
    let id = Arc::clone(&snapshot.instance_id);
    let record = store.instance(&id).await?;
    let journal = match &record {
        Some(record) => whole_journal(store, record.summary.run).await?,
        None => Vec::new(),
    };
    let labels = labels_of(&journal, record.as_ref());
    let expected = expected_of(snapshot, record.as_ref(), &journal)?;
    let outcome = store.import(Import { expected, ..import_of(snapshot, record.as_ref(), &labels) }).await?;
    match outcome {
        ImportOutcome::Imported => {}
        ImportOutcome::Leased => {
            return Err(BackendError::ClaimLost(format!("another worker holds a lease on instance {id:?}").into()));
        }
        ImportOutcome::Moved { .. } => return Err(stale(&id, "the instance has gone on, was replaced or was deleted since it was loaded")),
        ImportOutcome::Forked { node } => {
            let text = format!(
                "instance {id:?} is inside the fork at {node:?}, and a snapshot does not tell where its branches are: save it when they have joined"
            );
            return Err(BackendError::Backend(text.into()));
        }
        ImportOutcome::Finished(status) if status.as_str() == snapshot.state.as_status().as_str() => {}
        ImportOutcome::Finished(status) => {
            return Err(BackendError::Backend(format!("instance {id:?} has ended ({}) and stays so", status.as_str()).into()));
        }
        ImportOutcome::DefinitionMismatch { found } => return Err(mismatch(&id, snapshot.definition_hash, found)),
    }
    if let Some(record) = store.instance(&id).await? {
        let root = record.branches.iter().find(|branch| branch.branch.is_root());
        snapshot.stored = Some(StoredAt { run: record.summary.run, revision: root.map_or(0, |root| root.revision) });
        snapshot.created_at = record.summary.created_at.into();
        snapshot.updated_at = record.summary.updated_at.into();
    }
    Ok(())
}

fn stale(id: &str, why: &str) -> BackendError {
    BackendError::Stale(format!("instance {id:?}: {why}; load it again").into())
}

/// Where the instance must stand for the snapshot to be saved. One that no store has seen is saved over what was read just
/// now, if it has all that the instance has.
fn expected_of(
    snapshot: &WorkflowSnapshot,
    record: Option<&InstanceRecord>,
    journal: &[JournalRow],
) -> BackendResult<Option<(RunNumber, u64)>> {
    if snapshot.state.is_terminal() && record.is_some_and(|record| record.summary.status.is_terminal()) {
        return Ok(None);
    }
    if let Some(StoredAt { run, revision }) = snapshot.stored {
        return Ok(Some((run, revision)));
    }
    if let Some(completed) = snapshot.completed_tasks() {
        let (stored, _) = results_of(journal);
        if let Some(lacking) = stored.keys().find(|task| !completed.contains_key(task)) {
            return Err(stale(&snapshot.instance_id, &format!("the snapshot lacks the result of task {lacking}")));
        }
    }
    let root = |record: &InstanceRecord| record.branches.iter().find(|branch| branch.branch.is_root()).map(|root| root.revision);
    Ok(record.and_then(|record| Some((record.summary.run, root(record)?))))
}

/// The path that each id stands for now: where the root branch is, or where it was last.
fn labels_of(journal: &[JournalRow], record: Option<&InstanceRecord>) -> BTreeMap<TaskId, Arc<str>> {
    let passed = journal.iter().map(|row| &row.node);
    let present = record.into_iter().flat_map(|record| &record.branches).filter(|branch| branch.branch.is_root());
    let present = present.map(|branch| &branch.head.node);
    passed.chain(present).map(|node| (TaskId::of_label(node), Arc::clone(node))).collect()
}

fn mismatch(id: &str, expected: DefinitionHash, found: DefinitionHash) -> BackendError {
    BackendError::Backend(Detail::from(format!("definition mismatch: instance {id:?} has definition {found}, not {expected}")))
}

fn import_of(snapshot: &WorkflowSnapshot, record: Option<&InstanceRecord>, labels: &BTreeMap<TaskId, Arc<str>>) -> Import {
    let label = |id: &TaskId| labels.get(id).map_or_else(|| Arc::from(id.to_label()), Arc::clone);
    let last = snapshot.last_completed_task_id();
    let completed = snapshot.completed_tasks().into_iter().flatten();
    let (mut results, mut last_results) = (Vec::new(), Vec::new());
    for (id, TaskResult { task_id: _, output }) in completed {
        let group = if Some(*id) == last { &mut last_results } else { &mut results };
        group.push((label(id), output.clone()));
    }
    results.append(&mut last_results);
    let state = match &snapshot.state {
        WorkflowSnapshotState::InProgress { position, completed_tasks, .. } => {
            running(position, completed_tasks.is_empty(), record, None, &label)
        }
        WorkflowSnapshotState::Paused { reason, paused_by, position, completed_tasks, .. } => {
            let request = SignalRequest::new(reason.clone(), paused_by.clone());
            running(position, completed_tasks.is_empty(), record, Some(request), &label)
        }
        WorkflowSnapshotState::Completed { final_output } => ImportState::Completed(final_output.clone()),
        WorkflowSnapshotState::Failed { error } => ImportState::Failed(error.clone()),
        WorkflowSnapshotState::Cancelled { reason, cancelled_by } => {
            ImportState::Cancelled(SignalRequest::new(reason.clone(), cancelled_by.clone()))
        }
    };
    let node = match &state {
        ImportState::Running { node, .. } => Arc::clone(node),
        ImportState::Completed(_) | ImportState::Failed(_) | ImportState::Cancelled(_) => Arc::from(""),
    };
    Import {
        instance_id: Arc::clone(&snapshot.instance_id),
        definition: Definition { hash: snapshot.definition_hash, name: Arc::from(""), version: Arc::from(""), document: None },
        input: snapshot.initial_input.clone().unwrap_or_default(),
        results,
        state,
        first_node: record.map_or(node, |record| Arc::clone(&record.first_node)),
        placement: placement_of(snapshot.task_priority, &snapshot.task_tags),
        expected: None,
    }
}

/// Where an import puts an instance. A fork is entered again; what its branches gave is not kept.
fn running(
    position: &ExecutionPosition,
    nothing_done: bool,
    record: Option<&InstanceRecord>,
    paused: Option<SignalRequest>,
    label: &dyn Fn(&TaskId) -> Arc<str>,
) -> ImportState {
    let (node, phase, awaits, due_at) = match position {
        ExecutionPosition::NotStarted => {
            let first = record.map_or_else(|| Arc::from(""), |record| Arc::clone(&record.first_node));
            (first, Phase::Start, None, None)
        }
        ExecutionPosition::AtTask { task_id } => (label(task_id), if nothing_done { Phase::Start } else { Phase::At }, None, None),
        ExecutionPosition::AtFork { fork_id: id, .. } | ExecutionPosition::AtJoin { join_id: id, .. } => (label(id), Phase::At, None, None),
        ExecutionPosition::AtDelay { delay_id, wake_at, .. } => (label(delay_id), Phase::Delaying, None, Some((*wake_at).into())),
        ExecutionPosition::AtSignal { signal_id, signal_name, wake_at, .. } => {
            (label(signal_id), Phase::Awaiting, Some(Arc::from(signal_name.as_str())), wake_at.map(Into::into))
        }
        ExecutionPosition::InLoop { loop_id, iteration, next_task_id } => {
            (in_iteration(&label(next_task_id.as_ref().unwrap_or(loop_id)), *iteration), Phase::At, None, None)
        }
    };
    ImportState::Running { node, phase, awaits, due_at, paused }
}

pub(crate) async fn save_task_result<S: Store + ?Sized>(store: &S, instance_id: &str, task: &TaskId, output: Bytes) -> BackendResult<()> {
    for _ in 0..SAVED_AGAIN {
        let record = store.instance(instance_id).await?.ok_or_else(|| not_found(instance_id))?;
        if claims::save_claimed(store, &record, task, &output).await? {
            return Ok(());
        }
        let mut snapshot = load_snapshot(store, instance_id).await?;
        if snapshot.state.is_terminal() {
            let text = format!("instance {instance_id:?} has ended ({}) and stays so", snapshot.state.as_status().as_str());
            return Err(BackendError::Backend(text.into()));
        }
        snapshot.mark_task_completed(*task, output.clone());
        match save_snapshot(store, &mut snapshot).await {
            Err(BackendError::Stale(_)) => {}
            answer => return answer,
        }
    }
    Err(stale(instance_id, "it goes on while the result is saved"))
}

pub(crate) async fn load_task_result<S: Store + ?Sized>(store: &S, instance_id: &str, task: &TaskId) -> BackendResult<Option<Bytes>> {
    let record = store.instance(instance_id).await?.ok_or_else(|| not_found(instance_id))?;
    let rows = whole_journal(store, record.summary.run).await?;
    let results = || rows.iter().rev().filter(|row| row.kind.is_result() && row.output.is_some());
    let row = results().find(|row| TaskId::of_label(&row.node) == *task);
    let row = row.or_else(|| results().find(|row| TaskId::of_name_in(&row.node) == *task));
    Ok(row.and_then(|row| row.output.clone()))
}

pub(crate) async fn delete_snapshot<S: Store + ?Sized>(store: &S, instance_id: &str) -> BackendResult<()> {
    if store.delete(instance_id).await? { Ok(()) } else { Err(not_found(instance_id)) }
}

pub(crate) async fn list_snapshots<S: Store + ?Sized>(store: &S) -> BackendResult<Vec<String>> {
    let mut ids: Vec<Arc<str>> = Vec::new();
    loop {
        let filter = InstanceFilter { after: ids.last().cloned(), limit: Some(PAGE), ..InstanceFilter::default() };
        let page = store.list(filter).await?;
        let last = page.len() < PAGE;
        ids.extend(page.into_iter().map(|summary| summary.instance_id));
        if last {
            return Ok(ids.iter().map(ToString::to_string).collect());
        }
    }
}

fn cannot(kind: SignalKind, instance_id: &str, status: &WorkflowStatus) -> BackendError {
    let detail = Detail::from(format!("instance {instance_id:?} has ended ({})", status.as_str()));
    match kind {
        SignalKind::Cancel => BackendError::CannotCancel(detail),
        SignalKind::Pause => BackendError::CannotPause(detail),
    }
}

pub(crate) async fn store_signal<S: Store + ?Sized>(store: &S, id: &str, kind: SignalKind, request: SignalRequest) -> BackendResult<()> {
    match store.request_control(id, kind, request).await? {
        ControlOutcome::Applied | ControlOutcome::AlreadySo => Ok(()),
        ControlOutcome::Finished(status) => Err(cannot(kind, id, &status)),
        ControlOutcome::NotFound => Err(not_found(id)),
    }
}

pub(crate) async fn send_event<S: Store + ?Sized>(store: &S, id: &str, name: &str, payload: Bytes) -> BackendResult<()> {
    let event = NewEvent { instance_id: Arc::from(id), name: Arc::from(name), payload, key: None };
    match store.put_event(event).await? {
        SendOutcome::Stored(_) | SendOutcome::Duplicate => Ok(()),
        SendOutcome::Finished(status) => {
            let text = format!("event {name:?} was not stored: instance {id:?} has ended ({})", status.as_str());
            Err(BackendError::Backend(text.into()))
        }
    }
}

pub(crate) async fn check_and_cancel<S: Store + ?Sized>(store: &S, instance_id: &str) -> BackendResult<bool> {
    check(store, instance_id, SignalKind::Cancel).await
}

pub(crate) async fn check_and_pause<S: Store + ?Sized>(store: &S, instance_id: &str) -> BackendResult<bool> {
    check(store, instance_id, SignalKind::Pause).await
}

/// Applies a recorded request, then forgets it. A crash in between leaves it applied and recorded,
/// which asks for nothing more.
async fn check<S: Store + ?Sized>(store: &S, id: &str, kind: SignalKind) -> BackendResult<bool> {
    let applied = store.apply_requested(id, kind).await?;
    if applied {
        store.clear_control(id, kind).await?;
    }
    Ok(applied)
}

pub(crate) async fn unpause<S: Store + ?Sized>(store: &S, instance_id: &str) -> BackendResult<WorkflowSnapshot> {
    let command = ControlCommand { instance_id: Arc::from(instance_id), action: ControlAction::Unpause, request: SignalRequest::default() };
    match store.control(command).await? {
        ControlOutcome::Applied | ControlOutcome::AlreadySo => load_snapshot(store, instance_id).await,
        ControlOutcome::Finished(status) => Err(cannot(SignalKind::Pause, instance_id, &status)),
        ControlOutcome::NotFound => Err(not_found(instance_id)),
    }
}
