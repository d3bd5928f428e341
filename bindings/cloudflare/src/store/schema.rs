//! The tables, made on first use, and their version.
//!
//! The tables stand beside the user's own, under names that begin with `sayiir_`. Codes: `status` 0 mail only, 1 running,
//! 2 completed, 3 failed, 4 cancelled; times are microseconds. `sayiir_guard` is always empty: what is to end a transaction is
//! written into it. `previous` is the run before this one, whose journal is kept so that a late writer learns what became
//! of its write. `request` is the control request in force, `cancel` and `pause` are recorded ones; each is there if its
//! time is. `moved_at` is the time of the last journal row that the next one must not precede.

use sayiir_persistence::StoreError;

use super::fault::{Fault, Outcome};
use crate::sql::{Sql, SqlError, statement};

/// The version of the tables that this build works with.
pub(super) const VERSION: i64 = 1;

const TABLES: &str = include_str!("schema.sql");

/// Sees to it that the tables are there and of this build's version.
pub(super) async fn prepare(sql: &dyn Sql) -> Outcome<()> {
    let ask = || sql.batch(vec![statement!("SELECT value FROM sayiir_counter WHERE name = 'version'")]);
    let found = match ask().await {
        Err(SqlError::NoTable(_)) => {
            sql.batch(TABLES.split(';').map(str::trim).filter(|text| !text.is_empty()).map(|text| statement!(text)).collect()).await?;
            ask().await?
        }
        found => found?,
    };
    let version: Option<i64> = found.first().and_then(|rows| rows.first()).map(|row| row.columns().take()).transpose()?;
    match version {
        Some(VERSION) => Ok(()),
        found => Err(Fault::Store(StoreError::Schema {
            found: found.map_or_else(|| "of no version".to_owned(), |version| format!("version {version}")),
            supported: format!("version {VERSION}"),
            advice: "another version of @sayiir/cloudflare made these tables; deploy that version or a later one".to_owned(),
        })),
    }
}
