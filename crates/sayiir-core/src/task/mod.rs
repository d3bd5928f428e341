//! Tasks: the user's functions, and what is said of them.

mod core_task;
mod erased;
mod metadata;
mod outputs;
mod typed;

pub use core_task::{CoreTask, FnTask, RegisterableTask, TaskIdentifier, fn_task};
pub use erased::{ErasedTask, TaskInput};
pub use metadata::{RetryPolicy, TaskMetadata};
pub use outputs::{BranchEnvelope, BranchOutputs};
pub(crate) use typed::{AfterSignal, Implementation, KeyTask};
