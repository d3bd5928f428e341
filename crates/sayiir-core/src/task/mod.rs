//! Tasks: the user's functions, and what is said of them.

mod erased;
mod metadata;

pub use erased::{ErasedTask, TaskInput};
pub use metadata::{RetryPolicy, TaskMetadata};
