//! Contexts: what a definition is built with, and what a running task can ask about itself.

mod execution;
mod workflow;

pub use execution::{IterationInfo, TaskExecutionContext, get_task_context, scope};
pub use workflow::WorkflowContext;
