//! The workflows that are measured. Their tasks do nothing, so that the engine is what is measured.

use std::sync::Arc;
use std::time::Duration;

use sayiir::core::error::BuildErrors;
use sayiir::prelude::*;

/// A workflow from number to number.
pub(crate) type Flow = Workflow<JsonCodec, u64, (), u64>;

fn builder(name: &str) -> WorkflowBuilder<JsonCodec, u64, sayiir::core::workflow::Typed<u64>> {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

/// So many steps, one after the other.
pub(crate) fn linear(steps: usize) -> Result<Flow, BuildErrors> {
    let steps = (0..steps).fold(builder("linear"), |flow, step| flow.then(format!("step-{step:04}"), |n: u64| async move { Ok(n + 1) }));
    steps.build()
}

/// A fork of so many branches, and its join.
pub(crate) fn fanout(branches: usize) -> Result<Flow, BuildErrors> {
    let fork = (0..branches)
        .fold(builder("fanout").fork(), |fork, branch| fork.branch(format!("branch-{branch}"), |n: u64| async move { Ok(n + 1) }));
    fork.join("sum", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len() as u64) }).build()
}

/// Five steps that take a moment each, and tell `begun` before they do.
pub(crate) fn slow(begun: impl Fn() + Clone + Send + Sync + 'static, each: Duration) -> Result<Flow, BuildErrors> {
    slow_steps("slow", 5, begun, each)
}

fn slow_steps(name: &str, steps: usize, begun: impl Fn() + Clone + Send + Sync + 'static, each: Duration) -> Result<Flow, BuildErrors> {
    let step = |flow: WorkflowBuilder<_, _, _>, step| {
        let begun = begun.clone();
        flow.then(format!("step-{step}"), move |n: u64| {
            begun();
            async move {
                tokio::time::sleep(each).await;
                Ok(n + 1)
            }
        })
    };
    (0..steps).fold(builder(name), step).build()
}

/// One step, which tells `begun` that it runs.
pub(crate) fn noting(begun: impl Fn() + Clone + Send + Sync + 'static) -> Result<Flow, BuildErrors> {
    slow_steps("noting", 1, begun, Duration::ZERO)
}

/// A step, a wait for an event, and a step that tells `begun` that it runs.
pub(crate) fn waiting(begun: impl Fn() + Clone + Send + Sync + 'static) -> Result<Flow, BuildErrors> {
    let waiting = builder("waiting").then("before", |n: u64| async move { Ok(n) }).wait_for_signal("wait", "go", None);
    waiting.then("after", telling(begun)).build()
}

/// A step, a delay, and a step that tells `begun` that it runs.
pub(crate) fn napping(begun: impl Fn() + Clone + Send + Sync + 'static, nap: Duration) -> Result<Flow, BuildErrors> {
    builder("napping").then("before", |n: u64| async move { Ok(n) }).delay("nap", nap).then("after", telling(begun)).build()
}

fn telling(
    begun: impl Fn() + Clone + Send + Sync + 'static,
) -> impl Fn(u64) -> std::future::Ready<Result<u64, BoxError>> + Clone + Send + Sync + 'static {
    move |n| {
        begun();
        std::future::ready(Ok(n))
    }
}
