//! The suite finds broken stores: each rule that a store may miss is missed by one here, and at least one case says so.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, clippy::too_many_lines, reason = "a test, and a table of mistakes")]

mod mutant;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use mutant::{BUGS, Bug, Mutant};
use sayiir_core::branch::LeaseId;
use sayiir_core::time::Timestamp;
use sayiir_persistence::{InMemoryBackend, Store};
use sayiir_store_testkit::{CASES, Case, DURABLE_CASES, Opener, TestClock, wait};

/// The cases with many rounds of many threads find what the others find too.
fn is_quick(case: &Case) -> bool {
    !case.name.contains("concurrent")
}

/// The first case that a store with this bug fails.
fn caught(bug: Bug) -> Option<&'static Case> {
    CASES.iter().filter(|case| is_quick(case)).find(|case| {
        let fails = || (case.run)(&|clock| Arc::new(Mutant::new(clock, bug)));
        catch_unwind(AssertUnwindSafe(fails)).is_err()
    })
}

#[test]
fn every_bug_is_caught_by_a_case() {
    // Each case that fails says so at length, and here that is what is wanted.
    std::panic::set_hook(Box::new(|_| {}));
    let found: Vec<_> = BUGS.iter().map(|bug| (*bug, caught(*bug))).collect();
    drop(std::panic::take_hook());
    for (bug, case) in &found {
        println!("{bug:?}: {}", case.map_or_else(|| "NOT CAUGHT".to_owned(), |case| format!("{}::{}", case.topic, case.name)));
    }
    let missed: Vec<_> = found.iter().filter(|(_, case)| case.is_none()).map(|(bug, _)| bug).collect();
    assert!(missed.is_empty(), "no case catches {missed:?}");
}

/// The clock of whoever opened the store last.
struct LastClock(Mutex<Arc<TestClock>>);

impl sayiir_core::time::Clock for LastClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now()
    }
}

/// A place whose store is what is left of the last one when it is opened again.
fn home_that_keeps(keeps: fn(&InMemoryBackend)) -> Opener {
    let clock = Arc::new(LastClock(Mutex::new(Arc::new(TestClock::new()))));
    let store = InMemoryBackend::with_clock(Arc::<LastClock>::clone(&clock));
    Box::new(move |now| {
        *clock.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
        keeps(&store);
        Arc::new(store.clone())
    })
}

fn forget(store: &InMemoryBackend, id: &str) {
    wait(store.delete(id)).unwrap();
}

#[test]
fn what_is_forgotten_by_closing_is_noticed() {
    // All but these keep all there is.
    let forgetful: [fn(&InMemoryBackend); 4] = [
        |store| forget(store, "mail only"),
        |store| forget(store, "queued"),
        |store| drop(wait(store.take_event("mailed", "go"))),
        |store| drop(wait(store.expire_leases(LeaseId(1)))),
    ];
    let everything = DURABLE_CASES.iter().find(|case| case.name.contains("everything")).unwrap();
    for case in DURABLE_CASES {
        (case.run)(&|| home_that_keeps(|_| {}));
    }
    std::panic::set_hook(Box::new(|_| {}));
    let passed: Vec<_> = forgetful
        .iter()
        .enumerate()
        .filter(|(_, keeps)| catch_unwind(AssertUnwindSafe(|| (everything.run)(&|| home_that_keeps(**keeps)))).is_ok())
        .map(|(number, _)| number)
        .collect();
    let fresh: fn() -> Opener = || Box::new(|clock| Arc::new(InMemoryBackend::with_clock(clock)));
    let lost = DURABLE_CASES.iter().filter(|case| catch_unwind(AssertUnwindSafe(|| (case.run)(&fresh))).is_ok());
    let lost: Vec<_> = lost.map(|case| case.name).collect();
    drop(std::panic::take_hook());
    assert_eq!(passed, [0; 0], "these forgot something, and nobody noticed");
    assert_eq!(lost, [""; 0], "these take a store that forgets everything");
}
