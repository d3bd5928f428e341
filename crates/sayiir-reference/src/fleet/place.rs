//! The store of a fleet, as its processes find it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use sayiir_persistence::Store;
use sayiir_sqlite::SqliteBackend;

/// Which store a fleet works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FleetStore {
    /// A SQLite file.
    Sqlite,
}

impl fmt::Display for FleetStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
        })
    }
}

impl FromStr for FleetStore {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            other => Err(format!("{other:?} is no store that processes share: sqlite is")),
        }
    }
}

/// A new store for a fleet, and the directory in which its processes note what they do.
pub struct Place {
    /// The store, as the process that watches the fleet uses it.
    pub store: Arc<dyn Store>,
    address: String,
    logs: PathBuf,
    _directory: tempfile::TempDir,
}

impl Place {
    /// Makes a store that nobody has used.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub async fn new(kind: &FleetStore) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let logs = directory.path().join("logs");
        std::fs::create_dir(&logs)?;
        let address = match kind {
            FleetStore::Sqlite => format!("sqlite:{}", directory.path().join("fleet.db").display()),
        };
        Ok(Self { store: open(&address).await?, address, logs, _directory: directory })
    }

    /// Where another process finds the store.
    pub fn address(&self) -> &str {
        &self.address
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
        _ => anyhow::bail!("no store is known by the scheme of this address"),
    }
}
