//! Workflows: the builder, what it builds, and the words for running it.

mod runnable;

pub use runnable::RunnableWorkflow;

pub use crate::conflict::{ConflictPolicy, UnknownConflictPolicy};
pub use crate::loop_result::MaxIterationsPolicy;
pub use crate::status::WorkflowStatus;
