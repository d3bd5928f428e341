//! Plans for stories, in a few letters.

use std::time::Duration;

use bytes::Bytes;
use sayiir_core::error::BoxError;
use sayiir_core::plan::{Draft, NodeIx, Payloads, Plan};
use sayiir_core::task::{RetryPolicy, TaskMetadata};
use sayiir_core::{LoopResult, MaxIterationsPolicy};

/// A node of a story's plan.
#[derive(Clone)]
pub enum N {
    Task(&'static str, TaskMetadata),
    Fork(&'static str, Vec<(&'static str, Vec<N>)>),
    Route(&'static str, Vec<(&'static str, Vec<N>)>, Option<Vec<N>>),
    Loop(&'static str, Vec<N>, u32, MaxIterationsPolicy),
    Delay(&'static str, u64),
    Signal(&'static str, &'static str, Option<u64>),
    Child(&'static str, Vec<N>),
}

pub fn t(id: &'static str) -> N {
    N::Task(id, TaskMetadata::default())
}

/// A task with retries after 1 s, 2 s, 4 s (less the jitter).
pub fn retried(id: &'static str, max_retries: u32) -> N {
    N::Task(id, TaskMetadata { retries: Some(RetryPolicy::with_max_retries(max_retries)), ..TaskMetadata::default() })
}

pub fn fork(id: &'static str, branches: Vec<(&'static str, Vec<N>)>) -> N {
    N::Fork(id, branches)
}

pub fn route(id: &'static str, arms: Vec<(&'static str, Vec<N>)>, default: Option<Vec<N>>) -> N {
    N::Route(id, arms, default)
}

pub fn repeat(id: &'static str, body: Vec<N>, max: u32) -> N {
    N::Loop(id, body, max, MaxIterationsPolicy::Fail)
}

pub fn repeat_or_exit(id: &'static str, body: Vec<N>, max: u32) -> N {
    N::Loop(id, body, max, MaxIterationsPolicy::ExitWithLast)
}

pub fn delay(id: &'static str, seconds: u64) -> N {
    N::Delay(id, seconds)
}

pub fn signal(id: &'static str, name: &'static str, timeout: Option<u64>) -> N {
    N::Signal(id, name, timeout)
}

pub fn child(name: &'static str, nodes: Vec<N>) -> N {
    N::Child(name, nodes)
}

pub fn plan(nodes: &[N]) -> Plan {
    draft(nodes).compile("story", "").expect("a story's plan is sound")
}

fn spec(id: &str, metadata: &TaskMetadata) -> sayiir_core::plan::TaskSpec {
    sayiir_core::plan::TaskSpec { task: id.into(), metadata: metadata.clone() }
}

fn draft(nodes: &[N]) -> Draft {
    let mut all = Draft::new();
    let none = TaskMetadata::default();
    let arms = |arms: &[(&'static str, Vec<N>)]| arms.iter().map(|(key, nodes)| ((*key).to_owned(), draft(nodes))).collect::<Vec<_>>();
    for node in nodes {
        match node {
            N::Task(id, metadata) => drop(all.push_task(id, spec(id, metadata))),
            N::Fork(id, branches) => drop(all.push_fork(id, spec(id, &none), arms(branches))),
            N::Route(id, branches, default) => {
                drop(all.push_route(id, spec(id, &none), arms(branches), default.as_ref().map(|nodes| draft(nodes))));
            }
            N::Loop(id, body, max, on_max) => drop(all.push_loop(id, draft(body), *max, *on_max)),
            N::Delay(id, seconds) => drop(all.push_delay(id, Duration::from_secs(*seconds))),
            N::Signal(id, name, timeout) => drop(all.push_signal(id, name, timeout.map(Duration::from_secs))),
            N::Child(name, nodes) => drop(all.push_child(&draft(nodes).compile(name, "").expect("a sound child"))),
        }
    }
    all
}

/// Payloads as text: `again x` and `done x` for loops, `key(x)` for routes, `none` for a timeout.
pub struct Text;

impl Payloads for Text {
    fn loop_result(&self, _repeat: NodeIx, output: &Bytes) -> Result<LoopResult<Bytes>, BoxError> {
        let text = std::str::from_utf8(output)?;
        let (word, value) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "again" => Ok(LoopResult::Again(value.to_owned().into())),
            "done" => Ok(LoopResult::Done(value.to_owned().into())),
            other => Err(format!("{other:?} is neither again nor done").into()),
        }
    }

    fn route_envelope(&self, _route: NodeIx, key: &str, output: &Bytes) -> Result<Bytes, BoxError> {
        Ok(format!("{key}({})", std::str::from_utf8(output)?).into())
    }

    fn event_value(&self, _signal: NodeIx, payload: &Bytes) -> Result<Bytes, BoxError> {
        if payload.starts_with(b"!") { Err("a bad payload".into()) } else { Ok(payload.clone()) }
    }

    fn timeout_value(&self, _signal: NodeIx) -> Result<Bytes, BoxError> {
        Ok(Bytes::from_static(b"none"))
    }
}
