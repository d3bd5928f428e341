//! Pooled workers: set up in every way, serving workflows of any kind and any mix.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use sayiir::prelude::*;

use crate::support::{Add, Double, context};

const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

type Registered = Arc<SerializableWorkflow<JsonCodec, u32, (), u32>>;

/// A worker that is kept somewhere has a name.
struct Service {
    handle: WorkerHandle<InMemoryBackend>,
}

#[tokio::test]
async fn a_worker_with_a_name_a_store_and_a_registry() {
    let backend = InMemoryBackend::new();
    let codec = Arc::new(JsonCodec);
    let mut registry = TaskRegistry::new();
    registry.register("double", Arc::clone(&codec), Double);
    registry.register("add", codec, Add(1));
    let workflow = WorkflowBuilder::new(context("registered"))
        .with_existing_registry(registry.clone())
        .then_registered::<u32>("double")
        .then_registered::<u32>("add")
        .build()
        .unwrap();
    let workflow = Arc::new(workflow);
    let workflows: Vec<(DefinitionHash, Registered)> = vec![(*workflow.definition_hash(), Arc::clone(&workflow))];

    let worker = PooledWorker::new("worker-1", backend.clone(), registry)
        .with_claim_ttl(Some(Duration::from_mins(1)))
        .with_aging_interval(Duration::from_mins(1))
        .with_batch_size(NonZeroUsize::new(4).unwrap())
        .with_max_concurrent_tasks(NonZeroUsize::new(2).unwrap());
    let service = Service { handle: worker.spawn(POLL, workflows) };

    let client = WorkflowClient::new(backend);
    let (status, output) = client.submit(&workflow, "r", 20).await.unwrap();
    assert!(!status.is_terminal() && output.is_none());
    assert_eq!(client.wait_for(&workflow, "r", PATIENCE).await.unwrap(), 41);
    let again = service.handle.clone();
    assert!(Arc::ptr_eq(again.backend(), service.handle.backend()));
    again.shutdown();
    service.handle.join().await.unwrap();
    again.join().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_is_built_and_an_empty_registry() {
    let workflow = WorkflowBuilder::new(context("built")).then_task::<Double>().build().unwrap();
    let workflow: Arc<Workflow<JsonCodec, u32, (), u32>> = Arc::new(workflow);
    let worker = PooledWorker::builder(InMemoryBackend::new(), TaskRegistry::new())
        .worker_id("built-1")
        .claim_ttl(Duration::from_secs(30))
        .aging_interval(Duration::from_secs(30))
        .batch_size(NonZeroUsize::MIN)
        .max_concurrent_tasks(NonZeroUsize::new(8).unwrap())
        .tags(vec!["math".to_owned()])
        .build();
    let handle = worker.spawn(POLL, vec![(*workflow.definition_hash(), Arc::clone(&workflow))]);
    let client = WorkflowClient::from_shared(Arc::clone(handle.backend()));
    client.submit(&workflow, "b", 4).await.unwrap();
    assert_eq!(client.wait_for(&workflow, "b", PATIENCE).await.unwrap(), 8);
    handle.shutdown();
    handle.join().await.unwrap();
}

#[tokio::test]
async fn one_worker_serves_workflows_of_different_input_types() {
    let numbers = Arc::new(WorkflowBuilder::new(context("numbers")).then_task::<Double>().build().unwrap());
    let words = WorkflowBuilder::new(context("words")).with_registry();
    let words = Arc::new(words.then("shout", |word: String| async move { Ok(word.to_uppercase()) }).build().unwrap());
    let backend = SqliteBackend::in_memory().await.unwrap();
    let worker = PooledWorker::new("mixed", backend.clone(), TaskRegistry::new()).with_claim_ttl(None);
    let set =
        WorkflowSet::new().with(Arc::<Workflow<_, _, _, _>>::clone(&numbers)).with(Arc::<SerializableWorkflow<_, _, _, _>>::clone(&words));
    let handle = worker.spawn(POLL, set);
    let client = WorkflowClient::new(backend);
    client.submit(&numbers, "n", 3).await.unwrap();
    client.submit(&words, "w", "hi".to_owned()).await.unwrap();
    assert_eq!(client.wait_for(&numbers, "n", PATIENCE).await.unwrap(), 6);
    assert_eq!(client.wait_for(&words, "w", PATIENCE).await.unwrap(), "HI");
    handle.shutdown();
    handle.join().await.unwrap();
}

#[tokio::test]
async fn a_worker_with_nothing_to_serve_says_so() {
    let handle = PooledWorker::new("idle", InMemoryBackend::new(), TaskRegistry::new()).spawn(POLL, WorkflowSet::new());
    assert!(matches!(handle.join().await, Err(RuntimeError::NoWorkflow)));
}
