//! The store traits, as tools and tests call them.

use bytes::Bytes;
use sayiir::core::snapshot::{SignalKind, SignalRequest, WorkflowSnapshot, WorkflowSnapshotState};
use sayiir::prelude::*;

use crate::support::context;

async fn snapshots_and_signals<B: PersistentBackend + Clone>(store: B) {
    let unknown = store.load_snapshot("nobody").await.unwrap_err();
    assert!(matches!(unknown, BackendError::NotFound(_)) && unknown.to_string().contains("not found"), "{unknown}");
    assert!(matches!(store.delete_snapshot("nobody").await, Err(BackendError::NotFound(_))));

    let (a, b) = (TaskId::from("a"), TaskId::from("b"));
    for id in ["one", "two"] {
        store.save_snapshot(&mut WorkflowSnapshot::with_initial_input(id, "hash", Bytes::from_static(b"1"))).await.unwrap();
    }
    assert_eq!(store.clone().list_snapshots().await.unwrap(), ["one", "two"]);
    store.save_task_result("one", &a, Bytes::from_static(b"2")).await.unwrap();
    store.save_task_result("one", &b, Bytes::from_static(b"3")).await.unwrap();
    let snapshot = store.load_snapshot("one").await.unwrap();
    assert_eq!(snapshot.get_task_result_bytes(&a).unwrap(), "2");
    assert_eq!(snapshot.get_last_task_output().unwrap(), "3");

    // Requests: recorded, then applied at a check.
    assert!(!store.check_and_pause("one").await.unwrap() && !store.check_and_cancel("one", None).await.unwrap());
    store.store_signal("one", SignalKind::Pause, SignalRequest::new(Some("lunch".into()), Some("ada".into()))).await.unwrap();
    let request = store.get_signal("one", SignalKind::Pause).await.unwrap().unwrap();
    assert_eq!((request.reason.as_deref(), request.requested_by.as_deref()), (Some("lunch"), Some("ada")));
    assert!(request.requested_at > chrono::DateTime::UNIX_EPOCH, "the store says when it was made");
    assert!(store.check_and_pause("one").await.unwrap());
    let paused = store.load_snapshot("one").await.unwrap();
    assert_eq!(paused.state.pause_details(), Some((Some("lunch".into()), Some("ada".into()))));
    assert!(matches!(paused.state, WorkflowSnapshotState::Paused { .. }));
    assert!(store.unpause("one").await.unwrap().state.is_in_progress());

    // A cancel beats a pause, and works on what is paused.
    store.store_signal("one", SignalKind::Pause, SignalRequest::new(None, None)).await.unwrap();
    store.store_signal("one", SignalKind::Cancel, SignalRequest::new(None, None)).await.unwrap();
    assert!(!store.check_and_pause("one").await.unwrap());
    store.clear_signal("one", SignalKind::Cancel).await.unwrap();
    assert!(store.check_and_pause("one").await.unwrap());
    store.store_signal("one", SignalKind::Cancel, SignalRequest::new(Some("no".into()), None)).await.unwrap();
    assert!(store.check_and_cancel("one", Some(a)).await.unwrap());
    let cancelled = store.load_snapshot("one").await.unwrap();
    assert_eq!(cancelled.state.cancellation_details(), Some((Some("no".into()), None)));
    let mut finished = store.load_snapshot("two").await.unwrap();
    finished.mark_completed(Bytes::from_static(b"out"));
    store.save_snapshot(&mut finished).await.unwrap();
    let refused = store.store_signal("two", SignalKind::Cancel, SignalRequest::new(None, None)).await.unwrap_err();
    assert!(matches!(refused, BackendError::CannotCancel(_)) && refused.to_string().contains("Cannot cancel"), "{refused}");
    let refused = store.store_signal("two", SignalKind::Pause, SignalRequest::new(None, None)).await.unwrap_err();
    assert!(matches!(refused, BackendError::CannotPause(_)) && refused.to_string().contains("Cannot pause"), "{refused}");
}

/// Events need no more than the one trait.
async fn events<B: SignalStore>(store: B) {
    for payload in ["1", "2"] {
        store.send_event("later", "go", Bytes::from(payload)).await.unwrap();
    }
    assert_eq!(store.consume_event("later", "go").await.unwrap().unwrap(), "1", "in order, and before the instance");
    assert_eq!(store.consume_event("later", "other").await.unwrap(), None);
    assert_eq!(store.consume_event("later", "go").await.unwrap().unwrap(), "2");
    assert_eq!(store.consume_event("later", "go").await.unwrap(), None);
}

#[tokio::test]
async fn in_memory() {
    snapshots_and_signals(InMemoryBackend::default()).await;
    saving_what_was_loaded_changes_nothing(InMemoryBackend::new()).await;
    events(InMemoryBackend::new()).await;
}

#[tokio::test]
async fn on_sqlite() {
    snapshots_and_signals(SqliteBackend::in_memory().await.unwrap()).await;
    saving_what_was_loaded_changes_nothing(SqliteBackend::in_memory().await.unwrap()).await;
    events(SqliteBackend::in_memory().await.unwrap()).await;
}

/// What was loaded can be saved as it is: the instance stays where it stands, in a loop's second iteration too.
async fn saving_what_was_loaded_changes_nothing<B: PersistentBackend + Clone>(store: B) {
    let workflow = WorkflowBuilder::new(context("rounds"))
        .loop_flow(
            "rounds",
            |body| {
                body.then("count", |x: u32| async move { Ok(x + 1) })
                    .wait_for_signal("gate", "go", None)
                    .then("more", |x: u32| async move { Ok(if x < 2 { LoopResult::Again(x) } else { LoopResult::Done(x) }) })
            },
            2,
        )
        .build()
        .unwrap();
    let (runner, client) = (CheckpointingRunner::new(store.clone()), WorkflowClient::new(store.clone()));
    runner.run(&workflow, "r", 0).await.unwrap();
    client.send_event("r", "go", "1").await.unwrap();
    let status = runner.resume(&workflow, "r").await.unwrap();
    assert!(matches!(&status, WorkflowStatus::AwaitingSignal { signal_id, .. } if signal_id == "rounds[1]/gate"), "{status:?}");
    let mut snapshot = store.load_snapshot("r").await.unwrap();
    store.save_snapshot(&mut snapshot).await.unwrap();
    assert_eq!(client.status("r").await.unwrap(), status);
    client.send_event("r", "go", "2").await.unwrap();
    assert_eq!(runner.resume(&workflow, "r").await.unwrap(), WorkflowStatus::Completed);
}
