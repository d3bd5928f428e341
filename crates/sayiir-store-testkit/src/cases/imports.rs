//! Imports of snapshots: one transition of the whole instance, journaled, and fenced like any other.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{Phase, Placement};
use sayiir_core::control::SignalRequest;
use sayiir_core::journal::EntryKind;
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{BranchView, ControlAction, Definition, Import, ImportOutcome, ImportState, Refusal, StoreError};

use super::{HOUR, MINUTE};
use crate::bench::{advance, fork, receive, time_out};
use crate::{Bench, Factory, TTL, wait};

pub(super) fn import(id: &str, results: &[(&str, &str)], state: ImportState) -> Import {
    let results = results.iter().map(|(node, output)| (Arc::from(*node), Bytes::from((*output).to_owned()))).collect();
    let hash = sayiir_core::DefinitionHash::from("workflow");
    Import {
        instance_id: Arc::from(id),
        definition: Definition { hash, name: Arc::from(""), version: Arc::from(""), document: None },
        input: Bytes::from_static(b"input"),
        results,
        state,
        first_node: Arc::from("first"),
        placement: Placement::default(),
        expected: None,
    }
}

pub(super) fn at(node: &str) -> ImportState {
    ImportState::Running { node: Arc::from(node), phase: Phase::At, awaits: None, due_at: None, paused: None }
}

fn put(bench: &Bench, import: Import) -> ImportOutcome {
    wait(bench.store.import(import)).unwrap()
}

fn resting(bench: &Bench, phase: Phase, awaits: Option<&str>, paused: bool) -> ImportState {
    let due_at = Some(bench.record("clock").now + MINUTE);
    let paused = paused.then(|| SignalRequest::new(Some("why".into()), None));
    ImportState::Running { node: Arc::from("n"), phase, awaits: awaits.map(Arc::from), due_at, paused }
}

pub fn an_import_puts_the_branch_where_it_says(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.start_held("clock", bench.lease());
    let imported = |id: &str, state| assert_eq!(put(&bench, import(id, &[("a", "1")], state)), ImportOutcome::Imported, "{id}");
    imported("delayed", resting(&bench, Phase::Delaying, None, false));
    imported("parked", resting(&bench, Phase::Awaiting, Some("go"), false));
    imported("paused", resting(&bench, Phase::Delaying, None, true));
    bench.send("mailed", "go", "p");
    imported("mailed", resting(&bench, Phase::Awaiting, Some("go"), false));
    let view = bench.claim_one(lease);
    assert_eq!((&*view.instance_id, &view.input[..]), ("mailed", &b"1"[..]), "its event is there");
    bench.ok(lease, receive(&view, "go", "p", "b"));
    let status = |id: &str| bench.status(id).as_str();
    assert_eq!((status("delayed"), status("parked"), status("paused")), ("waiting", "awaiting_signal", "paused"));
    bench.send("parked", "go", "p");
    assert_eq!(&*bench.claim_one(lease).instance_id, "parked", "an event wakes it as any other");
    bench.tick(MINUTE);
    let due: Vec<_> = bench.claim(bench.lease()).iter().map(|view| (view.instance_id.to_string(), view.head.phase)).collect();
    assert!(due.contains(&("delayed".to_owned(), Phase::Delaying)) && due.iter().all(|(id, _)| id != "paused"), "{due:?}");
    bench.apply("paused", ControlAction::Unpause);
    assert_eq!(&*bench.claim_one(lease).instance_id, "paused");
}

pub fn an_import_is_journaled_and_moves_the_revision(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    bench.ok(lease, advance(&view, "1", "b"));
    bench.tick(TTL);
    let state = resting_at(&bench);
    assert_eq!(put(&bench, import("i", &[("first", "other"), ("b", "2")], state)), ImportOutcome::Imported);
    let rows = bench.journal(view.run);
    let kinds: Vec<_> = rows.iter().map(|row| (row.kind, &*row.node, row.revision)).collect();
    let expected = [
        (EntryKind::Started, "first", 1),
        (EntryKind::TaskCompleted, "first", 2),
        (EntryKind::TaskCompleted, "b", 3),
        (EntryKind::Imported, "w", 4),
    ];
    assert_eq!(kinds, expected, "what the journal has is kept as it was");
    assert_eq!(rows[1].output.as_deref(), Some(&b"1"[..]));
    bench.refused(lease, advance(&BranchView { revision: 2, ..view.clone() }, "x", "c"), Refusal::LeaseLost);
    bench.tick(HOUR);
    let late = bench.claim_one(lease);
    assert_eq!((late.revision, &late.input[..]), (5, &b"2"[..]));
    bench.ok(lease, time_out(&late, "c"));
}

fn resting_at(bench: &Bench) -> ImportState {
    let due_at = Some(bench.record("i").now + HOUR);
    ImportState::Running { node: Arc::from("w"), phase: Phase::Awaiting, awaits: Some(Arc::from("go")), due_at, paused: None }
}

pub fn an_import_that_expects_a_revision_is_refused_if_it_moved(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let expecting = |run, revision, state| Import { expected: Some((run, revision)), ..import("i", &[("first", "1")], state) };
    let view = bench.start_held("i", lease);
    bench.ok(lease, advance(&view, "1", "b"));
    bench.tick(TTL);
    let before = (bench.record("i"), bench.journal(view.run));
    for revision in [1, 3] {
        assert_eq!(put(&bench, expecting(view.run, revision, at("first"))), ImportOutcome::Moved { revision: 2 });
    }
    assert_eq!(before, (bench.record("i"), bench.journal(view.run)), "a refused import writes nothing");
    assert_eq!(put(&bench, expecting(view.run, 2, at("c"))), ImportOutcome::Imported);
    assert_eq!(put(&bench, expecting(view.run, 2, at("b"))), ImportOutcome::Moved { revision: 3 });
    let next = sayiir_core::branch::RunNumber(view.run.0 + 1);
    assert_eq!(put(&bench, expecting(next, 3, at("b"))), ImportOutcome::Moved { revision: 3 }, "the run is part of it");
    assert_eq!(put(&bench, expecting(view.run, 3, ImportState::Completed(Bytes::new()))), ImportOutcome::Imported);
    let unknown = Import { instance_id: Arc::from("unknown"), ..expecting(view.run, 1, at("b")) };
    assert_eq!(put(&bench, unknown), ImportOutcome::Moved { revision: 0 }, "what was deleted is not made again");
}

pub fn an_import_that_ends_a_fork_takes_its_branches(make: Factory<'_>) {
    for (state, status) in [
        (ImportState::Completed(Bytes::from_static(b"out")), "completed"),
        (ImportState::Failed("broken".into()), "failed"),
        (ImportState::Cancelled(SignalRequest::default()), "cancelled"),
    ] {
        let bench = Bench::new(make);
        let lease = bench.lease();
        let root = bench.start_held("i", lease);
        bench.ok(lease, fork(&root, "f", 3, 1));
        let refused = put(&bench, import("i", &[], state.clone()));
        assert_eq!(refused, ImportOutcome::Leased, "a child's lease counts");
        bench.tick(TTL);
        assert_eq!(put(&bench, import("i", &[], state)), ImportOutcome::Imported);
        let record = bench.record("i");
        assert_eq!(record.summary.status.as_str(), status);
        assert!(record.branches.iter().all(|branch| branch.branch.is_root()), "child branches are removed");
        assert_eq!(bench.claim(lease), []);
        assert!(matches!(put(&bench, import("i", &[], at("b"))), ImportOutcome::Finished(_)));
        assert_ne!(bench.status("i"), WorkflowStatus::InProgress);
    }
}

pub fn an_imported_failure_is_retried_with_the_input_of_its_place(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let known = bench.start_held("known", lease);
    bench.ok(lease, advance(&known, "1", "b"));
    bench.tick(TTL);
    let at_b = ("b", Phase::At, &b"1"[..]);
    for (id, place) in [("known", at_b), ("unknown", ("first", Phase::Start, &b"input"[..]))] {
        assert_eq!(put(&bench, import(id, &[("first", "2")], ImportState::Failed("broken".into()))), ImportOutcome::Imported);
        assert_eq!(bench.status(id), WorkflowStatus::Failed("broken".into()));
        bench.apply(id, ControlAction::Retry);
        let view = bench.claim_one(lease);
        assert_eq!((&*view.head.node, view.head.phase, &view.input[..]), place, "{id}");
    }
}

pub fn an_import_is_checked_at_the_door(make: Factory<'_>) {
    let bench = Bench::new(make);
    let limits = bench.store.limits();
    let large = "x".repeat(limits.payload_bytes + 1);
    let long = "e".repeat(limits.error_bytes + 1);
    let too_large = [
        import("i", &[("a", &large)], at("b")),
        import("i", &[], ImportState::Completed(Bytes::from(large.clone()))),
        import("i", &[], ImportState::Failed(long)),
        Import { input: Bytes::from(large.clone()), ..import("i", &[], at("b")) },
    ];
    for each in too_large {
        assert!(matches!(wait(bench.store.import(each)), Err(StoreError::Limit { .. })));
    }
    let running = |phase, awaits| ImportState::Running { node: Arc::from("n"), phase, awaits, due_at: None, paused: None };
    for senseless in [running(Phase::Joining, None), running(Phase::Delaying, None), running(Phase::Awaiting, None)] {
        assert!(matches!(wait(bench.store.import(import("i", &[], senseless))), Err(StoreError::Misused { .. })));
    }
    assert_eq!(wait(bench.store.instance("i")).unwrap(), None);
}
