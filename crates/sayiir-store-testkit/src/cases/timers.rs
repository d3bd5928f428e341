//! Times are kept in the store, and a branch is due at its own.

use sayiir_core::branch::Phase;
use sayiir_core::transition::Wake;

use super::{HOUR, MINUTE, SECOND};
use crate::bench::{advance, delay, hand_back, park, retry, time_out};
use crate::{Bench, Factory, TTL};

pub fn a_delay_is_due_at_its_end(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, delay(&bench.start_held("i", lease), "d", HOUR));
    bench.tick(HOUR.saturating_sub(SECOND));
    assert_eq!(bench.claim(lease), []);
    bench.tick(SECOND);
    let view = bench.claim_one(lease);
    assert_eq!((view.head.phase, view.due_at, view.crashes), (Phase::Delaying, Some(view.now), 0));
    assert_eq!(&view.input[..], b"input", "the value goes through the delay");
}

pub fn a_retry_waits_its_backoff(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    bench.ok(lease, retry(&view, MINUTE));
    assert_eq!(bench.claim(lease), []);
    bench.tick(MINUTE);
    let again = bench.claim_one(lease);
    assert_eq!((again.head.attempt, again.head.node.clone(), again.crashes), (1, view.head.node, 0));
}

pub fn a_branch_handed_back_keeps_its_time(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    bench.ok(lease, park(&view, "w", "go", Some(HOUR)));
    bench.send("i", "go", "p");
    let woken = bench.claim_one(lease);
    wait_taken(&bench, "i", "go");
    bench.ok(lease, hand_back(&woken, Wake::AsStored));
    assert_eq!(bench.claim(lease), [], "without the event it waits for its time");
    bench.tick(HOUR);
    let late = bench.claim_one(lease);
    assert_eq!(late.due_at, Some(late.now));
    bench.ok(lease, time_out(&late, "b"));
    bench.ok(lease, hand_back(&bench.reload(lease, &late), Wake::AsStored));
    assert_eq!(bench.claim(lease).len(), 1, "without a stored time it is due at once");
}

fn wait_taken(bench: &Bench, id: &str, name: &str) {
    assert!(crate::wait(bench.store.take_event(id, name)).unwrap().is_some());
}

pub fn a_stored_time_survives_a_takeover(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (one, two) = (bench.lease(), bench.lease());
    bench.ok(one, delay(&bench.start_held("i", one), "d", MINUTE));
    bench.tick(MINUTE);
    let first = bench.claim_one(one);
    bench.tick(TTL);
    let second = bench.claim_one(two);
    assert_eq!((second.due_at, second.crashes), (first.due_at, 1));
}

pub fn going_on_clears_the_time(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, delay(&bench.start_held("i", lease), "d", MINUTE));
    bench.tick(MINUTE);
    let view = bench.claim_one(lease);
    bench.ok(lease, advance(&view, "1", "b"));
    let on = bench.reload(lease, &view);
    assert_eq!((on.due_at, &on.input[..]), (None, &b"1"[..]));
    assert_eq!(bench.claim(bench.lease()), [], "the lease goes on");
}
