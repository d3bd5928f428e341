//! Making the tables and bringing them up to date, by as many processes at once as like.
//!
//! Invariant: a version is applied whole or not at all, once, under a lock of the database; what is stored in a newer
//! version is not touched.

use sayiir_persistence::StoreError;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::fault::{Fault, Outcome};

/// The steps to each version, in order. One that was released never changes.
const MIGRATIONS: &[&str] = &[include_str!("sql/schema_1.sql"), include_str!("sql/schema_2.sql")];

/// The version that this build works with.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "there are not so many versions")]
pub(crate) const VERSION: i32 = MIGRATIONS.len() as i32;

const VERSION_TABLE: &str = "CREATE TABLE schema_version (version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());";

/// All statements that make the schema, for people who run them by hand. Without a schema's own creation rights, an
/// administrator runs it once; see the guide for the grants that the programs' role needs.
pub(crate) fn as_sql(schema: &str) -> String {
    let begin = format!(
        "-- Sayiir's tables, version {VERSION}, in the schema {schema}.\nBEGIN;\nCREATE SCHEMA IF NOT EXISTS {schema};\n\
         SET LOCAL search_path TO {schema};\n\n{VERSION_TABLE}\n"
    );
    let steps = (1..).zip(MIGRATIONS).map(|(version, step)| format!("\n{step}\nINSERT INTO schema_version VALUES ({version});\n"));
    std::iter::once(begin).chain(steps).chain(std::iter::once("COMMIT;\n".to_owned())).collect()
}

/// Checks the schema, and makes or migrates it if that is allowed.
pub(crate) async fn prepare(conn: &mut PgConnection, schema: &str, migrate: bool) -> Outcome<()> {
    match found(conn, schema).await? {
        Some(VERSION) => Ok(()),
        Some(newer) if newer > VERSION => Err(newer_than_this(newer)),
        older if migrate => {
            tracing::info!(schema, from = older.unwrap_or(0), to = VERSION, "migrating the store's schema");
            migrate_to_this(conn, schema).await
        }
        older => Err(Fault::Store(StoreError::Schema {
            found: older.map_or_else(|| "missing".to_owned(), |version| version.to_string()),
            supported: VERSION.to_string(),
            advice: format!("run what PostgresBackend::migrations_sql({schema:?}) prints, or let the store migrate"),
        })),
    }
}

fn newer_than_this(version: i32) -> Fault {
    Fault::Store(StoreError::Schema {
        found: version.to_string(),
        supported: VERSION.to_string(),
        advice: "a newer Sayiir has migrated it; use that version, nothing was changed".to_owned(),
    })
}

/// The version of what is there; `None` if nothing is. (A function like `to_regclass` answers from a cache, which may be older
/// than the lock that this waited for.)
async fn found(conn: &mut PgConnection, schema: &str) -> Outcome<Option<i32>> {
    let sql =
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'schema_version'";
    if sqlx::query(sql).bind(schema).fetch_optional(&mut *conn).await?.is_none() {
        return Ok(None);
    }
    let row = sqlx::query("SELECT max(version) FROM schema_version").fetch_one(conn).await?;
    Ok(row.try_get(0)?)
}

async fn migrate_to_this(conn: &mut PgConnection, schema: &str) -> Outcome<()> {
    let mut tx = conn.begin().await?;
    // A migration takes its time, and waits for another's.
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('sayiir schema ' || $1, 0))").bind(schema).execute(&mut *tx).await?;
    let version = if let Some(version) = found(&mut tx, schema).await? {
        version
    } else {
        create(&mut tx, schema).await?;
        0
    };
    if version > VERSION {
        return Err(newer_than_this(version));
    }
    let from = usize::try_from(version).unwrap_or(0);
    for (number, step) in (1_i32..).zip(MIGRATIONS).skip(from) {
        sqlx::raw_sql(*step).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO schema_version VALUES ($1)").bind(number).execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}

/// Makes an empty store. The schema itself may be there already, made by somebody who may.
async fn create(conn: &mut PgConnection, schema: &str) -> Outcome<()> {
    let there = sqlx::query("SELECT 1 FROM pg_namespace WHERE nspname = $1").bind(schema).fetch_optional(&mut *conn).await?;
    if there.is_none() {
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&mut *conn).await?;
    }
    let tables: i64 = sqlx::query("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1")
        .bind(schema)
        .fetch_one(&mut *conn)
        .await?
        .try_get(0)?;
    if tables > 0 {
        return Err(Fault::Store(StoreError::Schema {
            found: "not Sayiir's".to_owned(),
            supported: VERSION.to_string(),
            advice: format!("the schema {schema:?} holds {tables} relations of something else; choose another name for the store"),
        }));
    }
    sqlx::raw_sql(VERSION_TABLE).execute(conn).await?;
    Ok(())
}
