//! What operators do: retry, rewind, purge, counts and health.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, Phase, Placement, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::transition::Wake;
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{
    BranchStats, BranchView, CALL_IDLE, ControlAction, ControlOutcome, Definition, InstanceFilter, Process, PurgeRequest, Refusal, Rewind,
    RewindOutcome, SESSION_IDLE, SendOutcome, StartRun, StoreError, StoreHealth, WorkflowStats,
};

use super::{HOUR, MINUTE, SECOND};
use crate::bench::{advance, delay, end, fail, finish, fork, fresh, hand_back, park, receive, retry, sub_step, time_out};
use crate::{Bench, Factory, TTL, wait};

/// All that the lease holds of a run.
fn held(bench: &Bench, lease: LeaseId, run: RunNumber) -> Vec<BranchView> {
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
    wait(bench.store.purge(PurgeRequest { workflow: workflow.map(str::to_owned), ended_for, limit })).unwrap()
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
    bench.ok(lease, fail(&children[1], "broken"));
    assert_eq!(purge(&bench, None, Duration::ZERO, 10), 1);
    assert_eq!(wait(bench.store.instance("i")).unwrap(), None);
    assert_eq!((bench.control("i", ControlAction::Retry), bench.claim(lease).len()), (ControlOutcome::NotFound, 0));
    assert_eq!(wait(bench.store.take_event("i", "go")).unwrap(), None);
    bench.refused(lease, end(&children[0], "late"), Refusal::Replaced);
    let found = InstanceFilter { attributes: vec![sayiir_persistence::AttributeFilter::is("a", 1)], ..InstanceFilter::default() };
    assert_eq!(wait(bench.store.list(found)).unwrap(), []);
    assert!(bench.start("i") > view.run, "no run number is used again");
    assert_eq!(bench.claim_one(lease).events, []);
    assert!(matches!(bench.send_keyed("i", "go", "p", Some("key")), SendOutcome::Stored(_)), "keys are forgotten");
}

fn rewind(bench: &Bench, id: &str, keep: u64, node: &str) -> Rewind {
    Rewind {
        instance_id: Arc::from(id),
        expected: bench.record(id).summary.run,
        nonce: (1 << 80) + u128::from(keep),
        keep,
        node: Arc::from(node),
        input: JournalRef { branch: BranchId::root(), revision: keep },
        placement: Placement::default(),
        request: SignalRequest::new(Some("because".into()), Some("somebody".into())),
    }
}

fn rewound(bench: &Bench, request: Rewind) -> RunNumber {
    match wait(bench.store.rewind(request)).unwrap() {
        RewindOutcome::Rewound { run } => run,
        other => panic!("a rewound run is expected, not {other:?}"),
    }
}

/// An instance whose root did `a`, forked twice (nested), joined, did `c`, and stands at `d`.
fn long_run(bench: &Bench, id: &str, lease: LeaseId) -> BranchView {
    let root = bench.start_held(id, lease);
    bench.ok(lease, advance(&root, "of a", "fork"));
    let forking = bench.reload(lease, &root);
    bench.ok(lease, fork(&forking, "fork", 2, 2));
    let children = held(bench, lease, root.run);
    bench.ok(lease, fork(&children[0], "fork/inner", 1, 1));
    let grandchild = held(bench, lease, root.run).into_iter().find(|view| view.branch.parent().as_ref() == Some(&children[0].branch));
    let inner = bench.ok(lease, end(&grandchild.unwrap(), "of the grandchild")).unwrap();
    assert_eq!(bench.ok(lease, end(&inner, "of the first child")), None);
    let join = bench.ok(lease, end(&children[1], "of the second child")).unwrap();
    bench.ok(lease, advance(&join, "of the join", "c"));
    bench.ok(lease, advance(&bench.reload(lease, &join), "of c", "d"));
    bench.reload(lease, &join)
}

fn outline(rows: &[JournalRow]) -> Vec<(String, u64, EntryKind, String)> {
    let mut found: Vec<_> = rows.iter().map(|row| (row.branch.to_string(), row.revision, row.kind, row.node.to_string())).collect();
    found.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    found
}

pub fn a_rewind_keeps_what_came_before(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let at_d = long_run(&bench, "i", lease);
    let before = bench.journal(at_d.run);
    // The join's result is the root's row at `at_d.revision - 1`: the input of `c`.
    let keep = at_d.revision - 1;
    bench.tick(MINUTE);
    let run = rewound(&bench, rewind(&bench, "i", keep, "c"));
    assert!(run > at_d.run);
    let rows = bench.journal(run);
    let mut expected = outline(&before);
    expected.retain(|(branch, revision, ..)| branch != "0" || *revision <= keep);
    expected.push(("0".into(), keep + 1, EntryKind::Rewound, "c".into()));
    expected.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    assert_eq!(outline(&rows), expected);
    for row in &rows[..rows.len() - 1] {
        let old = before.iter().find(|old| old.branch == row.branch && old.revision == row.revision).unwrap();
        assert_eq!(JournalRow { run: old.run, ..row.clone() }, *old, "a copy, but for the run");
    }
    let last = rows.last().unwrap();
    let input = JournalRef { branch: BranchId::root(), revision: keep };
    assert_eq!((last.same_as.as_ref(), last.error.as_deref(), last.lease), (Some(&input), Some("because (by somebody)"), None));
    let record = bench.record("i");
    assert_eq!((record.summary.run, record.summary.status, &record.input[..]), (run, WorkflowStatus::InProgress, &b"input"[..]));
    assert_eq!((record.summary.created_at, record.summary.updated_at), (record.now, record.now));
    let view = bench.claim_one(lease);
    assert_eq!((&*view.head.node, view.head.phase, view.head.attempt, view.revision), ("c", Phase::At, 0, keep + 2));
    assert_eq!(&view.input[..], b"of the join");
    let children = [0, 1].map(|index| BranchId::root().child(keep_fork(&rows), index)).to_vec();
    let outputs = wait(bench.store.read_branch_outputs(run, children)).unwrap();
    assert_eq!(outputs, ["of the first child", "of the second child"], "the branches of forks before are there");
    bench.ok(lease, advance(&view, "of c, again", "d"));
    bench.ok(lease, finish(&bench.reload(lease, &view), "out"));
    assert_eq!(bench.record("i").output.as_deref(), Some(&b"out"[..]));
}

fn keep_fork(rows: &[JournalRow]) -> u64 {
    rows.iter().find(|row| row.kind == EntryKind::Forked && row.branch.is_root()).unwrap().revision
}

pub fn a_rewind_to_a_fork_makes_its_branches_anew(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let at_d = long_run(&bench, "i", lease);
    let run = rewound(&bench, rewind(&bench, "i", 2, "fork"));
    assert_eq!(bench.kinds(run), [EntryKind::Started, EntryKind::TaskCompleted, EntryKind::Rewound]);
    let view = bench.claim_one(lease);
    assert_eq!(&view.input[..], b"of a");
    bench.ok(lease, fork(&view, "fork", 2, 2));
    let children = held(&bench, lease, run);
    assert_eq!(children.len(), 2);
    bench.ok(lease, end(&children[0], "x"));
    let join = bench.ok(lease, end(&children[1], "y")).unwrap();
    bench.ok(lease, finish(&join, "out"));
    assert_ne!(at_d.run, run);
    let merged = bench.start_held("merged", lease);
    // A fork whose first row is the row of the task before it.
    let step = advance(&merged, "of a", "f");
    let forked = fork(&merged, "f", 2, 0);
    bench.ok(lease, sayiir_core::transition::Transition { entry: step.entry, ..forked });
    let run = rewound(&bench, rewind(&bench, "merged", 2, "f"));
    assert_eq!(bench.record("merged").branches.len(), 1, "its branches are gone");
    assert_eq!(bench.kinds(run), [EntryKind::Started, EntryKind::TaskCompleted, EntryKind::Rewound]);
}

pub fn a_rewind_fences_the_old_run(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let first = bench.start_held("i", lease);
    bench.ok(lease, advance(&first, "1", "b"));
    let zombie = bench.reload(lease, &first);
    let run = rewound(&bench, rewind(&bench, "i", 1, "first"));
    bench.refused(lease, finish(&zombie, "late"), Refusal::Replaced);
    let again = bench.commit(lease, advance(&first, "1", "b"));
    assert_eq!(again, sayiir_persistence::CommitOutcome::AlreadyAccepted, "the old run's journal is still there");
    assert_eq!(held(&bench, lease, first.run), []);
    let view = bench.claim_one(lease);
    assert_eq!((view.run, view.revision), (run, 3));
    bench.refused(lease, finish(&BranchView { revision: 2, ..view.clone() }, "stale"), Refusal::Moved);
    bench.ok(lease, finish(&view, "out"));
    // Two runs later nobody needs the first one's rows any more.
    let second = rewound(&bench, Rewind { nonce: 1 << 90, ..rewind(&bench, "i", 1, "first") });
    let third = fresh(bench.start_with(StartRun { policy: ConflictPolicy::TerminateExisting, ..bench.request("i") })).0;
    assert!(third > second && second > run);
    assert_eq!(bench.record("i").summary.run, third);
}

pub fn a_rewind_asked_again_is_the_same_run(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let at_d = long_run(&bench, "i", lease);
    let request = rewind(&bench, "i", 2, "fork");
    let run = rewound(&bench, request.clone());
    let view = bench.claim_one(lease);
    bench.ok(lease, advance(&view, "on", "e"));
    assert_eq!(rewound(&bench, request.clone()), run, "whatever came after it");
    assert_eq!(&*bench.reload(lease, &view).head.node, "e");
    let other = Rewind { nonce: 7, ..request.clone() };
    assert_eq!(wait(bench.store.rewind(other.clone())).unwrap(), RewindOutcome::Moved { run }, "another's rewind came before");
    assert_ne!(run, at_d.run);
    assert_eq!(wait(bench.store.rewind(Rewind { instance_id: Arc::from("nobody"), ..other.clone() })).unwrap(), RewindOutcome::NotFound);
    bench.send("mail only", "go", "p");
    assert_eq!(wait(bench.store.rewind(Rewind { instance_id: Arc::from("mail only"), ..other.clone() })).unwrap(), RewindOutcome::NotFound);
    assert!(wait(bench.store.delete("i")).unwrap());
    assert_eq!(wait(bench.store.rewind(request)).unwrap(), RewindOutcome::NotFound);
    assert_eq!(wait(bench.store.instance("i")).unwrap(), None);
}

pub fn a_rewind_that_keeps_what_is_not_there_is_refused(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let at_d = long_run(&bench, "i", lease);
    let good = rewind(&bench, "i", 2, "fork");
    let of = |branch: BranchId, revision| JournalRef { branch, revision };
    let bad = [
        Rewind { keep: 0, ..good.clone() },
        Rewind { keep: 1000, ..good.clone() },
        Rewind { input: of(BranchId::root(), 3), ..good.clone() },
        Rewind { input: of(BranchId::root(), 0), ..good.clone() },
        Rewind { input: of(BranchId::root().child(3, 0), 2), ..good.clone() },
        Rewind { node: Arc::from("n".repeat(bench.store.limits().name_bytes + 1)), ..good.clone() },
    ];
    for request in bad {
        let answer = wait(bench.store.rewind(request.clone()));
        assert!(matches!(answer, Err(StoreError::Misused { .. } | StoreError::Limit { .. })), "{request:?}: {answer:?}");
    }
    assert_eq!(bench.record("i").summary.run, at_d.run);
    assert_eq!(bench.reload(lease, &at_d), at_d, "nothing was written");
    let earlier = Rewind { input: of(BranchId::root(), 1), ..good };
    rewound(&bench, earlier);
    assert_eq!(&bench.claim_one(lease).input[..], b"input", "the input need not be the last row");
}

pub fn what_waits_for_an_instance_outlasts_a_rewind(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let attributes = [(Arc::from("customer"), "acme".into())].into();
    let trace: Arc<str> = Arc::from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let request = StartRun { attributes, trace: Some(Arc::clone(&trace)), lease: Some((lease, TTL)), ..bench.request("i") };
    let root = *fresh(bench.start_with(request)).1.unwrap();
    bench.send_keyed("i", "go", "first", Some("key"));
    bench.send("i", "go", "second");
    bench.ok(lease, receive(&bench.reload(lease, &root), "go", "first", "b"));
    rewound(&bench, rewind(&bench, "i", 1, "wait"));
    let view = bench.claim_one(lease);
    assert_eq!((view.mail, view.events.len(), view.events[0].seq), (2, 1, 2), "what was used is used");
    assert_eq!(view.trace.as_ref(), Some(&trace));
    assert_eq!(wait(bench.store.read_event("i", "go", 2)).unwrap().as_deref(), Some(&b"second"[..]));
    assert_eq!(bench.send_keyed("i", "go", "first", Some("key")), SendOutcome::Duplicate);
    let found = InstanceFilter { attributes: vec![sayiir_persistence::AttributeFilter::is("customer", "acme")], ..Default::default() };
    let listed = wait(bench.store.list(found)).unwrap();
    assert_eq!((listed.len(), listed[0].run, listed[0].attributes.len()), (1, view.run, 1));
    bench.ok(lease, receive(&view, "go", "second", "b"));
    assert_eq!(bench.send("i", "go", "third"), 3);
}

pub fn every_state_can_be_rewound(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    for id in ["running", "parked", "paused", "forked", "completed", "failed", "cancelled", "asked"] {
        let first = bench.start_held(id, lease);
        bench.ok(lease, advance(&first, "1", "b"));
        let view = bench.reload(lease, &first);
        match id {
            "parked" => drop(bench.ok(lease, park(&view, "w", "go", Some(HOUR)))),
            "paused" => bench.apply(id, ControlAction::Pause),
            "forked" => drop(bench.ok(lease, fork(&view, "f", 2, 1))),
            "completed" => drop(bench.ok(lease, finish(&view, "out"))),
            "failed" => drop(bench.ok(lease, fail(&view, "broken"))),
            "cancelled" => bench.apply(id, ControlAction::Cancel),
            "asked" => drop(wait(bench.store.request_control(id, SignalKind::Cancel, SignalRequest::default()))),
            _ => {}
        }
        let run = rewound(&bench, rewind(&bench, id, 2, "b"));
        let record = bench.record(id);
        assert_eq!((record.summary.status, record.output, record.branches.len()), (WorkflowStatus::InProgress, None, 1), "{id}");
        let taken = bench.claim_one(lease);
        assert_eq!((taken.run, taken.paused, taken.requested, &taken.input[..]), (run, false, None, &b"1"[..]), "{id}");
        bench.ok(lease, finish(&taken, "again"));
        assert_eq!(bench.record(id).output.as_deref(), Some(&b"again"[..]), "{id}");
    }
    assert_eq!(bench.send_keyed("forked", "go", "p", None), SendOutcome::Finished(WorkflowStatus::Completed));
}

pub fn a_rewound_branch_goes_where_its_placement_says(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.start_held("i", lease);
    let placement = Placement { tags: Arc::from(["gpu".to_owned()]), ..Placement::default() };
    rewound(&bench, Rewind { placement: placement.clone(), ..rewind(&bench, "i", 1, "first") });
    assert_eq!(bench.record("i").branches[0].placement, placement);
    let hashes = Arc::from([sayiir_core::DefinitionHash::from("workflow")]);
    let scope = sayiir_persistence::ClaimScope::Definitions { hashes, tags: Arc::from(["cpu".to_owned()]), ageing: MINUTE };
    assert_eq!(bench.claim_in(lease, 10, scope), []);
    assert_eq!(bench.claim(lease).len(), 1);
}

pub fn a_timeline_is_the_journal_without_values(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let at_d = long_run(&bench, "i", lease);
    let without = |row: JournalRow| JournalRow { output: None, handed_on: None, ..row };
    let rows: Vec<_> = bench.journal(at_d.run).into_iter().map(without).collect();
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = wait(bench.store.timeline(at_d.run, after, 3)).unwrap();
        assert!(page.len() <= 3 && paged.len() <= rows.len());
        let Some(last) = page.last() else { break };
        after = Some((last.at, JournalRef { branch: last.branch.clone(), revision: last.revision }));
        paged.extend(page);
    }
    assert_eq!(paged, rows);
}

pub fn everything_is_counted(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let empty = wait(bench.store.stats()).unwrap();
    assert_eq!((empty.workflows, empty.branches, empty.events), (vec![], BranchStats::default(), 0));
    bench.start("due");
    bench.start_held("leased", lease);
    bench.ok(lease, delay(&bench.start_held("delayed", lease), "nap", HOUR));
    bench.ok(lease, park(&bench.start_held("timed", lease), "w", "go", Some(HOUR)));
    bench.ok(lease, park(&bench.start_held("parked", lease), "w", "go", None));
    bench.ok(lease, fork(&bench.start_held("forked", lease), "f", 2, 1));
    bench.start("paused");
    bench.apply("paused", ControlAction::Pause);
    bench.ok(lease, fail(&bench.start_held("failed", lease), "broken"));
    bench.ok(lease, finish(&bench.start_held("completed", lease), "out"));
    bench.start("cancelled");
    bench.apply("cancelled", ControlAction::Cancel);
    // Two definitions of one name.
    for hash in ["one", "two"] {
        let definition = Definition { hash: hash.into(), name: Arc::from("a flow"), version: Arc::from(hash), document: None };
        fresh(bench.start_with(StartRun { definition, ..bench.request(hash) }));
    }
    bench.send("due", "go", "1");
    bench.send("due", "go", "2");
    bench.send("mail only", "go", "3");
    let stats = wait(bench.store.stats()).unwrap();
    let a_flow = WorkflowStats { workflow: Arc::from("a flow"), running: 2, ..WorkflowStats::default() };
    let workflow = WorkflowStats { workflow: Arc::from("workflow"), running: 6, paused: 1, completed: 1, failed: 1, cancelled: 1 };
    assert_eq!(stats.workflows, [a_flow, workflow]);
    let branches = BranchStats { due: 4, leased: 2, waiting: 2, joining: 1, parked: 1, held: 2, set_aside: 0 };
    assert_eq!(stats.branches, branches);
    assert_eq!((stats.events, stats.now), (3, bench.clock_now()));
    bench.tick(HOUR);
    let branches = BranchStats { due: 8, leased: 0, waiting: 0, ..branches };
    assert_eq!(wait(bench.store.stats()).unwrap().branches, branches, "a lapsed lease can be taken, too");
}

pub fn what_may_be_wrong_is_told(make: Factory<'_>) {
    let bench = Bench::new(make);
    let health = || wait(bench.store.health()).unwrap();
    let well = health();
    assert!(!well.schema.is_empty());
    assert_eq!((well.lanes, well.lapsed, well.crashed, well.set_aside, well.now), (vec![], vec![], vec![], vec![], bench.clock_now()));
    let (one, two) = (bench.lease(), bench.lease());
    let placement = Placement { tags: Arc::from(["gpu".to_owned()]), ..Placement::default() };
    fresh(bench.start_with(StartRun { placement, ..bench.request("tagged") }));
    bench.tick(SECOND);
    bench.start_held("held", one);
    bench.start("due");
    bench.tick(SECOND);
    bench.start("due too");
    let found = health();
    let lanes: Vec<_> = found.lanes.iter().map(|lane| (lane.tags.join(","), lane.due, lane.oldest)).collect();
    assert_eq!(lanes, [("gpu".to_owned(), 1, 2 * SECOND), (String::new(), 2, SECOND)], "what has waited longest comes first");
    let held = |health: &StoreHealth| health.lanes.iter().map(|lane| (lane.leased, lane.holders)).collect::<Vec<_>>();
    assert_eq!(held(&found), [(0, 0), (1, 1)], "one has a worker that serves it");
    let more = [one, two].map(|lease| (lease, bench.start_held(&format!("held too, by {lease}"), lease)));
    assert_eq!(held(&health()), [(0, 0), (3, 2)]);
    for (lease, view) in more {
        bench.ok(lease, finish(&view, "out"));
    }
    assert_eq!((&*found.lanes[0].definition.name, found.lanes[0].definition.hash), ("workflow", "workflow".into()));
    let holder = found.sessions.iter().find(|session| session.lease == one).expect("a known session");
    let process = Process { host: "host".into(), pid: 1, started: 1, worker_id: "worker".into() };
    assert_eq!((&holder.process, holder.branches, holder.ttl), (&process, 1, Some(TTL)));
    assert_eq!(holder.renewed_at(found.now).map(|at| at + SECOND), Some(found.now), "a second ago");
    let idle = found.sessions.iter().find(|session| session.lease == two).expect("a known session");
    assert_eq!((idle.branches, idle.leased_until, idle.renewed_at(found.now)), (0, None, None));
    bench.tick(TTL);
    let found = health();
    let lapsed: Vec<_> = found.lapsed.iter().map(|branch| (&*branch.instance_id, &*branch.node, branch.lease, branch.crashes)).collect();
    assert_eq!(lapsed, [("held", "first", Some(one), 0)]);
    assert_eq!(found.crashed, []);
    let view = bench.claim(two).into_iter().find(|view| &*view.instance_id == "held").unwrap();
    let found = health();
    assert_eq!((found.lanes, found.lapsed), (vec![], vec![]));
    let crashed: Vec<_> = found.crashed.iter().map(|branch| (&*branch.instance_id, branch.lease, branch.crashes)).collect();
    assert_eq!(crashed, [("held", Some(two), 1)]);
    bench.ok(two, hand_back(&view, Wake::Now));
    assert_eq!(health().crashed, [], "an accepted write begins anew");
}

pub fn sessions_that_hold_nothing_are_forgotten(make: Factory<'_>) {
    let bench = Bench::new(make);
    let open = |pid, worker: &str| {
        let process = Process { host: "here".into(), pid, started: 1, worker_id: worker.into() };
        wait(bench.store.open_session(process)).unwrap()
    };
    let known = || {
        let mut workers: Vec<_> =
            wait(bench.store.health()).unwrap().sessions.into_iter().map(|session| session.process.worker_id).collect();
        workers.sort();
        workers.join(" ")
    };
    let (holder, asking, _idle, _call) = (open(7, "holds"), open(8, "asks"), open(9, "idles"), open(0, "call"));
    bench.start_held("i", holder);
    bench.tick(CALL_IDLE);
    let last = open(7, "last");
    assert!(last > holder);
    assert_eq!(known(), "asks holds idles last", "a call is over soon");
    for _ in 0..30 {
        bench.tick(HOUR);
        assert_eq!(bench.claim_in(asking, 0, bench.scope()), []);
    }
    let asked = wait(bench.store.health()).unwrap().sessions.into_iter().find(|session| session.lease == asking).unwrap();
    assert_eq!(asked.seen_at, bench.clock_now());
    assert!(30 * HOUR > SESSION_IDLE);
    open(7, "new");
    assert_eq!(known(), "asks holds new", "the holder's lease has ended, but nobody took it");
    let listed = wait(bench.store.sessions("here")).unwrap();
    assert_eq!(listed.into_iter().map(|(lease, _)| lease).collect::<Vec<_>>(), [holder]);
    let view = bench.claim_one(asking);
    assert_eq!(view.crashes, 1);
    open(7, "newer");
    assert_eq!(known(), "asks new newer");
    assert!(!wait(bench.store.report_progress(holder, view.run, view.branch.clone(), Bytes::new())).unwrap());
    for _ in 0..100 {
        open(0, "call");
        bench.tick(CALL_IDLE);
    }
    assert!(known().len() < 100, "calls do not add up: {}", known());
}
