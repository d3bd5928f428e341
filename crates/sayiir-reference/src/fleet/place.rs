//! The store of a fleet, as its processes find it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sayiir_core::codec::JsonCodec;
use sayiir_persistence::Store;
use sayiir_postgres::{PoolOptions, PostgresBackend};
use sayiir_sqlite::SqliteBackend;

use super::database::Database;

/// Which store a fleet works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FleetStore {
    /// A SQLite file.
    Sqlite,
    /// A PostgreSQL server of its own.
    Postgres,
}

impl fmt::Display for FleetStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

impl FromStr for FleetStore {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" => Ok(Self::Postgres),
            other => Err(format!("{other:?} is no store that processes share: sqlite and postgres are")),
        }
    }
}

/// A new store for a fleet, and the directory in which its processes note what they do.
pub struct Place {
    /// The store, as the process that watches the fleet uses it.
    pub store: Arc<dyn Store>,
    address: String,
    logs: PathBuf,
    database: Option<Database>,
    _directory: tempfile::TempDir,
}

impl Place {
    /// Makes a store that nobody has used, for so many workers.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub async fn new(kind: FleetStore, workers: usize) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let logs = directory.path().join("logs");
        std::fs::create_dir(&logs)?;
        let (address, database) = match kind {
            FleetStore::Sqlite => (format!("sqlite:{}", directory.path().join("fleet.db").display()), None),
            FleetStore::Postgres => {
                let database = Database::start(workers).await?;
                (database.url().to_owned(), Some(database))
            }
        };
        Ok(Self { store: open(&address).await?, address, logs, database, _directory: directory })
    }

    /// Where another process finds the store.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The server behind the store, if there is one.
    pub(super) const fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// Where the processes note what they do.
    pub fn logs(&self) -> &Path {
        &self.logs
    }
}

/// Opens the store at an address.
pub(super) async fn open(address: &str) -> anyhow::Result<Arc<dyn Store>> {
    match address.split_once(':') {
        Some(("sqlite", file)) => Ok(Arc::new(SqliteBackend::open(file).await?)),
        Some(("postgres", _)) => {
            let pool = PoolOptions { max_connections: Some(8), acquire_timeout: Some(Duration::from_secs(2)), ..PoolOptions::default() };
            Ok(Arc::new(PostgresBackend::<JsonCodec>::connect_with_options(address, pool).await?))
        }
        _ => anyhow::bail!("no store is known by the scheme of this address"),
    }
}
