//! The words of Sayiir: ids, tasks, codecs, the workflow builder and the plan it makes.
//!
//! Start at [`workflow::WorkflowBuilder`]; [`prelude`] has what a program needs. A built workflow's graph is a
//! [`plan::Plan`], which the engine reads; its code is reached through [`workflow::RunnableWorkflow`], which
//! drivers call.
//!
//! This crate has no runtime, no I/O and no clock, and builds for wasm32.

pub mod attribute;
pub mod branch;
pub mod branch_key;
pub mod branch_results;
pub mod codec;
pub mod context;
pub mod control;
pub mod deps;
pub mod error;
pub mod future;
pub mod ids;
pub mod journal;
pub mod loop_result;
#[doc(hidden)]
pub mod macro_support;
pub mod plan;
pub mod prelude;
pub mod priority;
pub mod registry;
#[doc(hidden)]
pub mod rules;
pub mod snapshot;
pub mod task;
pub mod task_claim;
pub mod time;
pub mod transition;
pub mod workflow;

mod conflict;
mod status;

pub use ids::{DefinitionHash, InvalidHash, InvalidInstanceId, MAX_INSTANCE_ID_LEN, TaskId, WorkflowId, validate_instance_id};
pub use loop_result::{LoopResult, MaxIterationsPolicy};
