//! Events: none is lost, none is used twice, and nobody sleeps through one.

use sayiir_core::transition::{Next, Transition, Wake};
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{CommitOutcome, ControlAction, Refusal, SendOutcome};

use super::{HOUR, MINUTE, SECOND};
use crate::bench::{advance, finish, fork, hand_back, park, receive, time_out};
use crate::{Bench, Factory, TTL, wait};

pub fn events_may_come_before_the_instance(make: Factory<'_>) {
    let bench = Bench::new(make);
    assert_eq!(bench.send("i", "go", "early"), 1);
    assert_eq!(wait(bench.store.instance("i")).unwrap(), None, "an id with events alone is unknown");
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    assert_eq!((view.mail, view.events.len(), view.events[0].seq), (1, 1, 1));
    assert_eq!(wait(bench.store.read_event("i", "go", 1)).unwrap().as_deref(), Some(&b"early"[..]));
    bench.ok(lease, receive(&view, "go", "early", "b"));
}

pub fn an_event_wakes_everyone_who_waits(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let parent = bench.start_held("i", lease);
    bench.ok(lease, fork(&parent, "f", 3, 3));
    let views = wait(bench.store.load(lease, parent.run, vec![])).unwrap();
    bench.ok(lease, park(&views[0], "w0", "go", None));
    bench.ok(lease, park(&views[1], "w1", "go", Some(HOUR)));
    bench.ok(lease, park(&views[2], "w2", "other", None));
    assert_eq!(bench.claim(lease), []);
    bench.send("i", "go", "p");
    let woken = bench.claim(lease);
    assert_eq!(woken.len(), 2);
    bench.ok(lease, receive(&woken[0], "go", "p", "b"));
    bench.refused(lease, receive(&woken[1], "go", "p", "b"), Refusal::Moved);
    let again = bench.reload(lease, &woken[1]);
    assert_eq!((again.events.len(), again.revision), (0, woken[1].revision));
    bench.ok(lease, park(&again, "w", "go", None));
    assert_eq!(bench.claim(lease), []);
}

pub fn parking_is_refused_if_mail_came(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    bench.send("i", "go", "p");
    bench.refused(lease, park(&view, "w", "go", None), Refusal::Moved);
    let seen = bench.reload(lease, &view);
    assert_eq!((seen.mail, seen.events.len()), (1, 1));
    bench.ok(lease, receive(&seen, "go", "p", "b"));
}

pub fn a_timeout_is_refused_if_mail_came(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, park(&bench.start_held("i", lease), "w", "go", Some(MINUTE)));
    bench.tick(MINUTE);
    let view = bench.claim_one(lease);
    bench.send("i", "go", "p");
    bench.refused(lease, time_out(&view, "b"), Refusal::Moved);
    let seen = bench.reload(lease, &view);
    assert_eq!(seen.due_at, view.due_at, "the engine compares the event's time with the due time");
    bench.ok(lease, receive(&seen, "go", "p", "b"));
    let on = bench.reload(lease, &seen);
    bench.ok(lease, park(&on, "w", "go", Some(MINUTE)));
    bench.tick(MINUTE);
    let late = bench.claim_one(lease);
    bench.ok(lease, time_out(&late, "c"));
}

pub fn an_event_is_used_once(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (one, two) = (bench.lease(), bench.lease());
    let parent = bench.start_held("i", one);
    bench.ok(one, fork(&parent, "f", 2, 1));
    let mine = wait(bench.store.load(one, parent.run, vec![])).unwrap().pop().unwrap();
    let theirs = bench.claim_one(two);
    bench.send("i", "go", "p");
    let (mine, theirs) = (bench.reload(one, &mine), bench.reload(two, &theirs));
    bench.ok(one, receive(&mine, "go", "p", "b"));
    bench.refused(two, receive(&theirs, "go", "p", "b"), Refusal::Moved);
    assert_eq!(wait(bench.store.read_event("i", "go", 1)).unwrap(), None);
    assert_eq!(bench.reload(two, &theirs).events, []);
}

pub fn events_are_kept_in_order_by_name(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    for (name, payload) in [("b", "1"), ("a", "2"), ("b", "3"), ("a", "4")] {
        bench.send("i", name, payload);
    }
    let mut view = bench.start_held("i", lease);
    let heads = |view: &sayiir_persistence::BranchView| -> Vec<_> {
        let mut heads: Vec<_> = view.events.iter().map(|event| (event.name.to_string(), event.seq)).collect();
        heads.sort();
        heads
    };
    assert_eq!(heads(&view), [("a".to_owned(), 2), ("b".to_owned(), 1)], "the first of each name");
    bench.ok(lease, receive(&view, "b", "1", "x"));
    view = bench.reload(lease, &view);
    assert_eq!((view.mail, heads(&view)), (4, vec![("a".to_owned(), 2), ("b".to_owned(), 3)]));
}

pub fn a_key_is_remembered_after_its_event_was_used(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    assert_eq!(bench.send_keyed("i", "go", "p", Some("k")), SendOutcome::Stored(1));
    assert_eq!(bench.send_keyed("i", "go", "p", Some("k")), SendOutcome::Duplicate);
    let view = bench.start_held("i", lease);
    assert_eq!(view.mail, 1, "a duplicate is no mail");
    bench.ok(lease, receive(&view, "go", "p", "b"));
    assert_eq!(bench.send_keyed("i", "go", "p", Some("k")), SendOutcome::Duplicate);
    assert_eq!(bench.send_keyed("j", "go", "p", Some("k")), SendOutcome::Stored(1), "keys are the instance's own");
    let view = bench.reload(lease, &view);
    bench.ok(lease, finish(&view, "1"));
    assert_eq!(bench.send_keyed("i", "go", "p", Some("k")), SendOutcome::Duplicate, "the first send was accepted");
}

pub fn a_finished_instance_takes_no_events(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, finish(&bench.start_held("done", lease), "1"));
    assert_eq!(bench.send_keyed("done", "go", "p", None), SendOutcome::Finished(WorkflowStatus::Completed));
    bench.start("cancelled");
    bench.apply("cancelled", ControlAction::Cancel);
    assert!(matches!(bench.send_keyed("cancelled", "go", "p", None), SendOutcome::Finished(WorkflowStatus::Cancelled { .. })));
    assert_eq!(wait(bench.store.read_event("done", "go", 1)).unwrap(), None);
}

pub fn an_event_for_a_leased_waiter_is_not_lost(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (one, two) = (bench.lease(), bench.lease());
    bench.ok(one, park(&bench.start_held("i", one), "w", "go", Some(MINUTE)));
    bench.tick(MINUTE);
    let view = bench.claim_one(one);
    bench.send("i", "go", "p");
    assert_eq!(bench.claim(two), [], "the event takes no lease away");
    bench.tick(TTL);
    let heir = bench.claim_one(two);
    assert_eq!((heir.events.len(), heir.revision), (1, view.revision + 1));
}

pub fn a_waiter_handed_back_still_hears(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, park(&bench.start_held("i", lease), "w", "go", Some(MINUTE)));
    bench.tick(MINUTE);
    let view = bench.claim_one(lease);
    bench.send("i", "go", "p");
    bench.ok(lease, hand_back(&view, Wake::After(HOUR)));
    let woken = bench.claim(lease);
    assert_eq!(woken.len(), 1, "the event came while the branch was held, and waits for it");
    bench.ok(lease, receive(&woken[0], "go", "p", "b"));
    let on = bench.reload(lease, &woken[0]);
    bench.ok(lease, park(&on, "w", "go", None));
    bench.send("i", "go", "p2");
    let view = bench.claim_one(lease);
    assert!(wait(bench.store.take_event("i", "go")).unwrap().is_some());
    bench.ok(lease, hand_back(&view, Wake::After(HOUR)));
    assert_eq!(bench.claim(lease), []);
    bench.send("i", "go", "p3");
    assert_eq!(bench.claim(lease).len(), 1, "a branch handed back goes on waiting for its event");
}

pub fn an_event_can_be_taken_out(make: Factory<'_>) {
    let bench = Bench::new(make);
    assert_eq!(wait(bench.store.take_event("i", "go")).unwrap(), None);
    bench.send("i", "go", "1");
    bench.send("i", "go", "2");
    let take = || wait(bench.store.take_event("i", "go")).unwrap();
    assert_eq!((take().as_deref(), take().as_deref(), take()), (Some(&b"1"[..]), Some(&b"2"[..]), None));
    assert_eq!(bench.send("i", "go", "3"), 3, "numbers are not used again");
}

pub fn an_event_is_stamped_when_it_arrives(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, park(&bench.start_held("i", lease), "w", "go", Some(MINUTE)));
    bench.tick(SECOND);
    bench.send("i", "go", "p");
    let sent = bench.record("i").now;
    // The worker comes late: the event was in time all the same, and the engine can see it.
    bench.tick(HOUR);
    let view = bench.claim_one(lease);
    assert_eq!((view.events[0].at, view.due_at, view.crashes), (sent, Some(sent + MINUTE.saturating_sub(SECOND)), 0));
    assert!(view.now > view.due_at.unwrap() && view.events[0].at < view.due_at.unwrap());
    bench.ok(lease, receive(&view, "go", "p", "b"));
    assert_eq!(bench.reload(lease, &view).due_at, None);
}

pub fn parking_again_can_keep_the_first_deadline(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, park(&bench.start_held("i", lease), "w", "go", Some(HOUR)));
    bench.send("i", "go", "p");
    let woken = bench.claim_one(lease);
    assert!(wait(bench.store.take_event("i", "go")).unwrap().is_some());
    bench.tick(MINUTE);
    let again = park(&woken, "w", "go", None);
    let Next::Await { head, signal, wake: _, placement } = again.next.clone() else { panic!("a wait is expected") };
    let next = Next::Await { head, signal, wake: Some(Wake::AsStored), placement };
    bench.ok(lease, Transition { next, ..again });
    let root = bench.record("i").branches.remove(0);
    assert_eq!((root.due_at, root.run_at), (woken.due_at, woken.due_at));
}

pub fn a_waiter_without_a_time_is_never_due_by_itself(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, park(&bench.start_held("i", lease), "w", "go", None));
    bench.send("i", "go", "p");
    let woken = bench.claim_one(lease);
    assert!(wait(bench.store.take_event("i", "go")).unwrap().is_some());
    bench.ok(lease, hand_back(&woken, Wake::AsStored));
    bench.tick(HOUR);
    assert_eq!((bench.claim(lease), wait(bench.store.next_due(bench.scope())).unwrap()), (vec![], None));
    bench.send("i", "other", "p");
    assert_eq!(bench.claim(lease), [], "an event of another name wakes nobody");
    bench.send("i", "go", "p");
    assert_eq!(bench.claim(lease).len(), 1);
}

pub fn concurrent_senders_lose_nothing(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let mut view = bench.start_held("i", lease);
    let received = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    bench.send("i", "go", "p");
                }
            });
        }
        let mut received = 0;
        while received < 40 {
            if view.events.is_empty() {
                match bench.commit(lease, park(&view, "w", "go", None)) {
                    sayiir_persistence::CommitOutcome::Refused(why) => assert_eq!(why, Refusal::Moved),
                    _ => view = woken_soon(&bench, lease),
                }
            } else {
                bench.ok(lease, receive(&view, "go", "p", "b"));
                received += 1;
            }
            view = bench.reload(lease, &view);
        }
        received
    });
    assert_eq!((received, view.mail, view.events.len()), (40, 40, 0));
    bench.ok(lease, advance(&view, "1", "b"));
}

pub fn an_event_that_races_with_its_timeout_is_heard_or_kept(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    for round in 0..20 {
        let id = format!("i{round}");
        bench.ok(lease, park(&bench.start_held(&id, lease), "w", "go", Some(MINUTE)));
        bench.tick(MINUTE);
        let view = bench.claim_one(lease);
        let timed_out = std::thread::scope(|scope| {
            let sender = scope.spawn(|| bench.send(&id, "go", "p"));
            let outcome = bench.commit(lease, time_out(&view, "b"));
            sender.join().unwrap();
            outcome
        });
        let now = bench.reload(lease, &view);
        assert_eq!((now.mail, now.events.len()), (1, 1), "the event is there in any case");
        match timed_out {
            CommitOutcome::Accepted { .. } => assert_eq!(now.revision, view.revision + 1),
            other => {
                assert_eq!(other, CommitOutcome::Refused(Refusal::Moved));
                bench.ok(lease, receive(&now, "go", "p", "b"));
            }
        }
        let view = bench.reload(lease, &view);
        bench.ok(lease, finish(&view, "1"));
    }
}

/// The waiter, once an event has woken it; a wake-up that never comes fails the test.
fn woken_soon(bench: &Bench, lease: sayiir_core::branch::LeaseId) -> sayiir_persistence::BranchView {
    for _ in 0..1_000_000 {
        if let Some(view) = bench.claim(lease).pop() {
            return view;
        }
        std::thread::yield_now();
    }
    panic!("no event woke the waiter");
}
