//! What one process changes, another hears at once; and who hears nothing asks nothing.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use sayiir_core::control::SignalRequest;
use sayiir_core::transition::{EventGuard, Next};
use sayiir_persistence::{ControlAction, ControlCommand, Store};
use sayiir_pg_testserver::{Settings, shared};
use sayiir_store_testkit::wait;
use sqlx::PgConnection;

use crate::common::*;

/// Waits for an announcement.
#[track_caller]
fn hears(what: &str, mut listener: impl Future<Output = ()> + Unpin) -> Duration {
    let begun = Instant::now();
    while (&mut listener).now_or_never().is_none() {
        assert!(begun.elapsed() < PATIENCE, "nothing was heard of {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
    begun.elapsed()
}

/// Waits until so many processes listen.
fn until_listening(conn: &mut PgConnection, schema: &str, count: i64) {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN \"sayiir_{schema}\"' AND state = 'idle'");
    until(conn, &sql, count);
}

#[test]
fn processes_hear_of_each_other() {
    let schema = fresh_schema() + "_heard";
    let (one, other) = (open(options(&schema)), open(options(&schema)));
    let mut raw = raw(&shared().unwrap().url(), &schema);
    until_listening(&mut raw, &schema, 2);
    let mut took = Vec::new();
    for n in 0..20 {
        // Let what was announced before be over: the first announcement after a listener is made is then this one's.
        let id = format!("i{n}");
        let watch = other.wakeups().listen_instance(&id);
        let changed = watch.listen();
        wait(one.start(request(&id, 1, None))).unwrap();
        took.push(hears("a start", changed));
    }
    took.sort_unstable();
    println!("another process hears of a start after {:?} (median), {:?} (longest)", took[took.len() / 2], took[took.len() - 1]);
    let lease = session(&one);
    let view = start_leased(&one, "ends", lease);
    let watch = other.wakeups().listen_instance("ends");
    let changed = watch.listen();
    let last = transition(&view, Some(entry("last", "out")), EventGuard::None, Next::Finish);
    assert!(accepted(&wait(one.commit(lease, vec![last])).unwrap()));
    hears("an end", changed);
    let control = other.wakeups().listen_control();
    let command = ControlCommand { instance_id: "i0".into(), action: ControlAction::Cancel, request: SignalRequest::default() };
    wait(one.control(command)).unwrap();
    hears("a cancel", control);
}

#[test]
fn what_was_missed_is_made_up_for() {
    let schema = fresh_schema() + "_missed";
    let store = open(options(&schema));
    let mut raw = raw(&shared().unwrap().url(), &schema);
    until_listening(&mut raw, &schema, 1);
    let watch = store.wakeups().listen_instance("i");
    let (due, control, instance) = (store.wakeups().listen_due(), store.wakeups().listen_control(), watch.listen());
    let end = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = 'LISTEN \"sayiir_{schema}\"'");
    assert_eq!(number(&mut raw, &end), 1);
    hears("a lost connection", due);
    hears("a lost connection", control);
    hears("a lost connection", instance);
    until_listening(&mut raw, &schema, 1);
}

#[test]
fn an_idle_process_asks_nothing() {
    let server = own_server(&Settings::fast().with("log_min_duration_statement", "0"));
    let store = open_at(&server, options("idle"));
    let mut raw = raw(&server.url(), "idle");
    until_listening(&mut raw, "idle", 1);
    start_leased(&store, "i", session(&store));
    // The announcement of the start may still be on its way.
    let asked = || server.log().lines().filter(|line| line.contains(" execute ") || line.contains(" statement: ")).count();
    let (mut before, mut quiet) = (asked(), Instant::now());
    let begun = Instant::now();
    while quiet.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(50));
        if asked() != before {
            (before, quiet) = (asked(), Instant::now());
        }
        assert!(begun.elapsed() < Duration::from_secs(8), "it asks again and again");
    }
}
