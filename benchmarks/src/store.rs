//! The stores that are measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use sayiir::persistence::{InMemoryBackend, Store};
use sayiir::{SqliteBackend, core::journal::JournalRow};
use serde::Serialize;

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// This process's memory
    Memory,
    /// A SQLite file, every commit on the disk before it is acknowledged
    Sqlite,
}

/// A new store for one round.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn Store>,
    file: Option<PathBuf>,
    _directory: tempfile::TempDir,
}

impl Place {
    pub(crate) async fn new(kind: Kind, directory: &Path) -> anyhow::Result<Self> {
        let place = tempfile::tempdir_in(directory)?;
        let (store, file): (Arc<dyn Store>, _) = match kind {
            Kind::Memory => (Arc::new(InMemoryBackend::new()), None),
            Kind::Sqlite => {
                let file = place.path().join("bench.db");
                (Arc::new(SqliteBackend::open(&file).await?), Some(file))
            }
        };
        Ok(Self { store, file, _directory: place })
    }

    /// The size of the database, its log not counted; 0 for memory.
    pub(crate) fn bytes(&self) -> anyhow::Result<f64> {
        let Some(file) = &self.file else { return Ok(0.0) };
        let conn = rusqlite::Connection::open(file)?;
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        let pages: u32 = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        Ok(f64::from(pages) * 4096.0)
    }
}

/// The statements that the stores of this process have run.
pub(crate) fn statements() -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a figure")]
    let count = sayiir::sqlite_statements() as f64;
    count
}

/// What a journal row holds, in bytes, its keys and numbers not counted.
pub(crate) fn row_bytes(row: &JournalRow) -> usize {
    let values = [&row.output, &row.handed_on].into_iter().flatten().map(sayiir::bytes::Bytes::len).sum::<usize>();
    values + row.node.len() + row.branch.as_str().len() + row.error.as_ref().map_or(0, String::len)
}
