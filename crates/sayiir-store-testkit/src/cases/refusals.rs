//! Every kind of write is refused for every reason, the weightier reason is given first, and a refused writer learns of its own row.

use std::sync::Arc;

use sayiir_core::branch::{LeaseId, RunNumber};
use sayiir_core::transition::{EventGuard, Transition, Wake};
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{BranchView, CommitOutcome, ControlAction, Definition, Refusal, StartOutcome, StartRun};

use super::{MINUTE, SECOND};
use crate::bench::{advance, delay, end, fail, finish, fork, fresh, hand_back, park, receive, retry, time_out};
use crate::{Bench, Factory, TTL, wait};

/// Every kind of write that the owner of this view can make; the view has an event `go`.
pub(super) fn every_kind(view: &BranchView) -> Vec<Transition> {
    vec![
        advance(view, "1", "b"),
        delay(view, "d", MINUTE),
        retry(view, MINUTE),
        hand_back(view, Wake::Now),
        park(view, "w", "other", None),
        time_out(view, "b"),
        receive(view, "go", "p", "b"),
        fork(view, "f", 2, 1),
        if view.branch.is_root() { finish(view, "1") } else { end(view, "1") },
        fail(view, "broken"),
    ]
}

/// A held root branch, with an event for it.
fn held(bench: &Bench, id: &str, lease: LeaseId) -> BranchView {
    bench.send(id, "go", "p");
    bench.start_held(id, lease)
}

/// A child branch that this lease holds, of a parent with another child, with an event for it.
fn held_child(bench: &Bench, id: &str, lease: LeaseId) -> BranchView {
    let parent = held(bench, id, lease);
    bench.ok(lease, fork(&parent, "f", 2, 1));
    wait(bench.store.load(lease, parent.run, vec![])).unwrap().pop().unwrap()
}

fn terminate(bench: &Bench, id: &str) {
    fresh(bench.start_with(StartRun { policy: ConflictPolicy::TerminateExisting, ..bench.request(id) }));
}

#[track_caller]
fn all_refused(bench: &Bench, lease: LeaseId, view: &BranchView, why: Refusal) {
    for write in every_kind(view) {
        assert_eq!(bench.commit(lease, write.clone()), CommitOutcome::Refused(why), "{write:?}");
    }
}

/// Runs the case with a root and with a child.
fn with_each(make: Factory<'_>, case: impl Fn(&Bench, LeaseId, BranchView)) {
    for hold in [held, held_child] {
        let bench = Bench::new(make);
        let lease = bench.lease();
        let view = hold(&bench, "i", lease);
        case(&bench, lease, view);
    }
}

pub fn a_moved_branch_refuses_every_kind_of_write(make: Factory<'_>) {
    with_each(make, |bench, lease, view| {
        let before = (bench.record("i"), bench.journal(view.run));
        for revision in [view.revision + 1, view.revision + 7] {
            all_refused(bench, lease, &BranchView { revision, ..view.clone() }, Refusal::Moved);
        }
        assert_eq!(before, (bench.record("i"), bench.journal(view.run)), "a refusal writes nothing");
        bench.apply("i", ControlAction::Pause);
        all_refused(bench, lease, &view, Refusal::Moved);
    });
}

pub fn a_lost_lease_is_named_before_a_moved_branch(make: Factory<'_>) {
    with_each(make, |bench, lease, view| {
        bench.tick(TTL);
        let taken = bench.claim(bench.lease());
        let now = taken.iter().find(|taken| taken.branch == view.branch).expect("the branch was due").clone();
        for revision in [view.revision, now.revision, now.revision + 4] {
            all_refused(bench, lease, &BranchView { revision, ..view.clone() }, Refusal::LeaseLost);
        }
        let before = bench.record("i");
        all_refused(bench, LeaseId(lease.0 + 1000), &now, Refusal::LeaseLost);
        assert_eq!(before, bench.record("i"));
    });
}

pub fn an_ended_run_is_named_before_a_lost_lease(make: Factory<'_>) {
    with_each(make, |bench, lease, view| {
        bench.tick(TTL);
        bench.claim(bench.lease());
        bench.apply("i", ControlAction::Cancel);
        all_refused(bench, lease, &view, Refusal::Ended);
        all_refused(bench, lease, &BranchView { revision: view.revision + 7, ..view }, Refusal::Ended);
    });
    with_each(make, |bench, lease, view| {
        bench.ok(lease, fail(&view, "broken"));
        let later = BranchView { revision: view.revision + 1, ..view };
        all_refused(bench, lease, &later, Refusal::Ended);
    });
}

pub fn a_replaced_run_is_named_before_all(make: Factory<'_>) {
    with_each(make, |bench, lease, view| {
        bench.apply("i", ControlAction::Cancel);
        terminate(bench, "i");
        all_refused(bench, lease, &view, Refusal::Replaced);
        bench.apply("i", ControlAction::Cancel);
        let stale = BranchView { revision: view.revision + 7, ..view.clone() };
        all_refused(bench, LeaseId(lease.0 + 1000), &stale, Refusal::Replaced);
        let never = BranchView { run: RunNumber(view.run.0 + 1000), ..view };
        all_refused(bench, lease, &never, Refusal::Replaced);
    });
}

pub fn guards_come_last(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (lease, other) = (bench.lease(), bench.lease());
    let view = held(&bench, "i", lease);
    let stale_mail = BranchView { mail: 0, ..view.clone() };
    let no_event = Transition { guard: EventGuard::Use { name: Arc::from("go"), seq: 7 }, ..receive(&view, "go", "p", "b") };
    let wrong_name = Transition { guard: EventGuard::Use { name: Arc::from("no"), seq: 1 }, ..receive(&view, "go", "p", "b") };
    let guarded = [park(&stale_mail, "w", "other", None), time_out(&stale_mail, "b"), no_event, wrong_name];
    for write in &guarded {
        bench.refused(lease, write.clone(), Refusal::Moved);
        bench.refused(other, write.clone(), Refusal::LeaseLost);
    }
    bench.apply("i", ControlAction::Cancel);
    for write in guarded {
        bench.refused(lease, write, Refusal::Ended);
    }
}

pub fn an_accepted_write_is_found_whatever_came_after_it(make: Factory<'_>) {
    let after: [fn(&Bench, LeaseId); 5] = [
        |bench, _| {
            bench.tick(TTL);
            bench.claim(bench.lease());
        },
        |bench, _| bench.apply("i", ControlAction::Pause),
        |bench, _| bench.apply("i", ControlAction::Cancel),
        |bench, lease| {
            let view = wait(bench.store.load(lease, bench.record("i").summary.run, vec![])).unwrap().pop().unwrap();
            bench.ok(lease, advance(&view, "2", "c"));
        },
        |bench, _| terminate(bench, "i"),
    ];
    for then in after {
        let bench = Bench::new(make);
        let lease = bench.lease();
        let view = bench.start_held("i", lease);
        let write = advance(&view, "1", "b");
        bench.ok(lease, write.clone());
        then(&bench, lease);
        let before = (bench.record("i"), bench.journal(view.run));
        assert_eq!(bench.commit(lease, write.clone()), CommitOutcome::AlreadyAccepted);
        assert_eq!(before, (bench.record("i"), bench.journal(view.run)), "asking again changes nothing");
        assert!(!matches!(bench.commit(LeaseId(lease.0 + 1000), write), CommitOutcome::AlreadyAccepted), "it is the writer's own row only");
    }
}

pub fn a_start_looks_at_the_nonce_then_the_definition_then_the_policy(make: Factory<'_>) {
    let bench = Bench::new(make);
    let request = bench.request("i");
    let (run, _) = fresh(bench.start_with(request.clone()));
    let other = Definition { hash: "other".into(), ..request.definition.clone() };
    let again = StartRun { definition: other.clone(), ..request.clone() };
    assert_eq!(fresh(bench.start_with(again)).0, run, "the nonce comes before the definition");
    let mismatch = |policy| bench.start_with(StartRun { definition: other.clone(), policy, ..bench.request("i") });
    for policy in [ConflictPolicy::Fail, ConflictPolicy::UseExisting, ConflictPolicy::TerminateExisting] {
        assert!(matches!(mismatch(policy), StartOutcome::DefinitionMismatch { .. }), "the definition comes before the policy");
    }
    bench.tick(SECOND);
    bench.apply("i", ControlAction::Cancel);
    assert_eq!(fresh(bench.start_with(request.clone())).0, run, "a start is its own after the run has ended, too");
    assert!(matches!(mismatch(ConflictPolicy::TerminateExisting), StartOutcome::DefinitionMismatch { .. }));
    terminate(&bench, "i");
    let late = bench.start_with(request);
    assert_eq!(late, StartOutcome::AlreadyExists, "the nonce of a replaced run is nobody's");
}
