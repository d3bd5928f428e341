//! How a store is made, migrated, refused, and opened by roles with few rights.

use sayiir_persistence::{Store, StoreError};
use sayiir_pg_testserver::shared;
use sayiir_postgres::{PgPool, PostgresBackend, PostgresOptions};
use sayiir_store_testkit::wait;

use crate::common::*;

fn try_open(url: &str, options: PostgresOptions) -> Result<PostgresBackend, StoreError> {
    RUNTIME.block_on(PostgresBackend::open_with(url, options))
}

fn url() -> String {
    shared().unwrap().url()
}

#[test]
fn many_processes_make_the_tables_at_once() {
    let schema = fresh_schema() + "_many";
    let stores: Vec<_> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..16).map(|_| scope.spawn(|| open(options(&schema)))).collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    let leases: std::collections::BTreeSet<_> = stores.iter().map(session).collect();
    assert_eq!(leases.len(), 16, "they share one store");
    assert_eq!(number(&mut raw(&url(), &schema), "SELECT count(*) - max(version) FROM schema_version"), 0, "each version once");
}

#[test]
fn a_newer_schema_is_left_alone() {
    let schema = fresh_schema() + "_newer";
    drop(open(options(&schema)));
    let mut raw = raw(&url(), &schema);
    execute(&mut raw, "INSERT INTO schema_version VALUES (999)");
    match try_open(&url(), options(&schema)) {
        Err(StoreError::Schema { found, advice, .. }) => assert!(found == "999" && advice.contains("newer"), "{advice}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_schema_of_something_else_is_left_alone() {
    let schema = fresh_schema() + "_foreign";
    let mut raw = raw(&url(), "public");
    execute(&mut raw, &format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.instance (x int)"));
    assert!(matches!(try_open(&url(), options(&schema)), Err(StoreError::Schema { advice, .. }) if advice.contains("another name")));
    for name in ["", "Upper", "a b", "a;drop", "pg_x", "1st", &"x".repeat(49)] {
        assert!(matches!(try_open(&url(), options(name)), Err(StoreError::Misused { .. })), "{name:?}");
        assert!(PostgresBackend::<sayiir_core::codec::JsonCodec>::migrations_sql(name).is_err());
    }
}

#[test]
fn an_administrator_may_make_the_tables_by_hand() {
    let schema = fresh_schema() + "_hand";
    match try_open(&url(), options(&schema).without_migration()) {
        Err(StoreError::Schema { found, advice, .. }) => assert!(found == "missing" && advice.contains("migrations_sql"), "{advice}"),
        other => panic!("{other:?}"),
    }
    let mut raw = raw(&url(), "public");
    execute(&mut raw, &PostgresBackend::<sayiir_core::codec::JsonCodec>::migrations_sql(&schema).unwrap());
    let role = format!("{schema}_role");
    execute(
        &mut raw,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}; \
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}; REVOKE INSERT, UPDATE, DELETE ON {schema}.schema_version FROM {role}"
        ),
    );
    let store = try_open(&shared().unwrap().url_as(&role, "postgres"), options(&schema).without_migration()).unwrap();
    let lease = session(&store);
    let view = start_leased(&store, "i", lease);
    assert!(accepted(&wait(store.commit(lease, vec![advance(&view.instance_id, view.run, 1)])).unwrap()));
    assert!(wait(store.delete("i")).unwrap());
    execute(&mut raw, &format!("REVOKE INSERT ON {schema}.instance FROM {role}"));
    match wait(store.start(request("j", 1, None))) {
        Err(StoreError::Misused { reason }) => assert!(reason.contains("privilege") && reason.contains("instance"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_may_bring_its_pool() {
    let schema = fresh_schema() + "_pool";
    let pool = RUNTIME.block_on(PgPool::connect(&url())).unwrap();
    let store: PostgresBackend = RUNTIME.block_on(PostgresBackend::open_pool(pool.clone(), options(&schema))).unwrap();
    start_leased(&store, "i", session(&store));
    let scans: (String,) = RUNTIME.block_on(sqlx::query_as("SHOW enable_seqscan").fetch_one(&pool)).unwrap();
    assert_eq!(scans.0, "on", "the program's own statements are planned as ever");
    drop(store.clone());
    assert!(wait(store.instance("i")).unwrap().is_some());
}

#[test]
fn a_store_needs_a_runtime_and_tells_when_it_has_ended() {
    let outside = futures_util::FutureExt::now_or_never(PostgresBackend::<sayiir_core::codec::JsonCodec>::connect(&url()));
    assert!(matches!(outside, Some(Err(StoreError::Misused { reason })) if reason.contains("tokio runtime")));
    let schema = fresh_schema() + "_runtime";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store: PostgresBackend = runtime.block_on(PostgresBackend::open_with(&url(), options(&schema))).unwrap();
    let started = runtime.block_on(store.start(request("i", 1, None)));
    assert!(started.is_ok(), "{started:?}");
    drop(runtime);
    assert!(wait(store.instance("i")).unwrap_err().to_string().contains("runtime has ended"));
    let lease = sayiir_core::branch::LeaseId(1);
    let late = wait(store.commit(lease, vec![advance(&"i".into(), sayiir_core::branch::RunNumber(1), 1)]));
    assert!(late.unwrap_err().is_transient());
}
