//! What the workers of a fleet do for each other, and how little an idle one asks, under a clock that jumps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod answers;
mod forks;
mod quiet;
#[path = "../town/mod.rs"]
mod town;
mod turns;

use std::time::Duration;

use sayiir_driver::WorkerOptions;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// A worker that looks once a minute when all is quiet.
fn looks() -> WorkerOptions {
    WorkerOptions { poll: SECOND, ..WorkerOptions::default() }
}
