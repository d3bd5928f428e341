//! Tasks whose code is elsewhere: answered over a channel, late, wrongly, or never. Under a clock that jumps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "tests")]

mod town;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::future::BoxFuture;
use sayiir_persistence::{InMemoryBackend, Store};
use sayiir_runtime::prelude::*;
use sayiir_runtime::{TaskCall, TaskExecutor, TaskInput};
use tokio::sync::{mpsc, oneshot};
use town::{flow, memory, retried};

const SECOND: Duration = Duration::from_secs(1);

type Answer = Result<Bytes, BoxError>;
type Call = (TaskCall, oneshot::Sender<Answer>);

/// An executor that puts each call into a queue, for somebody to answer.
struct Queue {
    calls: mpsc::UnboundedSender<Call>,
    has: fn(&str) -> bool,
}

impl TaskExecutor for Queue {
    fn execute(&self, call: TaskCall) -> BoxFuture<'static, Answer> {
        let (answer, answered) = oneshot::channel();
        let sent = self.calls.send((call, answer));
        Box::pin(async move {
            sent?;
            answered.await?
        })
    }

    fn has(&self, workflow_id: &str, task_id: &str) -> bool {
        assert_eq!(workflow_id, "remote");
        (self.has)(task_id)
    }
}

fn work(
    store: &InMemoryBackend,
    flow: &Workflow<JsonCodec, u32, (), u32>,
    has: fn(&str) -> bool,
) -> (WorkerHandle<InMemoryBackend>, mpsc::UnboundedReceiver<Call>) {
    let (calls, called) = mpsc::unbounded_channel();
    let worker = PooledWorker::new("remote", store.clone(), TaskRegistry::new());
    let flows = vec![(*flow.definition_hash(), Arc::new(flow.clone()))];
    (worker.spawn_with_executor(SECOND, flows, Arc::new(Queue { calls, has })), called)
}

fn encoded<T>(value: &T) -> Bytes
where
    JsonCodec: sayiir_core::codec::sealed::EncodeValue<T>,
{
    JsonCodec.encode(value).unwrap()
}

/// What stands in the definition is not what runs.
fn elsewhere(_: u32) -> std::future::Ready<Result<u32, BoxError>> {
    panic!("the code of this task is elsewhere")
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_task_is_run_by_an_executor_that_answers_over_a_channel() {
    let remote = flow("remote")
        .then("double", elsewhere)
        .fork()
        .branch("left", elsewhere)
        .branch("right", elsewhere)
        .join("sum", |_: BranchOutputs<JsonCodec>| elsewhere(0))
        .route_str::<u32, _, _>(|_: u32| async move { panic!("the code of this key is elsewhere") })
        .branch("big", |arm| arm.then("halve", elsewhere))
        .done()
        .then("own", |routed: BranchEnvelope<u32>| async move { Ok(routed.result + 1) })
        .build()
        .unwrap();
    let store = memory();
    let (worker, mut calls) = work(&store, &remote, |task| task != "own");
    let client = WorkflowClient::new(store);
    client.submit(&remote, "r", 10).await.unwrap();
    let host = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some((TaskCall { input, context }, answer)) = calls.recv().await {
            seen.push(context.node_path.to_string());
            assert_eq!((&*context.workflow_id, &*context.instance_id, context.attempt), ("remote", "r", 1));
            let output = match input {
                TaskInput::Value(value) => {
                    let value: u32 = JsonCodec.decode(value).unwrap();
                    match &*context.task_id {
                        "double" => encoded(&(2 * value)),
                        "left" => encoded(&(value + 1)),
                        "right" => encoded(&(value + 2)),
                        "halve" => encoded(&(value / 2)),
                        // A route's key is plain text.
                        _ => Bytes::from_static(b"big"),
                    }
                }
                TaskInput::Branches(branches) => {
                    let sum: u32 = branches.into_iter().map(|(_, value)| JsonCodec.decode::<u32>(value).unwrap()).sum();
                    encoded(&sum)
                }
            };
            answer.send(Ok(output)).unwrap();
        }
        seen
    });
    assert_eq!(client.wait_for(&remote, "r", None).await.unwrap(), 22);
    worker.shutdown();
    worker.join().await.unwrap();
    let seen = host.await.unwrap();
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_never_answers_meets_the_time_limit_and_its_late_answer_nobody() {
    let metadata = TaskMetadata { timeout: Some(60 * SECOND), ..retried(1, SECOND) };
    let remote = flow("remote").then("never", elsewhere).with_metadata(metadata).build().unwrap();
    let store = memory();
    let (_worker, mut calls) = work(&store, &remote, |_| true);
    let client = WorkflowClient::new(store);
    client.submit(&remote, "r", 1).await.unwrap();
    let (first, late) = calls.recv().await.unwrap();
    let (second, never) = calls.recv().await.unwrap();
    assert_eq!((first.context.attempt, second.context.attempt), (1, 2));
    assert_eq!(first.context.idempotency_key(), second.context.idempotency_key());
    assert!(late.is_closed(), "its attempt is over");
    assert!(late.send(Ok(encoded(&99_u32))).is_err(), "nobody takes a late answer");
    assert!(!never.is_closed());
    let status = client.wait("r", None).await.unwrap().status;
    assert!(matches!(&status, WorkflowStatus::Failed(error) if error.contains("never") && error.contains("attempt 2")), "{status:?}");
    assert!(never.is_closed());
}

#[tokio::test(start_paused = true)]
async fn what_an_executor_answers_after_its_lease_was_taken_is_refused() {
    let remote = flow("remote").then("slow", elsewhere).then("end", |x: u32| async move { Ok(x) }).build().unwrap();
    let store = memory();
    let (first, mut calls_of_first) = work(&store, &remote, |task| task == "slow");
    let client = WorkflowClient::new(store.clone());
    client.submit(&remote, "r", 1).await.unwrap();
    let (_, late) = calls_of_first.recv().await.unwrap();
    let (_second, mut calls_of_second) = work(&store, &remote, |task| task == "slow");
    let lease = store.instance("r").await.unwrap().unwrap().branches[0].lease.unwrap();
    store.expire_leases(lease).await.unwrap();
    let (_, answer) = tokio::select! {
        again = calls_of_second.recv() => again.unwrap(),
        // The first may take its own lapsed lease again: then this is the second attempt of the same owner.
        again = calls_of_first.recv() => again.unwrap(),
    };
    // It may have heard already that it lost the branch.
    let _ = late.send(Ok(encoded(&99_u32)));
    tokio::time::sleep(SECOND).await;
    assert_eq!(client.get_task_result("r", "slow").await.unwrap(), None, "the late answer is not stored");
    answer.send(Ok(encoded(&7_u32))).unwrap();
    assert_eq!(client.wait_for(&remote, "r", None).await.unwrap(), 7);
    first.shutdown();
    first.join().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_executor_says_whether_and_when_to_try_again() {
    let remote = flow("remote").then("picky", elsewhere).with_metadata(retried(5, SECOND)).build().unwrap();
    let store = memory();
    let (_worker, mut calls) = work(&store, &remote, |_| true);
    let client = WorkflowClient::new(store);
    client.submit(&remote, "r", 1).await.unwrap();
    let next = async |calls: &mut mpsc::UnboundedReceiver<Call>| calls.recv().await.unwrap();
    let (_, answer) = next(&mut calls).await;
    let begun = tokio::time::Instant::now();
    answer.send(Err(RetryAfter::new(600 * SECOND, "busy").into())).unwrap();
    let (_, answer) = next(&mut calls).await;
    assert!(begun.elapsed() >= 600 * SECOND);
    answer.send(Err(DoNotRetry::new("broken").into())).unwrap();
    let status = client.wait("r", None).await.unwrap().status;
    assert!(matches!(&status, WorkflowStatus::Failed(error) if error.contains("attempt 2") && error.contains("broken")), "{status:?}");
}
