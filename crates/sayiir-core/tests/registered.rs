//! Workflows with a registry: tasks taken from it, tasks kept in it, definitions rebuilt from it.

#![allow(clippy::redundant_closure_for_method_calls, reason = "an arm reads the same whether it has one step or two")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{Countdown, Double, context, now, paths, run};
use sayiir_core::prelude::*;
use sayiir_core::task::TaskInput;
use sayiir_core::workflow::RunnableWorkflow;

#[test]
fn parent_and_child_use_the_same_names() {
    let build =
        |name: &str, add: u32| WorkflowBuilder::new(context(name)).with_registry().then("a", move |x: u32| async move { Ok(x + add) });
    let grandchild = build("c", 1).build().unwrap();
    let child = build("b", 10).then_serializable_flow(grandchild).build().unwrap();
    let parent = build("p", 100).then_serializable_flow(child).then_task::<Double>().build().unwrap();
    assert_eq!(paths(&parent), ["a", "b", "b/a", "b/c", "b/c/a", "double"]);
    for (path, output) in [("a", "100"), ("b/a", "10"), ("b/c/a", "1"), ("double", "0")] {
        assert_eq!(run(&parent, path, "0").unwrap(), output, "{path}");
    }
    assert_eq!(parent.registry().task_ids().collect::<Vec<_>>(), ["a", "b/a", "b/c/a", "double"]);
    let rebuilt = parent.to_runnable(&parent.to_serializable()).unwrap();
    assert_eq!(run(&rebuilt, "b/c/a", "0").unwrap(), "1");
}

#[test]
fn a_registry_gives_every_kind_of_task() {
    let codec = Arc::new(JsonCodec);
    let mut registry = TaskRegistry::with_codec(codec)
        .register("double", Double)
        .register("countdown", Countdown)
        .register_fn("key", |x: u32| async move { Ok(format!("k{x}")) })
        .register_fn("names", |results: NamedBranchResults| async move { Ok(results.len()) })
        .register_join("sum", |o: BranchOutputs<_>| async move { Ok(o.get::<Double>()? + o.get_by_id::<u32>("flow")?) })
        .build();
    assert!(registry.set_metadata("double", TaskMetadata { tags: vec!["math".to_owned()], ..TaskMetadata::default() }));
    assert!(!registry.set_metadata("triple", TaskMetadata::default()));
    let workflow: SerializableWorkflow<_, u32, _, usize> = WorkflowBuilder::new(context("registered"))
        .with_existing_registry(registry)
        .then_registered::<u32>("double")
        .fork()
        .branch_registered("double")
        .branch_flow("flow", |b| b.loop_task_registered::<u32>("countdown", 9))
        .join_registered::<u32>("sum")
        .route_registered::<u32>("key")
        .branch_registered("k1", &["double", "double"])
        .branch("k2", |arm| arm.then_task::<Double>())
        .default_registered(&["double"])
        .done()
        .fork()
        .branch_flow("only", |b| b.delay("d", Duration::ZERO))
        .join_registered::<usize>("names")
        .build()
        .unwrap();
    let nodes: Vec<_> = workflow.iter_nodes().collect();
    assert_eq!(nodes[0].tags, ["math"]);
    assert_eq!(run(&workflow, "key", "7").unwrap(), "k7");
    let join = |path: &str, branches: &[(&str, &'static str)]| {
        let node = workflow.plan().find(path).unwrap();
        let branches = branches.iter().map(|(name, output)| (Arc::from(*name), Bytes::from_static(output.as_bytes()))).collect();
        now(workflow.task(node).unwrap().run(TaskInput::Branches(branches))).map(|output| String::from_utf8(output.to_vec()).unwrap())
    };
    assert_eq!(join("sum", &[("double", "40"), ("flow", "2")]).unwrap(), "42");
    assert_eq!(join("sum", &[("double", "40")]).unwrap_err().to_string(), "no branch \"flow\"");
    assert_eq!(join("names", &[("only", "1")]).unwrap(), "1");
    assert!(join("double", &[]).unwrap_err().to_string().contains("\"double\""));
    assert!(run(&workflow, "sum", "1").is_err());
}

#[test]
fn what_a_registry_lacks_is_said() {
    let built: Result<SerializableWorkflow<_, u32, _, _>, _> = WorkflowBuilder::new(context("lacking"))
        .with_existing_registry(TaskRegistry::new())
        .then_registered::<u32>("x")
        .route_registered::<u32>("y")
        .branch_registered("k", &["z"])
        .branch_registered("l", &[])
        .done()
        .build();
    let missing = |id: &str| BuildError::TaskNotFound(id.to_owned());
    let expected = [missing("x"), missing("y"), missing("z"), BuildError::EmptyBranch("l".to_owned())];
    assert_eq!(built.unwrap_err().into_vec(), expected);

    let mut registry = TaskRegistry::new();
    registry.register_fn("a", Arc::new(JsonCodec), |x: u32| async move { Ok(x) });
    let builder = WorkflowBuilder::new(context("other")).with_existing_registry(registry);
    let errors = builder.then("a", |x: u32| async move { Ok(x + 1) }).build().unwrap_err();
    assert_eq!(errors.into_vec(), [BuildError::DuplicateTaskId("a".to_owned())]);
}

#[test]
fn a_stored_definition_is_rebuilt_or_refused() {
    let build = |id: &str| WorkflowBuilder::new(context("stored")).with_registry().then(id, |x: u32| async move { Ok(x) }).build().unwrap();
    let (workflow, other) = (build("a"), build("b"));
    let stored = workflow.to_serializable();
    assert_eq!(
        serde_json::to_value(&stored).unwrap()["nodes"][0],
        serde_json::json!({"path": "a", "id": "a", "kind": "task", "task": "a", "types": {"input": "u32", "output": "u32"}})
    );
    assert_eq!(run(&workflow.to_runnable(&stored).unwrap(), "a", "3").unwrap(), "3");
    let found = *workflow.definition_hash();
    let errors = other.to_runnable(&stored).unwrap_err();
    assert_eq!(errors.iter().next(), Some(&BuildError::DefinitionMismatch { expected: *other.definition_hash(), found }));
    assert!(errors.to_string().ends_with("since it was stored: \"a\" (task) removed; \"b\" (task) added"), "{errors}");
    let mut unknown = stored.clone();
    unknown.nodes[0].task = Some("gone".to_owned());
    assert_eq!(workflow.to_runnable(&unknown).unwrap_err().into_vec(), [BuildError::TaskNotFound("gone".to_owned())]);
    let later = serde_json::to_string(&stored).unwrap().replace("sayiir-definition-2", "sayiir-definition-9");
    assert!(serde_json::from_str::<sayiir_core::workflow::WorkflowDefinition>(&later).is_err());
}

/// Two instances of one type are one task at many nodes, but each node keeps its own.
#[test]
fn instances_with_values_of_their_own_are_kept_apart() {
    let workflow =
        WorkflowBuilder::new(context("instances")).with_registry().then_task_with(Add(1)).then_task_with(Add(10)).build().unwrap();
    assert_eq!(workflow.registry().task_ids().collect::<Vec<_>>(), ["add", "add#2"]);
    let rebuilt = workflow.to_runnable(&workflow.to_serializable()).unwrap();
    for workflow in [workflow.workflow(), &rebuilt] {
        assert_eq!(run(workflow, "add", "0").unwrap(), "1");
        assert_eq!(run(workflow, "add#2", "0").unwrap(), "10");
    }
}

struct Add(u32);

impl CoreTask for Add {
    type Input = u32;
    type Output = u32;
    type Future = std::future::Ready<Result<u32, BoxError>>;

    fn run(&self, input: u32) -> Self::Future {
        std::future::ready(Ok(input + self.0))
    }
}

impl RegisterableTask for Add {
    fn task_id() -> &'static str {
        "add"
    }
}
