//! What the builder takes: every step kind at every place, with types inferred where they can be.

#![allow(clippy::redundant_closure_for_method_calls, reason = "an arm reads the same whether it has one step or two")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Countdown, Double, Length, Side, context, paths, run};
use sayiir_core::prelude::*;
use sayiir_core::workflow::RunnableWorkflow;

#[test]
fn every_kind_stands_first_and_last() {
    let hour = Duration::from_hours(1);
    let delay: Workflow<_, u32, _, u32> = WorkflowBuilder::new(context("delay")).delay("d", hour).build().unwrap();
    assert_eq!(delay.decode_output(Bytes::from("7")).unwrap(), 7);
    let signal: Workflow<_, (), _, Untyped> = WorkflowBuilder::new(context("signal")).wait_for_signal("s", "go", None).build().unwrap();
    assert_eq!(signal.decode_output(Bytes::from("7")).unwrap().decode::<u8, _>(&JsonCodec).unwrap(), 7);
    let fork = WorkflowBuilder::new(context("fork"))
        .branches(|b| {
            b.add("only", |x: u32| async move { Ok(x + 1) });
        })
        .join("join", |outputs| async move { outputs.get_by_id::<u32>("only") })
        .build()
        .unwrap();
    assert_eq!(paths(&fork), ["join", "join/only"]);
    let repeat = WorkflowBuilder::new(context("loop")).loop_task_struct::<Countdown, _>(5).build().unwrap();
    assert_eq!(paths(&repeat), ["countdown", "countdown"]);
    assert_eq!(repeat.iter_nodes().count(), 1);
    let route = WorkflowBuilder::new(context("route"))
        .route::<u32, Side, _, _>(|x: u32| async move { Ok(if x < 5 { Side::Left } else { Side::Right }) })
        .branch(Side::Left, |arm| arm.then("add", |x| async move { Ok(x + 1) }))
        .branch(Side::Right, |arm| arm.then_task::<Double>())
        .done()
        .build()
        .unwrap();
    assert_eq!(paths(&route), ["route", "route/left/add", "route/right/double"]);
    assert_eq!(run(&route, "route", "4").unwrap(), "left");
    let child = WorkflowBuilder::new(context("parent")).then_flow(route).build().unwrap();
    assert_eq!(paths(&child), ["route", "route/route", "route/route/left/add", "route/route/right/double"]);
    let envelope = child.decode_output(Bytes::from(r#"{"branch":"left","result":5}"#)).unwrap();
    assert_eq!(envelope, BranchEnvelope { branch: "left".to_owned(), result: 5 });
}

#[test]
fn everything_nests_in_everything() {
    let child = WorkflowBuilder::new(context("child"))
        .then("x", |x: u32| async move { Ok(x) })
        .wait_for_signal("wait", "poke", None)
        .build()
        .unwrap();
    let workflow = WorkflowBuilder::new(context("nested"))
        .fork()
        .branch_flow("a", |b| {
            b.loop_flow(
                "pages",
                |body| {
                    body.fork()
                        .branch("one", |x: u32| async move { Ok(x) })
                        .branch_flow("two", |b| {
                            b.route_str::<u32, _, _>(|x| async move { Ok(format!("k{x}")) })
                                .branch("k1", |arm| arm.delay("wait", Duration::from_secs(1)).then_task::<Double>())
                                .default_branch(|arm| arm.then_flow(child.clone()).untyped().then("y", |y: u32| async move { Ok(y) }))
                                .done()
                        })
                        .join("inner", |o| async move { Ok(LoopResult::Done(o.get_by_id::<u32>("one")?)) })
                },
                3,
            )
        })
        .branch_flow("b", |b| b.wait_for_signal("s", "go", None))
        .branch_task::<Double>()
        .join("outer", |o| async move { Ok(o.get::<Double>()? + o.get_by_id::<u32>("b")?) })
        .build()
        .unwrap();
    assert_eq!(
        paths(&workflow),
        [
            "outer",
            "outer/a/pages",
            "outer/a/pages/inner",
            "outer/a/pages/inner/one",
            "outer/a/pages/inner/two/route",
            "outer/a/pages/inner/two/route/k1/wait",
            "outer/a/pages/inner/two/route/k1/double",
            "outer/a/pages/inner/two/route/*/child",
            "outer/a/pages/inner/two/route/*/child/x",
            "outer/a/pages/inner/two/route/*/child/wait",
            "outer/a/pages/inner/two/route/*/y",
            "outer/b/s",
            "outer/double",
        ]
    );
    let error = run(&workflow, "outer/a/pages/inner/two/route/*/y", "null").unwrap_err();
    assert!(error.to_string().contains("\"poke\""), "{error}");
    assert!(error.is::<DoNotRetry>());
}

#[test]
fn types_follow_from_the_step_before() {
    let workflow = WorkflowBuilder::new(context("infer"))
        .then("a", |x: u32| async move { Ok(x + 1) })
        .then("b", |x| async move { Ok(x.checked_mul(2).ok_or("too much")?) })
        .delay("d", Duration::from_millis(1))
        .wait_for_signal_opt::<u32>("s", "go", None)
        .then("c", |x| async move { Ok(x.unwrap_or_default().to_string()) })
        .loop_task("l", |text| async move { Ok(LoopResult::Done(text)) }, 1)
        .then_task_with(Length)
        .build()
        .unwrap();
    assert_eq!(run(&workflow, "b", "4").unwrap(), "8");
    let wait = workflow.plan().find("s").unwrap();
    assert_eq!(workflow.payloads().timeout_value(wait).unwrap(), "null");
    assert_eq!(workflow.payloads().event_value(wait, &Bytes::from("3")).unwrap(), "3");
    assert!(workflow.payloads().event_value(wait, &Bytes::from("\"x\"")).is_err());
    assert_eq!(workflow.payloads().loop_result(workflow.plan().first(), &Bytes::new()).unwrap_err().to_string(), "\"a\" is no loop");
    assert_eq!(workflow.decode_output(Bytes::from("3")).unwrap(), 3);
    assert_eq!(workflow.encode_input(&3).unwrap(), "3");
}

#[test]
fn the_same_task_stands_at_many_nodes() {
    let twice = |x: u32| async move { Ok(x * 2) };
    let workflow = WorkflowBuilder::new(context("twice"))
        .then("twice", twice)
        .then("twice", twice)
        .then_task::<Double>()
        .then_task_with(Double)
        .build()
        .unwrap();
    assert_eq!(paths(&workflow), ["twice", "twice#2", "double", "double#2"]);

    let add = |n: u32| move |x: u32| async move { Ok(x + n) };
    let errors = WorkflowBuilder::new(context("two"))
        .then("a", add(1))
        .branches(|b| {
            b.add("a", add(2)).add_flow("f", |b| b.then("b", |x: u32| async move { Ok(x) }));
        })
        .join("b", |_| async { Ok(()) })
        .build()
        .unwrap_err();
    assert_eq!(errors.into_vec(), [BuildError::DuplicateTaskId("a".to_owned()), BuildError::DuplicateTaskId("b".to_owned())]);
}

#[test]
fn routes_cover_their_keys() {
    let side = |_: u32| async { Ok(Side::Left) };
    let errors = WorkflowBuilder::new(context("uncovered"))
        .route::<u32, Side, _, _>(side)
        .branch(Side::Left, |arm| arm.then_task::<Double>())
        .done()
        .build()
        .unwrap_err();
    let missing = BuildError::MissingBranches { branch_id: "route".to_owned(), missing_keys: vec!["right".to_owned()] };
    assert_eq!(errors.into_vec(), [missing]);
    let covered = WorkflowBuilder::new(context("covered"))
        .with_registry()
        .route::<u32, Side, _, _>(side)
        .branch(Side::Left, |arm| arm.then_task::<Double>())
        .default_branch(|arm| arm.delay("later", Duration::ZERO))
        .done()
        .then("out", |envelope: BranchEnvelope<u32>| async move { Ok(envelope.result) })
        .route::<u32, Side, _, _>(|_: u32| async { Ok(Side::Right) })
        .default_branch(|arm| arm.then_task::<Double>())
        .done()
        .build()
        .unwrap();
    assert_eq!(covered.registry().task_ids().collect::<Vec<_>>(), ["double", "out", "route", "route#2"]);
    assert_eq!(run(&covered.to_runnable(&covered.to_serializable()).unwrap(), "route#2", "1").unwrap(), "right");
    let route = covered.plan().find("route").unwrap();
    assert_eq!(covered.payloads().route_envelope(route, "left", &Bytes::from("4")).unwrap(), r#"{"branch":"left","result":4}"#);
    assert!(covered.payloads().route_envelope(route, "left", &Bytes::from("x")).is_err());
}

#[test]
fn metadata_belongs_to_the_step_just_added() {
    let retries = || TaskMetadata { retries: Some(RetryPolicy::with_max_retries(7)), ..TaskMetadata::default() };
    let named =
        || TaskMetadata { display_name: Some("Wait".to_owned()), description: Some("for it".to_owned()), ..TaskMetadata::default() };
    let child = WorkflowBuilder::new(context("child")).then_task::<Double>().version("3").build().unwrap();
    let workflow = WorkflowBuilder::new(context("said"))
        .then_task::<Double>()
        .delay("d", Duration::ZERO)
        .with_metadata(named())
        .fork()
        .branch_task::<Double>()
        .join("j", |o| async move { o.get::<Double>() })
        .with_metadata(retries())
        .loop_task_struct::<Countdown, _>(3)
        .with_metadata(retries())
        .route_str::<u32, _, _>(|_| async { Ok("k".to_owned()) })
        .branch("k", |arm| arm.then_task::<Double>().with_metadata(TaskMetadata::default()))
        .done()
        .with_metadata(retries())
        .then("r", |envelope: BranchEnvelope<u32>| async move { Ok(envelope.result) })
        .then_flow(child)
        .with_metadata(named())
        .wait_for_signal("s", "go", Some(Duration::from_secs(1)))
        .build()
        .unwrap();
    let nodes: Vec<_> =
        workflow.iter_nodes().map(|n| (n.path, n.kind.as_str(), n.retry_policy.map(|r| r.max_retries), n.predecessor_id)).collect();
    let before = |id: &str| Some(id.to_owned());
    let expected = [
        ("double", "task", Some(2), None),
        ("d", "delay", None, before("double")),
        ("j", "fork", Some(7), before("d")),
        ("j/double", "task", Some(2), before("j")),
        ("countdown", "loop", Some(7), before("j")),
        ("route", "branch", Some(7), before("countdown")),
        ("route/k/double", "task", None, before("route")),
        ("r", "task", None, before("route")),
        ("child", "child_workflow", None, before("r")),
        ("child/double", "task", Some(2), before("child")),
        ("s", "await_signal", None, before("child")),
    ];
    assert_eq!(nodes, expected.map(|(path, kind, retries, before)| (path.to_owned(), kind, retries, before)));
    let nodes: Vec<_> = workflow.iter_nodes().collect();
    assert_eq!(nodes[1].display_name.as_deref(), Some("Wait"));
    assert_eq!(nodes[8].description.as_deref(), Some("for it"));
    assert_eq!(nodes[8].version.as_deref(), Some("3"));
    assert_eq!(nodes[10].timeout, Some(Duration::from_secs(1)));

    let errors = WorkflowBuilder::new(context("refused"))
        .with_metadata(named())
        .delay("d", Duration::ZERO)
        .with_metadata(retries())
        .then_task::<Double>()
        .build()
        .unwrap_err();
    let refused = |node: &str, field| BuildError::MetadataNotApplicable { node: node.to_owned(), field };
    assert_eq!(errors.into_vec(), [refused("the workflow's start", "metadata of a step"), refused("d", "retries")]);
}

#[test]
fn a_bad_payload_names_its_signal() {
    let child = WorkflowBuilder::new(context("child")).delay("d", Duration::ZERO).then_task::<Double>().build().unwrap();
    let workflow: SerializableWorkflow<_, (), _, _> = WorkflowBuilder::new(context("signals"))
        .with_registry()
        .wait_for_signal("s", "first", None)
        .delay("d", Duration::ZERO)
        .branches(|b| {
            b.add_task::<Double>();
            b.add_flow("deep", |b| b.loop_flow("l", |body| body.then("x", |x: u32| async move { Ok(LoopResult::Done(x)) }), 3));
            b.add_flow("child", |b| b.then_flow(child));
        })
        .join("j", |_| async { Ok(1) })
        .then("after", |x: u32| async move { Ok(x) })
        .wait_for_signal("t", "second", Some(Duration::ZERO))
        .route::<u32, Side, u32, _>(|_| async { Ok(Side::Left) })
        .default_branch(|arm| arm.then("y", |y: Option<u32>| async move { Ok(y.unwrap_or(0)) }))
        .done()
        .build()
        .unwrap();
    let signals = [("j/double", "first"), ("j/deep/l/x", "first"), ("j/child/child/double", "first"), ("route", "second")];
    for (path, signal) in signals {
        let error = run(&workflow, path, "null").unwrap_err();
        assert!(error.is::<DoNotRetry>(), "{path}");
        assert!(error.to_string().contains(&format!("signal {signal:?}")), "{path}: {error}");
    }
    assert_eq!(run(&workflow, "route/*/y", "null").unwrap(), "0");
    let error = run(&workflow, "after", "null").unwrap_err().to_string();
    assert_eq!(error, "could not decode the input of \"after\" as a u32");
}

#[test]
fn too_deep_is_an_error_for_builders_too() {
    type Builder = WorkflowBuilder<JsonCodec, u32, sayiir_core::workflow::Typed<u32>>;
    fn nest(builder: Builder, depth: usize) -> Builder {
        if depth == 0 {
            return builder.then_task::<Double>();
        }
        builder.fork().branch_flow("b", |inner| nest(inner, depth - 1)).join("j", |o| async move { o.get_by_id::<u32>("b") })
    }
    assert!(nest(WorkflowBuilder::new(context("deep")), 63).build().is_ok());
    let errors = nest(WorkflowBuilder::new(context("deeper")), 100_000).build().unwrap_err();
    assert_eq!(errors.into_vec(), [BuildError::TooDeep("b".to_owned())]);
}

#[test]
fn ten_thousand_steps_are_built_one_by_one() {
    let mut builder = WorkflowBuilder::new(context("long")).then_task::<Double>();
    for index in 1..10_000 {
        builder = if index % 2 == 0 { builder.then_task::<Double>() } else { builder.delay(format!("d{index}"), Duration::ZERO) };
    }
    let workflow = builder.build().unwrap();
    assert_eq!(workflow.iter_nodes().count(), 10_000);
    let parent = WorkflowBuilder::new(context("parent")).then_flow(workflow).build().unwrap();
    assert_eq!(parent.iter_nodes().count(), 10_001);
}
