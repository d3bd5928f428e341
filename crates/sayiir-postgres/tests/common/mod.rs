//! What the tests of the PostgreSQL store share: a runtime, and fresh schemas of one throw-away server.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(clippy::wildcard_enum_match_arm, clippy::panic, clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use sayiir_persistence::{NewEvent, StoreError, StoreFuture};
use sayiir_pg_testserver::{PgServer, Settings, shared};
use sayiir_postgres::{PoolOptions, PostgresBackend, PostgresOptions};
use sayiir_store_testkit::TestClock;
pub use sayiir_store_testkit::orders::*;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, Row};
use tokio::runtime::Runtime;

/// Where the stores' connections live.
pub static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// A name that no other store of this process has.
pub fn fresh_schema() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("case_{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

/// A small pool, which gives up soon.
pub fn small_pool() -> PoolOptions {
    PoolOptions { max_connections: Some(5), acquire_timeout: Some(Duration::from_secs(20)), ..PoolOptions::default() }
}

pub fn options(schema: &str) -> PostgresOptions {
    PostgresOptions::default().with_schema(schema).with_pool(small_pool())
}

/// Opens the store of a schema on the shared server.
pub fn open(options: PostgresOptions) -> PostgresBackend {
    RUNTIME.block_on(PostgresBackend::open_with(&shared().unwrap().url(), options)).unwrap()
}

pub fn open_on(schema: &str, clock: Arc<TestClock>) -> PostgresBackend {
    open(options(schema).with_clock(clock))
}

/// A server of this test's own, whose commits wait for the disk.
pub fn own_server(settings: &Settings) -> PgServer {
    PgServer::start(settings).unwrap()
}

/// Opens a store on a server.
pub fn open_at(server: &PgServer, options: PostgresOptions) -> PostgresBackend {
    RUNTIME.block_on(PostgresBackend::open_with(&server.url(), options)).unwrap()
}

/// A connection of the test's own, with the store's schema in its path.
pub fn raw(url: &str, schema: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(url).unwrap().application_name("raw").options([("search_path", schema)]);
    RUNTIME.block_on(options.connect()).unwrap()
}

/// Runs a statement.
pub fn execute(conn: &mut PgConnection, sql: &str) {
    RUNTIME.block_on(sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(conn)).unwrap();
}

/// The one number that a statement answers.
pub fn number(conn: &mut PgConnection, sql: &str) -> i64 {
    let row = RUNTIME.block_on(sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(conn)).unwrap();
    row.try_get::<Option<i64>, _>(0).unwrap().unwrap_or(-1)
}

/// Asks until the statement answers this number.
#[track_caller]
pub fn until(conn: &mut PgConnection, sql: &str, wanted: i64) {
    let begun = Instant::now();
    loop {
        let found = number(conn, sql);
        if found == wanted {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{sql} stays {found}, not {wanted}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub const MANY: usize = 64;

/// Asks for all before the first is answered.
pub fn at_once<'a, T: 'a>(asked: impl IntoIterator<Item = StoreFuture<'a, T>>) -> Vec<Result<T, StoreError>> {
    let asked: Vec<_> = asked.into_iter().collect();
    RUNTIME.block_on(join_all(asked))
}

/// Asks until there is an answer, as clients do. Counts how often it had to ask again.
pub async fn insist_on<T>(
    store: PostgresBackend,
    asked_again: Arc<AtomicUsize>,
    ask: impl for<'s> Fn(&'s PostgresBackend) -> StoreFuture<'s, T>,
) -> T {
    let begun = Instant::now();
    loop {
        match ask(&store).await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.is_transient() && begun.elapsed() < PATIENCE, "{error:?}"),
        }
        asked_again.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ends the stores' connections, or in every other round the server, when the statement has come to this number: so that replies are
/// lost.
pub fn lose_replies(server: &PgServer, schema: &str, round: usize, (sql, wanted): (&str, usize)) {
    let mut looker = raw(&server.url(), schema);
    until_at_least(&mut looker, sql, i64::try_from(wanted).unwrap());
    if round.is_multiple_of(2) {
        execute(&mut looker, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sayiir'");
        return;
    }
    drop(looker);
    server.kill().unwrap();
    server.restart().unwrap();
}

/// Rounds in which replies are lost: four, and more, up to a bound, until somebody had to ask again.
pub fn rounds_until_asked_again(mut round: impl FnMut(usize, &Arc<AtomicUsize>)) {
    let asked_again = Arc::default();
    for number in 0..20 {
        round(number, &asked_again);
        if number >= 3 && asked_again.load(Ordering::Relaxed) > 0 {
            return;
        }
    }
    panic!("nobody had to ask again");
}

/// How often the server was asked to execute a statement with these words. It logs them.
pub fn executed(server: &PgServer, words: &str) -> usize {
    executed_that(server, |line| line.contains(words))
}

/// How often the server was asked to execute a statement whose first line is of this kind, in one look at its log.
pub fn executed_that(server: &PgServer, kind: impl Fn(&str) -> bool) -> usize {
    server.log().lines().filter(|line| line.contains(" execute ") && kind(line)).count()
}

/// Makes inserts into a table fail, in a way.
pub fn inserts_fail(table: &str, code: &str, when: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {when} THEN RAISE 'made up' USING ERRCODE = '{code}'; \
         END IF; RETURN NEW; END $$; DROP TRIGGER IF EXISTS fails ON {table}; \
         CREATE TRIGGER fails BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fails()"
    )
}

pub fn event(id: &str, name: &str, payload: &str) -> NewEvent {
    NewEvent { instance_id: Arc::from(id), name: Arc::from(name), payload: Bytes::from(payload.to_owned()), key: None }
}

/// Asks until the statement answers this number or more.
#[track_caller]
pub fn until_at_least(conn: &mut PgConnection, sql: &str, wanted: i64) {
    let begun = Instant::now();
    while number(conn, sql) < wanted {
        assert!(begun.elapsed() < PATIENCE, "{sql} does not reach {wanted}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
