//! The runners: to an end or a wait, and on from there.

use std::sync::Arc;

use sayiir::prelude::*;

use crate::support::{Double, context};

#[tokio::test]
async fn without_a_store() {
    let workflow = WorkflowBuilder::new(context("plain")).then_task::<Double>().build().unwrap();
    assert_eq!(workflow.run_once(2).await.unwrap(), 4);
    let status: WorkflowStatus = InProcessRunner.run(&workflow, 2).await.unwrap();
    assert!(status.is_completed());
    let broken =
        WorkflowBuilder::new(context("broken")).then("b", |_: u32| async move { Err::<u32, BoxError>("no".into()) }).build().unwrap();
    assert!(matches!(InProcessRunner.run(&broken, 2).await, Ok(WorkflowStatus::Failed(text)) if text.contains("no")));
    assert!(matches!(broken.run_once(2).await, Err(RuntimeError::Workflow(_))));
}

/// Any backend will do.
async fn start_and_resume<B: PersistentBackend>(backend: B) {
    let workflow = WorkflowBuilder::new(context("gate"))
        .then_task::<Double>()
        .wait_for_signal("gate", "go", None)
        .then("end", |word: String| async move { Ok(word) })
        .build()
        .unwrap();
    let other = WorkflowBuilder::new(context("other")).then_task::<Double>().build().unwrap();
    let backend = Arc::new(backend);
    let runner = CheckpointingRunner::from_shared(Arc::clone(&backend)).with_conflict_policy(ConflictPolicy::Fail);
    let shared: &Arc<B> = runner.backend();
    assert!(Arc::ptr_eq(shared, &backend));

    let status = runner.run(&workflow, String::from("g"), 1).await.unwrap();
    let WorkflowStatus::AwaitingSignal { signal_id, signal_name, wake_at: None } = status else { panic!("{status:?}") };
    assert_eq!((signal_id.as_str(), signal_name.as_str()), ("gate", "go"));
    let error = runner.run(&workflow, "g", 1).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::InstanceAlreadyExists(id) if id == "g"), "{error}");
    assert!(matches!(runner.run(&workflow, "", 1).await, Err(RuntimeError::InvalidInstanceId(_))));
    assert!(runner.resume(&other, "g").await.unwrap_err().to_string().contains("mismatch"));
    assert!(runner.resume(&workflow, "nobody").await.unwrap_err().to_string().contains("not found"));
    backend.send_event("g", "go", JsonCodec.encode("open").unwrap()).await.unwrap();
    assert_eq!(runner.resume(&workflow, "g").await.unwrap(), WorkflowStatus::Completed);
    assert_eq!(runner.resume(&workflow, "g").await.unwrap(), WorkflowStatus::Completed, "a finished one stays so");
}

#[tokio::test]
async fn in_memory() {
    start_and_resume(InMemoryBackend::new()).await;
}

#[tokio::test]
async fn on_sqlite() {
    start_and_resume(SqliteBackend::in_memory().await.unwrap()).await;
}

#[tokio::test]
async fn a_runner_takes_both_kinds_of_workflow_and_its_futures_are_sent() {
    let workflow = Arc::new(WorkflowBuilder::new(context("serializable")).with_registry().then_task::<Double>().build().unwrap());
    let run = tokio::spawn(async move { CheckpointingRunner::new(InMemoryBackend::new()).run(&workflow, "s", 1).await });
    assert!(run.await.unwrap().unwrap().is_completed());
}

#[tokio::test]
async fn a_task_knows_where_it_is() {
    let workflow = WorkflowBuilder::new(WorkflowContext::new("aware", Arc::new(JsonCodec), Arc::new(serde_json::json!({"team": "x"}))))
        .then("look", |(): ()| async move {
            let context = task_context!().ok_or("no context")?;
            assert_eq!((&*context.workflow_id, &*context.instance_id, &*context.task_id), ("aware", "w", "look"));
            assert_eq!(context.metadata.priority, Some(Priority::High));
            Ok(context.workflow_metadata_json.as_deref().map(str::to_owned))
        })
        .with_metadata(TaskMetadata { priority: Some(Priority::High), ..Default::default() })
        .build()
        .unwrap();
    let runner = CheckpointingRunner::new(InMemoryBackend::new());
    assert!(runner.run(&workflow, "w", ()).await.unwrap().is_completed());
    let client = WorkflowClient::from_shared(Arc::clone(runner.backend()));
    assert_eq!(client.wait_for(&workflow, "w", None).await.unwrap().unwrap(), r#"{"team":"x"}"#);
}

#[tokio::test]
async fn a_decode_error_says_that_it_is_one() {
    let numbers = WorkflowBuilder::new(context("same")).then("a", |x: u32| async move { Ok(x) }).build().unwrap();
    let words = WorkflowBuilder::new(context("same")).then("a", |_: u32| async move { Ok(String::new()) }).build().unwrap();
    let runner = CheckpointingRunner::new(InMemoryBackend::new());
    runner.run(&numbers, "n", 1).await.unwrap();
    let client = WorkflowClient::from_shared(Arc::clone(runner.backend()));
    let error = client.wait_for(&words, "n", None).await.unwrap_err();
    assert!(error.is_decode_error() && matches!(error, RuntimeError::Codec(_)), "{error}");
    assert!(!client.status("nobody").await.unwrap_err().is_decode_error());
}
