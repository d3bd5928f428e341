//! Control that is recorded for a worker to apply, and what is remembered of a request.

use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::EntryKind;
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{ControlAction, ControlOutcome, Refusal};

use super::{HOUR, MINUTE};
use crate::bench::{advance, delay, fork, park};
use crate::{Bench, Factory, TTL, wait};

fn ask(bench: &Bench, id: &str, kind: SignalKind) -> ControlOutcome {
    wait(bench.store.request_control(id, kind, SignalRequest::new(Some("please".into()), Some("me".into())))).unwrap()
}

fn asked(bench: &Bench, id: &str, kind: SignalKind) -> Option<SignalRequest> {
    wait(bench.store.requested_control(id, kind)).unwrap()
}

fn apply(bench: &Bench, id: &str, kind: SignalKind) -> bool {
    wait(bench.store.apply_requested(id, kind)).unwrap()
}

fn clear(bench: &Bench, id: &str, kind: SignalKind) {
    wait(bench.store.clear_control(id, kind)).unwrap();
}

/// An instance in each state: queued, leased, in a delay, waiting for an event, in a fork with one leased and one free branch.
fn everywhere(bench: &Bench) -> [&'static str; 5] {
    let lease = bench.lease();
    bench.start("queued");
    bench.start_held("leased", lease);
    bench.ok(lease, delay(&bench.start_held("delayed", lease), "d", HOUR));
    bench.ok(lease, park(&bench.start_held("parked", lease), "w", "go", Some(HOUR)));
    bench.ok(lease, fork(&bench.start_held("forked", lease), "f", 2, 1));
    ["queued", "leased", "delayed", "parked", "forked"]
}

pub fn a_recorded_request_makes_every_free_branch_due(make: Factory<'_>) {
    for kind in [SignalKind::Cancel, SignalKind::Pause] {
        let bench = Bench::new(make);
        for id in everywhere(&bench) {
            let before = bench.record(id);
            assert_eq!(ask(&bench, id, kind), ControlOutcome::Applied);
            let after = bench.record(id);
            assert_eq!(after.summary.status, WorkflowStatus::InProgress, "it is recorded, not applied");
            for (was, is) in before.branches.iter().zip(&after.branches) {
                assert_eq!((is.revision, is.lease, is.due_at), (was.revision + 1, was.lease, was.due_at), "{id}");
                let free = was.lease.is_none() && was.pending == 0;
                assert_eq!(is.run_at, if free { Some(after.now) } else { was.run_at }, "{id}");
            }
        }
        let due = bench.claim(bench.lease());
        assert_eq!(due.len(), 4, "all but the leased branches and the parent that waits for its children");
        assert!(due.iter().all(|view| view.requested == Some(kind) && view.crashes == 0));
    }
}

pub fn a_request_that_is_cleared_leaves_every_branch_as_it_stood(make: Factory<'_>) {
    for kind in [SignalKind::Cancel, SignalKind::Pause] {
        let bench = Bench::new(make);
        for id in everywhere(&bench) {
            let before = bench.record(id).branches;
            ask(&bench, id, kind);
            clear(&bench, id, kind);
            let after = bench.record(id).branches;
            for (was, is) in before.iter().zip(&after) {
                assert_eq!((is.run_at, is.due_at, is.lease, is.revision), (was.run_at, was.due_at, was.lease, was.revision + 2), "{id}");
            }
            clear(&bench, id, kind);
            assert_eq!(bench.record(id).branches, after, "what was not asked for is cleared without a trace");
        }
    }
}

pub fn what_was_applied_stays_applied_when_its_request_is_cleared(make: Factory<'_>) {
    let bench = Bench::new(make);
    bench.start("paused");
    bench.apply("paused", ControlAction::Pause);
    let before = bench.record("paused").branches;
    clear(&bench, "paused", SignalKind::Pause);
    assert_eq!(asked(&bench, "paused", SignalKind::Pause), None);
    assert!(matches!(bench.status("paused"), WorkflowStatus::Paused { .. }));
    assert_eq!((bench.record("paused").branches, bench.claim(bench.lease())), (before, vec![]));
    bench.start("cancelled");
    bench.apply("cancelled", ControlAction::Cancel);
    clear(&bench, "cancelled", SignalKind::Cancel);
    assert!(matches!(bench.status("cancelled"), WorkflowStatus::Cancelled { .. }));
}

pub fn the_last_request_of_each_kind_is_remembered(make: Factory<'_>) {
    let bench = Bench::new(make);
    bench.start("i");
    assert_eq!(asked(&bench, "i", SignalKind::Cancel), None);
    let stamped = |reason: &str, by: &str| {
        let now = bench.record("i").now;
        Some(SignalRequest { requested_at: now.into(), ..SignalRequest::new(Some(reason.into()), Some(by.into())) })
    };
    ask(&bench, "i", SignalKind::Pause);
    assert_eq!(asked(&bench, "i", SignalKind::Pause), stamped("please", "me"), "the store says when it was recorded");
    assert_eq!(asked(&bench, "i", SignalKind::Cancel), None, "the kinds are apart");
    bench.tick(MINUTE);
    bench.apply("i", ControlAction::Pause);
    assert_eq!(asked(&bench, "i", SignalKind::Pause), stamped("because", "somebody"), "what was applied takes the place of what was asked");
    assert_eq!(ask(&bench, "i", SignalKind::Pause), ControlOutcome::AlreadySo);
    bench.apply("i", ControlAction::Unpause);
    assert_eq!(asked(&bench, "i", SignalKind::Pause), None);
    bench.apply("i", ControlAction::Cancel);
    assert_eq!(asked(&bench, "i", SignalKind::Cancel), stamped("because", "somebody"));
    assert_eq!(ask(&bench, "i", SignalKind::Cancel), ControlOutcome::AlreadySo);
    assert!(matches!(ask(&bench, "i", SignalKind::Pause), ControlOutcome::Finished(WorkflowStatus::Cancelled { .. })));
}

pub fn a_recorded_request_is_applied_once_and_not_after_it_was_taken_back(make: Factory<'_>) {
    let bench = Bench::new(make);
    for id in everywhere(&bench) {
        let live = bench.record(id).branches;
        assert!(!apply(&bench, id, SignalKind::Pause), "{id}: nothing is recorded");
        assert_eq!(bench.record(id).branches, live);
        ask(&bench, id, SignalKind::Pause);
        assert!(!apply(&bench, id, SignalKind::Cancel), "{id}: the kinds are apart");
        bench.tick(MINUTE);
        assert!(apply(&bench, id, SignalKind::Pause), "{id}");
        let paused = bench.record(id);
        let WorkflowStatus::Paused { reason, paused_by } = &paused.summary.status else { panic!("{id}: {:?}", paused.summary.status) };
        assert_eq!((reason.as_deref(), paused_by.as_deref()), (Some("please"), Some("me")));
        for (was, is) in live.iter().zip(&paused.branches) {
            let held = if was.lease.is_some() { was.run_at } else { None };
            assert_eq!((is.revision, is.lease, is.run_at), (was.revision + 2, was.lease, held), "{id}: as a pause leaves it");
        }
        let rows = bench.journal(paused.summary.run);
        let told: Vec<_> = rows.iter().filter(|row| row.kind == EntryKind::Paused).map(|row| (row.at, row.error.as_deref())).collect();
        assert_eq!(told, [(paused.now, Some("please (by me)"))], "{id}: it is paused now, for the reason that was recorded");
        assert!(!apply(&bench, id, SignalKind::Pause), "{id}: asked again after a lost reply");
        bench.apply(id, ControlAction::Unpause);
        let unpaused = bench.record(id);
        assert!(!apply(&bench, id, SignalKind::Pause), "{id}: it was taken back");
        ask(&bench, id, SignalKind::Pause);
        clear(&bench, id, SignalKind::Pause);
        assert!(!apply(&bench, id, SignalKind::Pause), "{id}: it was forgotten");
        assert_eq!(bench.record(id).summary.status, unpaused.summary.status);
    }
    assert!(!apply(&bench, "unknown", SignalKind::Pause));
}

pub fn a_recorded_cancel_is_applied_before_a_pause(make: Factory<'_>) {
    let bench = Bench::new(make);
    for id in everywhere(&bench) {
        ask(&bench, id, SignalKind::Pause);
        ask(&bench, id, SignalKind::Cancel);
        assert!(!apply(&bench, id, SignalKind::Pause), "{id}: the cancel waits before it");
        assert!(apply(&bench, id, SignalKind::Cancel), "{id}");
        let WorkflowStatus::Cancelled { reason, .. } = bench.status(id) else { panic!("{id}: {:?}", bench.status(id)) };
        assert_eq!((reason.as_deref(), bench.record(id).branches), (Some("please"), vec![]));
        assert!(!apply(&bench, id, SignalKind::Cancel), "{id}: asked again after a lost reply");
    }
}

pub fn every_state_is_paused_and_goes_on_as_it_stood(make: Factory<'_>) {
    let bench = Bench::new(make);
    for id in everywhere(&bench) {
        let before = bench.record(id).branches;
        bench.apply(id, ControlAction::Pause);
        for (was, is) in before.iter().zip(&bench.record(id).branches) {
            let expected = if was.lease.is_some() { was.run_at } else { None };
            assert_eq!((is.run_at, is.due_at, is.revision, is.lease), (expected, was.due_at, was.revision + 1, was.lease), "{id}");
        }
        bench.apply(id, ControlAction::Unpause);
        for (was, is) in before.iter().zip(&bench.record(id).branches) {
            assert_eq!((is.run_at, is.due_at, is.revision, is.lease), (was.run_at, was.due_at, was.revision + 2, was.lease), "{id}");
        }
    }
}

pub fn a_cancel_reaches_a_recorded_pause_and_a_late_owner(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    ask(&bench, "i", SignalKind::Pause);
    bench.apply("i", ControlAction::Cancel);
    bench.tick(TTL);
    bench.refused(lease, advance(&view, "1", "b"), Refusal::Ended);
    assert_eq!((bench.claim(lease), wait(bench.store.load(lease, view.run, vec![])).unwrap()), (vec![], vec![]));
    assert_eq!(wait(bench.store.renew(lease, TTL, vec![(view.run, view.branch)])).unwrap(), [None]);
    assert_eq!(wait(bench.store.sessions("host")).unwrap(), [], "what was cancelled is held by nobody");
}
