//! A write is there whole or not at all, and a writer whose reply was lost finds out.

use std::sync::Arc;

use sayiir_core::branch::{LeaseId, Phase};
use sayiir_core::journal::EntryKind;
use sayiir_core::transition::Transition;
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{BranchView, CommitOutcome, Refusal, Store, StoreError};

use super::refusals::every_kind;
use super::{HOUR, MINUTE};
use crate::bench::{advance, children, end, fail, finish, fork, park, receive};
use crate::{Bench, Factory, Fault, FaultStore, TTL, wait};

pub fn a_start_is_stored_whole(make: Factory<'_>) {
    let bench = Bench::new(make);
    let run = bench.start("i");
    let record = bench.record("i");
    assert_eq!((record.summary.run, &record.input[..], &*record.first_node), (run, &b"input"[..], "first"));
    assert_eq!(record.branches.len(), 1);
    let root = &record.branches[0];
    assert!(root.branch.is_root() && root.revision == 1 && root.lease.is_none() && root.head.phase == Phase::Start);
    assert_eq!(root.run_at, Some(record.now));
    let journal = bench.journal(run);
    assert_eq!((journal.len(), journal[0].kind, journal[0].revision), (1, EntryKind::Started, 1));
    let view = bench.claim_one(bench.lease());
    assert_eq!((&view.input[..], view.revision, view.crashes), (&b"input"[..], 2, 0));
}

pub fn a_refused_transition_writes_nothing(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.send("i", "go", "payload");
    let view = bench.start_held("i", lease);
    let stale = BranchView { revision: view.revision + 7, ..view.clone() };
    let before = (bench.record("i"), bench.journal(view.run));
    for transition in [advance(&stale, "x", "b"), fork(&stale, "f", 2, 1), receive(&stale, "go", "payload", "b"), finish(&stale, "x")] {
        bench.refused(lease, transition, Refusal::Moved);
    }
    bench.refused(lease, fail(&stale, "broken"), Refusal::Moved);
    assert_eq!(before, (bench.record("i"), bench.journal(view.run)));
    assert!(wait(bench.store.read_event("i", "go", 1)).unwrap().is_some(), "a refused use leaves the event");
    bench.ok(lease, advance(&view, "x", "b"));
}

pub fn a_batch_answers_each_by_itself(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let (a, b, c) = (bench.start_held("a", lease), bench.start_held("b", lease), bench.start_held("c", lease));
    let stale = BranchView { revision: 9, ..b.clone() };
    let outcomes = wait(bench.store.commit(lease, vec![advance(&a, "1", "x"), advance(&stale, "2", "x"), finish(&c, "3")])).unwrap();
    assert!(matches!(outcomes[0], CommitOutcome::Accepted { .. }));
    assert_eq!(outcomes[1], CommitOutcome::Refused(Refusal::Moved));
    assert!(matches!(outcomes[2], CommitOutcome::Accepted { .. }));
    assert_eq!((bench.journal(a.run).len(), bench.journal(b.run).len(), bench.status("c")), (2, 1, WorkflowStatus::Completed));
}

pub fn a_misused_batch_writes_nothing(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let (a, b) = (bench.start_held("a", lease), bench.start_held("b", lease));
    let twice = vec![advance(&b, "1", "x"), advance(&a, "1", "x"), advance(&a, "1", "x")];
    assert!(matches!(wait(bench.store.commit(lease, twice)), Err(StoreError::Misused { .. })));
    let no_row = Transition { entry: None, ..advance(&a, "1", "x") };
    assert!(matches!(wait(bench.store.commit(lease, vec![advance(&b, "1", "x"), no_row])), Err(StoreError::Misused { .. })));
    let no_guard = Transition { guard: sayiir_core::transition::EventGuard::None, ..park(&a, "w", "go", None) };
    for wrong in [end(&a, "1"), fork(&a, "f", 0, 0), fork(&a, "f", 1, 2), no_guard] {
        assert!(matches!(wait(bench.store.commit(lease, vec![wrong])), Err(StoreError::Misused { .. })));
    }
    assert_eq!((bench.journal(a.run).len(), bench.journal(b.run).len()), (1, 1));
}

pub fn a_write_whose_reply_was_lost_is_found_accepted(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (lease, other) = (bench.lease(), bench.lease());
    let view = bench.start_held("i", lease);
    let step = advance(&view, "1", "b");
    bench.ok(lease, step.clone());
    assert_eq!(bench.commit(lease, step.clone()), CommitOutcome::AlreadyAccepted);
    assert_eq!(bench.kinds(view.run), [EntryKind::Started, EntryKind::TaskCompleted], "the row is there once");
    bench.tick(TTL);
    bench.claim_one(other);
    assert_eq!(bench.commit(lease, step.clone()), CommitOutcome::AlreadyAccepted, "also after a takeover");
    bench.refused(other, step, Refusal::Moved);
}

pub fn every_kind_of_write_is_found_accepted(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let again = |transition: Transition| {
        bench.ok(lease, transition.clone());
        assert_eq!(bench.commit(lease, transition.clone()), CommitOutcome::AlreadyAccepted, "{transition:?}");
    };
    again(finish(&bench.start_held("finish", lease), "1"));
    again(fail(&bench.start_held("fail", lease), "broken"));
    again(park(&bench.start_held("park", lease), "w", "go", None));
    bench.send("use", "go", "p");
    again(receive(&bench.start_held("use", lease), "go", "p", "b"));
    let parent = bench.start_held("fork", lease);
    again(fork(&parent, "f", 1, 1));
    let child = wait(bench.store.load(lease, parent.run, children(&parent, 1))).unwrap().pop().unwrap();
    again(end(&child, "c"));
    let parent = wait(bench.store.load(lease, parent.run, vec![])).unwrap();
    assert_eq!((parent.len(), parent[0].pending), (1, 0), "the readied parent is found by a load");
}

pub fn every_kind_of_write_leaves_its_row(make: Factory<'_>) {
    let kinds = {
        let bench = Bench::new(make);
        bench.send("i", "go", "p");
        every_kind(&bench.start_held("i", bench.lease())).len()
    };
    for kind in 0..kinds {
        let bench = Bench::new(make);
        let lease = bench.lease();
        let view = bench.start_held("i", lease);
        bench.send("i", "go", "p");
        bench.tick(MINUTE);
        let view = bench.reload(lease, &view);
        let write = every_kind(&view).swap_remove(kind);
        bench.ok(lease, write.clone());
        let rows = bench.journal(view.run);
        let Some(entry) = write.entry else {
            assert_eq!(rows.len(), 1, "a branch handed back leaves none");
            continue;
        };
        let row = rows.last().unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (row.run, &row.branch, row.revision, row.lease, row.at),
            (view.run, &view.branch, view.revision + 1, Some(lease), view.now)
        );
        assert_eq!((row.kind, &row.node, row.attempt, &row.error), (entry.kind, &entry.node, entry.attempt, &entry.error));
        assert_eq!(row.output.as_ref(), entry.output.handed_on(), "{:?}", entry.kind);
    }
}

/// One worker's life: claims what is due and carries each instance through three steps and a wait.
fn work(store: &dyn Store, lease: LeaseId, bench: &Bench) -> Result<(), StoreError> {
    let request = |scope| sayiir_persistence::ClaimRequest { lease, ttl: TTL, limit: 10, scope };
    while let Some(mut view) = wait(store.claim(request(bench.scope())))?.pop() {
        loop {
            let (next, over) = match &*view.head.node {
                "first" => (advance(&view, "1", "second"), false),
                "second" => (park(&view, "wait", "go", Some(HOUR)), true),
                "wait" => (receive(&view, "go", "payload", "third"), false),
                "third" => (finish(&view, "3"), true),
                other => panic!("no such node: {other}"),
            };
            let answer = match wait(store.commit(lease, vec![next.clone()])) {
                Err(error) if error.is_transient() => wait(store.commit(lease, vec![next]))?,
                answer => answer?,
            };
            match answer[0] {
                CommitOutcome::Accepted { .. } | CommitOutcome::AlreadyAccepted => {}
                CommitOutcome::Refused(_) => break,
            }
            if over {
                break;
            }
            let Some(fresh) = wait(store.load(lease, view.run, vec![view.branch.clone()]))?.pop() else { break };
            view = fresh;
        }
    }
    Ok(())
}

pub fn crashes_at_every_write_lose_and_repeat_nothing(make: Factory<'_>) {
    let expected =
        [EntryKind::Started, EntryKind::TaskCompleted, EntryKind::SignalAwaited, EntryKind::EventReceived, EntryKind::TaskCompleted];
    for fault in [Fault::RequestLost, Fault::ReplyLost, Fault::CrashBefore, Fault::CrashAfter] {
        for nth in 1.. {
            let bench = Bench::new(make);
            let faulty = FaultStore::new(Arc::clone(&bench.store));
            let run = bench.start("i");
            faulty.fail_write(nth, fault);
            let mut met = false;
            for _ in 0..5 {
                let lease = bench.lease();
                met |= work(&faulty, lease, &bench).is_err();
                if faulty.is_crashed() {
                    faulty.revive();
                }
                bench.tick(MINUTE);
                if wait(bench.store.read_event("i", "go", 1)).unwrap().is_none() && bench.kinds(run).len() < 4 {
                    bench.send_keyed("i", "go", "payload", Some("once"));
                }
            }
            assert_eq!(bench.status("i"), WorkflowStatus::Completed, "{fault:?} at write {nth}");
            assert_eq!(bench.kinds(run), expected, "{fault:?} at write {nth}");
            if nth > faulty.writes() {
                break;
            }
            assert!(met || matches!(fault, Fault::RequestLost | Fault::ReplyLost), "{fault:?} at write {nth} came");
        }
    }
}
