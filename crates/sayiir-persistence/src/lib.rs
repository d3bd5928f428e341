//! Sayiir's store interface, the lifecycle contract and the in-memory store.

pub mod error;
pub mod store;
pub mod wakeups;

pub use error::StoreError;
pub use store::*;
pub use wakeups::Wakeups;
