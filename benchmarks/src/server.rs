//! A PostgreSQL server to measure on: one of its own, as a user's is set up, or one that is given.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};
use sayiir_pg_testserver::{Binaries, PgServer, Settings};
use sqlx::{Connection, PgConnection};

/// As many clients as the comparison has.
const CLIENTS: &str = "32";
/// How long the comparison runs each time, in seconds.
const SECONDS: &str = "2";

pub(crate) struct Server {
    /// Kept, so that it goes on.
    _own: Option<PgServer>,
    url: String,
    pgbench: std::path::PathBuf,
    schemas: AtomicU32,
}

impl Server {
    /// The server at `url`, or one of its own.
    pub(crate) fn new(url: Option<String>) -> anyhow::Result<Self> {
        let pgbench = Binaries::find()?.program("pgbench");
        let pgbench = if pgbench.exists() { pgbench } else { "pgbench".into() };
        let own = if url.is_none() { Some(PgServer::start(&Settings::durable())?) } else { None };
        let url = url.or_else(|| own.as_ref().map(PgServer::url)).unwrap_or_default();
        let server = Self { _own: own, url, pgbench, schemas: AtomicU32::new(0) };
        server.pgbench(&["-i", "-q", "-s", "10"])?;
        Ok(server)
    }

    /// The simple updates that `pgbench` makes a second.
    pub(crate) fn simple_updates_per_second(&self) -> anyhow::Result<f64> {
        let told = self.pgbench(&["-n", "-N", "-M", "prepared", "-c", CLIENTS, "-j", "2", "-T", SECONDS])?;
        let line = told.lines().find_map(|line| line.strip_prefix("tps = ")).context("pgbench told no rate")?;
        Ok(line.split(' ').next().unwrap_or_default().parse()?)
    }

    /// A schema that is not there yet, as an address.
    pub(crate) async fn new_schema(&self) -> anyhow::Result<String> {
        let schema = format!("bench_{}_{}", std::process::id(), self.schemas.fetch_add(1, Ordering::Relaxed));
        // What earlier rounds left would be cleaned up in the midst of this one.
        let mut connection = PgConnection::connect(&self.url).await?;
        sqlx::raw_sql("checkpoint").execute(&mut connection).await?;
        Ok(format!("{}#{schema}", self.url))
    }

    fn pgbench(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(&self.pgbench)
            .args(arguments)
            .arg(&self.url)
            .output()
            .context("pgbench cannot be run: it comes with PostgreSQL")?;
        ensure!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
