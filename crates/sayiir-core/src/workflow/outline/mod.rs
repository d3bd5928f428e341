//! A workflow as a binding hands it over: a tree of nodes as JSON, whose tasks are found by their ids.
//!
//! Invariant: an [`Outline`] becomes a plan by the same draft, checks and hash as a builder's workflow: written in either
//! way, the same graph is the same definition.

mod build;
mod read;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Workflow;
use crate::codec::JsonCodec;
use crate::loop_result::MaxIterationsPolicy;
use crate::task::ErasedTask;

/// A workflow built from an [`Outline`]: any runner, worker or driver takes it. Its input is a JSON text, handed on as it is.
pub type OutlineWorkflow = Workflow<JsonCodec, Box<RawValue>, Value>;

/// Finds the code of tasks. It takes and gives JSON: a join is given its branches, a route's key task gives
/// a JSON string, the last task of a loop's body gives `{"_loop": "again" | "done", "value": ..}`.
pub trait OutlineTasks {
    /// The task at this node path (without iterations) and of this id; `None` if there is none, which is a build error.
    ///
    /// A path stands for one node, while a child may use its parent's ids for tasks of its own.
    fn task(&self, path: &str, id: &str) -> Option<Arc<dyn ErasedTask>>;
}

impl<F: Fn(&str, &str) -> Option<Arc<dyn ErasedTask>>> OutlineTasks for F {
    fn task(&self, path: &str, id: &str) -> Option<Arc<dyn ErasedTask>> {
        self(path, id)
    }
}

/// A workflow as a tree of nodes, as the bindings of other languages write it in JSON.
///
/// [`Outline::from_json`] reads it nested as deep as a plan may be; `serde_json` of itself ends at 128 levels of JSON.
///
/// ```
/// use std::sync::Arc;
/// use bytes::Bytes;
/// use sayiir_core::error::BoxError;
/// use sayiir_core::future::BoxFuture;
/// use sayiir_core::task::{ErasedTask, TaskInput};
/// use sayiir_core::workflow::Outline;
///
/// /// Gives what it is given; a binding calls a function of its language here.
/// struct Same;
///
/// impl ErasedTask for Same {
///     fn run(&self, input: TaskInput) -> BoxFuture<'static, Result<Bytes, BoxError>> {
///         Box::pin(async move {
///             match input {
///                 TaskInput::Value(json) => Ok(json),
///                 TaskInput::Branches(_) => Err("this is no join".into()),
///             }
///         })
///     }
/// }
///
/// let json = r#"{ "name": "order", "nodes": [
///     { "kind": "task", "id": "charge", "options": { "timeoutMs": 30000, "retries": { "maxRetries": 3 } } },
///     { "kind": "delay", "id": "grace", "ms": 60000 },
///     { "kind": "task", "id": "ship" }
/// ] }"#;
/// let outline = Outline::from_json(json)?;
/// let same: Arc<dyn ErasedTask> = Arc::new(Same);
/// let workflow = outline.build(&|_: &str, _: &str| Some(Arc::clone(&same)))?;
/// assert!(workflow.plan().find("grace").is_some());
/// # Ok::<(), BoxError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Outline {
    /// The workflow's name.
    pub name: String,
    /// The workflow's version, if it has one.
    #[serde(default)]
    pub version: Option<String>,
    /// What else the workflow's author says about it.
    #[serde(default)]
    pub metadata: Option<Value>,
    /// Its nodes, one after the other.
    pub nodes: Vec<OutlineNode>,
}

/// A node of an [`Outline`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "read::Node")]
pub enum OutlineNode {
    /// A task.
    Task {
        /// Its id.
        id: String,
        /// What is said of it.
        options: OutlineOptions,
    },
    /// Branches side by side, and the task that joins their outputs.
    Fork {
        /// The branches, in order.
        branches: Vec<OutlineBranch>,
        /// The join.
        join: OutlineJoin,
    },
    /// A choice between arms. A branch or body that is nothing but one task named as it is shares that task's path.
    Route {
        /// The key task's id.
        id: String,
        /// What is said of the key task.
        options: OutlineOptions,
        /// The keys that the key task may give; arms stand in their order. Each needs an arm, unless there is a default.
        keys: Vec<String>,
        /// The arms, by key.
        arms: BTreeMap<String, Vec<Self>>,
        /// The arm of every key that has none of its own.
        default: Option<Vec<Self>>,
    },
    /// A wait for a time.
    Delay {
        /// Its id.
        id: String,
        /// How long, in milliseconds.
        ms: u64,
    },
    /// A wait for an event.
    Signal {
        /// Its id.
        id: String,
        /// The event's name.
        name: String,
        /// The longest wait in milliseconds; then `null` is handed on.
        timeout_ms: Option<u64>,
    },
    /// A body that runs until it says that it is done.
    Loop {
        /// Its id.
        id: String,
        /// The body.
        nodes: Vec<Self>,
        /// The most iterations.
        max_iterations: u32,
        /// What happens after the last of them.
        on_max: MaxIterationsPolicy,
    },
    /// Another workflow, inlined under its name.
    Child {
        /// The child's name, once more.
        id: String,
        /// The child.
        workflow: Box<Outline>,
    },
}

/// A branch of a fork.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct OutlineBranch {
    /// Its name.
    pub name: String,
    /// Its nodes.
    pub nodes: Vec<OutlineNode>,
}

/// The task that joins the branches of a fork.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct OutlineJoin {
    /// Its id.
    pub id: String,
    /// What is said of it.
    #[serde(default)]
    pub options: OutlineOptions,
}

/// What an outline says of a task. None of it but the version is part of the definition's identity.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OutlineOptions {
    /// A name for people.
    pub display_name: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// The longest an attempt may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Whether and when a failed attempt is repeated.
    pub retries: Option<OutlineRetries>,
    /// Tags that a worker must serve to run it.
    pub tags: Vec<String>,
    /// How urgent it is: 1 (critical) to 5 (minimal).
    pub priority: Option<u8>,
    /// The version of its code.
    pub version: Option<String>,
}

/// When a failed attempt is repeated.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutlineRetries {
    /// How many retries follow the first attempt.
    pub max_retries: u32,
    /// The wait before the first retry, in milliseconds.
    #[serde(default = "second")]
    pub initial_delay_ms: u64,
    /// By how much each wait is longer than the one before it.
    #[serde(default = "doubling")]
    pub backoff_multiplier: f32,
    /// The longest wait, in milliseconds.
    #[serde(default)]
    pub max_delay_ms: Option<u64>,
}

const fn second() -> u64 {
    1000
}

const fn doubling() -> f32 {
    2.0
}
