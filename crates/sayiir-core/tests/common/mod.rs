//! What the tests of the builder share.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expected by panicking")]

use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use sayiir_core::prelude::*;
use sayiir_core::task::TaskInput;
use sayiir_core::workflow::RunnableWorkflow;

pub(crate) fn context(name: &str) -> WorkflowContext<JsonCodec> {
    WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(()))
}

pub(crate) fn paths<C, I, M, O>(workflow: &Workflow<C, I, M, O>) -> Vec<String> {
    workflow.plan().nodes().iter().map(|node| node.path.to_string()).collect()
}

/// The output of a future that never waits.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

pub(crate) fn run<C, I, M, O>(workflow: &Workflow<C, I, M, O>, path: &str, input: &str) -> Result<String, BoxError>
where
    Workflow<C, I, M, O>: RunnableWorkflow,
{
    let node = workflow.plan().find(path).expect("a node of this path");
    let task = workflow.task(node).expect("a task at the node");
    let output = now(task.run(TaskInput::Value(Bytes::from(input.to_owned()))))?;
    Ok(String::from_utf8(output.to_vec())?)
}

#[derive(Default)]
pub(crate) struct Double;

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
pub(crate) struct Countdown;

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

pub(crate) enum Side {
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

pub(crate) struct Length;

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
