//! A workflow tells of its nodes, and metadata goes to the step just added.

use std::time::Duration;

use sayiir::prelude::*;

use crate::support::{Countdown, Double, Size, context};

fn named(name: &str) -> TaskMetadata {
    TaskMetadata { display_name: Some(name.to_owned()), ..Default::default() }
}

fn urgent(name: &str) -> TaskMetadata {
    TaskMetadata {
        priority: Some(Priority::Critical),
        timeout: Some(Duration::from_secs(5)),
        retries: Some(RetryPolicy::with_max_retries(1)),
        tags: vec!["io".to_owned()],
        version: Some("2".to_owned()),
        ..named(name)
    }
}

#[test]
fn every_kind_is_listed_with_what_was_said_of_it() {
    let child = WorkflowBuilder::new(context("child")).then_task::<Double>().build().unwrap();
    let workflow = WorkflowBuilder::new(context("all"))
        .then("task", |x: u32| async move { Ok(x) })
        .with_metadata(urgent("a task"))
        .fork()
        .branch_task::<Double>()
        .join("join", |o: BranchOutputs<_>| async move { o.get::<Double>() })
        .with_metadata(urgent("a join"))
        .loop_task_struct::<Countdown, u32>(5)
        .with_metadata(urgent("a body"))
        .route::<u32, Size, _, _>(|x: u32| async move { Ok(Size::of(x)) })
        .default_branch(|sub| sub.then_task::<Double>())
        .done()
        .with_metadata(urgent("a key"))
        .then("unpack", |e: BranchEnvelope<u32>| async move { Ok(e.result) })
        .delay("delay", Duration::from_secs(1))
        .with_metadata(named("a delay"))
        .then_flow(child)
        .with_metadata(named("a child"))
        .wait_for_signal("wait", "go", Some(Duration::from_secs(9)))
        .with_metadata(named("a wait"))
        .build()
        .unwrap();
    let nodes: Vec<NodeInfo> = workflow.iter_nodes().collect();
    let kinds: Vec<_> = nodes.iter().map(|node| (node.id.as_str(), node.kind.as_str(), node.display_name.as_deref())).collect();
    assert_eq!(
        kinds,
        [
            ("task", "task", Some("a task")),
            ("join", "fork", Some("a join")),
            ("double", "task", Some("Double it")),
            ("countdown", "loop", Some("a body")),
            ("route", "branch", Some("a key")),
            ("double", "task", Some("Double it")),
            ("unpack", "task", None),
            ("delay", "delay", Some("a delay")),
            ("child", "child_workflow", Some("a child")),
            ("double", "task", Some("Double it")),
            ("wait", "await_signal", Some("a wait")),
        ]
    );
    for node in nodes.iter().filter(|node| matches!(node.id.as_str(), "task" | "join" | "countdown" | "route")) {
        assert_eq!(node.priority, Some(Priority::Critical), "{}", node.id);
        assert_eq!((node.timeout, node.version.as_deref()), (Some(Duration::from_secs(5)), Some("2")), "{}", node.id);
        assert_eq!((node.retry_policy.as_ref().map(|r| r.max_retries), node.tags.as_slice()), (Some(1), &["io".to_owned()][..]));
    }
    let before: Vec<_> = nodes.iter().map(|node| node.predecessor_id.as_deref()).collect();
    assert_eq!((before[0], before[1], before[3]), (None, Some("task"), Some("join")));
    assert_eq!(nodes[4].kind, NodeKind::Branch);
}

#[test]
fn a_retry_where_nothing_runs_is_refused() {
    let delay = WorkflowBuilder::new(context("delay")).then_task::<Double>().delay("nap", Duration::ZERO);
    let errors = delay.with_metadata(TaskMetadata { retries: Some(RetryPolicy::with_max_retries(1)), ..Default::default() }).build();
    assert!(errors.unwrap_err().to_string().contains("\"nap\""));
}

#[test]
fn a_workflow_knows_itself() {
    let metadata = std::sync::Arc::new(serde_json::json!({"team": "billing"}));
    let context = WorkflowContext::new("known", std::sync::Arc::new(JsonCodec), metadata);
    let workflow = WorkflowBuilder::new(context).then_task::<Double>().build().unwrap();
    assert_eq!(workflow.workflow_id(), "known");
    assert_eq!(workflow.metadata()["team"], "billing");
    assert_eq!(workflow.context().metadata["team"], "billing");
    let _: (&std::sync::Arc<JsonCodec>, &std::sync::Arc<JsonCodec>) = (workflow.codec(), &workflow.context().codec);
    let hash: &DefinitionHash = workflow.definition_hash();
    assert_eq!(*hash, hash.to_hex());
    let spelled: &Workflow<JsonCodec, u32, serde_json::Value, u32> = &workflow;
    assert_eq!(spelled.definition_hash(), hash);
}
