//! What is no part of a definition, one by one: changing it leaves the hash and the running instances alone.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::prelude::*;

/// All that may be changed without changing the definition.
#[derive(Clone)]
struct Policies {
    task: TaskMetadata,
    delay: Duration,
    wait: Option<Duration>,
    iterations: u32,
    on_max: MaxIterationsPolicy,
    about: &'static str,
}

fn plain() -> Policies {
    Policies {
        task: TaskMetadata::default(),
        delay: Duration::from_secs(1),
        wait: Some(Duration::from_secs(1)),
        iterations: 3,
        on_max: MaxIterationsPolicy::Fail,
        about: "metadata of the workflow",
    }
}

/// A workflow with a task of every kind, and every node that has a policy of its own.
fn build(policies: &Policies) -> Workflow<JsonCodec, u32, &'static str, u32> {
    let Policies { task, delay, wait, iterations, on_max, about } = policies.clone();
    let key = task.clone();
    WorkflowBuilder::new(WorkflowContext::new("policies", Arc::new(JsonCodec), Arc::new(about)))
        .then("task", |x: u32| async move { Ok(x) })
        .with_metadata(task.clone())
        .delay("delay", delay)
        .fork()
        .branch_flow("b", |s| s.then("in", |x: u32| async move { Ok(x) }).with_metadata(task.clone()))
        .join("join", |outputs| async move { outputs.get_by_id::<u32>("b") })
        .with_metadata(task.clone())
        .loop_task_with_policy("loop", |x: u32| async move { Ok(LoopResult::Done(x)) }, iterations, on_max)
        .with_metadata(task)
        .route_str::<u32, _, _>(|x| async move { Ok(x.to_string()) })
        .default_branch(|s| s.then("arm", |x: u32| async move { Ok(x) }))
        .done()
        .with_metadata(key)
        .wait_for_signal("signal", "go", wait)
        .then("last", |x: Option<u32>| async move { Ok(x.unwrap_or(0)) })
        .build()
        .unwrap()
}

/// Neither the hash nor what is kept of the definition knows of the change, and every position stays good.
fn is_no_change(policies: &Policies) {
    let (old, new) = (build(&plain()), build(policies));
    assert_eq!(old.definition_hash(), new.definition_hash());
    assert_eq!(old.definition(), new.definition());
    let diff = old.definition().diff(&new.definition());
    assert!(diff.is_empty());
    assert_eq!(diff.to_string(), "nothing changed");
    for node in old.plan().nodes() {
        assert!(diff.can_go_on_at(&node.path).is_yes(), "{}", node.path);
    }
}

fn with_task(task: TaskMetadata) -> Policies {
    Policies { task, ..plain() }
}

#[test]
fn a_changed_retry_policy_is_no_change() {
    is_no_change(&with_task(TaskMetadata { retries: Some(RetryPolicy::with_max_retries(9)), ..TaskMetadata::default() }));
}

#[test]
fn a_changed_task_timeout_is_no_change() {
    is_no_change(&with_task(TaskMetadata { timeout: Some(Duration::from_secs(9)), ..TaskMetadata::default() }));
}

#[test]
fn changed_tags_are_no_change() {
    is_no_change(&with_task(TaskMetadata { tags: vec!["gpu".to_owned()], ..TaskMetadata::default() }));
}

#[test]
fn a_changed_priority_is_no_change() {
    is_no_change(&with_task(TaskMetadata { priority: Some(Priority::Critical), ..TaskMetadata::default() }));
}

#[test]
fn a_changed_display_name_is_no_change() {
    is_no_change(&with_task(TaskMetadata { display_name: Some("Task".to_owned()), ..TaskMetadata::default() }));
}

#[test]
fn a_changed_description_is_no_change() {
    is_no_change(&with_task(TaskMetadata { description: Some("does it".to_owned()), ..TaskMetadata::default() }));
}

#[test]
fn a_changed_length_of_a_delay_is_no_change() {
    is_no_change(&Policies { delay: Duration::from_secs(99), ..plain() });
}

#[test]
fn a_changed_timeout_of_a_wait_is_no_change() {
    is_no_change(&Policies { wait: Some(Duration::from_secs(99)), ..plain() });
    is_no_change(&Policies { wait: None, ..plain() });
}

#[test]
fn a_changed_bound_of_a_loop_is_no_change() {
    is_no_change(&Policies { iterations: 99, ..plain() });
    is_no_change(&Policies { on_max: MaxIterationsPolicy::ExitWithLast, ..plain() });
}

#[test]
fn changed_metadata_of_the_workflow_is_no_change() {
    is_no_change(&Policies { about: "other", ..plain() });
}

#[test]
fn a_changed_version_of_a_task_is_a_change() {
    let task = TaskMetadata { version: Some("2".to_owned()), ..TaskMetadata::default() };
    let (old, new) = (build(&plain()), build(&with_task(task)));
    assert_ne!(old.definition_hash(), new.definition_hash());
    let told = old.definition().diff(&new.definition()).to_string();
    for path in ["task", "join", "join/b/in", "loop", "route"] {
        assert!(told.contains(&format!("the version of {path:?} changed from none to \"2\"")), "{path}: {told}");
    }
}
