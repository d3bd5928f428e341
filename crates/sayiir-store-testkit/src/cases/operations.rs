//! What operators do to instances: retry and purge.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::branch::{BranchId, LeaseId, Phase, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::EntryKind;
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{
    BranchView, ControlAction, ControlOutcome, Definition, InstanceFilter, PurgeRequest, Purgeable, Refusal, SendOutcome, StartRun,
};

use super::{HOUR, MINUTE, SECOND};
use crate::bench::{advance, delay, end, fail, finish, fork, fresh, park, receive, retry, sub_step, time_out};
use crate::{Bench, Factory, TTL, wait};

/// All that the lease holds of a run.
pub(super) fn held(bench: &Bench, lease: LeaseId, run: RunNumber) -> Vec<BranchView> {
    wait(bench.store.load(lease, run, vec![])).unwrap()
}

pub fn a_retried_run_goes_on_where_it_failed(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let first = bench.start_held("i", lease);
    bench.ok(lease, advance(&first, "1", "b"));
    bench.ok(lease, sub_step(&bench.reload(lease, &first), "part", "p"));
    let failing = bench.reload(lease, &first);
    bench.ok(lease, fail(&failing, "broken"));
    bench.tick(MINUTE);
    bench.apply("i", ControlAction::Retry);
    let record = bench.record("i");
    assert_eq!((record.summary.status, record.summary.updated_at), (WorkflowStatus::InProgress, record.now));
    let root = &record.branches[0];
    assert_eq!((root.revision, root.run_at, root.crashes), (failing.revision + 2, Some(record.now), 0));
    let row = bench.journal(first.run).pop().unwrap();
    assert_eq!(
        (row.kind, row.branch.as_str(), row.lease, row.error.as_deref()),
        (EntryKind::Retried, "", None, Some("because (by somebody)"))
    );
    let view = bench.claim_one(lease);
    assert_eq!((&*view.head.node, view.head.phase, view.head.attempt, &view.input[..], view.crashes), ("b", Phase::At, 0, &b"1"[..], 0));
    assert_eq!(bench.sub_steps(&view), [("b/part".to_owned(), "p".to_owned())], "what was stored stays");
    bench.ok(lease, finish(&view, "out"));
    assert_eq!((bench.status("i"), bench.record("i").output.as_deref()), (WorkflowStatus::Completed, Some(&b"out"[..])));
}

pub fn only_a_failed_run_is_retried(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    assert_eq!(bench.control("nobody", ControlAction::Retry), ControlOutcome::NotFound);
    bench.send("mail only", "go", "p");
    assert_eq!(bench.control("mail only", ControlAction::Retry), ControlOutcome::NotFound);
    let run = bench.start("going");
    bench.ok(lease, finish(&bench.start_held("done", lease), "out"));
    bench.start("cancelled");
    bench.apply("cancelled", ControlAction::Cancel);
    assert_eq!(bench.control("going", ControlAction::Retry), ControlOutcome::AlreadySo);
    assert_eq!(bench.kinds(run), [EntryKind::Started]);
    bench.apply("going", ControlAction::Pause);
    assert_eq!(bench.control("going", ControlAction::Retry), ControlOutcome::AlreadySo, "a paused run has not ended");
    assert!(matches!(bench.status("going"), WorkflowStatus::Paused { .. }));
    for id in ["done", "cancelled"] {
        let before = bench.status(id);
        assert_eq!(bench.control(id, ControlAction::Retry), ControlOutcome::Finished(before.clone()));
        assert_eq!(bench.status(id), before);
    }
    bench.ok(lease, fail(&bench.start_held("failed", lease), "broken"));
    bench.apply("failed", ControlAction::Retry);
    assert_eq!(bench.control("failed", ControlAction::Retry), ControlOutcome::AlreadySo, "asked again after a lost reply");
    let view = bench.claim(lease).into_iter().find(|view| &*view.instance_id == "failed").unwrap();
    bench.ok(lease, fail(&view, "broken again"));
    assert_eq!(bench.status("failed"), WorkflowStatus::Failed("broken again".into()));
    bench.apply("failed", ControlAction::Retry);
    assert_eq!(bench.status("failed"), WorkflowStatus::InProgress);
}

pub fn a_retry_refuses_the_owners_of_the_failed_run(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (one, two) = (bench.lease(), bench.lease());
    let root = bench.start_held("i", one);
    bench.ok(one, fork(&root, "f", 2, 2));
    let children = held(&bench, one, root.run);
    bench.ok(one, fail(&children[0], "broken"));
    let again = fail(&children[0], "broken");
    bench.apply("i", ControlAction::Retry);
    assert_eq!(bench.commit(one, again), sayiir_persistence::CommitOutcome::AlreadyAccepted, "its reply may have been lost");
    bench.refused(one, end(&children[1], "late"), Refusal::LeaseLost);
    let taken = bench.claim(two);
    assert_eq!(taken.len(), 2);
    bench.refused(one, end(&children[1], "late"), Refusal::LeaseLost);
    bench.refused(two, end(&BranchView { revision: children[1].revision, ..taken[1].clone() }, "late"), Refusal::Moved);
    let stale = BranchView { revision: taken[1].revision - 1, ..taken[1].clone() };
    bench.refused(two, end(&stale, "late"), Refusal::Moved);
    assert_eq!(bench.ok(two, end(&taken[0], "0")), None);
    let join = bench.ok(two, end(&taken[1], "1")).unwrap();
    bench.ok(two, finish(&join, "joined"));
    assert_eq!(bench.status("i"), WorkflowStatus::Completed);
}

pub fn a_retry_lets_every_branch_go_on_as_it_stood(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let root = bench.start_held("i", lease);
    bench.ok(lease, fork(&root, "f", 7, 7));
    let views = held(&bench, lease, root.run);
    bench.ok(lease, delay(&views[0], "f/nap", HOUR));
    bench.ok(lease, park(&views[1], "f/wait", "go", Some(HOUR)));
    bench.ok(lease, park(&views[2], "f/here", "come", None));
    bench.ok(lease, retry(&views[3], HOUR));
    bench.ok(lease, fork(&views[4], "f/inner", 2, 2));
    bench.ok(lease, advance(&views[5], "done before", "f/second"));
    let begun = bench.record("i").now;
    bench.tick(SECOND);
    bench.send("i", "come", "c");
    bench.ok(lease, fail(&bench.reload(lease, &views[6]), "broken"));
    let before = bench.record("i").branches;
    assert!(before.iter().all(|branch| branch.run_at.is_none() && branch.lease.is_none()), "all are held");
    bench.tick(MINUTE);
    bench.apply("i", ControlAction::Retry);
    let record = bench.record("i");
    let of = |id: &BranchId| record.branches.iter().find(|branch| branch.branch == *id).unwrap();
    for old in &before {
        let new = of(&old.branch);
        assert_eq!((&new.head, &new.awaits, new.pending, new.crashes), (&old.head, &old.awaits, old.pending, old.crashes));
        assert_eq!((new.revision, new.lease), (old.revision + 1, None));
    }
    let (now, due) = (Some(record.now), Some(begun + HOUR));
    let run_at = |index: usize| of(&views[index].branch).run_at;
    assert_eq!([run_at(0), run_at(1), run_at(2), run_at(3), run_at(4)], [due, due, now, due, None]);
    assert!([run_at(5), run_at(6)].iter().all(|at| *at <= now && at.is_some()), "what was at work can be taken at once");
    assert_eq!(of(&root.branch).run_at, None);
    let mut taken = bench.claim(lease);
    assert_eq!(taken.len(), 5, "{taken:?}");
    let second = taken.iter().find(|view| view.branch == views[5].branch).unwrap();
    assert_eq!((&*second.head.node, &second.input[..]), ("f/second", &b"done before"[..]));
    bench.tick(HOUR);
    taken = bench.claim(lease);
    let mut joined = None;
    for view in taken {
        let ready = match (&*view.head.node, view.head.phase) {
            ("f/wait", _) => {
                bench.ok(lease, time_out(&view, "f/late"));
                bench.ok(lease, end(&bench.reload(lease, &view), "x"))
            }
            ("f/here", _) => {
                bench.ok(lease, receive(&view, "come", "c", "f/came"));
                bench.ok(lease, end(&bench.reload(lease, &view), "x"))
            }
            _ => bench.ok(lease, end(&view, "x")),
        };
        joined = ready.or(joined);
        if let Some(inner) = joined.take_if(|parent| !parent.branch.is_root()) {
            joined = bench.ok(lease, end(&inner, "x"));
        }
    }
    bench.ok(lease, finish(&joined.expect("all have ended"), "joined"));
    assert_eq!(bench.status("i"), WorkflowStatus::Completed);
}

pub fn a_failed_wait_or_join_is_due_at_once_when_it_is_retried(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let parked = bench.start_held("parked", lease);
    bench.ok(lease, park(&parked, "w", "go", Some(HOUR)));
    bench.tick(HOUR);
    bench.ok(lease, fail(&bench.claim_one(lease), "broken"));
    let root = bench.start_held("joining", lease);
    bench.ok(lease, fork(&root, "f", 1, 1));
    let ready = bench.ok(lease, end(&held(&bench, lease, root.run)[0], "x")).unwrap();
    bench.ok(lease, fail(&ready, "broken"));
    for id in ["parked", "joining"] {
        bench.apply(id, ControlAction::Retry);
        assert_eq!(bench.record(id).branches[0].run_at, Some(bench.clock_now()), "{id}");
    }
    let views = bench.claim(lease);
    assert_eq!(views.iter().map(|view| (view.head.phase, view.pending)).collect::<Vec<_>>(), [(Phase::Awaiting, 0), (Phase::Joining, 0)]);
    bench.ok(lease, finish(&views[1], "joined"));
    let outputs = wait(bench.store.read_branch_outputs(root.run, vec![root.branch.child(root.revision + 1, 0)])).unwrap();
    assert_eq!(outputs, ["x"]);
}

pub fn a_retry_forgets_what_was_asked_of_the_failed_run(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    for kind in [SignalKind::Cancel, SignalKind::Pause] {
        wait(bench.store.request_control("i", kind, SignalRequest::default())).unwrap();
    }
    bench.ok(lease, fail(&bench.reload(lease, &view), "broken"));
    bench.apply("i", ControlAction::Retry);
    for kind in [SignalKind::Cancel, SignalKind::Pause] {
        assert_eq!(wait(bench.store.requested_control("i", kind)).unwrap(), None, "the retry came after it");
    }
    assert_eq!(bench.claim_one(lease).requested, None);
    let view = bench.start_held("paused", lease);
    bench.apply("paused", ControlAction::Pause);
    bench.ok(lease, fail(&bench.reload(lease, &view), "broken"));
    bench.apply("paused", ControlAction::Retry);
    assert_eq!(bench.status("paused"), WorkflowStatus::InProgress);
    assert!(!bench.claim_one(lease).paused);
}

fn purge(bench: &Bench, workflow: Option<&str>, ended_for: Duration, limit: usize) -> u64 {
    let what = Purgeable::Ended { workflow: workflow.map(str::to_owned) };
    wait(bench.store.purge(PurgeRequest { what, older_than: ended_for, limit })).unwrap()
}

fn ids(bench: &Bench) -> String {
    wait(bench.store.list(InstanceFilter::default())).unwrap().iter().map(|summary| summary.instance_id.to_string()).collect()
}

pub fn what_ended_long_ago_is_purged(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let other = Definition { hash: "other".into(), name: Arc::from("other"), version: Arc::from("1"), document: None };
    bench.ok(lease, finish(&bench.start_held("e", lease), "out"));
    bench.tick(HOUR);
    bench.ok(lease, fail(&bench.start_held("d", lease), "broken"));
    bench.tick(HOUR);
    let of_other = StartRun { definition: other, lease: Some((lease, TTL)), ..bench.request("c") };
    let view = fresh(bench.start_with(of_other)).1.unwrap();
    bench.ok(lease, finish(&view, "out"));
    bench.tick(HOUR);
    bench.start("b");
    bench.apply("b", ControlAction::Cancel);
    bench.tick(HOUR);
    bench.ok(lease, finish(&bench.start_held("a", lease), "out"));
    assert_eq!(purge(&bench, None, 5 * HOUR, 10), 0);
    assert_eq!(purge(&bench, None, HOUR, 0), 0);
    assert_eq!((purge(&bench, None, HOUR, 1), ids(&bench)), (1, "abcd".into()), "what ended first goes first");
    assert_eq!((purge(&bench, Some("other"), HOUR, 10), ids(&bench)), (1, "abd".into()));
    assert_eq!((purge(&bench, Some("nobody"), HOUR, 10), ids(&bench)), (0, "abd".into()));
    assert_eq!((purge(&bench, None, HOUR + MINUTE, 10), ids(&bench)), (1, "ab".into()), "a failed one has ended");
    assert_eq!((purge(&bench, None, HOUR, 10), ids(&bench)), (1, "a".into()), "exactly so long ago is long enough");
    assert_eq!((purge(&bench, None, Duration::ZERO, 10), ids(&bench)), (1, String::new()));
    assert_eq!(purge(&bench, None, Duration::ZERO, 10), 0);
}

pub fn what_has_not_ended_is_never_purged(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.start("a");
    bench.start_held("b", lease);
    bench.ok(lease, park(&bench.start_held("c", lease), "w", "go", None));
    bench.start("d");
    bench.apply("d", ControlAction::Pause);
    bench.ok(lease, fail(&bench.start_held("e", lease), "broken"));
    bench.apply("e", ControlAction::Retry);
    bench.ok(lease, finish(&bench.start_held("f", lease), "out"));
    fresh(bench.start_with(StartRun { policy: ConflictPolicy::TerminateExisting, ..bench.request("f") }));
    bench.send_keyed("mail only", "go", "p", Some("key"));
    bench.tick(1000 * HOUR);
    assert_eq!(purge(&bench, None, Duration::ZERO, 100), 0);
    assert_eq!(ids(&bench), "abcdef");
    assert_eq!(bench.send_keyed("mail only", "go", "p", Some("key")), SendOutcome::Duplicate);
    assert_eq!(purge(&bench, None, Duration::MAX, 100), 0);
}

fn purge_unclaimed(bench: &Bench, older_than: Duration, limit: usize) -> u64 {
    wait(bench.store.purge(PurgeRequest { what: Purgeable::UnclaimedEvents, older_than, limit })).unwrap()
}

pub fn what_was_sent_to_ids_that_never_began_is_purged_if_asked(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    for id in ["b", "c", "taken", "claimed", "ended"] {
        bench.send_keyed(id, "go", "p", Some("key"));
    }
    assert_eq!(wait(bench.store.take_event("taken", "go")).unwrap().as_deref(), Some(&b"p"[..]));
    bench.start("claimed");
    bench.ok(lease, finish(&bench.start_held("ended", lease), "out"));
    bench.tick(HOUR);
    bench.send("c", "go", "later");
    bench.send("a", "go", "p");
    assert_eq!(purge_unclaimed(&bench, HOUR + SECOND, 10), 0);
    assert_eq!(purge_unclaimed(&bench, HOUR, 0), 0);
    assert_eq!(purge_unclaimed(&bench, Duration::MAX, 10), 0);
    assert_eq!(purge_unclaimed(&bench, HOUR, 10), 2, "exactly so long ago is long enough, and what was taken waits no more");
    for id in ["b", "taken"] {
        assert_eq!(bench.send_keyed(id, "go", "p", Some("key")), SendOutcome::Stored(1), "nothing is left of {id:?}");
    }
    assert_eq!(wait(bench.store.read_event("c", "go", 1)).unwrap().as_deref(), Some(&b"p"[..]), "its last event is younger");
    assert_eq!((purge_unclaimed(&bench, Duration::ZERO, 3), purge_unclaimed(&bench, Duration::ZERO, 3)), (3, 1), "so many at a time");
    let view = bench.start_held("c", lease);
    assert_eq!((view.mail, view.events), (0, vec![]));
    for id in ["claimed", "ended"] {
        assert!(wait(bench.store.read_event(id, "go", 1)).unwrap().is_some(), "what {id:?} has is its own");
        assert_eq!(bench.send_keyed(id, "go", "p", Some("key")), SendOutcome::Duplicate);
    }
}

pub fn nothing_is_left_of_what_was_purged(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let attributes = || [(Arc::from("a"), 1.into())].into();
    let old = StartRun { attributes: attributes(), lease: Some((lease, TTL)), ..bench.request("i") };
    let view = fresh(bench.start_with(old)).1.unwrap();
    bench.send_keyed("i", "go", "p", Some("key"));
    bench.ok(lease, fork(&bench.reload(lease, &view), "f", 2, 2));
    let children = held(&bench, lease, view.run);
    bench.ok(lease, sub_step(&children[0], "part", "p"));
    // At the revision after it nothing was written, which no journal that is still to be deleted shows.
    let late = bench.reload(lease, &children[0]);
    bench.ok(lease, fail(&children[1], "broken"));
    assert_eq!(purge(&bench, None, Duration::ZERO, 10), 1);
    assert_eq!(wait(bench.store.instance("i")).unwrap(), None);
    assert_eq!((bench.control("i", ControlAction::Retry), bench.claim(lease).len()), (ControlOutcome::NotFound, 0));
    assert_eq!(wait(bench.store.take_event("i", "go")).unwrap(), None);
    bench.refused(lease, end(&late, "late"), Refusal::Replaced);
    let found = InstanceFilter { attributes: vec![sayiir_persistence::AttributeFilter::is("a", 1)], ..InstanceFilter::default() };
    assert_eq!(wait(bench.store.list(found)).unwrap(), []);
    assert!(bench.start("i") > view.run, "no run number is used again");
    assert_eq!(bench.claim_one(lease).events, []);
    assert!(matches!(bench.send_keyed("i", "go", "p", Some("key")), SendOutcome::Stored(_)), "keys are forgotten");
}
