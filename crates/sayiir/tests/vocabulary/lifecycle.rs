//! `prepare_run`, to the letter, on both stores.

use std::error::Error;

use bytes::Bytes;
use sayiir::core::InvalidInstanceId;
use sayiir::core::snapshot::{ExecutionPosition, SignalKind, SignalRequest, TaskHint, WorkflowSnapshot};
use sayiir::persistence::lifecycle::{PrepareRunOutcome, RunConflict, prepare_run};
use sayiir::prelude::*;

fn hint() -> TaskHint {
    TaskHint::new("first", Some(2), &["io".to_owned()])
}

async fn prepare<B: SnapshotStore + SignalStore>(store: &B, hash: &str, policy: ConflictPolicy) -> Result<PrepareRunOutcome, RunConflict> {
    prepare_run("order-17", hash, Bytes::from_static(b"in"), hint(), store, policy).await
}

async fn the_contract<B: SnapshotStore + SignalStore>(store: B) {
    assert!(store.transactional().is_some());
    let all = [ConflictPolicy::Fail, ConflictPolicy::UseExisting, ConflictPolicy::TerminateExisting];

    // An unknown id starts fresh under any policy, and is stored.
    for policy in all {
        let PrepareRunOutcome::Fresh(snapshot) = prepare(&store, "v1", policy).await.unwrap() else { panic!("{policy}: not fresh") };
        let snapshot: Box<WorkflowSnapshot> = snapshot;
        assert_eq!(snapshot.definition_hash, "v1");
        assert_eq!(snapshot.state.position(), Some(&ExecutionPosition::AtTask { task_id: TaskId::from("first") }));
        assert_eq!((snapshot.task_priority, snapshot.task_tags.clone()), (Some(2), vec!["io".to_owned()]));
        assert_eq!(snapshot.initial_input_bytes().unwrap(), "in");
        assert_eq!(store.load_snapshot("order-17").await.unwrap(), *snapshot, "{policy}");
        store.delete_snapshot("order-17").await.unwrap();
    }

    // Another definition is a mismatch before any policy is looked at.
    prepare(&store, "v1", ConflictPolicy::Fail).await.unwrap();
    for policy in all {
        let error = prepare(&store, "v2", policy).await.unwrap_err();
        let (mine, stored) = (DefinitionHash::from("v2"), DefinitionHash::from("v1"));
        let text = error.to_string();
        assert!(text.contains(&format!("\"{mine}\"")) && text.contains(&format!("\"{stored}\"")), "{text}");
        assert!(matches!(error, RunConflict::DefinitionMismatch { expected, found } if expected == mine && found == stored));
    }

    // `Fail` refuses and tells the ways out.
    let error = prepare(&store, "v1", ConflictPolicy::Fail).await.unwrap_err();
    for word in ["order-17", "'use_existing'", "'terminate_existing'", "resume()"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(matches!(error, RunConflict::AlreadyExists(id) if id == "order-17"));

    // `UseExisting` gives the status and, once completed, the output.
    let existing = prepare(&store, "v1", ConflictPolicy::UseExisting).await.unwrap();
    assert_eq!(existing, PrepareRunOutcome::ExistingStatus(WorkflowStatus::InProgress, None));

    // `TerminateExisting` takes the old run away with its requests and events.
    store.save_task_result("order-17", &TaskId::from("first"), Bytes::from_static(b"1")).await.unwrap();
    store.store_signal("order-17", SignalKind::Cancel, SignalRequest::new(None, None)).await.unwrap();
    store.store_signal("order-17", SignalKind::Pause, SignalRequest::new(None, None)).await.unwrap();
    store.send_event("order-17", "go", Bytes::from_static(b"1")).await.unwrap();
    let fresh = prepare(&store, "v1", ConflictPolicy::TerminateExisting).await.unwrap();
    assert!(matches!(fresh, PrepareRunOutcome::Fresh(_)));
    assert_eq!(store.get_signal("order-17", SignalKind::Cancel).await.unwrap(), None);
    assert_eq!(store.get_signal("order-17", SignalKind::Pause).await.unwrap(), None);
    assert_eq!(store.consume_event("order-17", "go").await.unwrap(), None);
    let mut snapshot = store.load_snapshot("order-17").await.unwrap();
    assert_eq!(snapshot.get_last_task_output(), None);

    snapshot.mark_completed(Bytes::from_static(b"out"));
    store.save_snapshot(&mut snapshot).await.unwrap();
    let existing = prepare(&store, "v1", ConflictPolicy::UseExisting).await.unwrap();
    assert_eq!(existing, PrepareRunOutcome::ExistingStatus(WorkflowStatus::Completed, Some(Bytes::from_static(b"out"))));

    // Ids and hashes come as owned or borrowed text, or as a hash.
    let hash = DefinitionHash::from("v1");
    for id in ["", &"x".repeat(257)] {
        let refused = prepare_run(id.to_owned(), hash, Bytes::new(), hint(), &store, ConflictPolicy::Fail).await;
        assert!(matches!(refused, Err(RunConflict::InvalidInstanceId(InvalidInstanceId::Empty | InvalidInstanceId::TooLong(_)))));
    }
    prepare_run(String::from("other"), hash.to_hex(), Bytes::new(), hint(), &store, ConflictPolicy::Fail).await.unwrap();
}

#[tokio::test]
async fn in_memory() {
    the_contract(InMemoryBackend::new()).await;
}

#[tokio::test]
async fn on_sqlite() {
    the_contract(SqliteBackend::in_memory().await.unwrap()).await;
}

#[test]
fn a_backend_error_is_a_conflict_with_its_cause() {
    let conflict = RunConflict::from(BackendError::Backend(String::from("disk on fire").into()));
    let cause = conflict.source().unwrap().downcast_ref::<BackendError>().unwrap();
    assert!(cause.to_string().contains("disk on fire"));
    assert!(matches!(RuntimeError::from(conflict), RuntimeError::Backend(BackendError::Backend(_))));
}

#[tokio::test]
async fn a_runner_goes_on_with_what_was_prepared() {
    let workflow =
        WorkflowBuilder::new(crate::support::context("prepared")).then("first", |x: u32| async move { Ok(x + 1) }).build().unwrap();
    let store = InMemoryBackend::new();
    let input = JsonCodec.encode(&4).unwrap();
    prepare_run("p", *workflow.definition_hash(), input, TaskHint::new("first", None, &[]), &store, ConflictPolicy::Fail).await.unwrap();
    let runner = CheckpointingRunner::new(store.clone());
    assert_eq!(runner.resume(&workflow, "p").await.unwrap(), WorkflowStatus::Completed);
    assert_eq!(store.load_snapshot("p").await.unwrap().final_output_bytes().unwrap(), "5");
}
