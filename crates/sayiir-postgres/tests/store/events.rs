//! Events that come together share a transaction, and each is answered as if it had come alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use sayiir_core::branch::{Head, LeaseId, Phase, Placement};
use sayiir_core::control::SignalRequest;
use sayiir_core::transition::{EventGuard, Next};
use sayiir_persistence::{
    BranchView, ControlAction, ControlCommand, InMemoryBackend, NewEvent, SendOutcome, StartOutcome, Store, StoreError,
};
use sayiir_pg_testserver::{PgServer, Settings, shared};
use sayiir_postgres::{PoolOptions, PostgresBackend, PostgresOptions};
use sayiir_store_testkit::{TestClock, wait};
use sqlx::PgConnection;

use crate::common::*;

fn keyed(id: &str, name: &str, payload: &str, key: &str) -> NewEvent {
    NewEvent { key: Some(Arc::from(key)), ..event(id, name, payload) }
}

fn send_at_once(store: &dyn Store, events: impl IntoIterator<Item = NewEvent>) -> Vec<Result<SendOutcome, StoreError>> {
    at_once(events.into_iter().map(|event| store.put_event(event)))
}

/// Starts an instance whose root waits for an event of this name.
fn start_waiting(store: &dyn Store, id: &str, lease: LeaseId, name: &str) -> BranchView {
    let started = wait(store.start(request(id, 1, Some(lease)))).unwrap();
    let StartOutcome::Fresh { root: Some(view), .. } = started else { panic!("{started:?}") };
    let head = Head { phase: Phase::Awaiting, ..view.head.clone() };
    let next = Next::Await { head, signal: Arc::from(name), wake: None, placement: Placement::default() };
    let parked = transition(&view, None, EventGuard::NoneSince { mail: view.mail }, next);
    assert!(accepted(&wait(store.commit(lease, vec![parked])).unwrap()));
    *view
}

fn all_stored(answers: &[Result<SendOutcome, StoreError>], seq: u64) {
    assert!(answers.iter().all(|answer| matches!(answer, Ok(SendOutcome::Stored(number)) if *number == seq)), "{answers:?}");
}

/// Keeps the next group until all are there that shall go together: the worker waits for the lock of an instance of its own.
fn in_one_group(
    store: &PostgresBackend,
    raw: &mut PgConnection,
    schema: &str,
    events: Vec<NewEvent>,
) -> Vec<Result<SendOutcome, StoreError>> {
    wait(store.put_event(event("plug", "first", ""))).unwrap();
    execute(raw, "BEGIN; SELECT 1 FROM instance WHERE instance_id = 'plug' FOR UPDATE");
    let plug = store.put_event(event("plug", "second", ""));
    let waiting = format!(
        "SELECT count(DISTINCT pid) FROM pg_locks l WHERE NOT granted \
         AND EXISTS (SELECT 1 FROM pg_locks h WHERE h.pid = l.pid AND h.relation = '{schema}.instance'::regclass)"
    );
    until(raw, &waiting, 1);
    let asked: Vec<_> = events.into_iter().map(|event| store.put_event(event)).collect();
    execute(raw, "COMMIT");
    wait(plug).unwrap();
    RUNTIME.block_on(join_all(asked))
}

fn statements_that_send(server: &PgServer) -> usize {
    executed(server, "Events, each for any instance")
}

#[test]
fn events_that_come_together_are_few_statements() {
    let server = own_server(&Settings::durable().with("log_min_duration_statement", "0"));
    let store = open_at(&server, options("together").with_committers(1));
    let lease = session(&store);
    for number in 0..=MANY {
        start_waiting(&store, &format!("i{number}"), lease, "go");
    }
    let mut raw = raw(&server.url(), "together");
    let before = statements_that_send(&server);
    let events = (0..MANY).map(|number| event(&format!("i{number}"), "go", "p")).collect();
    all_stored(&in_one_group(&store, &mut raw, "together", events), 1);
    assert_eq!(statements_that_send(&server) - before, 3, "two for what kept the group, and one for it");
    assert_eq!(wait(store.claim(everything(2 * MANY, lease))).unwrap().len(), MANY, "each woke who waited for it");
    // Wake-ups are announced in the background.
    let asked = || executed_that(&server, |line| !line.contains("pg_notify"));
    let before = asked();
    all_stored(&[wait(store.put_event(event(&format!("i{MANY}"), "go", "p")))], 1);
    assert_eq!(asked() - before, 2, "a lone one is stored, and wakes");
}

/// Instances of all kinds: unknown, with mail only, waiting, waiting while paused, held, and ended with a key that was seen.
fn prepare(store: &dyn Store) {
    let process = sayiir_persistence::Process { host: "here".to_owned(), pid: 7, started: 0, worker_id: "w".to_owned() };
    let lease = wait(store.open_session(process)).unwrap();
    wait(store.put_event(keyed("mail", "go", "0", "k0"))).unwrap();
    for id in ["waiting", "paused"] {
        start_waiting(store, id, lease, "go");
    }
    let action = ControlAction::Pause;
    wait(store.control(ControlCommand { instance_id: Arc::from("paused"), action, request: SignalRequest::default() })).unwrap();
    for id in ["held", "ended"] {
        wait(store.start(request(id, 1, Some(lease)))).unwrap();
    }
    wait(store.put_event(keyed("ended", "go", "0", "k0"))).unwrap();
    let action = ControlAction::Cancel;
    wait(store.control(ControlCommand { instance_id: Arc::from("ended"), action, request: SignalRequest::default() })).unwrap();
}

const KINDS: [&str; 7] = ["new", "newer", "mail", "waiting", "paused", "held", "ended"];

/// What can be seen of the instances: which branches are due, and which events there are.
fn seen(store: &dyn Store) -> BTreeMap<&'static str, (Vec<String>, Vec<String>)> {
    let of = |id: &'static str| {
        let record = wait(store.instance(id)).unwrap();
        let branches = record.map_or(Vec::new(), |record| record.branches);
        let branches = branches.iter().map(|branch| format!("{} {:?} {:?}", branch.revision, branch.run_at, branch.awaits)).collect();
        let mut events = Vec::new();
        for (name, seq) in ["go", "other"].into_iter().flat_map(|name| (1..=40).map(move |seq| (name, seq))) {
            let payload = wait(store.read_event(id, name, seq)).unwrap();
            events.extend(payload.map(|payload| format!("{seq} {name} {payload:?}")));
        }
        (id, (branches, events))
    };
    KINDS.into_iter().map(of).collect()
}

#[test]
fn a_group_comes_to_what_its_events_come_to_one_after_the_other() {
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let schema = fresh_schema() + "_mixed";
        let clock = Arc::new(TestClock::new());
        let store = open(options(&schema).with_committers(1).with_clock(Arc::clone(&clock) as _));
        let model = InMemoryBackend::with_clock(Arc::clone(&clock) as _);
        prepare(&store);
        prepare(&model);
        clock.advance(std::time::Duration::from_secs(1));
        let events: Vec<_> = (0..40)
            .map(|number: u32| {
                let (id, name, payload) = (KINDS[rng.usize(..KINDS.len())], if rng.bool() { "go" } else { "other" }, number.to_string());
                if rng.bool() { event(id, name, &payload) } else { keyed(id, name, &payload, &format!("k{}", rng.u32(..4))) }
            })
            .collect();
        let expected: Vec<_> = events.iter().map(|event| wait(model.put_event(event.clone())).unwrap()).collect();
        let told = in_one_group(&store, &mut raw(&shared().unwrap().url(), &schema), &schema, events);
        let told: Vec<_> = told.into_iter().map(Result::unwrap).collect();
        assert_eq!(told, expected, "seed {seed}");
        assert_eq!(seen(&store), seen(&model), "seed {seed}");
    }
}

/// Every event is stored once, under a number of its own, and counted.
#[track_caller]
fn all_are_whole(conn: &mut PgConnection, count: usize) {
    let count = i64::try_from(count).unwrap();
    assert_eq!(number(conn, "SELECT count(*) FROM event"), count);
    assert_eq!(number(conn, "SELECT count(DISTINCT convert_from(payload, 'UTF8')) FROM event"), count, "none twice");
    let counted = "SELECT count(*) FROM instance i WHERE mail <> (SELECT count(*) FROM event e WHERE e.run = i.run) \
                   OR mail <> (SELECT coalesce(max(seq), 0) FROM event e WHERE e.run = i.run)";
    assert_eq!(number(conn, counted), 0);
}

#[test]
fn an_instance_that_somebody_locks_for_long_holds_up_no_others_events() {
    let schema = fresh_schema() + "_held";
    let pool = PoolOptions { statement_timeout: Some(Duration::from_secs(3)), ..PoolOptions::default() };
    let store = open(PostgresOptions { pool, ..options(&schema).with_committers(1) });
    wait(store.put_event(event("held", "go", ""))).unwrap();
    let url = shared().unwrap().url();
    let (mut plug, mut held) = (raw(&url, &schema), raw(&url, &schema));
    execute(&mut held, "BEGIN; SELECT 1 FROM instance WHERE instance_id = 'held' FOR UPDATE");
    let answers =
        in_one_group(&store, &mut plug, &schema, vec![event("free", "go", ""), event("held", "go", ""), event("other", "go", "")]);
    execute(&mut held, "COMMIT");
    assert!(matches!(&answers[1], Err(StoreError::Unavailable { .. })), "{answers:?}");
    assert!(matches!((&answers[0], &answers[2]), (Ok(SendOutcome::Stored(1)), Ok(SendOutcome::Stored(1)))), "{answers:?}");
    assert_eq!(wait(store.put_event(event("held", "go", ""))).unwrap(), SendOutcome::Stored(2), "what was not answered was not stored");
}

#[test]
fn an_event_that_cannot_be_stored_fails_alone() {
    let schema = fresh_schema() + "_data";
    let store = open(options(&schema).with_committers(1));
    let mut raw = raw(&shared().unwrap().url(), &schema);
    execute(&mut raw, &inserts_fail("event", "22003", "NEW.name = 'bad'"));
    let named = |number: usize| if number == 4 { "bad" } else { "go" };
    let events = (0..MANY).map(|number| event(&format!("i{}", number % 8), named(number), &number.to_string()));
    let answers = in_one_group(&store, &mut raw, &schema, events.collect());
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(SendOutcome::Stored(_)) => assert_ne!(number, 4),
            Err(StoreError::Misused { reason }) => assert!(number == 4 && reason.contains("cannot hold"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    execute(&mut raw, "DELETE FROM event WHERE name IN ('first', 'second'); DELETE FROM instance WHERE instance_id = 'plug'");
    all_are_whole(&mut raw, MANY - 1);
}

#[test]
fn events_that_met_other_transactions_are_sent_again() {
    let schema = fresh_schema() + "_again";
    let store = open(options(&schema).with_committers(1));
    let mut raw = raw(&shared().unwrap().url(), &schema);
    let numbered = |number: usize| event(&format!("i{}", number % 8), "go", &number.to_string());
    execute(&mut raw, "CREATE SEQUENCE tries");
    execute(&mut raw, &inserts_fail("event", "40P01", "nextval('tries') % 2 <> 0"));
    assert!(send_at_once(&store, (0..MANY).map(numbered)).iter().all(Result::is_ok));
    execute(&mut raw, &inserts_fail("event", "53100", "true"));
    let refused = send_at_once(&store, (MANY..2 * MANY).map(numbered));
    let told =
        |answer: &Result<_, StoreError>| matches!(answer, Err(error) if error.is_transient() && error.to_string().contains("disk is full"));
    assert!(refused.iter().all(told), "{:?}", refused.first());
    all_are_whole(&mut raw, MANY);
}

/// In opposite orders, so that they would wait for each other; beside starts under the same ids.
#[test]
fn processes_send_to_the_same_ids() {
    let server = own_server(&Settings::fast());
    let stores = [open_at(&server, options("race")), open_at(&server, options("race")), open_at(&server, options("race"))];
    let mut raw = raw(&server.url(), "race");
    for round in 0..20 {
        let ids: Vec<String> = (0..MANY).map(|number| format!("{round}-{number}")).collect();
        let back: Vec<String> = ids.iter().rev().cloned().collect();
        let [ours, theirs, starting] = &stores;
        let send = |store, ids: &[String], by| send_at_once(store, ids.iter().map(|id| event(id, "go", &format!("{by} {id}"))));
        let (ours, theirs) = std::thread::scope(|scope| {
            let sends = [scope.spawn(|| send(ours, &ids, "ours")), scope.spawn(|| send(theirs, &back, "theirs"))];
            let starts = at_once(ids.iter().map(|id| starting.start(request(id, 1, None))));
            assert!(starts.iter().all(|start| matches!(start, Ok(StartOutcome::Fresh { .. }))), "{starts:?}");
            let [ours, theirs] = sends.map(|sends| sends.join().unwrap());
            (ours, theirs)
        });
        for (ours, theirs) in ours.into_iter().zip(theirs.into_iter().rev()) {
            let numbers: BTreeSet<u64> = [ours, theirs]
                .into_iter()
                .map(|answer| match answer {
                    Ok(SendOutcome::Stored(seq)) => seq,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(numbers, [1, 2].into());
        }
        all_are_whole(&mut raw, (round + 1) * 2 * MANY);
        assert_eq!(number(&mut raw, "SELECT count(*) FROM instance WHERE status <> 1"), 0);
    }
    assert!(!server.log().contains("deadlock detected"), "ids are locked and written in one order");
}

/// Replies are lost, with the connections or with the server: an event with a key is stored once, however often it is sent.
#[test]
fn an_event_whose_reply_was_lost_is_sent_again_under_its_key() {
    let server = own_server(&Settings::durable());
    let store = open_at(&server, options("lost"));
    let each = 8 * MANY;
    rounds_until_asked_again(|round, asked_again| {
        let numbers = round * each..(round + 1) * each;
        let send = |number: usize| {
            let event = keyed(&format!("i{}", number % 100), "go", &number.to_string(), &number.to_string());
            RUNTIME.spawn(insist_on(store.clone(), Arc::clone(asked_again), move |store| store.put_event(event.clone())))
        };
        let sends: Vec<_> = numbers.clone().map(send).collect();
        lose_replies(&server, "lost", round, ("SELECT count(*) FROM event", numbers.start + MANY));
        for answer in RUNTIME.block_on(join_all(sends)) {
            assert!(matches!(answer.unwrap(), SendOutcome::Stored(_) | SendOutcome::Duplicate));
        }
        all_are_whole(&mut raw(&server.url(), "lost"), numbers.end);
    });
}

#[test]
fn a_store_whose_last_handle_goes_sends_what_it_was_asked() {
    let schema = fresh_schema() + "_last";
    let url = shared().unwrap().url() + "?application_name=last_event";
    let store: PostgresBackend = RUNTIME.block_on(PostgresBackend::open_with(&url, options(&schema))).unwrap();
    for number in 0..MANY {
        drop(store.put_event(event(&format!("i{}", number % 8), "go", &number.to_string())));
    }
    drop(store);
    let mut raw = raw(&url, &schema);
    until(&mut raw, "SELECT count(*) FROM event", i64::try_from(MANY).unwrap());
    all_are_whole(&mut raw, MANY);
    until(&mut raw, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'last_event'", 0);
}
