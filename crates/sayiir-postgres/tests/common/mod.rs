//! What the tests of the PostgreSQL store share: a runtime, and fresh schemas of one throw-away server.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(clippy::wildcard_enum_match_arm, clippy::panic, clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::branch::{BranchId, Head, JournalRef, LeaseId, Phase, Placement, RunNumber};
use sayiir_core::journal::EntryKind;
use sayiir_core::transition::{Entry, EventGuard, Next, Output, Transition};
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{BranchView, ClaimRequest, ClaimScope, CommitOutcome, Definition, Process, StartOutcome, StartRun, Store};
use sayiir_pg_testserver::{PgServer, Settings, shared};
use sayiir_postgres::{PoolOptions, PostgresBackend, PostgresOptions};
use sayiir_store_testkit::{TestClock, wait};
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

/// The longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub const TTL: Duration = Duration::from_mins(1);

pub fn definition() -> Definition {
    Definition { hash: DefinitionHash::from("orders"), name: Arc::from("orders"), version: Arc::from("1"), document: None }
}

pub fn request(id: &str, nonce: u128, lease: Option<LeaseId>) -> StartRun {
    StartRun {
        instance_id: Arc::from(id),
        definition: definition(),
        policy: ConflictPolicy::Fail,
        input: Bytes::from_static(b"in"),
        first_node: Arc::from("first"),
        placement: Placement::default(),
        nonce,
        lease: lease.map(|lease| (lease, TTL)),
        trace: None,
        attributes: sayiir_core::attribute::SearchAttributes::new(),
    }
}

pub fn session(store: &PostgresBackend) -> LeaseId {
    let process = Process { host: "here".to_owned(), pid: 7, started: u64::MAX, worker_id: "w".to_owned() };
    wait(store.open_session(process)).unwrap()
}

pub fn start_leased(store: &PostgresBackend, id: &str, lease: LeaseId) -> BranchView {
    match wait(store.start(request(id, 1, Some(lease)))).unwrap() {
        StartOutcome::Fresh { root: Some(root), .. } => *root,
        other => panic!("{other:?}"),
    }
}

pub fn at(node: &str, revision: u64) -> Head {
    let input = JournalRef { branch: BranchId::root(), revision };
    Head { node: Arc::from(node), phase: Phase::At, attempt: 0, input, fork_revision: 0 }
}

pub fn entry(node: &str, output: impl Into<Bytes>) -> Entry {
    Entry { kind: EntryKind::TaskCompleted, node: Arc::from(node), attempt: 1, output: Output::Value(output.into()), error: None }
}

/// A transition of a branch.
pub fn transition(view: &BranchView, entry: Option<Entry>, guard: EventGuard, next: Next) -> Transition {
    let BranchView { instance_id, run, branch, revision, paused, .. } = view.clone();
    Transition { instance_id, run, branch, revision, entry, guard, held: paused, next }
}

/// A plain advance of the root branch from `revision`.
pub fn advance(id: &Arc<str>, run: RunNumber, revision: u64) -> Transition {
    Transition {
        instance_id: Arc::clone(id),
        run,
        branch: BranchId::root(),
        revision,
        entry: Some(entry("step", revision.to_string())),
        guard: EventGuard::None,
        held: false,
        next: Next::Run { head: at("step", revision + 1) },
    }
}

pub fn accepted(outcomes: &[CommitOutcome]) -> bool {
    outcomes.iter().all(|outcome| matches!(outcome, CommitOutcome::Accepted { .. }))
}

pub fn everything(limit: usize, lease: LeaseId) -> ClaimRequest {
    let scope = ClaimScope::Definitions { hashes: [definition().hash].into(), tags: [].into(), ageing: Duration::from_mins(5) };
    ClaimRequest { lease, ttl: TTL, limit, scope }
}
