//! The pure engine: [`decide`] says what a branch does next, and nothing else does.
//!
//! It is given a definition, a branch as it was loaded, and what happened; it answers with one storable
//! transition, or with work that is to be done first. It reads no clock, does no I/O and awaits nothing.
//!
//! Architecture Invariant: what is owed to a branch follows from its stored head alone, so going on
//! after a crash is the ordinary path ([`Input::Taken`]) and not a second one.

mod advance;
mod decide;
mod retry;
mod rewind;
mod value;
mod words;

pub use decide::decide;
pub use retry::backoff;
pub use rewind::{RewindError, RewindPoint, check_rewind, rewind_point};
pub use words::{Decision, Definition, Effect, Input, MAX_CRASHES, RetryAdvice, RunTask, TaskFailure};
