//! Private, throw-away PostgreSQL clusters for tests and benchmarks.
//!
//! Invariant: nothing of a cluster outlives the process that started it, however that process ends. A small guard
//! process waits on a pipe that only its owner holds; when the pipe closes, it stops the server and removes its files.
//!
//! ```no_run
//! # fn main() -> Result<(), sayiir_pg_testserver::ServerError> {
//! let server = sayiir_pg_testserver::PgServer::start(&sayiir_pg_testserver::Settings::durable())?;
//! println!("{}", server.url());
//! server.kill()?; // as a power failure would, but for the disk
//! server.restart()?;
//! # Ok(()) }
//! ```
#![cfg(unix)]

mod account;
mod binaries;
mod run;
mod server;

pub use binaries::{Binaries, HOW_TO_INSTALL};
pub use run::ServerError;
pub use server::{PgServer, Settings, shared};
