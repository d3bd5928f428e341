//! How long a lease lasts, and what its owner may do until somebody takes over.

use sayiir_core::branch::{Placement, RunNumber};
use sayiir_core::priority::Priority;
use sayiir_core::transition::{Next, Transition, Wake};
use sayiir_persistence::{BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlAction, Refusal, StartRun};

use super::{HOUR, MINUTE, SECOND};
use crate::bench::{advance, children, delay, end, fork, fresh, hand_back, park};
use crate::{Bench, Factory, TTL, wait};

fn ends(bench: &Bench, branch: usize) -> std::time::Duration {
    let record = bench.record("i");
    record.branches[branch].run_at.expect("it is leased").since(record.now)
}

pub fn leases_given_by_a_commit_last_as_the_last_one_named(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let started = bench.start_with(StartRun { lease: Some((lease, 2 * MINUTE)), ..bench.request("i") });
    let root = *fresh(started).1.expect("the lease was asked for");
    bench.ok(lease, fork(&root, "f", 2, 1));
    assert_eq!(ends(&bench, 1), 2 * MINUTE, "as the start said");
    let ids = children(&root, 2);
    wait(bench.store.renew(lease, HOUR, vec![(root.run, ids[0].clone())])).unwrap();
    let first = wait(bench.store.load(lease, root.run, vec![ids[0].clone()])).unwrap().remove(0);
    bench.ok(lease, fork(&first, "inner", 1, 1));
    assert_eq!(ends(&bench, 2), HOUR, "as the renewal said");
    let request = ClaimRequest { lease, ttl: MINUTE, limit: 1, scope: bench.scope() };
    let second = wait(bench.store.claim(request)).unwrap().remove(0);
    assert_eq!((second.branch.clone(), ends(&bench, 3)), (ids[1].clone(), MINUTE));
    let inner = wait(bench.store.load(lease, root.run, children(&first, 1))).unwrap().remove(0);
    assert!(bench.ok(lease, end(&inner, "x")).is_some());
    assert_eq!(ends(&bench, 1), MINUTE, "a readied parent's, as the claim said");
}

pub fn an_owner_may_write_until_somebody_takes_over(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (lease, heir) = (bench.lease(), bench.lease());
    let view = bench.start_held("i", lease);
    bench.tick(HOUR);
    bench.ok(lease, advance(&view, "1", "b"));
    let on = bench.reload(lease, &view);
    assert_eq!((on.revision, on.crashes), (view.revision + 1, 0));
    assert_eq!(wait(bench.store.expire_leases(lease)).unwrap(), 1);
    bench.ok(lease, advance(&on, "2", "c"));
    let on = bench.reload(lease, &on);
    let held = || wait(bench.store.renew(lease, TTL, vec![(view.run, view.branch.clone())])).unwrap();
    assert_eq!(held(), [Some(on.revision)], "a lapsed lease that nobody took is renewed");
    assert_eq!(bench.claim(heir), []);
    bench.tick(TTL);
    let taken = bench.claim_one(heir);
    assert_eq!((taken.crashes, held()), (1, vec![None]));
    bench.refused(lease, advance(&on, "3", "d"), Refusal::LeaseLost);
}

pub fn an_owner_that_claims_its_own_lapsed_branch_counts_a_crash(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    bench.tick(TTL);
    let again = bench.claim_one(lease);
    assert_eq!((again.revision, again.crashes), (view.revision + 1, 1));
    bench.refused(lease, advance(&view, "1", "b"), Refusal::Moved);
    bench.ok(lease, delay(&again, "d", SECOND));
    bench.tick(SECOND);
    assert_eq!(bench.claim_one(lease).crashes, 0, "whatever is accepted ends the count");
}

pub fn a_lease_that_ends_during_a_pause_is_taken_and_handed_back(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (dead, heir) = (bench.lease(), bench.lease());
    bench.start_held("i", dead);
    bench.apply("i", ControlAction::Pause);
    bench.tick(TTL);
    let view = bench.claim_one(heir);
    assert!(view.paused && view.crashes == 1, "nobody else would free it: {view:?}");
    bench.ok(heir, hand_back(&view, Wake::AsStored));
    assert_eq!(bench.claim(heir), []);
    bench.apply("i", ControlAction::Unpause);
    assert_eq!(bench.claim(heir).len(), 1);
}

pub fn a_branch_is_released_where_its_placement_says(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("gpu", lease);
    let place = Placement { tags: ["gpu".to_owned()].into(), priority: Priority::Minimal };
    let next = Next::Release { head: view.head.clone(), wake: Wake::Now, placement: place.clone() };
    bench.ok(lease, Transition { next, ..hand_back(&view, Wake::Now) });
    bench.start("plain");
    let serving = |tag: &str| match bench.scope() {
        sayiir_persistence::ClaimScope::Definitions { hashes, tags: _, ageing } => {
            sayiir_persistence::ClaimScope::Definitions { hashes, tags: [tag.to_owned()].into(), ageing }
        }
        other => other,
    };
    assert_eq!(bench.claim_in(lease, 1, serving("gpu"))[0].instance_id, "plain".into(), "the priority is the new one");
    assert_eq!(bench.claim_in(lease, 9, serving("io")), []);
    assert_eq!(wait(bench.store.next_due(serving("io"))).unwrap(), Some(TTL), "only the plain branch's lease ends for it");
    let parent = bench.claim_in(lease, 9, serving("gpu")).pop().unwrap();
    let forked = fork(&parent, "f", 2, 0);
    let Next::Fork { head, mut children, keep } = forked.next.clone() else { panic!("a fork is expected") };
    children[0].placement = place;
    bench.ok(lease, Transition { next: Next::Fork { head, children, keep }, ..forked });
    assert_eq!(bench.claim_in(lease, 9, serving("io")).len(), 1, "each child is where its own placement says");
    assert_eq!(bench.claim_in(lease, 9, serving("gpu")).len(), 1);
}

pub fn what_has_ended_is_held_by_nobody(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (lease, other) = (bench.lease(), bench.lease());
    bench.ok(lease, fork(&bench.start_held("i", lease), "f", 2, 1));
    let child = bench.claim_one(other);
    let holders = || wait(bench.store.sessions("host")).unwrap().into_iter().map(|(lease, _)| lease).collect::<Vec<_>>();
    assert_eq!(holders(), [lease, other]);
    assert_eq!(bench.ok(other, end(&child, "x")), None);
    assert_eq!((holders(), wait(bench.store.expire_leases(other)).unwrap()), (vec![lease], 0));
    assert_eq!(wait(bench.store.load(other, child.run, vec![])).unwrap(), []);
}

pub fn an_owner_finds_all_that_it_holds(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (lease, heir) = (bench.lease(), bench.lease());
    let held = |lease| wait(bench.store.leased(lease)).unwrap();
    assert_eq!(held(lease), []);
    let (one, two) = (bench.start_held("one", lease), bench.start_held("two", lease));
    bench.ok(lease, fork(&one, "f", 3, 2));
    bench.ok(lease, advance(&two, "1", "b"));
    let ids = children(&one, 3);
    let expected = [(one.run, ids[0].clone(), 1), (one.run, ids[1].clone(), 1), (two.run, two.branch.clone(), 2)];
    assert_eq!((held(lease), held(heir)), (expected.to_vec(), vec![]), "neither the parent that waits nor the child that is free");
    bench.apply("two", ControlAction::Pause);
    assert_eq!(held(lease)[2], (two.run, two.branch.clone(), 3), "a pause moves it");
    bench.tick(TTL);
    assert_eq!(held(lease).len(), 3, "a lapsed lease is held until somebody takes over");
    assert_eq!((bench.claim_in(heir, 9, ClaimScope::Instance("one".into())).len(), held(lease).len(), held(heir).len()), (3, 1, 3));
    bench.ok(lease, hand_back(&bench.reload(lease, &two), Wake::AsStored));
    bench.apply("one", ControlAction::Cancel);
    assert_eq!((held(lease), held(heir)), (vec![], vec![]));
}

pub fn one_branch_can_be_claimed_alone(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (lease, heir) = (bench.lease(), bench.lease());
    let root = bench.start_held("i", lease);
    bench.ok(lease, fork(&root, "f", 3, 1));
    let only = |index: usize| ClaimScope::Branch { run: root.run, branch: children(&root, 3)[index].clone() };
    let next = |index| wait(bench.store.next_due(only(index))).unwrap();
    assert_eq!((next(0), next(1)), (Some(TTL), Some(std::time::Duration::ZERO)));
    assert_eq!(bench.claim_in(heir, 9, only(0)), [], "it is leased");
    assert_eq!(bench.claim_in(heir, 0, only(1)), []);
    let taken = bench.claim_in(heir, 9, only(1));
    assert_eq!(taken.iter().map(|view| (view.branch.clone(), view.revision)).collect::<Vec<_>>(), [(children(&root, 3)[1].clone(), 2)]);
    bench.ok(heir, delay(&taken[0], "d", MINUTE));
    assert_eq!((bench.claim_in(heir, 9, only(1)), next(1)), (vec![], Some(MINUTE)));
    let parent = ClaimScope::Branch { run: root.run, branch: root.branch.clone() };
    assert_eq!((bench.claim_in(heir, 9, parent.clone()), wait(bench.store.next_due(parent)).unwrap()), (vec![], None));
    bench.tick(TTL);
    assert_eq!(bench.claim_in(heir, 9, only(0))[0].crashes, 1);
}

pub fn a_batch_is_applied_in_order(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let fork_of = |id: &str| {
        bench.send(id, "go", "p");
        let root = bench.start_held(id, lease);
        bench.ok(lease, fork(&root, "f", 2, 2));
        wait(bench.store.load(lease, root.run, vec![])).unwrap()
    };
    let one = fork_of("event");
    let both: Vec<_> = one.iter().map(|view| crate::bench::receive(view, "go", "p", "b")).collect();
    let outcomes = wait(bench.store.commit(lease, both)).unwrap();
    assert!(matches!(outcomes[0], CommitOutcome::Accepted { .. }));
    assert_eq!(outcomes[1], CommitOutcome::Refused(Refusal::Moved), "the first has used the event");
    let two = fork_of("failure");
    let outcomes = wait(bench.store.commit(lease, vec![crate::bench::fail(&two[0], "broken"), end(&two[1], "x")])).unwrap();
    assert_eq!(outcomes[1], CommitOutcome::Refused(Refusal::Ended), "the first has ended the run");
    let three = fork_of("other order");
    let outcomes = wait(bench.store.commit(lease, vec![end(&three[1], "x"), crate::bench::fail(&three[0], "broken")])).unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, CommitOutcome::Accepted { .. })));
    let unknown = BranchView { run: RunNumber(1 << 40), ..three[0].clone() };
    assert_eq!(bench.commit(lease, park(&unknown, "w", "go", None)), CommitOutcome::Refused(Refusal::Replaced));
    assert_eq!(wait(bench.store.commit(lease, vec![])).unwrap(), []);
}
