//! Opening connections: which settings the store needs, and which servers it works with.

use std::str::FromStr;
use std::time::Duration;

use sayiir_persistence::StoreError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use crate::fault::{Fault, Outcome};
use crate::options::{PoolOptions, PostgresOptions};

/// The oldest server that the store works with, as `server_version_num` gives it.
const OLDEST: u32 = 130_000;

/// The statements of one connection; more than there are.
const STATEMENTS: usize = 160;

/// A connection that lay idle for so long is asked whether it still lives before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// What the store's statements need of the planner. Each finds its rows by an index, in an order that it says. A plan made
/// while a table was empty must not scan it when it is large, and a plan must not be made anew for each set of parameters.
const PLANNER: &[(&str, &str)] = &[
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_bitmapscan", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
    ("client_min_messages", "warning"),
];

/// Reads a database URL. What it holds is in no message.
pub(crate) fn parse(url: &str) -> Result<PgConnectOptions, StoreError> {
    let parsed = PgConnectOptions::from_str(url);
    parsed.map_err(|_| {
        StoreError::misused("the database URL cannot be read; it should look like postgres://user:password@host:5432/database")
    })
}

/// A connection's options with what the store needs.
pub(crate) fn tuned(options: PgConnectOptions, store: &PostgresOptions) -> PgConnectOptions {
    let name = options.get_application_name().map_or_else(|| "sayiir".to_owned(), str::to_owned);
    let PoolOptions { statement_timeout, idle_in_transaction_session_timeout, .. } = &store.pool;
    let millis = |limit: &Duration| limit.as_millis().clamp(1, 1 << 30).to_string();
    let timeouts = [
        ("statement_timeout", statement_timeout.as_ref().map(millis)),
        ("idle_in_transaction_session_timeout", idle_in_transaction_session_timeout.as_ref().map(millis)),
    ];
    options
        .application_name(&name)
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging()
        .options(PLANNER.iter().copied())
        .options([("search_path", store.schema.as_str())])
        .options(timeouts.into_iter().filter_map(|(name, limit)| Some((name, limit?))))
}

/// A pool as these options say.
pub(crate) fn pool_options(options: &PoolOptions) -> PgPoolOptions {
    let PoolOptions {
        max_connections,
        min_connections,
        acquire_timeout,
        idle_timeout,
        max_lifetime,
        statement_timeout: _,
        idle_in_transaction_session_timeout: _,
    } = options;
    let mut pool = PgPoolOptions::new().test_before_acquire(false).before_acquire(|conn, of| {
        Box::pin(async move {
            if of.idle_for > TRUSTED_FOR {
                conn.ping().await?;
            }
            Ok(true)
        })
    });
    if let Some(most) = max_connections {
        pool = pool.max_connections(*most);
    }
    if let Some(least) = min_connections {
        pool = pool.min_connections(*least);
    }
    if let Some(timeout) = acquire_timeout {
        pool = pool.acquire_timeout(*timeout);
    }
    if let Some(timeout) = idle_timeout {
        pool = pool.idle_timeout(*timeout);
    }
    if let Some(lifetime) = max_lifetime {
        pool = pool.max_lifetime(*lifetime);
    }
    pool
}

/// The one connection that listens: it stays as long as the store.
pub(crate) fn listening_pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).connect_lazy_with(options)
}

/// Refuses a server that is too old.
pub(crate) fn check_server(conn: &PgConnection) -> Outcome<()> {
    check_version(conn.server_version_num())
}

/// Refuses a connection that does not have the settings it was opened with: its statements would look elsewhere, or into every row.
pub(crate) async fn check_settings(conn: &mut PgConnection, schema: &str) -> Outcome<()> {
    for (name, wanted) in PLANNER.iter().copied().chain([("search_path", schema)]) {
        let found: String = sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(&mut *conn).await?;
        if found != wanted {
            return Err(Fault::misused(format!(
                "the connection has {name} = {found:?} in the place of {wanted:?}: a pooler on the way to the server drops what a connection \
                 is opened with; connect to the server itself, or see the guide to PostgreSQL on PgBouncer"
            )));
        }
    }
    Ok(())
}

fn check_version(number: Option<u32>) -> Outcome<()> {
    match number {
        Some(number) if number < OLDEST => {
            let found = format!("{}.{}", number / 10_000, number % 10_000);
            Err(Fault::misused(format!("PostgreSQL {found} is not supported: the store needs version 13 or later")))
        }
        // Those that give no number speak its protocol but are another system: their own errors tell.
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
    use super::*;

    #[test]
    fn an_old_server_is_refused() {
        let refusal = check_version(Some(120_017)).unwrap_err().into_store_error().to_string();
        assert!(refusal.contains("PostgreSQL 12.17 is not supported"), "{refusal}");
        assert!(check_version(Some(130_000)).is_ok() && check_version(Some(180_001)).is_ok());
    }

    #[tokio::test]
    async fn a_connection_that_lost_its_settings_on_the_way_is_refused() {
        let plain = PgConnectOptions::from_str(&sayiir_pg_testserver::shared().unwrap().url()).unwrap();
        let refusal = check_settings(&mut plain.connect().await.unwrap(), "s").await.unwrap_err().into_store_error().to_string();
        assert!(refusal.contains("pooler") && refusal.contains("enable_seqscan"), "{refusal}");
        let store = PostgresOptions::default().with_schema("s");
        let mut conn = tuned(plain, &store).connect().await.unwrap();
        assert!(check_settings(&mut conn, "s").await.is_ok());
        assert!(check_settings(&mut conn, "another").await.is_err());
    }

    #[test]
    fn a_bad_url_is_not_repeated() {
        for url in ["postgres://u:secret@[::1:5432/x", "postgres://u:secret@host:notaport/x", "secret"] {
            let told = parse(url).map(drop).unwrap_err();
            assert!(!format!("{told} {told:?}").contains("secret"), "{told:?}");
        }
    }
}
