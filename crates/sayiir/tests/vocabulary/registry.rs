//! Tasks and their registry.

use std::sync::Arc;

use sayiir::prelude::*;

use crate::support::{Add, Double, context};

#[test]
fn tasks_are_registered_and_found() {
    let codec = Arc::new(JsonCodec);
    let mut registry = TaskRegistry::new();
    assert!(registry.is_empty());
    registry.register("double", Arc::clone(&codec), Double);
    registry.register_with_metadata(
        "add",
        Arc::clone(&codec),
        Add(1),
        TaskMetadata { priority: Some(Priority::Low), ..Default::default() },
    );
    registry.register_fn("half", Arc::clone(&codec), |x: u32| async move { Ok(x / 2) });
    registry.register_fn_with_metadata("same", Arc::clone(&codec), |x: u32| async move { Ok(x) }, TaskMetadata::default());
    registry.register("closure", Arc::clone(&codec), fn_task(|x: u32| async move { Ok(x) }));
    registry.register_join("sum", Arc::clone(&codec), |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) });
    registry.register_join_with_metadata("count", codec, |o: BranchOutputs<_>| async move { Ok(o.len()) }, TaskMetadata::default());
    assert_eq!(registry.len(), 7);
    assert!(registry.contains("half") && registry.get("half").is_some() && registry.get("third").is_none());
    assert_eq!(registry.get_metadata("add").unwrap().priority, Some(Priority::Low));
    registry.set_metadata("add", TaskMetadata { priority: Some(Priority::High), ..Default::default() });
    assert_eq!(registry.get_metadata("add").unwrap().priority, Some(Priority::High));
    let ids: Vec<_> = registry.task_ids().map(str::to_owned).collect();
    assert!(ids.contains(&"closure".to_owned()), "{ids:?}");
}

#[tokio::test]
async fn of_two_registries_the_first_registration_wins() {
    let mut first = TaskRegistry::with_codec(Arc::new(JsonCodec)).register("add", Add(1)).build();
    let second = TaskRegistry::with_codec(Arc::new(JsonCodec)).register("add", Add(100)).register("double", Double).build();
    first.merge(second);
    assert_eq!(first.len(), 2);
    let workflow: SerializableWorkflow<JsonCodec, u32, (), u32> =
        WorkflowBuilder::new(context("merged")).with_existing_registry(first).then_registered::<u32>("add").build().unwrap();
    assert_eq!(workflow.run_once(1).await.unwrap(), 2);
}

#[tokio::test]
async fn a_workflow_with_a_registry_is_stored_and_rebuilt() {
    let workflow = WorkflowBuilder::new(context("stored"))
        .with_registry()
        .then("first", |x: u32| async move { Ok(x + 1) })
        .then_task::<Double>()
        .then_task_with(Add(5))
        .build()
        .unwrap();
    assert_eq!(workflow.workflow().definition_hash(), workflow.definition_hash());
    assert!(workflow.registry().contains("first") && workflow.registry().contains("double"));
    let state = workflow.to_serializable();
    let runnable = workflow.to_runnable(&state).unwrap();
    assert_eq!(runnable.run_once(1).await.unwrap(), 9);
    let (workflow, registry) = workflow.into_parts();
    assert_eq!((workflow.run_once(1).await.unwrap(), registry.len()), (9, 3));
}

#[tokio::test]
async fn a_registered_join_may_take_names_and_payloads() {
    let registry = TaskRegistry::with_codec(Arc::new(JsonCodec))
        .register_fn("names", |results: NamedBranchResults| async move {
            assert_eq!((results.len(), results.is_empty()), (2, false));
            assert_eq!(results.as_slice()[0].0, "add");
            assert_eq!(results.clone().into_map()["double"], "8");
            Ok(results.into_vec().into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        })
        .build();
    let workflow = WorkflowBuilder::new(context("names"))
        .with_existing_registry(registry)
        .fork()
        .branch_task_with(Add(1))
        .branch_task::<Double>()
        .join_registered::<Vec<String>>("names")
        .build()
        .unwrap();
    assert_eq!(workflow.run_once(4).await.unwrap(), ["add", "double"]);
}
