//! An instance that waits is brought to its end by a build with other policies: none of them is part of the definition.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use sayiir::prelude::*;

#[derive(Default)]
struct Policies {
    task: TaskMetadata,
    delay: Duration,
    wait: Option<Duration>,
    more_iterations: u32,
    on_max: MaxIterationsPolicy,
}

fn flow(policies: Policies) -> Workflow<JsonCodec, u32, (), u32> {
    let Policies { task, delay, wait, more_iterations, on_max } = policies;
    WorkflowBuilder::new(WorkflowContext::new("policies", Arc::new(JsonCodec), Arc::new(())))
        .then("first", |x: u32| async move { Ok(x) })
        .with_metadata(task.clone())
        .wait_for_signal("wait", "go", wait)
        .then("second", |x: u32| async move { Ok(x) })
        .with_metadata(task.clone())
        .delay("delay", delay)
        .loop_task_with_policy(
            "loop",
            |x: u32| async move { Ok(if x < 9 { LoopResult::Again(x + 1) } else { LoopResult::Done(x) }) },
            5 + more_iterations,
            on_max,
        )
        .with_metadata(task)
        .build()
        .unwrap()
}

fn task(task: TaskMetadata) -> Policies {
    Policies { task, ..Policies::default() }
}

#[tokio::test]
async fn a_waiting_instance_goes_on_under_other_policies() {
    let hour = Duration::from_hours(1);
    let changes = [
        ("retry", task(TaskMetadata { retries: Some(RetryPolicy::with_max_retries(9)), ..TaskMetadata::default() })),
        ("timeout", task(TaskMetadata { timeout: Some(hour), ..TaskMetadata::default() })),
        ("tag", task(TaskMetadata { tags: vec!["gpu".to_owned()], ..TaskMetadata::default() })),
        ("priority", task(TaskMetadata { priority: Some(Priority::Critical), ..TaskMetadata::default() })),
        ("display name", task(TaskMetadata { display_name: Some("Task".to_owned()), ..TaskMetadata::default() })),
        ("description", task(TaskMetadata { description: Some("does it".to_owned()), ..TaskMetadata::default() })),
        ("length of a delay", Policies { delay: Duration::from_millis(1), ..Policies::default() }),
        ("timeout of a wait", Policies { wait: Some(hour), ..Policies::default() }),
        ("bound of a loop", Policies { more_iterations: 4, ..Policies::default() }),
        ("end of a loop", Policies { on_max: MaxIterationsPolicy::ExitWithLast, ..Policies::default() }),
    ];
    let place = tempfile::tempdir().unwrap();
    let store = SqliteBackend::open(place.path().join("policies.db")).await.unwrap();
    let client = WorkflowClient::new(store.clone());
    for (changed, policies) in changes {
        let runner = CheckpointingRunner::new(store.clone());
        let status = runner.run(&flow(Policies::default()), changed, 1).await.unwrap();
        assert!(matches!(status, WorkflowStatus::AwaitingSignal { .. }), "{changed}: {status:?}");
        client.send_event(changed, "go", "7").await.unwrap();
        let flow = flow(policies);
        let worker = LocalWorker::builder(store.clone()).spawn(WorkflowSet::new().with(Arc::new(flow.clone()))).await.unwrap();
        assert_eq!(client.wait_for(&flow, changed, Some(Duration::from_secs(30))).await.unwrap(), 9, "{changed}");
        worker.shutdown();
        worker.join().await.unwrap();
    }
}
