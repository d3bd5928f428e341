//! The snapshot view: an instance by task id.

use std::sync::Arc;

use bytes::Bytes;
use sayiir::core::snapshot::{ExecutionPosition, SignalRequest, TaskHint, WorkflowSnapshot, WorkflowSnapshotState};
use sayiir::prelude::*;

#[test]
fn a_snapshot_goes_through_its_life() {
    let mut snapshot = WorkflowSnapshot::with_initial_input("i", "hash", Bytes::from_static(b"in"));
    let id: &Arc<str> = &snapshot.instance_id;
    assert_eq!(&**id, "i");
    assert_eq!(snapshot.definition_hash, "hash");
    assert_eq!(snapshot.initial_input_bytes().unwrap(), "in");
    assert_eq!(snapshot.position_kind(), Some("not_started"));
    let task_id = TaskId::from("a");
    snapshot.update_position(ExecutionPosition::AtTask { task_id });
    let hint = TaskHint::new("a", Some(1), &["io".to_owned()]);
    assert_eq!(hint.id, task_id);
    snapshot.set_task_hint(&hint);
    assert_eq!((snapshot.task_priority, snapshot.task_tags.clone()), (Some(1), vec!["io".to_owned()]));
    assert!(matches!(snapshot.state, WorkflowSnapshotState::InProgress { position: ExecutionPosition::AtTask { .. }, .. }));

    assert!(snapshot.get_task_result(&task_id).is_none() && snapshot.get_last_task_output().is_none());
    snapshot.mark_task_completed(task_id, Bytes::from_static(b"1"));
    let result = snapshot.get_task_result(&task_id).unwrap();
    assert_eq!((result.task_id, &result.output[..]), (task_id, &b"1"[..]));
    assert_eq!(snapshot.get_task_result_bytes(&task_id).unwrap(), "1");
    assert_eq!(snapshot.get_last_task_output().unwrap(), "1");

    snapshot.mark_paused(&SignalRequest::new(Some("lunch".to_owned()), Some("ada".to_owned())));
    assert!(snapshot.state.is_paused() && !snapshot.state.is_terminal());
    assert_eq!(snapshot.state.pause_details(), Some((Some("lunch".to_owned()), Some("ada".to_owned()))));
    snapshot.mark_unpaused();
    assert_eq!(snapshot.get_last_task_output().unwrap(), "1", "nothing is lost by a pause");

    let mut cancelled = snapshot.clone();
    cancelled.mark_cancelled(Some("no".to_owned()), None);
    assert_eq!(cancelled.state.cancellation_details(), Some((Some("no".to_owned()), None)));
    let mut failed = snapshot.clone();
    failed.mark_failed("broken");
    assert_eq!(failed.error_message(), Some("broken"));
    assert_eq!(failed.state.as_status(), WorkflowStatus::Failed("broken".to_owned()));
    snapshot.mark_completed(Bytes::from_static(b"out"));
    assert!(snapshot.state.is_completed() && snapshot.state.is_terminal());
    assert_eq!(snapshot.final_output_bytes().unwrap(), "out");
    assert_eq!(snapshot.state.completed_output().unwrap(), "out");
    assert_eq!(snapshot.position_kind(), None);
}
