//! Starts that come together share statements, and each is answered as if it had come alone.
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use sayiir_core::attribute::{AttributeValue, SearchAttributes};
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{StartOutcome, StartRun, Store, StoreError};
use sayiir_pg_testserver::{PgServer, Settings, shared};
use sayiir_postgres::PostgresBackend;
use sayiir_store_testkit::wait;

use crate::common::*;

/// A start whose input and attribute tell its number.
fn numbered(number: usize, nonce: u128) -> StartRun {
    let attributes = SearchAttributes::from([(Arc::from("n"), AttributeValue::from(i64::try_from(number).unwrap()))]);
    StartRun { input: Bytes::from(number.to_string()), attributes, ..request(&format!("i{number}"), nonce, None) }
}

fn start_at_once(store: &PostgresBackend, starts: impl IntoIterator<Item = StartRun>) -> Vec<Result<StartOutcome, StoreError>> {
    at_once(starts.into_iter().map(|start| store.start(start)))
}

fn is_fresh(answer: &Result<StartOutcome, StoreError>) -> bool {
    matches!(answer, Ok(StartOutcome::Fresh { .. }))
}

/// Every instance has one run, with its own input, attribute and root, and nothing else is there.
#[track_caller]
fn all_are_whole(conn: &mut sqlx::PgConnection, count: usize) {
    let count = i64::try_from(count).unwrap();
    for table in ["instance", "journal", "branch", "attribute"] {
        assert_eq!(number(conn, &format!("SELECT count(*) FROM {table}")), count, "{table}");
    }
    let whole = "SELECT count(*) FROM instance i JOIN journal j USING (run) JOIN branch b USING (run) JOIN attribute a USING (run) \
                 WHERE i.instance_id = 'i' || a.number AND convert_from(j.output, 'UTF8') = a.number::text AND b.lane = i.lane";
    assert_eq!(number(conn, whole), count);
}

fn statements_that_start(server: &PgServer) -> usize {
    executed(server, "Starts under ids")
}

#[test]
fn starts_that_come_together_are_few_statements() {
    let server = own_server(&Settings::durable().with("log_min_duration_statement", "0"));
    let store = open_at(&server, options("together").with_committers(1));
    assert!(is_fresh(&wait(store.start(numbered(0, 1)))));
    let before = statements_that_start(&server);
    let begun = Instant::now();
    assert!(start_at_once(&store, (1..MANY).map(|number| numbered(number, 1))).iter().all(is_fresh));
    let (took, asked) = (begun.elapsed(), statements_that_start(&server) - before);
    println!("{} starts at once: {asked} statements, {took:.1?}", MANY - 1);
    // One or a few that were taken before the others came, and the rest.
    assert!(asked <= 16, "{asked} statements");
    all_are_whole(&mut raw(&server.url(), "together"), MANY);
    let before = statements_that_start(&server);
    assert!(is_fresh(&wait(store.start(numbered(MANY, 1)))));
    assert_eq!(statements_that_start(&server) - before, 1, "a lone start is one statement");
}

#[test]
fn one_of_two_processes_starts_an_id() {
    let server = own_server(&Settings::fast());
    let stores = [open_at(&server, options("race")), open_at(&server, options("race"))];
    let mut raw = raw(&server.url(), "race");
    for (round, policy) in [ConflictPolicy::Fail, ConflictPolicy::UseExisting].into_iter().cycle().take(20).enumerate() {
        let numbers = round * MANY..(round + 1) * MANY;
        let start = |number, nonce| StartRun { policy, ..numbered(number, nonce) };
        // In opposite orders, so that they would wait for each other.
        let (there, back): (Vec<_>, Vec<_>) = (numbers.clone().collect(), numbers.clone().rev().collect());
        let [ours, theirs] = std::thread::scope(|scope| {
            let starts = [(&stores[0], there, 1), (&stores[1], back, 2)].map(|(store, numbers, nonce)| {
                scope.spawn(move || start_at_once(store, numbers.into_iter().map(|number| start(number, nonce))))
            });
            starts.map(|starts| starts.join().unwrap())
        });
        for (ours, theirs) in ours.iter().zip(theirs.iter().rev()) {
            match (policy, ours, theirs) {
                (ConflictPolicy::Fail, Ok(StartOutcome::Fresh { .. }), Ok(StartOutcome::AlreadyExists))
                | (ConflictPolicy::Fail, Ok(StartOutcome::AlreadyExists), Ok(StartOutcome::Fresh { .. }))
                | (ConflictPolicy::UseExisting, Ok(StartOutcome::Fresh { .. }), Ok(StartOutcome::Existing { .. }))
                | (ConflictPolicy::UseExisting, Ok(StartOutcome::Existing { .. }), Ok(StartOutcome::Fresh { .. })) => {}
                other => panic!("{other:?}"),
            }
        }
        all_are_whole(&mut raw, numbers.end);
    }
    assert!(!server.log().contains("deadlock detected"), "ids are written in one order");
}

#[test]
fn starts_of_one_id_meet_each_other_in_a_group() {
    let store = open(options(&(fresh_schema() + "_meet")));
    for (policy, nonces) in [(ConflictPolicy::Fail, [1, 2]), (ConflictPolicy::Fail, [3, 3]), (ConflictPolicy::TerminateExisting, [4, 5])] {
        let id = format!("{policy}-{nonces:?}");
        let starts = nonces.iter().cycle().take(MANY).map(|nonce| StartRun { policy, ..request(&id, *nonce, None) });
        let answers = start_at_once(&store, starts);
        let runs: std::collections::BTreeSet<_> = answers
            .iter()
            .filter_map(|answer| match answer {
                Ok(StartOutcome::Fresh { run, .. }) => Some(*run),
                Ok(StartOutcome::AlreadyExists) => None,
                other => panic!("{other:?}"),
            })
            .collect();
        let stored = wait(store.instance(&id)).unwrap().unwrap().summary.run;
        match policy {
            // Whoever has the winner's nonce is told of its run.
            ConflictPolicy::Fail => {
                let fresh = if nonces[0] == nonces[1] { MANY } else { MANY / 2 };
                assert_eq!(
                    (runs.into_iter().collect::<Vec<_>>(), answers.iter().filter(|answer| is_fresh(answer)).count()),
                    (vec![stored], fresh)
                );
            }
            _ => assert!(runs.last() == Some(&stored) && answers.iter().all(is_fresh)),
        }
    }
}

#[test]
fn what_is_known_of_an_id_is_met_alone() {
    let schema = fresh_schema() + "_known";
    let store = open(options(&schema));
    for id in ["i1", "i3"] {
        wait(store.put_event(event(id, "go", ""))).unwrap();
    }
    assert!(is_fresh(&wait(store.start(numbered(5, 1)))));
    let answers = start_at_once(&store, (0..MANY).map(|number| numbered(number, 2)));
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Ok(StartOutcome::Fresh { .. }) if number != 5 => {}
            Ok(StartOutcome::AlreadyExists) if number == 5 => {}
            other => panic!("{number}: {other:?}"),
        }
    }
    let mut raw = raw(&shared().unwrap().url(), &schema);
    all_are_whole(&mut raw, MANY);
    assert_eq!(
        number(&mut raw, "SELECT count(*) FROM event JOIN instance USING (run) WHERE status = 1"),
        2,
        "what was sent waits for them"
    );
}

#[test]
fn a_start_that_cannot_be_stored_fails_alone() {
    let schema = fresh_schema() + "_data";
    let store = open(options(&schema).with_committers(1));
    let mut raw = raw(&shared().unwrap().url(), &schema);
    execute(&mut raw, &inserts_fail("instance", "22003", "NEW.instance_id = 'i4'"));
    for (number, answer) in start_at_once(&store, (0..MANY).map(|number| numbered(number, 1))).into_iter().enumerate() {
        match answer {
            Ok(StartOutcome::Fresh { .. }) => assert_ne!(number, 4),
            Err(StoreError::Misused { reason }) => assert!(number == 4 && reason.contains("cannot hold"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    execute(&mut raw, "DROP TRIGGER fails ON instance");
    assert!(is_fresh(&wait(store.start(numbered(4, 1)))));
    all_are_whole(&mut raw, MANY);
}

#[test]
fn starts_that_met_other_transactions_are_run_again() {
    let schema = fresh_schema() + "_again";
    let store = open(options(&schema).with_committers(1));
    let mut raw = raw(&shared().unwrap().url(), &schema);
    execute(&mut raw, "CREATE SEQUENCE tries");
    execute(&mut raw, &inserts_fail("instance", "40P01", "nextval('tries') % 2 <> 0"));
    assert!(start_at_once(&store, (0..MANY).map(|number| numbered(number, 1))).iter().all(is_fresh));
    execute(&mut raw, &inserts_fail("instance", "53100", "true"));
    let refused = start_at_once(&store, (MANY..2 * MANY).map(|number| numbered(number, 1)));
    let told =
        |answer: &Result<_, StoreError>| matches!(answer, Err(error) if error.is_transient() && error.to_string().contains("disk is full"));
    assert!(refused.iter().all(told), "{:?}", refused.first());
    all_are_whole(&mut raw, MANY);
}

/// As a failover to a standby that lags behind does, which a running process does not notice.
#[test]
fn a_group_makes_lanes_that_are_gone_again() {
    let schema = fresh_schema() + "_lanes";
    let store = open(options(&schema));
    assert!(is_fresh(&wait(store.start(numbered(0, 1)))));
    let mut raw = raw(&shared().unwrap().url(), &schema);
    execute(
        &mut raw,
        "DELETE FROM attribute; DELETE FROM journal; DELETE FROM branch; DELETE FROM instance; DELETE FROM lane; DELETE FROM definition",
    );
    assert!(start_at_once(&store, (0..MANY).map(|number| numbered(number, 1))).iter().all(is_fresh));
    all_are_whole(&mut raw, MANY);
    assert_eq!(wait(store.claim(everything(MANY, session(&store)))).unwrap().len(), MANY);
}

/// Replies are lost, with the connections or with the server: whoever asks again is told of the run that it began.
#[test]
fn a_start_whose_reply_was_lost_is_asked_for_again() {
    let server = own_server(&Settings::durable());
    let store = open_at(&server, options("lost"));
    let each = 8 * MANY;
    rounds_until_asked_again(|round, asked_again| {
        let numbers = round * each..(round + 1) * each;
        let begin =
            |number| RUNTIME.spawn(insist_on(store.clone(), Arc::clone(asked_again), move |store| store.start(numbered(number, 7))));
        let starts: Vec<_> = numbers.clone().map(begin).collect();
        lose_replies(&server, "lost", round, ("SELECT count(*) FROM instance", numbers.start + MANY));
        let answers = RUNTIME.block_on(join_all(starts));
        let mut looker = raw(&server.url(), "lost");
        for (id, answer) in numbers.clone().zip(answers) {
            let StartOutcome::Fresh { run, .. } = answer.unwrap() else { panic!("i{id} is not its own") };
            let stored = number(&mut looker, &format!("SELECT run FROM instance WHERE instance_id = 'i{id}'"));
            assert_eq!(u64::try_from(stored).unwrap(), run.0, "what was told is what is stored");
        }
        all_are_whole(&mut looker, numbers.end);
    });
}

#[test]
fn a_store_whose_last_handle_goes_starts_what_it_was_asked() {
    let schema = fresh_schema() + "_last";
    let url = shared().unwrap().url() + "?application_name=last_start";
    let store: PostgresBackend = RUNTIME.block_on(PostgresBackend::open_with(&url, options(&schema))).unwrap();
    for number in 0..MANY {
        drop(store.start(numbered(number, 1)));
    }
    drop(store);
    let mut raw = raw(&url, &schema);
    until(&mut raw, "SELECT count(*) FROM instance", i64::try_from(MANY).unwrap());
    all_are_whole(&mut raw, MANY);
    until(&mut raw, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'last_start'", 0);
}
