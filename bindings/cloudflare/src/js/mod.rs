//! What JavaScript calls, and what it is asked for: a database, functions, timers, the time and randomness.
//!
//! Values cross as texts of JSON. The package's own JavaScript (`js/`) makes them what its users see; nothing else is to call
//! this. A panic ends every call that is on its way with an error, and the next call finds a fresh instance.

mod asked;
mod attempt;
mod database;
mod engine;
mod error;
mod flow;
mod host;
mod panic;
mod status;
mod wake;

pub use attempt::Attempt;
pub use database::Database;
pub use engine::{Core, Flows};
pub use flow::{Code, Flow, Running};
pub use panic::{fail_by_panic, on_panic, restart};
