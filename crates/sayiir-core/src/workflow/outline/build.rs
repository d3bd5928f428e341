//! From the tree to the plan: each node is pushed as the typed builder would push it.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Outline, OutlineBranch, OutlineJoin, OutlineNode, OutlineOptions, OutlineRetries, OutlineTasks, OutlineWorkflow};
use crate::codec::JsonCodec;
use crate::context::WorkflowContext;
use crate::error::{BoxError, BuildError, BuildErrors, CodecError, DoNotRetry};
use crate::loop_result::LoopResult;
use crate::plan::{MAX_DEPTH, TaskSpec};
use crate::priority::Priority;
use crate::task::{Implementation, RetryPolicy, TaskMetadata};
use crate::workflow::Untyped;
use crate::workflow::builder::{Step, Steps, check_coverage};
use crate::workflow::code::{NodeCode, PayloadCode, Program};

impl Outline {
    /// Reads an outline from JSON that is nested as deep as a plan may be: deeper than `serde_json` reads of itself.
    pub fn from_json(json: &str) -> Result<Self, BoxError> {
        if depth_of(json) > DEEPEST_JSON {
            return Err(format!("the outline of a workflow is nested deeper than {DEEPEST_JSON} levels of JSON").into());
        }
        let mut deserializer = serde_json::Deserializer::from_str(json);
        deserializer.disable_recursion_limit();
        let outline = Self::deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(outline)
    }

    /// Checks the whole and compiles it with the code of its tasks. All errors of the graph are collected; then those of
    /// tasks without code.
    pub fn build(self, tasks: &dyn OutlineTasks) -> Result<OutlineWorkflow, BuildErrors> {
        let codec = Arc::new(JsonCodec);
        let context = WorkflowContext::new(&*self.name, Arc::clone(&codec), Arc::new(self.metadata.clone().unwrap_or_default()));
        let mut program = program(self, &codec)?;
        let mut errors = BuildErrors::new();
        for (node, code) in program.plan.nodes().iter().zip(&mut program.nodes) {
            let Some(TaskSpec { task: id, metadata: _ }) = node.spec.task() else { continue };
            match tasks.task(&node.path, id) {
                Some(task) => *code = code.with_implementation(Implementation::of_json(task), &codec),
                None => errors.push(BuildError::TaskNotFound(id.to_string())),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(OutlineWorkflow { program: Arc::new(program), context, decode: |_codec, bytes| Ok(Untyped::new(bytes)), input: PhantomData })
    }
}

/// A fork in a fork is four levels of JSON deeper, and a plan has so many levels.
const DEEPEST_JSON: usize = 4 * MAX_DEPTH + 16;

/// How deep the brackets of a JSON text are nested.
fn depth_of(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The plan of an outline, without the code of its tasks.
fn program(outline: Outline, codec: &Arc<JsonCodec>) -> Result<Program<JsonCodec>, BuildErrors> {
    let Outline { name, version, metadata: _, nodes } = outline;
    sequence(Steps::new(), nodes, codec).compile(&name, &version.unwrap_or_default(), codec, None)
}

fn sequence(mut steps: Steps<JsonCodec>, nodes: Vec<OutlineNode>, codec: &Arc<JsonCodec>) -> Steps<JsonCodec> {
    for node in nodes {
        push(&mut steps, node, codec);
    }
    steps
}

/// What stands inside of one of these steps, unless it is nested too deep.
fn inside(steps: &Steps<JsonCodec>, name: &str, nodes: Vec<OutlineNode>, codec: &Arc<JsonCodec>) -> Steps<JsonCodec> {
    let mut inside = steps.inside();
    if inside.is_too_deep() {
        inside.error(BuildError::TooDeep(name.to_owned()));
        return inside;
    }
    sequence(inside, nodes, codec)
}

/// A branch or body: one that is nothing but a task of its name shares that task's path.
fn branch(steps: &Steps<JsonCodec>, name: &str, nodes: Vec<OutlineNode>, codec: &Arc<JsonCodec>) -> Steps<JsonCodec> {
    match <[OutlineNode; 1]>::try_from(nodes) {
        Ok([OutlineNode::Task { id, options }]) if id == name => steps.inside().single(step(id, options)),
        Ok(node) => inside(steps, name, node.into(), codec),
        Err(nodes) => inside(steps, name, nodes, codec),
    }
}

fn push(steps: &mut Steps<JsonCodec>, node: OutlineNode, codec: &Arc<JsonCodec>) {
    match node {
        OutlineNode::Task { id, options } => steps.push_task(step(id, options)),
        OutlineNode::Fork { branches, join: OutlineJoin { id, options } } => {
            let branch = |OutlineBranch { name, nodes }| {
                let nodes = branch(steps, &name, nodes, codec);
                (name, nodes)
            };
            let branches = branches.into_iter().map(branch).collect();
            steps.push_fork(step(id, options), branches);
        }
        OutlineNode::Route { id, options, keys, mut arms, default } => {
            let key = step(id, options);
            check_keys(steps, &key.id, &keys, &arms, default.is_some());
            let in_order = keys.into_iter().filter_map(|key| arms.remove_entry(&key)).collect::<Vec<_>>();
            let arm = |(key, nodes): (String, Vec<OutlineNode>)| {
                let nodes = inside(steps, &key, nodes, codec);
                (key, nodes)
            };
            let arms = in_order.into_iter().map(arm).collect();
            let default = default.map(|nodes| inside(steps, "default", nodes, codec));
            steps.push_route(key, NodeCode::route::<Box<RawValue>>(), arms, default);
        }
        OutlineNode::Delay { id, ms } => steps.push_delay(&id, Duration::from_millis(ms)),
        OutlineNode::Signal { id, name, timeout_ms } => {
            steps.push_signal(&id, &name, timeout_ms.map(Duration::from_millis), PayloadCode::signal());
        }
        OutlineNode::Loop { id, nodes, max_iterations, on_max } => {
            let body = branch(steps, &id, nodes, codec);
            steps.push_loop(&id, body, max_iterations, on_max, PayloadCode::Loop(|_codec, bytes| loop_result(&bytes)));
        }
        OutlineNode::Child { id, workflow } => push_child(steps, &id, *workflow, codec),
    }
}

fn push_child(steps: &mut Steps<JsonCodec>, id: &str, child: Outline, codec: &Arc<JsonCodec>) {
    if id != child.name {
        let reason = format!("a child's node is named as the child: {:?}", child.name);
        steps.error(BuildError::InvalidName { name: id.to_owned(), reason });
    }
    if steps.inside().is_too_deep() {
        return steps.error(BuildError::TooDeep(id.to_owned()));
    }
    match program(child, codec) {
        Ok(program) => steps.push_child(&program),
        Err(errors) => errors.into_iter().for_each(|error| steps.error(error)),
    }
}

fn step(id: String, options: OutlineOptions) -> Step {
    let mut errors = Vec::new();
    let metadata = metadata(&id, options, &mut errors);
    Step { id, implementation: None, metadata, errors }
}

fn check_keys(steps: &mut Steps<JsonCodec>, route: &str, keys: &[String], arms: &BTreeMap<String, Vec<OutlineNode>>, has_default: bool) {
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let arms: BTreeSet<&str> = arms.keys().map(String::as_str).collect();
    for error in check_coverage(route, &names, &arms, has_default) {
        steps.error(error);
    }
    let mut seen = BTreeSet::new();
    for twice in names.iter().filter(|name| !seen.insert(**name)) {
        steps.error(BuildError::DuplicateBranch { node: route.to_owned(), branch: (*twice).to_owned() });
    }
}

fn metadata(id: &str, options: OutlineOptions, errors: &mut Vec<BuildError>) -> TaskMetadata {
    let OutlineOptions { display_name, description, timeout_ms, retries, tags, priority, version } = options;
    let known = priority.and_then(Priority::from_u8);
    if let Some(number) = priority
        && known.is_none()
    {
        errors.push(BuildError::InvalidPriority { node: id.to_owned(), priority: number });
    }
    let retries = retries.map(|OutlineRetries { max_retries, initial_delay_ms, backoff_multiplier, max_delay_ms }| RetryPolicy {
        max_retries,
        initial_delay: Duration::from_millis(initial_delay_ms),
        backoff_multiplier,
        max_delay: max_delay_ms.map(Duration::from_millis),
    });
    let timeout = timeout_ms.map(Duration::from_millis);
    TaskMetadata { display_name, description, timeout, retries, tags, version, priority: known }
}

/// What a loop's body returned, in the form that [`LoopResult`] has in JSON; its value is not looked into.
#[derive(Deserialize)]
struct Verdict {
    #[serde(rename = "_loop")]
    verdict: Word,
    #[serde(default)]
    value: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Again,
    Done,
}

fn loop_result(bytes: &Bytes) -> Result<LoopResult<Bytes>, BoxError> {
    let Verdict { verdict, value } = serde_json::from_slice(bytes).map_err(|source| {
        let context = "what a loop's body returned: it is LoopResult.again(value) or LoopResult.done(value)".to_owned();
        DoNotRetry::new(CodecError::Decode { type_name: "LoopResult", context, source: source.into() })
    })?;
    let value = value.map_or_else(|| Bytes::from_static(b"null"), |value| Bytes::from(String::from(Box::<str>::from(value))));
    Ok(match verdict {
        Word::Again => LoopResult::Again(value),
        Word::Done => LoopResult::Done(value),
    })
}
