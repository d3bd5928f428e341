//! The cases, by topic. Each takes a factory and makes its own fresh stores.

pub mod atomicity;
pub mod attempts;
pub mod attributes;
pub mod claims;
pub mod control;
pub mod durability;
pub mod events;
pub mod fencing;
pub mod fork_join;
pub mod health;
pub mod imports;
pub mod leases;
pub mod lifecycle;
pub mod limits;
pub mod operations;
pub mod queries;
pub mod refusals;
pub mod requests;
pub mod rewinds;
pub mod timers;
pub mod wakeups;

use std::time::Duration;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const HOUR: Duration = Duration::from_hours(1);
