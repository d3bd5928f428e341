//! Sayiir's durable store on an embedded SQLite file.
//!
//! ```no_run
//! # async fn open() -> Result<(), sayiir_persistence::StoreError> {
//! let store = sayiir_sqlite::SqliteBackend::open("orders.db").await?;
//! # Ok(()) }
//! ```
//!
//! One thread owns the writing connection: what was asked meanwhile becomes one transaction (group commit), and is
//! answered when it is on the disk. Reads have connections and threads of their own. Several processes may use one
//! file; each watches it, so that it learns of the others' writes without asking. Clones share one store; it is
//! closed, after what was asked of it is written, when the last one is dropped.

mod backend;
mod clock;
mod connect;
mod fault;
mod figures;
mod job;
mod ops;
mod options;
mod queue;
mod readers;
mod rows;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod tx;
mod watch;
mod writer;

pub use backend::SqliteBackend;
#[doc(hidden)]
pub use figures::statements;
pub use options::{SqliteOptions, Synchronous};
