//! What the builder takes: every step kind at every place, with types inferred where they can be.

use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::prelude::*;
use sayiir_core::task::TaskInput;
use sayiir_core::workflow::RunnableWorkflow;

fn context(name: &str) -> WorkflowContext<JsonCodec> {
    WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(()))
}

fn paths<C, I, M, O>(workflow: &Workflow<C, I, M, O>) -> Vec<String> {
    workflow.plan().nodes().iter().map(|node| node.path.to_string()).collect()
}

/// The output of a future that never waits.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

fn run<C, I, M, O>(workflow: &Workflow<C, I, M, O>, path: &str, input: &str) -> Result<String, BoxError>
where
    Workflow<C, I, M, O>: RunnableWorkflow,
{
    let node = workflow.plan().find(path).expect("a node of this path");
    let task = workflow.task(node).expect("a task at the node");
    let output = now(task.run(TaskInput::Value(Bytes::from(input.to_owned()))))?;
    Ok(String::from_utf8(output.to_vec())?)
}

#[derive(Default)]
struct Double;

impl CoreTask for Double {
    type Input = u32;
    type Output = u32;
    type Future = Ready<Result<u32, BoxError>>;

    fn run(&self, input: u32) -> Self::Future {
        ready(Ok(2 * input))
    }
}

impl RegisterableTask for Double {
    fn task_id() -> &'static str {
        "double"
    }

    fn metadata() -> TaskMetadata {
        TaskMetadata { retries: Some(RetryPolicy::with_max_retries(2)), ..TaskMetadata::default() }
    }
}

#[derive(Default)]
struct Countdown;

impl CoreTask for Countdown {
    type Input = u32;
    type Output = LoopResult<u32>;
    type Future = Ready<Result<LoopResult<u32>, BoxError>>;

    fn run(&self, input: u32) -> Self::Future {
        ready(Ok(input.checked_sub(1).map_or(LoopResult::Done(0), LoopResult::Again)))
    }
}

impl RegisterableTask for Countdown {
    fn task_id() -> &'static str {
        "countdown"
    }
}

enum Side {
    Left,
    Right,
}

impl BranchKey for Side {
    fn as_key(&self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    fn all_keys() -> &'static [&'static str] {
        &["left", "right"]
    }
}

#[test]
fn every_kind_stands_first_and_last() {
    let hour = Duration::from_secs(3600);
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

struct Length;

impl CoreTask for Length {
    type Input = String;
    type Output = usize;
    type Future = Ready<Result<usize, BoxError>>;

    fn run(&self, input: String) -> Self::Future {
        ready(Ok(input.len()))
    }
}

impl RegisterableTask for Length {
    fn task_id() -> &'static str {
        "length"
    }
}
