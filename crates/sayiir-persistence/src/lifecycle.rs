//! The lifecycle contract: how a run begins, whatever the runtime or binding.
//!
//! Over a transactional store each start is one atomic operation. Over a hand-written minimal store
//! ([`SnapshotStore::transactional`] is `None`) it is a load and then a save: two callers at the same
//! time may both start, and a crash in between may leave neither run.

use bytes::Bytes;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::control::SignalKind;
use sayiir_core::snapshot::{ExecutionPosition, StoredAt, TaskHint, WorkflowSnapshot};
use sayiir_core::workflow::WorkflowStatus;
use sayiir_core::{DefinitionHash, InvalidInstanceId, validate_instance_id};
use std::sync::Arc;

pub use sayiir_core::workflow::ConflictPolicy;

use crate::backend_error::BackendError;
use crate::error::StoreError;
use crate::store::{Definition, StartOutcome, StartRun, Store};
use crate::traits::{SignalStore, SnapshotStore};
use crate::vocabulary::placement_of;

/// How often a start is asked again, unchanged, when the store did not answer.
const ASKED_AGAIN: usize = 2;

/// What became of a run that was prepared.
///
/// An example is at [`prepare_run`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrepareRunOutcome {
    /// A new run, stored, positioned at its first task.
    Fresh(Box<WorkflowSnapshot>),
    /// The id is known, and the policy is to use what is there: its status, and its output if completed.
    ExistingStatus(WorkflowStatus, Option<Bytes>),
}

/// Why no run was prepared.
///
/// ```
/// use sayiir_persistence::RunConflict;
///
/// let conflict = RunConflict::AlreadyExists("order-17".to_owned());
/// assert!(conflict.to_string().starts_with("instance \"order-17\" already exists"));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum RunConflict {
    /// The id is known, and the policy is to refuse.
    #[error(
        "instance {0:?} already exists; pass the conflict policy 'use_existing' to get its status or 'terminate_existing' \
         to replace it, or call resume() to continue it"
    )]
    AlreadyExists(String),
    /// The id is known under another definition.
    #[error("the instance has another definition: expected \"{expected}\", found \"{found}\"")]
    DefinitionMismatch {
        /// The caller's definition.
        expected: DefinitionHash,
        /// The stored one.
        found: DefinitionHash,
    },
    /// The store could not do it.
    #[error("the store could not prepare the run")]
    Backend(#[from] BackendError),
    /// No store can hold this id.
    #[error(transparent)]
    InvalidInstanceId(#[from] InvalidInstanceId),
}

/// Begins a run of `instance_id`, or says what is already there.
///
/// It knows no plan: the run has no workflow name or version, and its root branch is at the start.
///
/// ```
/// use sayiir_core::snapshot::TaskHint;
/// use sayiir_persistence::{ConflictPolicy, InMemoryBackend, PrepareRunOutcome, RunConflict, prepare_run};
///
/// # futures_executor::block_on(async {
/// let store = InMemoryBackend::new();
/// let first = TaskHint::new("charge", None, &[]);
/// let begun = prepare_run("order-17", "order 1", "42".into(), first.clone(), &store, ConflictPolicy::Fail).await?;
/// let PrepareRunOutcome::Fresh(snapshot) = begun else { unreachable!() };
/// assert_eq!(snapshot.position_kind(), Some("at_task"));
///
/// let again = prepare_run("order-17", "order 1", "42".into(), first.clone(), &store, ConflictPolicy::UseExisting).await?;
/// assert!(matches!(again, PrepareRunOutcome::ExistingStatus(status, None) if !status.is_terminal()));
///
/// let other = prepare_run("order-17", "order 2", "42".into(), first, &store, ConflictPolicy::UseExisting).await;
/// assert!(matches!(other, Err(RunConflict::DefinitionMismatch { expected, found }) if expected == "order 2" && found == "order 1"));
/// # Ok::<(), RunConflict>(())
/// # }).unwrap();
/// ```
pub async fn prepare_run<B>(
    instance_id: impl AsRef<str>,
    definition_hash: impl Into<DefinitionHash>,
    input_bytes: Bytes,
    first_task: TaskHint,
    backend: &B,
    conflict_policy: ConflictPolicy,
) -> Result<PrepareRunOutcome, RunConflict>
where
    B: SnapshotStore + SignalStore + ?Sized,
{
    let (instance_id, hash) = (instance_id.as_ref().to_owned(), definition_hash.into());
    validate_instance_id(&instance_id)?;
    let mut snapshot = WorkflowSnapshot::with_initial_input(&instance_id, hash, input_bytes);
    snapshot.update_position(ExecutionPosition::AtTask { task_id: first_task.id });
    snapshot.set_task_hint(&first_task);
    match backend.transactional() {
        Some(store) => atomically(store, snapshot, &first_task, conflict_policy).await,
        None => step_by_step(backend, snapshot, conflict_policy).await,
    }
}

async fn atomically(
    store: &dyn Store,
    mut snapshot: WorkflowSnapshot,
    first_task: &TaskHint,
    policy: ConflictPolicy,
) -> Result<PrepareRunOutcome, RunConflict> {
    let expected = snapshot.definition_hash;
    let request = StartRun {
        instance_id: Arc::clone(&snapshot.instance_id),
        definition: Definition { hash: expected, name: Arc::from(""), version: Arc::from(""), document: None },
        policy,
        input: snapshot.initial_input_bytes().unwrap_or_default(),
        first_node: Arc::from(first_task.id.to_label()),
        placement: placement_of(first_task.priority, &first_task.tags),
        nonce: crate::nonce::fresh(store).await.map_err(BackendError::from)?,
        lease: None,
        trace: None,
        attributes: SearchAttributes::new(),
    };
    match start(store, request).await.map_err(BackendError::from)? {
        StartOutcome::Fresh { run, created_at, root: _ } => {
            snapshot.stored = Some(StoredAt { run, revision: 1 });
            snapshot.created_at = created_at.into();
            snapshot.updated_at = created_at.into();
            Ok(PrepareRunOutcome::Fresh(Box::new(snapshot)))
        }
        StartOutcome::Existing { status, output } => Ok(PrepareRunOutcome::ExistingStatus(status, output)),
        StartOutcome::AlreadyExists => Err(RunConflict::AlreadyExists(snapshot.instance_id.to_string())),
        StartOutcome::DefinitionMismatch { found } => Err(RunConflict::DefinitionMismatch { expected, found }),
    }
}

/// Starts; asks again, unchanged, if the answer was lost. The nonce makes that safe.
async fn start(store: &dyn Store, request: StartRun) -> Result<StartOutcome, StoreError> {
    for _ in 0..ASKED_AGAIN {
        match store.start(request.clone()).await {
            Err(error) if error.is_transient() => {}
            answer => return answer,
        }
    }
    store.start(request).await
}

async fn step_by_step<B>(backend: &B, mut snapshot: WorkflowSnapshot, policy: ConflictPolicy) -> Result<PrepareRunOutcome, RunConflict>
where
    B: SnapshotStore + SignalStore + ?Sized,
{
    let id = Arc::clone(&snapshot.instance_id);
    match backend.load_snapshot(&id).await {
        Err(BackendError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
        Ok(stored) if stored.definition_hash != snapshot.definition_hash => {
            return Err(RunConflict::DefinitionMismatch { expected: snapshot.definition_hash, found: stored.definition_hash });
        }
        Ok(stored) => match policy {
            ConflictPolicy::Fail => return Err(RunConflict::AlreadyExists(id.to_string())),
            ConflictPolicy::UseExisting => {
                return Ok(PrepareRunOutcome::ExistingStatus(stored.state.as_status(), stored.final_output_bytes()));
            }
            ConflictPolicy::TerminateExisting => {
                backend.clear_signal(&id, SignalKind::Cancel).await?;
                backend.clear_signal(&id, SignalKind::Pause).await?;
                backend.delete_snapshot(&id).await?;
            }
        },
    }
    backend.save_snapshot(&mut snapshot).await?;
    Ok(PrepareRunOutcome::Fresh(Box::new(snapshot)))
}
