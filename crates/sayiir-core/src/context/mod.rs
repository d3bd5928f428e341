//! Contexts: what a definition is built with, and what a running task can ask about itself.

mod attempt;
mod execution;
mod workflow;

pub use attempt::{AttemptError, AttemptServices, checkpoint};
pub use execution::{IterationInfo, TaskExecutionContext, get_task_context, scope};
pub use workflow::WorkflowContext;
