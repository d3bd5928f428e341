//! What workflows must come to, and random workflows to compare every driver and store with it.
//!
//! [`interpret`] is the reference: a recursive function over values. [`case`] makes a random workflow from a
//! seed. [`Bench`] runs it on a store through a driver, undisturbed or with a fault at one of its store writes,
//! and says what differs from the reference.

mod build;
mod fleet;
mod generate;
mod interpret;
mod outside;
mod run;
mod spec;
mod verdict;
mod world;

pub use build::{Begun, Flow, Notes, signal_name, workflow};
pub use fleet::{Findings, FleetOptions, FleetStore, Place, Serve, run_fleet, serve};
pub use generate::{DEPTH, case};
pub use interpret::{Reference, Step, interpret};
pub use outside::{Outside, control};
pub use run::{Befalls, Bench, Driver, Moment};
pub use spec::{Arrival, Case, Control, How, Node, Trouble, mix, payload};
pub use verdict::{judge, nothing_again};
pub use world::{ShiftedClock, StoreKind, World};
