//! Sayiir's store interface, the lifecycle contract and the in-memory store.

#[cfg(not(target_arch = "wasm32"))]
mod clock;
pub mod door;
pub mod error;
mod memory;
mod status;
pub mod store;
pub mod wakeups;

#[cfg(not(target_arch = "wasm32"))]
pub use clock::SystemClock;
pub use error::StoreError;
pub use memory::InMemoryBackend;
pub use status::status_of;
pub use store::*;
pub use wakeups::Wakeups;
