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

/// Delays, waits that time out and waits that their event ends: whoever claims, what was due first is handed out first. (So it
/// is among branches of one priority; `priorities_are_kept_and_waiting_raises` shows several.)
pub fn what_waited_wakes_in_the_order_in_which_it_was_due(make: Factory<'_>) {
    const MANY: u32 = 60;
    let bench = Bench::new(make);
    let lease = bench.lease();
    // Another order than that of their starts.
    let second_of = |number: &u32| number * 37 % MANY + 1;
    for number in 0..MANY {
        let view = bench.start_held(&number.to_string(), lease);
        let wait = SECOND * second_of(&number);
        let parked = match number % 3 {
            0 => delay(&view, "d", wait),
            1 => park(&view, "w", "go", Some(wait)),
            _ => park(&view, "w", "go", None),
        };
        bench.ok(lease, parked);
    }
    assert_eq!(bench.claim(lease), [], "all are parked");
    let mut in_order: Vec<u32> = (0..MANY).collect();
    in_order.sort_by_key(second_of);
    for number in &in_order {
        bench.tick(SECOND);
        if number % 3 == 2 {
            bench.send(&number.to_string(), "go", "p");
        }
    }
    let mut woken = Vec::new();
    for owner in [bench.lease(), bench.lease()].iter().cycle() {
        let taken = bench.claim_in(*owner, 7, bench.scope());
        if taken.is_empty() {
            break;
        }
        woken.extend(taken.iter().map(|view| view.instance_id.parse::<u32>().unwrap()));
    }
    assert_eq!(woken, in_order, "all woke, once, in order");
}
