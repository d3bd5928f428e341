//! Workflows whose tasks are JavaScript's functions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use js_sys::{Promise, Reflect};
use sayiir_core::context::{TaskExecutionContext, get_task_context};
use sayiir_core::error::{BoxError, DoNotRetry, RetryAfter};
use sayiir_core::future::BoxFuture;
use sayiir_core::task::{ErasedTask, RetryPolicy, TaskInput, TaskMetadata};
use sayiir_core::workflow::{Outline, OutlineWorkflow};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::attempt::Attempt;
use super::database::message;
use super::error::EdgeError;

#[wasm_bindgen]
extern "C" {
    /// The functions of a workflow, by node path.
    #[derive(Clone)]
    pub type Code;

    #[wasm_bindgen(method)]
    fn has(this: &Code, path: &str) -> bool;

    /// Runs one on an input, which is JSON. Nothing of the user's is called in this very turn: who ends the isolate in a task must
    /// not end it in the middle of the engine.
    #[wasm_bindgen(method)]
    fn run(this: &Code, path: &str, input: &str, context: &str, attempt: Option<Attempt>) -> Running;

    /// A function that runs.
    pub type Running;

    /// The promise of its output, which is JSON; or throws what [`failure`] reads.
    #[wasm_bindgen(method, getter)]
    fn output(this: &Running) -> Promise;

    /// Tells it that nobody waits for it any more.
    #[wasm_bindgen(method)]
    fn abort(this: &Running);
}

/// Tells a function whose attempt ends before it does.
struct AbortOnDrop(Option<Running>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            running.abort();
        }
    }
}

/// A workflow that can run.
#[wasm_bindgen]
pub struct Flow {
    pub(super) workflow: Arc<OutlineWorkflow>,
}

#[wasm_bindgen]
impl Flow {
    /// Builds a definition, which is JSON, with the functions at its nodes.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::needless_pass_by_value, reason = "JavaScript hands it over")]
    pub fn new(definition: &str, code: Code) -> Result<Self, JsValue> {
        let find = |path: &str, _id: &str| {
            let task = || Arc::new(JsTask { code: code.clone(), path: Arc::from(path) }) as Arc<dyn ErasedTask>;
            code.has(path).then(task)
        };
        let outline = Outline::from_json(definition).map_err(EdgeError::Wrong)?;
        let workflow = outline.build(&find).map_err(|errors| EdgeError::Wrong(errors.into()))?;
        Ok(Self { workflow: Arc::new(workflow) })
    }

    /// The definition's identity, as 64 hexadecimal digits.
    #[wasm_bindgen(getter)]
    pub fn hash(&self) -> String {
        self.workflow.definition_hash().to_hex()
    }
}

/// A function of JavaScript at a node.
struct JsTask {
    code: Code,
    path: Arc<str>,
}

impl ErasedTask for JsTask {
    fn run(&self, input: TaskInput) -> BoxFuture<'static, Result<Bytes, BoxError>> {
        let (code, path) = (self.code.clone(), Arc::clone(&self.path));
        Box::pin(async move {
            let input = text_of(input)?;
            let context = get_task_context();
            let attempt = context.as_deref().and_then(Attempt::of);
            let context = context.map(|context| in_json(&context).to_string()).unwrap_or_default();
            let mut running = AbortOnDrop(Some(code.run(&path, &input, &context, attempt)));
            let Some(output) = running.0.as_ref().map(|running| JsFuture::from(running.output())) else {
                return Err("a task was not begun".into());
            };
            let output = output.await;
            running.0 = None;
            let output = output.map_err(|error| failure(&error))?;
            let output = output.as_string().ok_or("a task gave no JSON")?;
            Ok(Bytes::from(output))
        })
    }
}

/// The input as one text: a join is given the list of its branches' values.
fn text_of(input: TaskInput) -> Result<String, BoxError> {
    let text = |bytes: Bytes| String::from_utf8(bytes.into()).map_err(|_| DoNotRetry::new("the input is no text of JSON"));
    match input {
        TaskInput::Value(bytes) => Ok(text(bytes)?),
        TaskInput::Branches(branches) => {
            let values = branches.into_iter().map(|(_name, bytes)| text(bytes)).collect::<Result<Vec<_>, _>>()?;
            Ok(format!("[{}]", values.join(",")))
        }
    }
}

/// What a task threw: `{ text, never?, afterMs? }`.
fn failure(thrown: &JsValue) -> BoxError {
    let get = |key: &str| Reflect::get(thrown, &JsValue::from_str(key)).unwrap_or(JsValue::UNDEFINED);
    let text = get("text").as_string().unwrap_or_else(|| message(thrown));
    if get("never").is_truthy() {
        return DoNotRetry::new(text).into();
    }
    match get("afterMs").as_f64() {
        Some(ms) if ms >= 0.0 => RetryAfter::new(Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX), text).into(),
        Some(_) | None => text.into(),
    }
}

/// What a task can read about itself.
fn in_json(context: &TaskExecutionContext) -> Value {
    let iterations: Vec<_> = context
        .iterations
        .iter()
        .map(|at| json!({ "loopId": &*at.loop_id, "iteration": at.iteration, "maxIterations": at.max_iterations }))
        .collect();
    json!({
        "workflowId": &*context.workflow_id,
        "instanceId": &*context.instance_id,
        "run": context.run.0,
        "taskId": &*context.task_id,
        "nodePath": &*context.node_path,
        "attempt": context.attempt,
        "iterations": iterations,
        "idempotencyKey": context.idempotency_key(),
        "metadata": metadata(&context.metadata),
        "workflowMetadataJson": context.workflow_metadata_json.as_deref(),
    })
}

fn metadata(metadata: &TaskMetadata) -> Value {
    let TaskMetadata { display_name, description, timeout, retries, tags, version, priority } = metadata;
    let retries = retries.as_ref().map(|RetryPolicy { max_retries, initial_delay, backoff_multiplier, max_delay }| {
        json!({
            "maxRetries": max_retries,
            "initialDelaySecs": initial_delay.as_secs_f64(),
            "backoffMultiplier": backoff_multiplier,
            "maxDelaySecs": max_delay.map(|delay| delay.as_secs_f64()),
        })
    });
    let mut all = json!({
        "displayName": display_name,
        "description": description,
        "timeoutSecs": timeout.map(|timeout| timeout.as_secs_f64()),
        "retries": retries,
        "tags": tags,
        "version": version,
        "priority": priority.map(sayiir_core::priority::Priority::as_u8),
    });
    if let Some(fields) = all.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    all
}
