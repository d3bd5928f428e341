//! Forks and joins: every child is counted once, and the last one readies its parent.

use std::sync::Arc;

use sayiir_core::branch::{LeaseId, Phase};
use sayiir_core::journal::EntryKind;
use sayiir_core::transition::{EventGuard, Transition, Wake};
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{BranchView, CommitOutcome, ControlAction, Refusal};

use super::MINUTE;
use crate::bench::{advance, children, end, fail, finish, fork, hand_back, park};
use crate::{Bench, Factory, TTL, wait};

fn held(bench: &Bench, lease: LeaseId, of: &BranchView) -> Vec<BranchView> {
    wait(bench.store.load(lease, of.run, vec![])).unwrap()
}

pub fn a_fork_makes_its_children(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let parent = bench.start_held("i", lease);
    bench.ok(lease, fork(&parent, "f", 3, 2));
    let record = bench.record("i");
    let root = &record.branches[0];
    assert_eq!((root.pending, root.lease, root.run_at, root.head.phase), (3, None, None, Phase::Joining));
    let ids: Vec<_> = record.branches[1..].iter().map(|child| (child.branch.clone(), child.revision)).collect();
    assert_eq!(ids, children(&parent, 3).into_iter().map(|id| (id, 1)).collect::<Vec<_>>());
    let nodes: Vec<_> = record.branches[1..].iter().map(|child| &*child.head.node).collect();
    assert_eq!(nodes, ["f/child0", "f/child1", "f/child2"]);
    let kept = held(&bench, lease, &parent);
    assert_eq!(kept.iter().map(|view| view.branch.clone()).collect::<Vec<_>>(), children(&parent, 2));
    assert_eq!(&kept[0].input[..], b"input");
    assert_eq!(record.branches[1].run_at, Some(record.now + TTL), "kept children have the writer's lease");
    let free = bench.claim_one(bench.lease());
    assert_eq!((free.branch, free.revision), (parent.branch.child(parent.revision + 1, 2), 2));
}

pub fn the_last_child_readies_its_parent_for_its_owner(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (one, two) = (bench.lease(), bench.lease());
    let parent = bench.start_held("i", one);
    bench.ok(one, fork(&parent, "f", 2, 1));
    let (first, second) = (held(&bench, one, &parent).remove(0), bench.claim_one(two));
    assert_eq!(bench.ok(one, end(&first, "a")), None);
    assert_eq!(bench.record("i").branches[0].pending, 1);
    let ready = bench.ok(two, end(&second, "b")).expect("the last child readies the parent");
    assert_eq!((ready.revision, ready.pending, ready.due_at), (parent.revision + 2, 0, Some(ready.now)));
    assert!(ready.input.is_empty() && ready.branch.is_root());
    bench.refused(one, finish(&ready, "late"), Refusal::LeaseLost);
    bench.ok(two, finish(&ready, "joined"));
    assert_eq!(bench.record("i").output.as_deref(), Some(&b"joined"[..]));
}

pub fn a_child_that_ends_with_an_event_readies_its_parent(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let parent = bench.start_held("i", lease);
    bench.ok(lease, fork(&parent, "f", 1, 1));
    let seq = bench.send("i", "go", "payload");
    let child = held(&bench, lease, &parent).remove(0);
    let with_event = Transition { guard: EventGuard::Use { name: Arc::from("go"), seq }, ..end(&child, "payload") };
    let ready = bench.ok(lease, with_event).expect("the last child readies the parent");
    assert_eq!((ready.branch, ready.revision, ready.pending), (parent.branch.clone(), parent.revision + 2, 0));
    assert!(ready.events.is_empty(), "the event is used up");
}

pub fn children_in_one_batch_are_all_counted(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let parent = bench.start_held("i", lease);
    bench.ok(lease, fork(&parent, "f", 5, 5));
    let ends: Vec<_> = held(&bench, lease, &parent).iter().map(|child| end(child, "x")).collect();
    let outcomes = wait(bench.store.commit(lease, ends)).unwrap();
    let readied = |outcome: &CommitOutcome| matches!(outcome, CommitOutcome::Accepted { readied_parent: Some(_), .. });
    assert_eq!(outcomes.iter().filter(|outcome| readied(outcome)).count(), 1);
    let views = held(&bench, lease, &parent);
    assert_eq!((views.len(), views[0].pending, views[0].branch.is_root()), (1, 0, true));
}

pub fn children_of_many_owners_are_counted_once(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let parent = bench.start_held("i", lease);
    bench.ok(lease, fork(&parent, "f", 40, 0));
    let work = || {
        let lease = bench.lease();
        let mut readied = 0;
        while let Some(view) = bench.claim_in(lease, 1, bench.scope()).pop() {
            readied += usize::from(bench.ok(lease, end(&view, "x")).is_some());
        }
        readied
    };
    let readied: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    let record = bench.record("i");
    assert_eq!((readied, record.branches.len(), record.branches[0].pending), (1, 1, 0));
}

pub fn a_join_under_a_pause_is_held(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let parent = bench.start_held("i", lease);
    bench.ok(lease, fork(&parent, "f", 1, 1));
    bench.apply("i", ControlAction::Pause);
    let child = held(&bench, lease, &parent).remove(0);
    assert_eq!(bench.ok(lease, end(&child, "x")), None, "a paused run's parent is not handed out");
    bench.tick(MINUTE);
    assert_eq!(bench.claim(lease), []);
    bench.apply("i", ControlAction::Unpause);
    let ready = bench.claim_one(lease);
    assert_eq!((ready.branch.is_root(), ready.pending, ready.head.phase), (true, 0, Phase::Joining));
}

pub fn children_of_a_second_fork_have_new_ids(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let first = bench.start_held("i", lease);
    bench.ok(lease, fork(&first, "f", 1, 1));
    let old = held(&bench, lease, &first).remove(0);
    let ready = bench.ok(lease, end(&old, "x")).unwrap();
    bench.ok(lease, fork(&ready, "f", 1, 1));
    let new = held(&bench, lease, &first).remove(0);
    assert_ne!(new.branch, old.branch);
    assert_eq!(bench.commit(lease, end(&old, "x")), CommitOutcome::AlreadyAccepted);
    let forged = BranchView { revision: old.revision + 1, ..old };
    bench.refused(lease, advance(&forged, "x", "b"), Refusal::LeaseLost);
    assert_eq!(bench.record("i").branches[0].pending, 1);
}

pub fn nested_forks_count_their_own(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let root = bench.start_held("i", lease);
    bench.ok(lease, fork(&root, "outer", 2, 2));
    let mut outer = held(&bench, lease, &root);
    let (second, first) = (outer.pop().unwrap(), outer.pop().unwrap());
    bench.ok(lease, fork(&first, "inner", 2, 2));
    let inner = wait(bench.store.load(lease, root.run, children(&first, 2))).unwrap();
    assert_eq!(bench.ok(lease, end(&second, "2")), None);
    assert_eq!(bench.ok(lease, end(&inner[0], "1.0")), None);
    let middle = bench.ok(lease, end(&inner[1], "1.1")).unwrap();
    assert_eq!((middle.branch.clone(), middle.pending), (first.branch, 0));
    let top = bench.ok(lease, end(&middle, "1")).unwrap();
    assert!(top.branch.is_root());
}

pub fn a_failure_holds_every_branch(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let parent = bench.start_held("i", lease);
    bench.ok(lease, fork(&parent, "f", 4, 3));
    let views = held(&bench, lease, &parent);
    bench.ok(lease, park(&views[0], "w", "go", Some(MINUTE)));
    let before: Vec<_> = bench.record("i").branches.iter().map(|branch| branch.revision + 1).collect();
    bench.ok(lease, fail(&views[1], "broken"));
    let record = bench.record("i");
    assert_eq!(record.summary.status, WorkflowStatus::Failed("broken".into()));
    assert_eq!(record.branches.iter().map(|branch| branch.revision).collect::<Vec<_>>(), before, "every revision moves by one");
    assert!(record.branches.iter().all(|branch| branch.lease.is_none() && branch.run_at.is_none()));
    bench.refused(lease, end(&views[2], "late"), Refusal::Ended);
    bench.tick(MINUTE);
    assert_eq!(bench.claim(lease), []);
}

pub fn nothing_is_accepted_behind_a_failure_or_a_cancel(make: Factory<'_>) {
    for cancels in [false, true] {
        let bench = Bench::new(make);
        let lease = bench.lease();
        let parent = bench.start_held("i", lease);
        bench.ok(lease, fork(&parent, "f", 24, 0));
        let work = |fails: bool| {
            let lease = bench.lease();
            let (mut ended, mut readied) = (0, 0);
            while let Some(view) = bench.claim_in(lease, 1, bench.scope()).pop() {
                let last = if fails && ended == 3 { fail(&view, "broken") } else { end(&view, "x") };
                match bench.commit(lease, last) {
                    CommitOutcome::Accepted { readied_parent, .. } => readied += usize::from(readied_parent.is_some()),
                    other => assert_eq!(other, CommitOutcome::Refused(Refusal::Ended)),
                }
                ended += 1;
            }
            readied
        };
        let readied: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..3).map(|number| scope.spawn(move || work(number == 0 && !cancels))).collect();
            if cancels {
                bench.apply("i", ControlAction::Cancel);
            }
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        let record = bench.record("i");
        let kinds = bench.kinds(parent.run);
        let count = |kind| kinds.iter().filter(|found| **found == kind).count();
        let ends = count(EntryKind::TaskCompleted);
        if readied == 1 {
            // All were done before: the root is ready, or was when it was cancelled.
            assert_eq!(ends, 24);
        } else if cancels {
            assert_eq!((kinds.last(), record.branches.len()), (Some(&EntryKind::Cancelled), 0));
        } else {
            assert_eq!((count(EntryKind::Failed), record.branches.len()), (1, 25 - ends), "what had not ended is held");
        }
    }
}

pub fn a_fork_in_a_cancelled_run_is_refused(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    bench.apply("i", ControlAction::Cancel);
    bench.refused(lease, fork(&view, "f", 3, 3), Refusal::Ended);
    assert_eq!(bench.record("i").branches, []);
}

pub fn outputs_of_ended_branches_are_read_in_order(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let parent = bench.start_held("i", lease);
    bench.ok(lease, fork(&parent, "f", 3, 3));
    let mut views = held(&bench, lease, &parent);
    bench.ok(lease, advance(&views[2], "step", "b"));
    views[2] = bench.reload(lease, &views[2]);
    bench.ok(lease, hand_back(&views[2], Wake::Now));
    views[2] = bench.claim_one(lease);
    for (index, text) in [(2, "c"), (0, "a"), (1, "b")] {
        bench.ok(lease, end(&views[index], text));
    }
    let ids = children(&parent, 3);
    let outputs = |ids: Vec<_>| wait(bench.store.read_branch_outputs(parent.run, ids)).unwrap();
    assert_eq!(outputs(ids.clone()), ["a", "b", "c"]);
    assert_eq!(outputs(ids.into_iter().rev().collect()), ["c", "b", "a"]);
}
