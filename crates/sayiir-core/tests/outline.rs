//! An outline is the same definition as what the builder makes of the same graph, and is checked as strictly.
#![cfg(feature = "json")]
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::error::{BoxError, BuildError, BuildErrors};
use sayiir_core::future::BoxFuture;
use sayiir_core::plan::NodeIx;
use sayiir_core::prelude::*;
use sayiir_core::task::{ErasedTask, TaskInput};
use sayiir_core::workflow::{Outline, OutlineWorkflow, RunnableWorkflow};
use serde_json::{Value, json};

struct Nothing;

impl ErasedTask for Nothing {
    fn run(&self, _input: TaskInput) -> BoxFuture<'static, Result<Bytes, BoxError>> {
        Box::pin(async { Ok(Bytes::from_static(b"null")) })
    }
}

fn build(outline: &Value) -> Result<OutlineWorkflow, BuildErrors> {
    let outline = Outline::from_json(&outline.to_string()).unwrap();
    outline.build(&|_: &str, id: &str| (id != "unknown").then(|| Arc::new(Nothing) as Arc<dyn ErasedTask>))
}

fn errors(nodes: &Value) -> Vec<BuildError> {
    build(&json!({ "name": "wrong", "nodes": nodes })).unwrap_err().into_vec()
}

fn task(id: &str) -> Value {
    json!({ "kind": "task", "id": id })
}

fn typed() -> Workflow<JsonCodec, u32, (), u32> {
    let context = |name: &str| WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(()));
    let child = WorkflowBuilder::new(context("child")).version("2").then("in-child", |x: u32| async move { Ok(x) }).build().unwrap();
    let versioned = TaskMetadata { version: Some("7".into()), ..Default::default() };
    WorkflowBuilder::new(context("every"))
        .version("1")
        .then("first", |x: u32| async move { Ok(x) })
        .with_metadata(versioned)
        .branches(|b| {
            b.add("left", |x: u32| async move { Ok(x) });
            b.add_flow("right", |s| s.delay("rest", Duration::from_secs(1)).then("work", |x: u32| async move { Ok(x) }));
        })
        .join("join", |outputs| async move { Ok(u32::try_from(outputs.len())?) })
        .route_str::<u32, _, _>(|x: u32| async move { Ok(x.to_string()) })
        .branch("b", |s| s.then("b1", |x: u32| async move { Ok(x) }))
        .branch("a", |s| s.then("a1", |x: u32| async move { Ok(x) }).then("a2", |x: u32| async move { Ok(x) }))
        .default_branch(|s| s.then("other", |x: u32| async move { Ok(x) }))
        .done()
        .then("unwrap", |chosen: BranchEnvelope<u32>| async move { Ok(chosen.result) })
        .loop_task("once", |x: u32| async move { Ok(LoopResult::Done(x)) }, 3)
        .loop_flow("many", |s| s.delay("pause", Duration::from_secs(1)).then("turn", |x: u32| async move { Ok(LoopResult::Done(x)) }), 4)
        .wait_for_signal("approval", "approve", Some(Duration::from_mins(1)))
        .then("approved", |x: Option<u32>| async move { Ok(x.unwrap_or(0)) })
        .then_flow(child)
        .build()
        .unwrap()
}

fn every_kind() -> Value {
    json!({ "name": "every", "version": "1", "metadata": { "team": "shop" }, "nodes": [
        { "kind": "task", "id": "first", "options": { "version": "7", "timeoutMs": 1500, "tags": ["io"], "priority": 2,
            "retries": { "maxRetries": 2, "initialDelayMs": 100, "backoffMultiplier": 3.0, "maxDelayMs": 900 } } },
        { "kind": "fork", "branches": [
            { "name": "left", "nodes": [task("left")] },
            { "name": "right", "nodes": [{ "kind": "delay", "id": "rest", "ms": 5 }, task("work")] } ],
          "join": { "id": "join", "options": {} } },
        { "kind": "route", "id": "route", "options": {}, "keys": ["b", "a", "c"],
          "arms": { "a": [task("a1"), task("a2")], "b": [task("b1")] }, "default": [task("other")] },
        task("unwrap"),
        { "kind": "loop", "id": "once", "nodes": [task("once")], "maxIterations": 9, "onMax": "exit_with_last" },
        { "kind": "loop", "id": "many", "nodes": [{ "kind": "delay", "id": "pause", "ms": 5 }, task("turn")], "maxIterations": 4 },
        { "kind": "signal", "id": "approval", "name": "approve", "timeoutMs": 5 },
        task("approved"),
        { "kind": "child", "id": "child", "workflow": { "name": "child", "version": "2", "nodes": [task("in-child")] } },
    ]})
}

#[test]
fn an_outline_is_the_same_definition_as_what_the_builder_makes() {
    let (outline, typed) = (build(&every_kind()).unwrap(), typed());
    let paths = |plan: &sayiir_core::plan::Plan| plan.nodes().iter().map(|node| node.path.to_string()).collect::<Vec<_>>();
    assert_eq!(paths(outline.plan()), paths(typed.plan()));
    assert_eq!(outline.definition_hash(), typed.definition_hash());
    assert_eq!(RunnableWorkflow::metadata_json(&outline).map(|json| &**json), Some(r#"{"team":"shop"}"#));
}

#[test]
fn what_an_outline_says_of_a_task_is_at_its_node() {
    let outline = build(&every_kind()).unwrap();
    let metadata = &outline.plan().task_at(outline.plan().first()).unwrap().metadata;
    assert_eq!((metadata.timeout, metadata.priority), (Some(Duration::from_millis(1500)), Some(Priority::High)));
    let retries = metadata.retries.as_ref().unwrap();
    assert_eq!((retries.max_retries, retries.initial_delay), (2, Duration::from_millis(100)));
    assert_eq!(retries.max_delay, Some(Duration::from_millis(900)));
    assert!(outline.plan().iter().all(|(ix, _)| RunnableWorkflow::task(&outline, ix).is_some() == outline.plan().task_at(ix).is_some()));
}

fn find(outline: &OutlineWorkflow, path: &str) -> NodeIx {
    outline.plan().find(path).unwrap()
}

#[test]
fn values_are_taken_apart_and_wrapped_without_being_changed() {
    let outline = build(&every_kind()).unwrap();
    let (payloads, many) = (RunnableWorkflow::payloads(&outline), find(&outline, "many"));
    let apart = |text: &'static str| payloads.loop_result(many, &Bytes::from_static(text.as_bytes()));
    let large = "1234567890123456789012345678901234567890";
    assert_eq!(apart(r#"{"_loop":"again","value":1234567890123456789012345678901234567890}"#).unwrap(), LoopResult::Again(large.into()));
    assert_eq!(apart(r#"{ "value" : { "a": [1,  2] }, "_loop": "done" }"#).unwrap(), LoopResult::Done(r#"{ "a": [1,  2] }"#.into()));
    assert_eq!(apart(r#"{"_loop":"done"}"#).unwrap(), LoopResult::Done("null".into()));
    assert!(apart("7").unwrap_err().to_string().contains("LoopResult.again(value)"));
    let envelope = payloads.route_envelope(find(&outline, "route"), "b", &Bytes::from_static(b"[1.0]")).unwrap();
    assert_eq!(envelope, r#"{"branch":"b","result":[1.0]}"#);
    assert_eq!(payloads.timeout_value(find(&outline, "approval")).unwrap(), "null");
    assert_eq!(outline.encode_input(&serde_json::from_str("[1,  2]").unwrap()).unwrap(), "[1,  2]");
}

#[test]
fn mistakes_are_told_together() {
    let found = errors(&json!([
        task("unknown"),
        { "kind": "task", "id": "urgent", "options": { "priority": 6 } },
        { "kind": "loop", "id": "never", "nodes": [task("body")], "maxIterations": 0 },
        { "kind": "route", "id": "r", "keys": ["a", "a", "b"], "arms": { "a": [task("x")], "z": [task("y")] } },
        { "kind": "child", "id": "kid", "workflow": { "name": "child", "nodes": [task("unknown")] } },
        { "kind": "fork", "branches": [], "join": { "id": "j" } },
    ]));
    let has = |wanted: &BuildError| found.iter().filter(|error| **error == *wanted).count();
    assert_eq!(has(&BuildError::TaskNotFound("unknown".into())), 0, "code is looked for in a graph that is right");
    assert_eq!(has(&BuildError::InvalidPriority { node: "urgent".into(), priority: 6 }), 1);
    assert_eq!(has(&BuildError::InvalidMaxIterations("never".into())), 1);
    assert_eq!(has(&BuildError::MissingBranches { branch_id: "r".into(), missing_keys: vec!["b".into()] }), 1);
    assert_eq!(has(&BuildError::OrphanBranches { branch_id: "r".into(), orphan_keys: vec!["z".into()] }), 1);
    assert_eq!(has(&BuildError::DuplicateBranch { node: "r".into(), branch: "a".into() }), 1);
    assert_eq!(has(&BuildError::EmptyFork("j".into())), 1);
    assert!(found.iter().any(|error| matches!(error, BuildError::InvalidName { name, .. } if name == "kid")), "{found:?}");
}

#[test]
fn every_task_without_code_is_told() {
    let child = json!({ "name": "child", "nodes": [task("unknown")] });
    let found = errors(&json!([task("unknown"), task("known"), { "kind": "child", "id": "child", "workflow": child }]));
    assert_eq!(found, [BuildError::TaskNotFound("unknown".into()), BuildError::TaskNotFound("unknown".into())]);
}

#[test]
fn an_outline_without_nodes_is_told_in_words() {
    let error = build(&json!({ "name": "empty", "nodes": [] })).unwrap_err().to_string();
    assert!(error.contains("Workflow must have at least one task"), "{error}");
}

#[test]
fn a_task_that_stands_twice_is_two_nodes() {
    let outline = build(&json!({ "name": "twice", "nodes": [task("a"), task("a")] })).unwrap();
    assert!(outline.plan().find("a#2").is_some());
}

#[test]
fn code_is_found_by_path_where_ids_are_used_again() {
    let child = json!({ "name": "child", "nodes": [task("a")] });
    let outline = json!({ "name": "parent", "nodes": [task("a"), { "kind": "child", "id": "child", "workflow": child }] });
    let asked = std::cell::RefCell::new(Vec::new());
    let find = |path: &str, id: &str| {
        asked.borrow_mut().push((path.to_owned(), id.to_owned()));
        Some(Arc::new(Nothing) as Arc<dyn ErasedTask>)
    };
    Outline::from_json(&outline.to_string()).unwrap().build(&find).unwrap();
    assert_eq!(asked.into_inner(), [("a".into(), "a".into()), ("child/a".into(), "a".into())]);
}

fn nested_forks(depth: usize) -> String {
    let mut nodes = vec![json!({ "kind": "task", "id": "inner" })];
    for level in 0..depth {
        let branches = json!([{ "name": "b", "nodes": nodes }]);
        nodes = vec![json!({ "kind": "fork", "branches": branches, "join": { "id": format!("j{level}") } })];
    }
    json!({ "name": "deep", "nodes": nodes }).to_string()
}

#[test]
fn nesting_is_limited_by_the_plan_and_before_the_stack_is() {
    let find = |_: &str, _: &str| Some(Arc::new(Nothing) as Arc<dyn ErasedTask>);
    Outline::from_json(&nested_forks(63)).unwrap().build(&find).unwrap();
    let errors = Outline::from_json(&nested_forks(64)).unwrap().build(&find).unwrap_err();
    assert!(errors.iter().any(|error| matches!(error, BuildError::TooDeep(_))), "{errors}");
    let error = Outline::from_json(&"[".repeat(1_000_000)).unwrap_err().to_string();
    assert!(error.contains("nested deeper"), "{error}");
    assert!(Outline::from_json(r#"{ "name": "[[[{\\\"[[[", "nodes": [] } x"#).unwrap_err().to_string().contains("trailing"));
}
