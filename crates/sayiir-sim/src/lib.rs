//! The real engine, driver, worker and memory store in a made-up world, from one seed.
//!
//! The world has a clock that jumps, a scheduler that takes whatever is ready at random, and a network that loses,
//! delays and doubles what goes over it; its processes die and come back. Beside the store stands somebody who
//! looks at every write, and at the end everything must have come to what the reference says.

mod client;
mod host;
mod link;
mod simulate;
mod watched;
mod world;

pub use simulate::{Outcome, simulate};
