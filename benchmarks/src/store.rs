//! The stores that are measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use sayiir::core::journal::JournalRow;
use sayiir::persistence::{InMemoryBackend, Store};
use sayiir::{PoolOptions, PostgresBackend, PostgresOptions, SqliteBackend};
use serde::Serialize;
use sqlx::{Connection, PgConnection};

use crate::measure;
use crate::server::Server;

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// This process's memory
    Memory,
    /// A SQLite file, every commit on the disk before it is acknowledged
    Sqlite,
    /// A PostgreSQL server, every commit on its disk before it is acknowledged
    Postgres,
}

/// Where the stores of the rounds are made.
pub(crate) struct Ground {
    kind: Kind,
    directory: PathBuf,
    server: Option<Server>,
}

impl Ground {
    pub(crate) fn new(kind: Kind, directory: &Path, url: Option<String>) -> anyhow::Result<Self> {
        let server = match kind {
            Kind::Memory | Kind::Sqlite => None,
            Kind::Postgres => Some(Server::new(url)?),
        };
        Ok(Self { kind, directory: directory.to_owned(), server })
    }

    /// Durable commits of next to nothing a second, as the medium under the store makes them now.
    pub(crate) fn raw_commits_per_second(&self) -> anyhow::Result<f64> {
        match &self.server {
            None => measure::raw_commits_per_second(&self.directory),
            Some(server) => server.simple_updates_per_second(),
        }
    }

    /// A new store for one round.
    pub(crate) async fn place(&self) -> anyhow::Result<Place> {
        let directory = tempfile::tempdir_in(&self.directory)?;
        let address = match (self.kind, &self.server) {
            (Kind::Memory, _) => "memory".to_owned(),
            (Kind::Sqlite, _) | (Kind::Postgres, None) => directory.path().join("bench.db").display().to_string(),
            (Kind::Postgres, Some(server)) => server.new_schema().await?,
        };
        Ok(Place { store: open(&address).await?, address, _directory: directory })
    }
}

/// A new store for one round.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn Store>,
    /// Where another process finds it.
    pub(crate) address: String,
    _directory: tempfile::TempDir,
}

/// Opens the store at an address: `memory`, a file, or the URL of a server with `#schema`.
pub(crate) async fn open(address: &str) -> anyhow::Result<Arc<dyn Store>> {
    if address == "memory" {
        return Ok(Arc::new(InMemoryBackend::new()));
    }
    let Some((url, schema)) = address.split_once('#') else { return Ok(Arc::new(SqliteBackend::open(address).await?)) };
    let pool = PoolOptions { max_connections: Some(16), ..PoolOptions::default() };
    let options = PostgresOptions::default().with_pool(pool).with_schema(schema);
    Ok(Arc::new(PostgresBackend::<sayiir::prelude::JsonCodec>::open_with(url, options).await?))
}

impl Place {
    /// The statements that this process has asked of SQLite, or the writing transactions of everybody on the PostgreSQL server.
    #[allow(clippy::cast_precision_loss, reason = "a figure")]
    pub(crate) async fn statements(&self) -> anyhow::Result<f64> {
        let Some((url, _)) = self.address.split_once('#') else { return Ok(sayiir::sqlite_statements() as f64) };
        let sql = "select txid_snapshot_xmax(txid_current_snapshot())::float8";
        Ok(sqlx::query_scalar(sql).fetch_one(&mut PgConnection::connect(url).await?).await?)
    }

    /// The statements so far, those that only read included, once nobody asks more of them than now and then.
    pub(crate) async fn statements_at_rest(&self) -> anyhow::Result<f64> {
        let Some((url, _)) = self.address.split_once('#') else { return self.statements().await };
        // A connection that has come to rest tells its counts within ten seconds.
        tokio::time::sleep(Duration::from_secs(11)).await;
        let sql = "select sum(xact_commit + xact_rollback)::float8 from pg_stat_database where datname = current_database()";
        Ok(sqlx::query_scalar(sql).fetch_one(&mut PgConnection::connect(url).await?).await?)
    }

    /// What the store has written so far: the size of a SQLite database, its log not counted, or the position in a
    /// PostgreSQL server's log; 0 for memory.
    pub(crate) async fn bytes(&self) -> anyhow::Result<f64> {
        if let Some((url, _)) = self.address.split_once('#') {
            let written = "select (pg_current_wal_insert_lsn() - '0/0')::float8";
            return Ok(sqlx::query_scalar(written).fetch_one(&mut PgConnection::connect(url).await?).await?);
        }
        if self.address == "memory" {
            return Ok(0.0);
        }
        let conn = rusqlite::Connection::open(&self.address)?;
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        let pages: u32 = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        Ok(f64::from(pages) * 4096.0)
    }
}

/// What a journal row holds, in bytes, its keys and numbers not counted.
pub(crate) fn row_bytes(row: &JournalRow) -> usize {
    let values = [&row.output, &row.handed_on].into_iter().flatten().map(sayiir::bytes::Bytes::len).sum::<usize>();
    values + row.node.len() + row.branch.as_str().len() + row.error.as_ref().map_or(0, String::len)
}
