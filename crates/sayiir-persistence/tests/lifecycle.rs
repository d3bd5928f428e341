//! The lifecycle contract over a hand-written minimal store, and its words.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_executor::block_on;
use sayiir_core::snapshot::{ExecutionPosition, SignalKind, SignalRequest, TaskHint, WorkflowSnapshot};
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_core::{DefinitionHash, TaskId};
use sayiir_persistence::{
    BackendError, BackendResult, InMemoryBackend, PrepareRunOutcome, RunConflict, SignalStore, SnapshotStore, Store, StoreError,
    prepare_run,
};

/// A store as a user may write it: maps, and no transactions.
#[derive(Default)]
struct Minimal {
    snapshots: Mutex<BTreeMap<String, WorkflowSnapshot>>,
    signals: Mutex<BTreeMap<(String, SignalKind), SignalRequest>>,
    events: Mutex<BTreeMap<(String, String), VecDeque<Bytes>>>,
    broken: bool,
}

impl SnapshotStore for Minimal {
    async fn save_snapshot(&self, snapshot: &mut WorkflowSnapshot) -> BackendResult<()> {
        self.snapshots.lock().unwrap().insert(snapshot.instance_id.to_string(), snapshot.clone());
        Ok(())
    }

    async fn save_task_result(&self, id: &str, task_id: &TaskId, output: Bytes) -> BackendResult<()> {
        let mut snapshots = self.snapshots.lock().unwrap();
        snapshots.get_mut(id).ok_or_else(|| BackendError::NotFound(id.into()))?.mark_task_completed(*task_id, output);
        Ok(())
    }

    async fn load_snapshot(&self, id: &str) -> BackendResult<WorkflowSnapshot> {
        if self.broken {
            return Err(BackendError::Backend("disk on fire".to_owned().into()));
        }
        self.snapshots.lock().unwrap().get(id).cloned().ok_or_else(|| BackendError::NotFound(id.into()))
    }

    async fn delete_snapshot(&self, id: &str) -> BackendResult<()> {
        self.events.lock().unwrap().retain(|(owner, _), _| owner != id);
        self.snapshots.lock().unwrap().remove(id).map(drop).ok_or_else(|| BackendError::NotFound(id.into()))
    }

    async fn list_snapshots(&self) -> BackendResult<Vec<String>> {
        Ok(self.snapshots.lock().unwrap().keys().cloned().collect())
    }
}

impl SignalStore for Minimal {
    async fn store_signal(&self, id: &str, kind: SignalKind, request: SignalRequest) -> BackendResult<()> {
        self.signals.lock().unwrap().insert((id.to_owned(), kind), request);
        Ok(())
    }

    async fn get_signal(&self, id: &str, kind: SignalKind) -> BackendResult<Option<SignalRequest>> {
        Ok(self.signals.lock().unwrap().get(&(id.to_owned(), kind)).cloned())
    }

    async fn clear_signal(&self, id: &str, kind: SignalKind) -> BackendResult<()> {
        self.signals.lock().unwrap().remove(&(id.to_owned(), kind));
        Ok(())
    }

    async fn send_event(&self, id: &str, name: &str, payload: Bytes) -> BackendResult<()> {
        self.events.lock().unwrap().entry((id.to_owned(), name.to_owned())).or_default().push_back(payload);
        Ok(())
    }

    async fn consume_event(&self, id: &str, name: &str) -> BackendResult<Option<Bytes>> {
        Ok(self.events.lock().unwrap().get_mut(&(id.to_owned(), name.to_owned())).and_then(VecDeque::pop_front))
    }

    async fn check_and_cancel(&self, _id: &str, _interrupted: Option<TaskId>) -> BackendResult<bool> {
        Ok(false)
    }

    async fn check_and_pause(&self, _id: &str) -> BackendResult<bool> {
        Ok(false)
    }

    async fn unpause(&self, id: &str) -> BackendResult<WorkflowSnapshot> {
        self.load_snapshot(id).await
    }
}

fn prepare(store: &Minimal, hash: &str, policy: ConflictPolicy) -> Result<PrepareRunOutcome, RunConflict> {
    let first = TaskHint::new("first", Some(2), &["io".to_owned()]);
    block_on(prepare_run(String::from("i"), hash.to_owned(), Bytes::from_static(b"in"), first, store, policy))
}

#[test]
fn an_unknown_id_is_fresh_under_any_policy() {
    for policy in [ConflictPolicy::Fail, ConflictPolicy::UseExisting, ConflictPolicy::TerminateExisting] {
        let store = Minimal::default();
        let Ok(PrepareRunOutcome::Fresh(snapshot)) = prepare(&store, "workflow", policy) else { panic!("fresh under {policy}") };
        assert_eq!(block_on(store.load_snapshot("i")).unwrap(), *snapshot, "it is already stored");
        let first = TaskId::from("first");
        assert_eq!(snapshot.state.position(), Some(&ExecutionPosition::AtTask { task_id: first }));
        assert_eq!((snapshot.task_priority, snapshot.task_tags), (Some(2), vec!["io".to_owned()]));
        assert_eq!(snapshot.initial_input.as_deref(), Some(&b"in"[..]));
    }
}

#[test]
fn a_mismatch_comes_before_any_policy_and_quotes_both_hashes() {
    let store = Minimal::default();
    prepare(&store, "found", ConflictPolicy::Fail).unwrap();
    for policy in [ConflictPolicy::Fail, ConflictPolicy::UseExisting, ConflictPolicy::TerminateExisting] {
        let error = prepare(&store, "expected", policy).unwrap_err();
        let text = error.to_string();
        for name in ["expected", "found"] {
            assert!(text.contains(&format!("\"{}\"", DefinitionHash::from(name).to_hex())), "{text}");
        }
        let RunConflict::DefinitionMismatch { expected, found } = error else { panic!("{error:?}") };
        assert!(expected == "expected" && found == "found");
    }
}

#[test]
fn a_known_id_is_refused_and_the_ways_out_are_named() {
    let store = Minimal::default();
    prepare(&store, "workflow", ConflictPolicy::default()).unwrap();
    let error = prepare(&store, "workflow", ConflictPolicy::default()).unwrap_err();
    assert!(matches!(&error, RunConflict::AlreadyExists(id) if id == "i"));
    let text = error.to_string();
    for word in ["\"i\"", "'use_existing'", "'terminate_existing'", "resume()"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn use_existing_gives_status_and_output() {
    let store = Minimal::default();
    prepare(&store, "workflow", ConflictPolicy::Fail).unwrap();
    let again = || prepare(&store, "workflow", ConflictPolicy::UseExisting).unwrap();
    assert_eq!(again(), PrepareRunOutcome::ExistingStatus(WorkflowStatus::InProgress, None));
    let mut snapshot = block_on(store.load_snapshot("i")).unwrap();
    snapshot.mark_completed(Bytes::from_static(b"out"));
    block_on(store.save_snapshot(&mut snapshot)).unwrap();
    assert_eq!(again(), PrepareRunOutcome::ExistingStatus(WorkflowStatus::Completed, Some(Bytes::from_static(b"out"))));
}

#[test]
fn terminate_existing_removes_run_signals_and_events() {
    let store = Minimal::default();
    prepare(&store, "workflow", ConflictPolicy::Fail).unwrap();
    block_on(store.save_task_result("i", &TaskId::from("first"), Bytes::new())).unwrap();
    block_on(store.store_signal("i", SignalKind::Cancel, SignalRequest::default())).unwrap();
    block_on(store.store_signal("i", SignalKind::Pause, SignalRequest::default())).unwrap();
    block_on(store.send_event("i", "go", Bytes::new())).unwrap();
    assert!(matches!(prepare(&store, "workflow", ConflictPolicy::TerminateExisting), Ok(PrepareRunOutcome::Fresh(_))));
    assert!(store.signals.lock().unwrap().is_empty() && store.events.lock().unwrap().is_empty());
    assert_eq!(block_on(store.load_snapshot("i")).unwrap().get_last_task_output(), None);
}

#[test]
fn errors_keep_their_causes() {
    let store = Minimal { broken: true, ..Minimal::default() };
    let error = prepare(&store, "workflow", ConflictPolicy::Fail).unwrap_err();
    let source = error.source().unwrap().downcast_ref::<BackendError>().unwrap();
    assert!(source.to_string().contains("disk on fire"));
    let cause = StoreError::Unavailable { reason: "locked".into(), source: Some("by another".into()) };
    let backend = BackendError::from(cause);
    assert!(backend.to_string().contains("locked") && !backend.to_string().contains("by another"));
    assert_eq!(backend.source().unwrap().to_string(), "by another", "the cause is said once, below the text");
    assert!(matches!(RunConflict::from(backend), RunConflict::Backend(_)));
    let invalid = block_on(prepare_run("", "w", Bytes::new(), TaskHint::new("f", None, &[]), &store, ConflictPolicy::Fail));
    assert!(matches!(invalid, Err(RunConflict::InvalidInstanceId(_))));
    assert!(BackendError::CannotCancel("x".into()).to_string().starts_with("Cannot cancel"));
    assert!(BackendError::NotFound("x".into()).to_string().contains("not found"));
}

#[test]
fn every_shape_of_a_store_has_the_vocabulary_and_sends() {
    fn sends<T: Send>(value: T) -> T {
        value
    }
    let memory = InMemoryBackend::new();
    let shared: Arc<dyn Store> = Arc::new(memory.clone());
    let hint = || TaskHint::new("first", None, &[]);
    let one = block_on(sends(prepare_run("a", "w", Bytes::new(), hint(), &memory, ConflictPolicy::Fail)));
    let two = block_on(sends(prepare_run("b", "w", Bytes::new(), hint(), &shared, ConflictPolicy::Fail)));
    let three = block_on(prepare_run("c", "w", Bytes::new(), hint(), &*shared, ConflictPolicy::Fail));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(block_on(memory.list_snapshots()).unwrap(), ["a", "b", "c"], "clones share the data");
}
