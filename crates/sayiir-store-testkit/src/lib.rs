//! One suite that every Sayiir store passes, and a store wrapper that fails where it is told to.
//!
//! A store's own tests call [`conformance!`] with a function that makes a fresh store on a [`TestClock`]:
//!
//! ```
//! # mod suite {
//! use std::sync::Arc;
//! use sayiir_persistence::{InMemoryBackend, Store};
//! use sayiir_store_testkit::TestClock;
//!
//! fn fresh(clock: Arc<TestClock>) -> Arc<dyn Store> {
//!     Arc::new(InMemoryBackend::with_clock(clock))
//! }
//!
//! sayiir_store_testkit::conformance!(fresh);
//! # }
//! ```
//!
//! Every case is then a test of its own. [`run_all`] runs them in a loop instead. A store that outlives its process says
//! how it is opened again, and how what its old versions wrote is opened: see [`conformance!`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::missing_panics_doc,
    reason = "a suite of tests: it fails by panicking"
)]

/// The page on how to write a store, whose examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/writing-a-store.md")]
pub struct WritingAStore;

mod bench;
#[doc(hidden)]
pub mod cases;
mod clock;
mod durable;
mod fault;
mod list;
pub mod orders;
pub mod sample;

pub use bench::{Bench, Factory, TTL, head_at};
pub use clock::TestClock;
pub use durable::{Home, Opener};
pub use fault::{Fault, FaultStore};
pub use list::{CASES, Case, DURABLE_CASES, DurableCase, run_all, run_all_durable};

/// Runs an operation to its end on this thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    futures_executor::block_on(future)
}
