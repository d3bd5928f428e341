//! A case as a real workflow, built with the public builder. Its tasks note that they ran.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sayiir_core::error::{BoxError, BuildErrors, DoNotRetry};
use sayiir_core::plan::sub_step_path;
use sayiir_core::prelude::*;
use sayiir_core::task::RetryPolicy;
use sayiir_core::time::{Clock, Timestamp};
use sayiir_core::workflow::Typed;

use crate::interpret::{Step, chosen, has_parts, opened, part_name, taken};
use crate::spec::{Arrival, How, Node, Trouble, mix};

/// The workflow of a case.
pub type Flow = Workflow<JsonCodec, u64, (), u64>;

type Builder = WorkflowBuilder<JsonCodec, u64, Typed<u64>>;

/// How long the short waits are: delays, backoffs, and time limits that are to run out.
const SHORT: Duration = Duration::from_millis(1);

/// That a task began.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Which.
    pub step: Step,
    /// Its node path.
    pub path: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// What really ran, by instance.
pub struct Notes {
    begun: Mutex<HashMap<Arc<str>, Vec<Begun>>>,
    clock: Arc<dyn Clock>,
    log: Option<Log>,
}

/// Keeps what began where the death of its process does not reach it.
type Log = Box<dyn Fn(&str, &Begun) + Send + Sync>;

impl Notes {
    /// Nothing ran yet.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { begun: Mutex::default(), clock, log: None })
    }

    /// Nothing ran yet; what begins is told to `log` before it does anything.
    pub fn logged(clock: Arc<dyn Clock>, log: impl Fn(&str, &Begun) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { begun: Mutex::default(), clock, log: Some(Box::new(log)) })
    }

    /// What ran of an instance.
    pub fn of(&self, instance_id: &str) -> Vec<Begun> {
        self.begun().get(instance_id).cloned().unwrap_or_default()
    }

    /// How many tasks began in an instance.
    pub fn count(&self, instance_id: &str) -> usize {
        self.begun().get(instance_id).map_or(0, Vec::len)
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<Arc<str>, Vec<Begun>>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of a task: notes that it began, as a step of its own.
    fn part(&self, id: u32, name: &str, value: u64) -> Result<u64, BoxError> {
        let context = get_task_context().ok_or("a part runs without a context")?;
        self.note(&context, part_name(id, name), sub_step_path(&context.node_path, name));
        Ok(mix(id, value))
    }

    fn note(&self, context: &TaskExecutionContext, name: String, path: Arc<str>) {
        let iterations = context.iterations.iter().map(|at| at.iteration).collect();
        let begun = Begun { step: (name, iterations), path, at: self.clock.now() };
        match &self.log {
            Some(log) => log(&context.instance_id, &begun),
            None => self.begun().entry(Arc::clone(&context.instance_id)).or_default().push(begun),
        }
    }

    /// Notes that a task began, and meets its trouble.
    async fn attempt(&self, name: &str, trouble: Trouble) -> Result<(), BoxError> {
        let context = get_task_context().ok_or("a task runs without a context")?;
        self.note(&context, name.to_owned(), Arc::clone(&context.node_path));
        if context.attempt > trouble.attempts {
            return Ok(());
        }
        match trouble.how {
            How::Error => Err(format!("trouble in {name}").into()),
            How::ForGood => Err(DoNotRetry::new(format!("trouble in {name}")).into()),
            // Not `panic!`: a hook need not print what is meant to happen.
            How::Panic => std::panic::resume_unwind(Box::new(format!("trouble in {name}"))),
            How::Hang => pending().await,
        }
    }
}

/// The workflow of these nodes, under this name. Policies are no part of a definition's identity, so two cases may
/// differ in nothing but their names.
///
/// # Errors
///
/// If the nodes are none that can be built, which a generated case never is.
pub fn workflow(name: &str, nodes: &[Node], log: &Arc<Notes>) -> Result<Flow, BuildErrors> {
    let context = WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(()));
    sequence(WorkflowBuilder::new(context), nodes, log).build()
}

fn sequence(builder: Builder, nodes: &[Node], log: &Arc<Notes>) -> Builder {
    nodes.iter().fold(builder, |builder, node| add(builder, node, log))
}

fn add(builder: Builder, node: &Node, notes: &Arc<Notes>) -> Builder {
    match node {
        Node::Task { id, trouble } => {
            let id = *id;
            task(builder, id, *trouble, notes)
        }
        Node::Delay { id } => builder.delay(format!("d{id}"), SHORT),
        Node::Fork { id, branches, trouble } => fork(builder, *id, branches, *trouble, notes),
        Node::Route { id, arms, default } => route(builder, *id, arms, default.as_deref(), notes),
        Node::Loop { id, body, rounds, most, exit_with_last } => {
            let policy = if *exit_with_last { MaxIterationsPolicy::ExitWithLast } else { MaxIterationsPolicy::Fail };
            let (id, rounds, name, log) = (*id, *rounds, format!("g{id}"), Arc::clone(notes));
            let judge = move |value: u64| {
                let (name, log) = (name.clone(), Arc::clone(&log));
                async move {
                    log.attempt(&name, Trouble::NONE).await?;
                    let round = get_task_context().and_then(|context| context.iterations.last().map(|at| at.iteration)).unwrap_or(0);
                    let value = mix(id, value);
                    Ok(if round + 1 < rounds { LoopResult::Again(value) } else { LoopResult::Done(value) })
                }
            };
            let body = |flow: Builder| sequence(flow, body, notes).then(format!("g{id}"), judge);
            builder.loop_flow_with_policy(format!("l{id}"), body, *most, policy)
        }
        Node::Signal { id, event, arrival } => {
            let (id, timeout) = (*id, (*arrival == Arrival::Never).then_some(SHORT));
            let waits = builder.wait_for_signal_opt::<u64>(format!("w{id}"), signal_name(*event), timeout);
            let (name, log) = (format!("s{id}"), Arc::clone(notes));
            waits.then(format!("s{id}"), move |came: Option<u64>| {
                let (name, log) = (name.clone(), Arc::clone(&log));
                async move {
                    log.attempt(&name, Trouble::NONE).await?;
                    Ok(taken(id, came))
                }
            })
        }
        Node::Child { id, nodes } => match workflow(&format!("c{id}"), nodes, notes) {
            Ok(child) => builder.then_flow(child),
            // A sequence is never empty, and its names are its own.
            Err(_) => builder,
        },
    }
}

/// The name of a signal's events.
pub fn signal_name(id: u32) -> String {
    format!("event-{id}")
}

fn task(builder: Builder, id: u32, trouble: Trouble, notes: &Arc<Notes>) -> Builder {
    let log = Arc::clone(notes);
    let run = move |value: u64| {
        let log = Arc::clone(&log);
        async move {
            if !has_parts(id, trouble) {
                log.attempt(&format!("t{id}"), trouble).await?;
                return Ok(mix(id, value));
            }
            let first = checkpoint("first", async { log.part(id, "first", value) }).await?;
            log.attempt(&format!("t{id}"), trouble).await?;
            checkpoint("second", async { log.part(id, "second", first) }).await
        }
    };
    builder.then(format!("t{id}"), run).with_metadata(metadata(trouble))
}

fn metadata(trouble: Trouble) -> TaskMetadata {
    let Trouble { attempts, how, retries } = trouble;
    let policy = RetryPolicy { max_retries: retries, initial_delay: SHORT, backoff_multiplier: 1.0, max_delay: None };
    TaskMetadata {
        retries: (retries > 0).then_some(policy),
        timeout: (attempts > 0 && how == How::Hang).then_some(2 * SHORT),
        ..TaskMetadata::default()
    }
}

fn fork(builder: Builder, id: u32, branches: &[Vec<Node>], trouble: Trouble, notes: &Arc<Notes>) -> Builder {
    let mut fork = builder.fork();
    for (number, branch) in branches.iter().enumerate() {
        fork = fork.branch_flow(format!("b{number}"), |flow| sequence(flow, branch, notes));
    }
    let (count, name, log) = (branches.len(), format!("j{id}"), Arc::clone(notes));
    let join = move |outputs: BranchOutputs<JsonCodec>| {
        let (name, log) = (name.clone(), Arc::clone(&log));
        async move {
            log.attempt(&name, trouble).await?;
            let output = |number: usize| outputs.get_by_id::<u64>(&format!("b{number}"));
            (0..count).try_fold(0, |sum, number| Ok(mix(id, sum ^ output(number)?)))
        }
    };
    fork.join(format!("j{id}"), join).with_metadata(metadata(trouble))
}

fn route(builder: Builder, id: u32, arms: &[Vec<Node>], default: Option<&[Node]>, notes: &Arc<Notes>) -> Builder {
    let (count, key_name, log) = (arms.len(), format!("r{id}"), Arc::clone(notes));
    let key = move |value: u64| {
        let (key_name, log) = (key_name.clone(), Arc::clone(&log));
        async move {
            log.attempt(&key_name, Trouble::NONE).await?;
            Ok(format!("k{}", chosen(id, value, count)))
        }
    };
    let mut route = builder.route_str::<u64, _, _>(key);
    for (number, arm) in arms.iter().enumerate() {
        route = route.branch(format!("k{number}"), |flow| sequence(flow, arm, notes));
    }
    if let Some(default) = default {
        route = route.default_branch(|flow| sequence(flow, default, notes));
    }
    let (name, log) = (format!("u{id}"), Arc::clone(notes));
    route.done().then(format!("u{id}"), move |envelope: BranchEnvelope<u64>| {
        let (name, log) = (name.clone(), Arc::clone(&log));
        async move {
            log.attempt(&name, Trouble::NONE).await?;
            Ok(opened(id, &envelope.branch, envelope.result))
        }
    })
}
