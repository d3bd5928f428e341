//! Sayiir inside Cloudflare Workers: the same engine and driver as WebAssembly, with state in D1 or in the SQLite of
//! Durable Objects.
//!
//! [`SqlStore`] is the one store of both: every operation is a list of statements that a [`Sql`] runs as one transaction,
//! without a look in between. What JavaScript calls is in `js`, which only wasm32 has.

#[cfg(target_arch = "wasm32")]
pub mod js;
pub mod sql;
mod store;

pub use sql::{Row, Sql, SqlError, Statement, Value};
pub use store::{SqlStore, SqlStoreOptions};
