//! One file, several connections and processes: numbers are shared, and writes of others are noticed without asking.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what went wrong by panicking"
)]

mod common;

use std::sync::Arc;
use std::thread;

use common::{PATIENCE, everything, open, place, request, session, wait};
use event_listener::Listener as _;
use sayiir_persistence::{NewEvent, StartOutcome, Store};

#[test]
fn many_open_a_new_file_at_once() {
    for _ in 0..5 {
        let place = place();
        let open_one = |number: usize| {
            let file = place.file.clone();
            thread::spawn(move || {
                let store = open(&file);
                matches!(wait(store.start(request(&format!("i{number}"), 1, None))), Ok(StartOutcome::Fresh { .. }))
            })
        };
        let threads: Vec<_> = (0..8).map(open_one).collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        let store = open(&place.file);
        let mut runs: Vec<_> = wait(store.claim(everything(100, session(&store)))).unwrap().into_iter().map(|view| view.run).collect();
        runs.dedup();
        assert_eq!(runs.len(), 8);
    }
}

#[test]
fn another_connections_write_is_noticed() {
    let place = place();
    let (here, there) = (open(&place.file), open(&place.file));
    for number in 0..20 {
        let (due, control) = (here.wakeups().listen_due(), here.wakeups().listen_control());
        wait(there.start(request(&format!("i{number}"), 1, None))).unwrap();
        assert!(due.wait_timeout(PATIENCE).is_some());
        assert!(control.wait_timeout(PATIENCE).is_some());
    }
}

#[test]
fn a_waiting_instance_hears_of_another_connections_write() {
    let place = place();
    let (here, there) = (open(&place.file), open(&place.file));
    wait(here.start(request("a", 1, None))).unwrap();
    let listener = here.wakeups().listen_instance("a");
    let changed = listener.listen();
    let event = NewEvent { instance_id: Arc::from("b"), name: Arc::from("paid"), payload: b"x"[..].into(), key: None };
    wait(there.put_event(event)).unwrap();
    assert!(changed.wait_timeout(PATIENCE).is_some());
}

#[test]
fn of_two_connections_one_takes_each_branch() {
    let place = place();
    let (here, there) = (open(&place.file), open(&place.file));
    let (mine, theirs) = (session(&here), session(&there));
    assert_ne!(mine, theirs);
    for number in 0..40 {
        wait(here.start(request(&format!("i{number}"), 1, None))).unwrap();
    }
    let other = thread::spawn(move || wait(there.claim(everything(40, theirs))).unwrap().len());
    let taken = wait(here.claim(everything(40, mine))).unwrap().len();
    assert_eq!(taken + other.join().unwrap(), 40);
}
