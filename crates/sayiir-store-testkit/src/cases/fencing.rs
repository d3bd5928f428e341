//! One owner: a write by whoever lost its branch, or whose run was replaced or ended, is refused.

use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{BranchView, CommitOutcome, ControlAction, Refusal, StartRun};

use super::SECOND;
use crate::bench::{advance, end, fail, finish, fork, fresh, park};
use crate::{Bench, Factory, TTL, wait};

pub fn a_claim_moves_the_revision(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let first = bench.start_held("i", lease);
    bench.tick(TTL);
    let second = bench.claim_one(lease);
    assert_eq!((second.revision, second.crashes), (first.revision + 1, 1));
    bench.refused(lease, advance(&first, "1", "b"), Refusal::Moved);
    bench.ok(lease, advance(&second, "1", "b"));
}

pub fn a_renewal_keeps_the_revision(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    let renewed = wait(bench.store.renew(lease, TTL, vec![(view.run, view.branch.clone())])).unwrap();
    assert_eq!(renewed, [Some(view.revision)]);
    bench.ok(lease, advance(&view, "1", "b"));
}

pub fn a_lost_lease_is_refused(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (old, new) = (bench.lease(), bench.lease());
    let view = bench.start_held("i", old);
    bench.tick(TTL);
    let taken = bench.claim_one(new);
    for late in [advance(&view, "1", "b"), finish(&view, "1"), fork(&view, "f", 2, 1), fail(&view, "late"), park(&view, "w", "go", None)] {
        bench.refused(old, late, Refusal::LeaseLost);
    }
    let guessed = BranchView { revision: taken.revision, ..view };
    bench.refused(old, advance(&guessed, "1", "b"), Refusal::LeaseLost);
    bench.ok(new, advance(&taken, "1", "b"));
}

pub fn a_replaced_run_is_refused(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let old = bench.start_held("i", lease);
    let replace = StartRun { policy: ConflictPolicy::TerminateExisting, lease: Some((lease, TTL)), ..bench.request("i") };
    let new = fresh(bench.start_with(replace)).1.unwrap();
    assert_eq!((new.revision, new.branch.clone()), (old.revision, old.branch.clone()), "only the run tells them apart");
    for late in [advance(&old, "1", "b"), finish(&old, "1"), fork(&old, "f", 2, 1), fail(&old, "late")] {
        bench.refused(lease, late, Refusal::Replaced);
    }
    assert_eq!(wait(bench.store.renew(lease, TTL, vec![(old.run, old.branch.clone())])).unwrap(), [None]);
    assert_eq!(wait(bench.store.load(lease, old.run, vec![])).unwrap(), []);
    bench.ok(lease, advance(&new, "1", "b"));
}

pub fn a_deleted_run_is_refused(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let old = bench.start_held("i", lease);
    assert!(wait(bench.store.delete("i")).unwrap());
    bench.refused(lease, advance(&old, "1", "b"), Refusal::Replaced);
    let new = bench.start_held("i", lease);
    bench.refused(lease, advance(&old, "1", "b"), Refusal::Replaced);
    bench.ok(lease, advance(&new, "1", "b"));
}

pub fn an_ended_run_is_refused(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let cancelled = bench.start_held("cancelled", lease);
    bench.apply("cancelled", ControlAction::Cancel);
    for late in [advance(&cancelled, "1", "b"), finish(&cancelled, "1"), fail(&cancelled, "late")] {
        bench.refused(lease, late, Refusal::Ended);
    }
    let parent = bench.start_held("failed", lease);
    bench.ok(lease, fork(&parent, "f", 2, 2));
    let views = wait(bench.store.load(lease, parent.run, vec![])).unwrap();
    bench.ok(lease, fail(&views[0], "broken"));
    bench.refused(lease, end(&views[1], "late"), Refusal::Ended);
    let done = bench.start_held("done", lease);
    bench.ok(lease, finish(&done, "1"));
    let later = BranchView { revision: done.revision + 1, ..done };
    bench.refused(lease, advance(&later, "1", "b"), Refusal::Ended);
}

pub fn a_stale_revision_is_refused(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (lease, other) = (bench.lease(), bench.lease());
    let view = bench.start_held("i", lease);
    bench.ok(lease, advance(&view, "1", "b"));
    let moved = bench.reload(lease, &view);
    assert_eq!((moved.revision, &moved.input[..]), (view.revision + 1, &b"1"[..]));
    bench.tick(SECOND);
    bench.refused(other, advance(&moved, "2", "c"), Refusal::LeaseLost);
    bench.refused(lease, advance(&BranchView { revision: 40, ..moved }, "2", "c"), Refusal::Moved);
}

pub fn run_and_lease_numbers_are_never_used_again(make: Factory<'_>) {
    let bench = Bench::new(make);
    let mut last = (bench.start("i"), bench.lease());
    for _ in 0..3 {
        assert!(wait(bench.store.delete("i")).unwrap());
        let next = (bench.start("i"), bench.lease());
        assert!(next.0 > last.0 && next.1 > last.1);
        last = next;
    }
    let lease = last.1;
    assert!(bench.claim(lease).iter().all(|view| view.run == last.0));
    let outcome = bench.commit(lease, advance(&bench.reload(lease, &bench_view(&bench, lease)), "1", "b"));
    assert!(matches!(outcome, CommitOutcome::Accepted { .. }));
}

fn bench_view(bench: &Bench, lease: sayiir_core::branch::LeaseId) -> BranchView {
    let run = bench.record("i").summary.run;
    wait(bench.store.load(lease, run, vec![])).unwrap().pop().unwrap()
}
