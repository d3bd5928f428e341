//! The one load-decide-commit loop, for every runner and for the simulator.
//!
//! A [`Session`] is one worker's right to hold leases. It drives branches: it asks the engine, commits what
//! the engine decided, runs the tasks that are owed, and reports back. It has no runtime: time, spawning
//! and the process's identity come from a [`Host`].
//!
//! Architecture Invariant: nothing here has an opinion about retries, timeouts, joins or loops.

mod ask;
mod attempt;
mod beside;
mod bounded;
mod branch;
mod commit;
mod figures;
mod give_back;
mod group;
mod held;
mod host;
mod keeper;
mod run_instance;
mod session;
mod shy;
mod span;
mod spread;
mod task;
mod worker;
mod workflows;

pub use group::{Fault, Group};
pub use host::{AbortTask, Host};
pub use run_instance::{DriveError, RunEnd, RunGuard, WaitFor, drive_instance};
pub use session::{Session, SessionOptions};
pub use worker::{Worker, WorkerOptions};
pub use workflows::WorkflowSet;
