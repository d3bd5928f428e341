//! Sayiir's store interface, the lifecycle contract and the in-memory store.

mod backend_error;
mod claims;
#[cfg(not(target_arch = "wasm32"))]
mod clock;
mod control;
pub mod door;
pub mod error;
mod filter;
mod forward;
mod health;
mod import;
mod layer;
pub mod lifecycle;
pub mod meet;
mod memory;
pub mod metric_names;
mod nonce;
mod operations;
mod records;
pub mod rows;
mod status;
pub mod store;
mod traits;
mod view;
mod vocabulary;
pub mod wakeups;

pub use backend_error::{BackendError, Detail};
#[cfg(not(target_arch = "wasm32"))]
pub use clock::SystemClock;
pub use error::StoreError;
#[doc(hidden)]
pub use layer::store_types;
pub use layer::{AroundStore, Operation};
pub use lifecycle::{ConflictPolicy, PrepareRunOutcome, RunConflict, prepare_run};
pub use memory::InMemoryBackend;
pub use status::{running_sql, status_of};
pub use store::*;
pub use traits::{BackendResult, PersistentBackend, SignalStore, SnapshotStore, TaskClaimStore, TaskResultStore};
pub use wakeups::{InstanceListener, Wakeups};
