//! What a store on PostgreSQL answers when something goes wrong around it, and that nothing acknowledged is lost.
use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir_core::transition::{EventGuard, Next, Transition};
use sayiir_persistence::{BranchView, CommitOutcome, Store, StoreError};
use sayiir_pg_testserver::{Settings, shared};
use sayiir_postgres::{PoolOptions, PostgresBackend, PostgresOptions};
use sayiir_store_testkit::wait;

use crate::common::*;

/// The text of an error with all of its causes.
fn told(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[track_caller]
fn unavailable<T: std::fmt::Debug>(answer: Result<T, StoreError>, says: &str) {
    match answer {
        Err(error) if error.is_transient() => assert!(told(&error).contains(says), "{:?} does not say {says:?}", told(&error)),
        other => panic!("unavailable is expected, not {other:?}"),
    }
}

/// Asks until the store answers, as a driver does.
#[track_caller]
fn insist<T>(mut ask: impl FnMut() -> Result<T, StoreError>) -> T {
    let begun = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) => assert!(error.is_transient() && begun.elapsed() < PATIENCE, "{}", told(&error)),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A run that is stepped on, and what was acknowledged of it.
struct Stepped {
    store: PostgresBackend,
    lease: LeaseId,
    view: BranchView,
}

impl Stepped {
    fn new(store: PostgresBackend, id: &str) -> Self {
        let lease = session(&store);
        let view = start_leased(&store, id, lease);
        Self { store, lease, view }
    }

    fn next(&self) -> Transition {
        advance(&self.view.instance_id, self.view.run, self.view.revision)
    }

    fn try_step(&self) -> Result<CommitOutcome, StoreError> {
        wait(self.store.commit(self.lease, vec![self.next()])).map(|mut outcomes| outcomes.remove(0))
    }

    /// One more step, asked for until there is an answer.
    fn step(&mut self) {
        match insist(|| self.try_step()) {
            CommitOutcome::Accepted { .. } | CommitOutcome::AlreadyAccepted => self.view.revision += 1,
            refused @ CommitOutcome::Refused(_) => panic!("{refused:?}"),
        }
    }

    /// Every acknowledged step is there, once, with its value.
    fn check(&self) {
        let rows = insist(|| wait(self.store.journal(self.view.run, None, 10_000)));
        let revisions: Vec<u64> = rows.iter().map(|row| row.revision).collect();
        assert_eq!(revisions, (1..=self.view.revision).collect::<Vec<_>>());
        for row in rows.iter().skip(1) {
            assert_eq!(row.output, Some(Bytes::from((row.revision - 1).to_string())));
        }
    }
}

#[test]
fn a_killed_server_loses_nothing_that_was_acknowledged() {
    let server = own_server(&Settings::durable());
    let store = open_at(&server, options("killed"));
    let mut runs: Vec<_> = (0..8).map(|n| Stepped::new(store.clone(), &format!("i{n}"))).collect();
    for round in 0..3 {
        std::thread::scope(|scope| {
            let steppers: Vec<_> = runs
                .iter_mut()
                .map(|run| {
                    scope.spawn(move || {
                        for _ in 0..30 {
                            run.step();
                        }
                    })
                })
                .collect();
            // In the middle of it: a third of what all will write is there.
            let mut looker = raw(&server.url(), "killed");
            until_at_least(&mut looker, "SELECT count(*) FROM journal", 8 * (1 + 30 * round + 10));
            drop(looker);
            server.kill().unwrap();
            server.restart().unwrap();
            for stepper in steppers {
                stepper.join().unwrap();
            }
        });
        for run in &runs {
            assert_eq!(run.view.revision, 1 + 30 * (u64::try_from(round).unwrap() + 1));
            run.check();
        }
    }
}

#[test]
fn ended_connections_are_replaced() {
    let server = own_server(&Settings::fast());
    let mut run = Stepped::new(open_at(&server, options("ended")), "i");
    let mut raw = raw(&server.url(), "ended");
    let end_all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'sayiir'";
    let mut ended = 0;
    for _ in 0..10 {
        ended += number(&mut raw, end_all);
        for _ in 0..5 {
            run.step();
        }
    }
    assert!(ended >= 10, "{ended}");
    assert_eq!(run.view.revision, 51);
    run.check();
}

#[test]
fn a_server_that_is_gone_is_unavailable_until_it_is_back() {
    let server = own_server(&Settings::durable());
    let pool = PoolOptions { acquire_timeout: Some(Duration::from_secs(1)), ..small_pool() };
    let mut run = Stepped::new(open_at(&server, options("gone").with_pool(pool)), "i");
    server.shut_down().unwrap();
    for _ in 0..3 {
        assert!(run.try_step().unwrap_err().is_transient());
    }
    unavailable(wait(run.store.instance("i")), "");
    server.restart().unwrap();
    run.step();
    run.check();
}

#[test]
fn an_exhausted_pool_is_unavailable() {
    let url = shared().unwrap().url();
    let schema = fresh_schema() + "_pool";
    let pool = PoolOptions { max_connections: Some(1), acquire_timeout: Some(Duration::from_millis(200)), ..PoolOptions::default() };
    let mut run = Stepped::new(open(options(&schema).with_pool(pool)), "i");
    let mut raw = raw(&url, &schema);
    execute(&mut raw, "BEGIN; SELECT 1 FROM branch FOR UPDATE");
    let (store, lease, next) = (run.store.clone(), run.lease, run.next());
    let waits = RUNTIME.spawn(async move { store.commit(lease, vec![next]).await });
    let waiting = format!(
        "SELECT count(DISTINCT pid) FROM pg_locks l WHERE NOT granted \
         AND EXISTS (SELECT 1 FROM pg_locks h WHERE h.pid = l.pid AND h.relation = '{schema}.branch'::regclass)"
    );
    until(&mut raw, &waiting, 1);
    unavailable(wait(run.store.instance("i")), "max_connections");
    execute(&mut raw, "COMMIT");
    assert!(accepted(&RUNTIME.block_on(waits).unwrap().unwrap()));
    run.view.revision += 1;
    run.step();
    run.check();
}

#[test]
fn a_full_disk_is_told_and_passes() {
    let schema = fresh_schema() + "_full";
    let mut run = Stepped::new(open(options(&schema)), "i");
    let mut raw = raw(&shared().unwrap().url(), &schema);
    execute(&mut raw, &inserts_fail("journal", "53100", "true"));
    unavailable(run.try_step(), "disk is full");
    unavailable(wait(run.store.start(request("other", 1, None))), "disk is full");
    execute(&mut raw, "DROP TRIGGER fails ON journal");
    run.step();
    run.check();
    assert_eq!(wait(run.store.instance("other")).unwrap(), None, "nothing of it was written");
}

#[test]
fn a_value_that_cannot_be_stored_fails_alone() {
    let schema = fresh_schema() + "_data";
    let store = open(options(&schema));
    let lease = session(&store);
    let views: Vec<_> = (0..10).map(|n| start_leased(&store, &format!("i{n}"), lease)).collect();
    let mut raw = raw(&shared().unwrap().url(), &schema);
    execute(&mut raw, &inserts_fail("journal", "22003", &format!("NEW.run = {}", views[4].run)));
    // Each is a request of its own, and they meet in one statement.
    let asked: Vec<_> = views.iter().map(|view| store.commit(lease, vec![advance(&view.instance_id, view.run, 1)])).collect();
    for (n, answer) in asked.into_iter().enumerate() {
        match wait(answer) {
            Ok(outcomes) => assert!(accepted(&outcomes) && n != 4),
            Err(StoreError::Misused { reason }) => assert!(n == 4 && reason.contains("cannot hold"), "{reason}"),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_met_other_transactions_is_run_again() {
    let schema = fresh_schema() + "_again";
    let mut run = Stepped::new(open(options(&schema)), "i");
    let mut raw = raw(&shared().unwrap().url(), &schema);
    execute(&mut raw, "CREATE SEQUENCE tries");
    for code in ["40001", "40P01"] {
        execute(&mut raw, &inserts_fail("journal", code, "nextval('tries') % 4 <> 0"));
        assert!(matches!(run.try_step(), Ok(CommitOutcome::Accepted { .. })));
        run.view.revision += 1;
    }
    assert_eq!(number(&mut raw, "SELECT last_value FROM tries"), 8, "three were in vain, twice");
    assert!(wait(run.store.start(request("j", 1, None))).is_ok());
    run.check();
}

#[test]
fn a_read_only_database_says_so() {
    let server = own_server(&Settings::fast());
    let run = Stepped::new(open_at(&server, options("reading")), "i");
    let mut raw = raw(&server.url(), "reading");
    execute(&mut raw, "ALTER DATABASE postgres SET default_transaction_read_only = on");
    let reading = open_at(&server, options("reading"));
    assert!(matches!(wait(reading.commit(run.lease, vec![run.next()])), Err(StoreError::ReadOnly { .. })));
    assert!(matches!(wait(reading.start(request("j", 1, None))), Err(StoreError::ReadOnly { .. })));
    assert_eq!(wait(reading.instance("i")).unwrap().unwrap().branches.len(), 1, "it can be read");
}

#[test]
fn a_dropped_future_is_written_all_the_same() {
    let schema = fresh_schema() + "_dropped";
    let run = Stepped::new(open(options(&schema)), "i");
    drop(run.store.commit(run.lease, vec![run.next()]));
    drop(run.store.put_event(event("i", "go", "")));
    let mut raw = raw(&shared().unwrap().url(), &schema);
    until(&mut raw, "SELECT revision FROM branch", 2);
    until(&mut raw, "SELECT count(*) FROM event", 1);
}

#[test]
fn a_store_whose_last_handle_goes_writes_what_it_was_asked() {
    let schema = fresh_schema() + "_last";
    let url = shared().unwrap().url() + "?application_name=last";
    let run = Stepped::new(RUNTIME.block_on(PostgresBackend::open_with(&url, options(&schema))).unwrap(), "i");
    drop(run.store.commit(run.lease, vec![run.next()]));
    drop(run);
    let mut raw = raw(&url, &schema);
    until(&mut raw, "SELECT revision FROM branch", 2);
    until(&mut raw, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'last'", 0);
}

#[test]
fn text_that_postgresql_cannot_hold_is_refused_or_made_readable() {
    let schema = fresh_schema() + "_nul";
    let run = Stepped::new(open(options(&schema)), "i");
    let mut failed = entry("step", "x");
    failed.error = Some("a\0b".to_owned());
    let next = Next::Fail { head: run.view.head.clone() };
    let outcome = wait(run.store.commit(run.lease, vec![transition(&run.view, Some(failed), EventGuard::None, next)])).unwrap();
    assert!(accepted(&outcome), "a task's error is stored, whatever it says: {outcome:?}");
    let rows = wait(run.store.journal(run.view.run, None, 10)).unwrap();
    assert_eq!(rows[1].error.as_deref(), Some("a\u{2400}b"));
    assert!(matches!(wait(run.store.put_event(event("i", "a\0b", ""))), Err(StoreError::Misused { .. })));
}

#[test]
fn damaged_rows_are_told_and_set_aside() {
    let schema = fresh_schema() + "_damaged";
    let store = open(options(&schema));
    for id in ["damaged", "whole"] {
        wait(store.start(request(id, 1, None))).unwrap();
    }
    let mut raw = raw(&shared().unwrap().url(), &schema);
    execute(&mut raw, "DELETE FROM journal WHERE run = (SELECT run FROM instance WHERE instance_id = 'damaged')");
    let lease = session(&store);
    let taken = wait(store.claim(everything(10, lease))).unwrap();
    assert_eq!(taken.iter().map(|view| &*view.instance_id).collect::<Vec<_>>(), ["whole"]);
    assert_eq!(wait(store.claim(everything(10, lease))).unwrap(), [], "and not handed out again and again");
    let lost = wait(store.read_values(taken[0].run, vec![JournalRef { branch: BranchId::root(), revision: 9 }]));
    assert!(matches!(lost, Err(StoreError::Corrupt { reason, .. }) if reason.contains("whole")));
    assert!(matches!(wait(store.read_values(RunNumber(1 << 40), vec![JournalRef::instance_input()])), Err(StoreError::Misused { .. })));
    execute(&mut raw, "UPDATE branch SET phase = 99 WHERE lease IS NOT NULL");
    assert!(matches!(wait(store.load(lease, taken[0].run, vec![])), Err(StoreError::Corrupt { reason, .. }) if reason.contains("phase")));
    execute(&mut raw, "DROP TABLE event CASCADE");
    let gone = wait(store.read_event("whole", "go", 1)).unwrap_err();
    assert!(matches!(gone, StoreError::Schema { .. }), "{gone:?}");
}

/// As a failover to a standby that lags behind does, which a running process does not notice.
#[test]
fn lanes_that_are_gone_are_made_again() {
    let schema = fresh_schema() + "_lanes";
    let store = open(options(&schema));
    let lease = session(&store);
    let start = |id: &str| wait(store.start(request(id, 1, None))).unwrap();
    start("before");
    let mut raw = raw(&shared().unwrap().url(), &schema);
    execute(&mut raw, "DELETE FROM branch; DELETE FROM instance; DELETE FROM lane; DELETE FROM definition");
    start("after");
    let taken = wait(store.claim(everything(10, lease))).unwrap();
    assert_eq!(taken.iter().map(|view| &*view.instance_id).collect::<Vec<_>>(), ["after"]);
    execute(&mut raw, "UPDATE definition SET hash = sha256('another')");
    start("renamed");
    assert_eq!(wait(store.claim(everything(10, lease))).unwrap()[0].definition, definition().hash);
}

#[test]
fn no_message_tells_a_password() {
    let port = shared().unwrap().port();
    for url in [
        format!("postgres://nobody-known:s3cret@127.0.0.1:{port}/postgres"),
        format!("postgres://sayiir:s3cret@127.0.0.1:{port}/no-such-database"),
        "postgres://sayiir:s3cret@127.0.0.1:1/postgres".to_owned(),
        "postgres://sayiir:s3cret@127.0.0.1:port/postgres".to_owned(),
    ] {
        let pool = PoolOptions { acquire_timeout: Some(Duration::from_millis(500)), ..PoolOptions::default() };
        let options = PostgresOptions::default().with_pool(pool);
        let error = RUNTIME.block_on(PostgresBackend::<sayiir_core::codec::JsonCodec>::open_with(&url, options)).unwrap_err();
        assert!(!format!("{} {error:?}", told(&error)).contains("s3cret"), "{error:?}");
    }
}
