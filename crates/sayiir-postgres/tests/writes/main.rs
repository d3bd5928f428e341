//! What is written together, and what is written when something goes wrong.
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
mod starts;
mod under_fire;
