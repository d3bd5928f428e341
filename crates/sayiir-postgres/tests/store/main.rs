//! The store as its callers and the processes beside it meet it: opened, written to together and at the same time, waking others, and in trouble.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod events;
mod failures;
mod opening;
mod skews;
mod starts;
mod under_fire;
mod waking;
