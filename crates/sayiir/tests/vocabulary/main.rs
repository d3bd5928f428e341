//! Programs as a user of the public vocabulary writes them, area by area: names, argument order and
//! meaning stay as they are.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it expected by panicking"
)]
#![allow(clippy::redundant_closure_for_method_calls, reason = "an arm reads the same whether it has one step or two")]

mod builder;
mod claims;
mod client;
mod codecs;
mod ids;
mod inline;
mod lifecycle;
mod macros;
mod nodes;
mod paths;
mod registry;
mod runners;
mod snapshot;
mod stores;
mod support;
mod workers;
