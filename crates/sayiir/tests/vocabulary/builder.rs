//! The builder: every node kind, and every error of it.

use std::time::Duration;

use sayiir::prelude::*;

use crate::support::{Add, Countdown, Double, Size, context};

#[tokio::test]
async fn tasks_forks_and_joins() {
    let workflow = WorkflowBuilder::new(context("forks"))
        .then("first", |x: u32| async move { Ok(x) })
        .then_task::<Double>()
        .then_task_with(Add(1))
        .branches(|b| {
            b.add("words", |x: u32| async move { Ok(format!("{x}")) });
            b.add_task::<Double>();
            b.add_task_with(Add(1));
        })
        .join("all", |outputs: BranchOutputs<_>| async move {
            assert_eq!(outputs.branch_names().collect::<Vec<_>>(), ["words", "double", "add"]);
            assert!(outputs.contains("words") && !outputs.is_empty() && outputs.len() == 3);
            Ok(outputs.get::<Double>()? + outputs.get::<Add>()? + outputs.get_by_id::<String>("words")?.parse::<u32>()?)
        })
        .fork()
        .branch("same", |x: u32| async move { Ok(x) })
        .branch_task::<Double>()
        .branch_task_with(Add(1))
        .join("again", |outputs: BranchOutputs<_>| async move {
            outputs.get_by_id::<u32>("nobody").map_err(|error| assert!(error.to_string().contains("nobody"))).unwrap_err();
            outputs.get::<Double>()
        })
        .build()
        .unwrap();
    // 4 + 1 = 5; 10 + 6 + 5 = 21; 42.
    assert_eq!(workflow.run_once(2).await.unwrap(), 42);
}

#[tokio::test]
async fn loops_of_every_form() {
    let workflow = WorkflowBuilder::new(context("loops"))
        .loop_task("up", |x: u32| async move { Ok(if x < 5 { LoopResult::Again(x + 1) } else { LoopResult::Done(x) }) }, 10)
        .loop_task_struct::<Countdown, u32>(10)
        .loop_task_struct_with::<_, u32>(Countdown, 10)
        .loop_task_with_policy("last", |x: u32| async move { Ok(LoopResult::Again(x + 1)) }, 3, MaxIterationsPolicy::ExitWithLast)
        .build()
        .unwrap();
    assert_eq!(workflow.run_once(0).await.unwrap(), 3);
    let endless =
        WorkflowBuilder::new(context("endless")).loop_task("on", |x: u32| async move { Ok(LoopResult::Again(x)) }, 3).build().unwrap();
    let error = endless.run_once(0).await.unwrap_err();
    assert!(error.to_string().contains("\"on\"") && error.to_string().contains('3'), "{error}");
}

#[tokio::test]
async fn routes_by_type_and_by_text() {
    let workflow = WorkflowBuilder::new(context("routes"))
        .route::<u32, Size, _, _>(|x: u32| async move { Ok(Size::of(x)) })
        .branch(Size::Small, |sub| sub.then("grow", |x: u32| async move { Ok(x * 100) }))
        .branch(Size::Large, |sub| {
            sub.fork()
                .branch_task::<Double>()
                .join("inner", |o: BranchOutputs<_>| async move { o.get::<Double>() })
                .delay("nap", Duration::ZERO)
        })
        .done()
        .then("unpack", |envelope: BranchEnvelope<u32>| async move { Ok(format!("{}:{}", envelope.branch, envelope.result)) })
        .route_str::<String, _, _>(|text: String| async move { Ok(text.split(':').next().unwrap_or_default().to_owned()) })
        .branch("small", |sub| sub.then("keep", |text: String| async move { Ok(text) }))
        .default_branch(|sub| sub.then("shout", |text: String| async move { Ok(text.to_uppercase()) }))
        .done()
        .build()
        .unwrap();
    let output = workflow.run_once(3).await.unwrap();
    assert_eq!(output, BranchEnvelope { branch: "small".to_owned(), result: "small:300".to_owned() });
    assert_eq!(workflow.run_once(30).await.unwrap().result, "LARGE:60");
}

#[tokio::test]
async fn child_workflows_hand_on_their_output() {
    let child = WorkflowBuilder::new(context("child")).then("text", |x: u32| async move { Ok(x.to_string()) }).build().unwrap();
    let stored =
        WorkflowBuilder::new(context("stored")).with_registry().then("length", |s: String| async move { Ok(s.len()) }).build().unwrap();
    let parent = WorkflowBuilder::new(context("parent"))
        .with_registry()
        .then_task::<Double>()
        .then_flow(child)
        .then_serializable_flow(stored)
        .then("end", |length: usize| async move { Ok(length) })
        .build()
        .unwrap();
    assert_eq!(parent.run_once(600).await.unwrap(), 4);
}

#[tokio::test]
async fn registered_forms() {
    let registry = TaskRegistry::with_codec(std::sync::Arc::new(JsonCodec))
        .register("double", Double)
        .register("countdown", Countdown)
        .register_fn("size", |x: u32| async move { Ok(Size::of(x).as_key().to_owned()) })
        .register_join("sum", |o: BranchOutputs<_>| async move { Ok(o.get::<Double>()? + o.get_by_id::<u32>("plus")?) })
        .build();
    let workflow = WorkflowBuilder::new(context("registered"))
        .with_existing_registry(registry)
        .then_registered::<u32>("double")
        .fork()
        .branch_registered("double")
        .branch("plus", |x: u32| async move { Ok(x + 1) })
        .join_registered::<u32>("sum")
        .route_registered::<u32>("size")
        .branch_registered("small", &["double"])
        .branch_registered("large", &["double", "double"])
        .default_registered(&["double"])
        .done()
        .then("unpack", |envelope: BranchEnvelope<u32>| async move { Ok(envelope.result) })
        .loop_task_registered::<u32>("countdown", 200)
        .build()
        .unwrap();
    assert_eq!(workflow.run_once(1).await.unwrap(), 0);
    assert_eq!(workflow.run_once(4).await.unwrap(), 0);
}

#[test]
fn all_build_errors_are_told_at_once() {
    let errors: BuildErrors = WorkflowBuilder::new(context("wrong"))
        .then("a", |x: u32| async move { Ok(x) })
        .then("a", |x: u32| async move { Ok(x + 1) })
        .loop_task("never", |x: u32| async move { Ok(LoopResult::Done(x)) }, 0)
        .delay("long", Duration::MAX)
        .route::<u32, Size, _, _>(|x: u32| async move { Ok(Size::of(x)) })
        .branch(Size::Small, |sub| sub)
        .done()
        .fork()
        .join("none", |o: BranchOutputs<_>| async move { Ok(o.len()) })
        .build()
        .unwrap_err();
    let has = |wanted: fn(&BuildError) -> bool| errors.iter().any(wanted);
    assert!(has(|e| matches!(e, BuildError::DuplicateTaskId(id) if id == "a")), "{errors}");
    assert!(has(|e| matches!(e, BuildError::InvalidMaxIterations(id) if id == "never")), "{errors}");
    assert!(has(|e| matches!(e, BuildError::InvalidDuration { .. })), "{errors}");
    assert!(has(|e| matches!(e, BuildError::MissingBranches { branch_id: _, missing_keys } if missing_keys == &["large"])), "{errors}");
    assert!(has(|e| matches!(e, BuildError::EmptyBranch(key) if key == "small")), "{errors}");
    assert!(has(|e| matches!(e, BuildError::EmptyFork(_))), "{errors}");
    assert_eq!((errors.len(), errors.is_empty()), (6, false));
    assert_eq!((&errors).into_iter().count(), errors.clone().into_iter().count());
    let mut more = BuildErrors::new();
    more.push(BuildError::EmptyWorkflow);
    assert_eq!(more.to_string(), "Workflow must have at least one task");
    assert_eq!(more.into_vec(), [BuildError::EmptyWorkflow]);
}

#[test]
fn an_empty_workflow_an_unknown_task_and_an_orphan_are_refused() {
    let empty: Result<Workflow<_, u32, _, u32>, BuildErrors> = WorkflowBuilder::new(context("empty")).build();
    assert_eq!(empty.unwrap_err().into_vec(), [BuildError::EmptyWorkflow]);
    let unknown = WorkflowBuilder::new(context("unknown")).with_registry().then_registered::<u32>("ghost");
    let unknown: Result<SerializableWorkflow<_, u32, _, u32>, _> = unknown.build();
    assert_eq!(unknown.unwrap_err().into_vec(), [BuildError::TaskNotFound("ghost".to_owned())]);
    let orphan = WorkflowBuilder::new(context("orphan"))
        .route::<u32, Liar, _, _>(|_: u32| async move { Ok(Liar) })
        .branch(Liar, |sub| sub.then_task::<Double>())
        .default_branch(|sub| sub.then_task::<Double>())
        .done()
        .build();
    let orphan = orphan.unwrap_err().into_vec();
    assert!(matches!(&orphan[..], [BuildError::OrphanBranches { branch_id: _, orphan_keys }] if orphan_keys == &["else"]), "{orphan:?}");
}

/// A key whose type says too little about itself.
struct Liar;

impl BranchKey for Liar {
    fn as_key(&self) -> &'static str {
        "else"
    }

    fn all_keys() -> &'static [&'static str] {
        &["only"]
    }
}
