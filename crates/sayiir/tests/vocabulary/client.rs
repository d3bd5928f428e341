//! The client: starts instances, asks and tells them things; a worker runs them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use sayiir::prelude::*;

use crate::support::{Add, Double, context};

#[tokio::test]
async fn submit_ask_tell_and_wait() {
    let workflow = WorkflowBuilder::new(context("client"))
        .then_task::<Double>()
        .wait_for_signal("gate", "go", None)
        .then("end", |x: u32| async move { Ok(x + 1) })
        .build()
        .unwrap();
    let store = SqliteBackend::in_memory().await.unwrap();
    let worker = LocalWorker::builder(store.clone()).spawn(WorkflowSet::new().with(Arc::new(workflow.clone()))).await.unwrap();
    let client = WorkflowClient::new(store).with_conflict_policy(ConflictPolicy::UseExisting);

    let (status, output): (WorkflowStatus, Option<Bytes>) = client.submit(&workflow, "c", 3).await.unwrap();
    assert_eq!((status, output), (WorkflowStatus::InProgress, None));
    client.send_event("c", "go", JsonCodec.encode(&7).unwrap()).await.unwrap();
    let Outcome { status, output } = client.wait("c", Some(Duration::from_mins(1))).await.unwrap();
    assert_eq!((status, output.as_deref()), (WorkflowStatus::Completed, Some(&b"8"[..])));
    assert_eq!(client.wait_for(&workflow, "c", None).await.unwrap(), 8);
    assert_eq!(client.submit(&workflow, "c", 3).await.unwrap(), (WorkflowStatus::Completed, Some(Bytes::from_static(b"8"))));
    assert_eq!(client.status("c").await.unwrap(), WorkflowStatus::Completed);
    assert_eq!(client.get_task_result("c", "double").await.unwrap().unwrap(), "6");
    assert_eq!(client.get_task_result("c", TaskId::from("double")).await.unwrap().unwrap(), "6");
    assert_eq!(client.get_task_result_of::<Double>("c").await.unwrap().unwrap(), "6");
    assert_eq!(client.get_task_result("c", "nobody").await.unwrap(), None);
    assert_eq!(client.list(InstanceFilter::default()).await.unwrap().len(), 1);
    assert_eq!(client.history("c").await.unwrap().last().unwrap().output.as_deref(), Some(&b"8"[..]));
    let (here, there) = (worker.clone(), worker.clone());
    assert!(here.join().now_or_never().is_none(), "it goes on until it is told to end");
    let elsewhere = tokio::spawn(async move { there.join().await });
    worker.shutdown();
    worker.join().await.unwrap();
    elsewhere.await.unwrap().unwrap();
    here.join().await.unwrap();
}

#[tokio::test]
async fn a_worker_without_a_workflow_is_refused() {
    let refused = LocalWorker::builder(InMemoryBackend::new()).spawn(WorkflowSet::new()).await;
    assert_eq!(refused.unwrap_err().to_string(), "a worker needs at least one workflow");
}

#[tokio::test]
async fn cancel_and_pause() {
    let workflow = WorkflowBuilder::new(context("held")).wait_for_signal("gate", "go", None).then_task::<Double>().build().unwrap();
    let done = WorkflowBuilder::new(context("done")).then_task::<Double>().build().unwrap();
    let runner = CheckpointingRunner::new(InMemoryBackend::new());
    let client = WorkflowClient::from_shared(Arc::clone(runner.backend()));
    runner.run(&workflow, "held", ()).await.unwrap();
    runner.run(&done, "done", 1).await.unwrap();

    client.pause("held", Some("lunch".to_owned()), Some("ada".to_owned())).await.unwrap();
    let paused = WorkflowStatus::Paused { reason: Some("lunch".to_owned()), paused_by: Some("ada".to_owned()) };
    assert_eq!(client.status("held").await.unwrap(), paused);
    client.unpause("held").await.unwrap();
    assert!(matches!(client.status("held").await.unwrap(), WorkflowStatus::AwaitingSignal { .. }));
    client.pause("held", None, None).await.unwrap();
    client.cancel("held", Some("enough".to_owned()), None).await.unwrap();
    client.cancel("held", None, None).await.unwrap();
    let cancelled = WorkflowStatus::Cancelled { reason: Some("enough".to_owned()), cancelled_by: None };
    assert_eq!(client.status("held").await.unwrap(), cancelled);

    let error = client.cancel("done", None, None).await.unwrap_err();
    assert_eq!(error.to_string(), "Cannot cancel: instance \"done\" is completed");
    let error = client.pause("done", None, None).await.unwrap_err();
    assert_eq!(error.to_string(), "Cannot pause: instance \"done\" is completed");
    assert!(client.send_event("done", "go", "1").await.unwrap_err().to_string().contains("completed"));
    for error in [client.status("nobody").await.unwrap_err(), client.cancel("nobody", None, None).await.unwrap_err()] {
        assert_eq!(error.to_string(), "instance not found: \"nobody\"");
    }
}

#[tokio::test]
async fn a_result_is_found_by_path_by_id_and_by_type() {
    let workflow = WorkflowBuilder::new(context("results"))
        .then_task::<Double>()
        .then_task::<Double>()
        .fork()
        .branch_flow("left", |b| b.then_task_with(Add(1)).then("a/b", |x: u32| async move { Ok(x) }))
        .branch("right", |x: u32| async move { Ok(x) })
        .join("ship", |o: BranchOutputs<_>| async move { o.get_by_id::<u32>("right") })
        .loop_task("pages", |x: u32| async move { Ok(if x < 22 { LoopResult::Again(x + 1) } else { LoopResult::Done(x) }) }, 9)
        .build()
        .unwrap();
    let runner = CheckpointingRunner::new(InMemoryBackend::new());
    runner.run(&workflow, "r", 5).await.unwrap();
    let client = WorkflowClient::from_shared(Arc::clone(runner.backend()));
    let result = async |task: &str| String::from_utf8(client.get_task_result("r", task).await.unwrap().unwrap_or_default().into()).unwrap();
    for (task, output) in [
        ("double", "10"),
        ("double#2", "20"),
        ("ship", "20"),
        ("ship/right", "20"),
        ("right", "20"),
        ("ship/left/add", "21"),
        ("add", "21"),
        ("a/b", "21"),
        ("pages[0]", r#"{"_loop":"again","value":21}"#),
        ("pages", r#"{"_loop":"done","value":22}"#),
        ("left", ""),
    ] {
        assert_eq!(result(task).await, output, "{task}");
    }
    assert_eq!(client.get_task_result_of::<Add>("r").await.unwrap().unwrap(), "21");
    assert_eq!(client.get_task_result("r", &TaskId::from("ship/left/add")).await.unwrap().unwrap(), "21");
    assert_eq!(client.get_task_result_of::<Double>("r").await.unwrap().unwrap(), "20", "the latest");
}
