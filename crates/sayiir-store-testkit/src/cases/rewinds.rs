//! Rewinds: a new run with what came before a node; and the journal as it is looked at.

use std::sync::Arc;

use sayiir_core::branch::{BranchId, JournalRef, LeaseId, Phase, Placement, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{BranchView, ControlAction, InstanceFilter, Refusal, Rewind, RewindOutcome, SendOutcome, StartRun, StoreError};

use super::operations::held;
use super::{HOUR, MINUTE};
use crate::bench::{advance, end, fail, finish, fork, fresh, park, receive};
use crate::{Bench, Factory, TTL, wait};

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
