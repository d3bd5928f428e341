//! The workflow whose instances are in the file. It never changes: the file knows it by its hash.

use std::future::{Ready, pending, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sayiir::prelude::*;

pub(crate) const HOUR: Duration = Duration::from_hours(1);

pub(crate) type Flow = Workflow<JsonCodec, u32, (), u32>;

/// The tasks that ran, `instance/node path`.
#[derive(Clone, Default)]
pub(crate) struct Ran(Arc<Mutex<Vec<String>>>);

impl Ran {
    fn note(&self) {
        let context = task_context!().unwrap();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{}/{}", context.instance_id, context.node_path));
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A task that adds `by`.
    fn add(&self, by: u32) -> impl Fn(u32) -> Ready<Result<u32, BoxError>> + Send + Sync + 'static {
        let ran = self.clone();
        move |x| {
            ran.note();
            ready(Ok(x + by))
        }
    }
}

/// Never returns in this instance, where `stuck` is said: what a crash of the file's writer leaves.
async fn stay(stuck: bool, instance: &str) {
    if stuck && &*task_context!().unwrap().instance_id == instance {
        pending::<()>().await;
    }
}

/// Fails once where the id begins with `forked`, and for good in `failed`.
fn try_it(x: u32) -> Result<u32, BoxError> {
    let context = task_context!().unwrap();
    if context.instance_id.starts_with("forked") && context.attempt == 1 {
        Err("not yet".into())
    } else if &*context.instance_id == "failed" {
        Err(DoNotRetry::new("broken").into())
    } else {
        Ok(x)
    }
}

fn tried() -> TaskMetadata {
    let retries = RetryPolicy { initial_delay: HOUR, ..RetryPolicy::with_max_retries(2) };
    TaskMetadata { retries: Some(retries), tags: vec!["io".to_owned()], priority: Some(Priority::High), ..TaskMetadata::default() }
}

/// A fork of a delay, two waits, a task that fails once and a plain task; then a loop around a wait.
pub(crate) fn flow(ran: &Ran, stuck: bool) -> Flow {
    let (flaky, judge, sum, quick) = (ran.clone(), ran.clone(), ran.clone(), ran.clone());
    WorkflowBuilder::new(WorkflowContext::new("orders", Arc::new(JsonCodec), Arc::new(())))
        .version("1")
        .then("check", ran.add(1))
        .fork()
        .branch_flow("slow", |s| s.delay("rest", HOUR).then("rested", ran.add(10)))
        .branch_flow("signed", |s| {
            let note = ran.clone();
            s.wait_for_signal_opt::<u32>("signature", "sign", Some(2 * HOUR)).then("signing", move |x: Option<u32>| {
                note.note();
                ready(Ok(x.unwrap_or(0)))
            })
        })
        .branch_flow("stamped", |s| s.wait_for_signal("stamp", "stamp", None).then("stamping", ran.add(1000)))
        .branch_flow("tried", |s| {
            let try_noted = move |x: u32| {
                flaky.note();
                ready(try_it(x))
            };
            s.then("flaky", try_noted).with_metadata(tried())
        })
        .branch("quick", move |x: u32| {
            quick.note();
            async move {
                stay(stuck, "forked-taken").await;
                Ok(x + 1)
            }
        })
        .join("sum", move |outputs: BranchOutputs<JsonCodec>| {
            sum.note();
            async move {
                stay(stuck, "joining").await;
                ["slow", "signed", "stamped", "tried", "quick"].iter().map(|name| outputs.get_by_id::<u32>(name)).sum()
            }
        })
        .loop_flow(
            "rounds",
            |body| {
                body.then("count", ran.add(1)).wait_for_signal("gate", "go", None).then("judge", move |x: u32| {
                    judge.note();
                    ready(Ok(if x > 1 { LoopResult::Again(x) } else { LoopResult::Done(x) }))
                })
            },
            5,
        )
        .then("last", ran.add(7))
        .build()
        .unwrap()
}
