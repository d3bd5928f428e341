//! Sayiir's durable store on PostgreSQL.
//!
//! ```no_run
//! # async fn open() -> Result<(), sayiir_persistence::StoreError> {
//! let store: sayiir_postgres::PostgresBackend = sayiir_postgres::PostgresBackend::connect("postgres://sayiir@localhost/orders").await?;
//! # Ok(()) }
//! ```
//!
//! Any number of processes share one database. The transitions of a process that come together while its last statement is on
//! its way are one statement (group commit), and so are its starts and the events that it sends; each is accepted or refused by itself, and answered when it
//! is on the disk. A process listens on one connection for what others change, and asks nothing while nothing happens. The database's
//! clock decides what is due. Clones share one store.

mod announce;
mod apart;
mod backend;
mod commit;
mod connect;
mod core;
mod fault;
mod groups;
mod mail;
mod ops;
mod options;
#[cfg(test)]
mod plans;
mod rows;
mod schema;
mod starts;
mod store;
mod tx;

pub use backend::PostgresBackend;
pub use options::{PoolOptions, PostgresOptions};
pub use sqlx::PgPool;
