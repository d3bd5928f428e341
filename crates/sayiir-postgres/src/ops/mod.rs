//! The operations: each one is a function of a transaction (or of one statement) that can be run again.

pub(crate) mod attributes;
pub(crate) mod claim;
pub(crate) mod control;
pub(crate) mod events;
pub(crate) mod heads;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod journal;
pub(crate) mod lanes;
pub(crate) mod list;
pub(crate) mod purge;
pub(crate) mod queries;
pub(crate) mod rewind;
pub(crate) mod sessions;
pub(crate) mod start;
pub(crate) mod views;
