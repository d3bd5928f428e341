//! What can be read: instances, journals, values, lists; and imports.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::TaskId;
use sayiir_core::branch::{JournalRef, Phase};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::EntryKind;
use sayiir_core::snapshot::{ExecutionPosition, WorkflowSnapshot};
use sayiir_core::transition::{Entry, Output, Transition};
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{
    BackendError, ControlAction, Definition, Import, ImportOutcome, ImportState, InstanceFilter, ListOrder, RunState, RunningStatus,
    SendOutcome, SignalStore, SnapshotStore, StoreError,
};

use super::imports::{at, import};
use super::{HOUR, MINUTE, SECOND};
use crate::bench::{advance, delay, end, fail, finish, fork, park, retry};
use crate::{Bench, Factory, wait};

pub fn an_instance_is_read_whole(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    assert_eq!(wait(bench.store.instance("i")).unwrap(), None);
    let view = bench.start_held("i", lease);
    bench.tick(SECOND);
    bench.ok(lease, advance(&view, "1", "b"));
    let record = bench.record("i");
    assert_eq!((&*record.summary.definition.name, &*record.summary.definition.version), ("workflow", "1"));
    assert_eq!((record.summary.created_at, record.summary.updated_at), (view.now, view.now), "a step writes no instance row");
    assert_eq!((record.branches[0].lease, record.branches[0].revision, &*record.branches[0].head.node), (Some(lease), 2, "b"));
    bench.ok(lease, finish(&bench.reload(lease, &view), "out"));
    let record = bench.record("i");
    assert_eq!((record.output.as_deref(), &record.input[..]), (Some(&b"out"[..]), &b"input"[..]));
    assert_eq!((record.summary.updated_at, record.branches.len()), (record.now, 0));
}

pub fn the_journal_is_read_in_pages(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let root = bench.start_held("i", lease);
    bench.tick(SECOND);
    bench.ok(lease, fork(&root, "f", 2, 2));
    let mut ready = None;
    for child in wait(bench.store.load(lease, root.run, vec![])).unwrap() {
        bench.tick(SECOND);
        ready = bench.ok(lease, end(&child, "x"));
    }
    bench.tick(SECOND);
    bench.ok(lease, finish(&ready.unwrap(), "out"));
    let all = bench.journal(root.run);
    let kinds = [EntryKind::Started, EntryKind::Forked, EntryKind::TaskCompleted, EntryKind::TaskCompleted, EntryKind::TaskCompleted];
    assert_eq!(all.iter().map(|row| row.kind).collect::<Vec<_>>(), kinds, "a cause comes before its effect");
    assert!(all.iter().skip(1).all(|row| row.lease == Some(lease)) && all.is_sorted_by_key(|row| row.at));
    for limit in 1..6 {
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = wait(bench.store.journal(root.run, after, limit)).unwrap();
            assert!(page.len() <= limit && paged.len() <= all.len(), "a page begins behind the one before it");
            let Some(last) = page.last() else { break };
            after = Some((last.at, JournalRef { branch: last.branch.clone(), revision: last.revision }));
            paged.extend(page);
        }
        assert_eq!(paged, all, "in pages of {limit}");
    }
}

pub fn values_are_found_through_references(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    let step = advance(&view, "", "b");
    let output = Output::Wrapped { own: Bytes::from_static(b"own"), handed_on: Bytes::from_static(b"handed on") };
    bench.ok(lease, Transition { entry: step.entry.clone().map(|entry| Entry { output, ..entry }), ..step });
    let wrapped = JournalRef { branch: view.branch.clone(), revision: 2 };
    let view = bench.reload(lease, &view);
    assert_eq!(&view.input[..], b"handed on", "what the next node gets");
    let step = advance(&view, "", "c");
    let output = Output::SameAs(wrapped.clone());
    bench.ok(lease, Transition { entry: step.entry.clone().map(|entry| Entry { output, ..entry }), ..step });
    let same = JournalRef { branch: view.branch.clone(), revision: 3 };
    let read = |rows: Vec<JournalRef>| wait(bench.store.read_values(view.run, rows));
    let values = read(vec![JournalRef::instance_input(), same, wrapped]).unwrap();
    assert_eq!(values, ["input", "handed on", "handed on"], "in the order in which they were asked for");
    let lost = read(vec![JournalRef { branch: view.branch.clone(), revision: 99 }]);
    assert!(matches!(lost, Err(StoreError::Corrupt { reason, .. }) if reason.contains("\"i\"")));
    let row = &bench.journal(view.run)[1];
    assert_eq!((row.output.as_deref(), row.handed_on.as_deref()), (Some(&b"own"[..]), Some(&b"handed on"[..])));
}

pub fn instances_are_listed_in_pages(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    for id in ["c", "a", "e", "b", "d"] {
        bench.start(id);
    }
    bench.send("mail only", "go", "p");
    bench.apply("b", ControlAction::Pause);
    bench.apply("d", ControlAction::Cancel);
    bench.ok(lease, fail(&bench.start_held("f", lease), "broken"));
    let list = |filter: InstanceFilter| -> String {
        wait(bench.store.list(filter)).unwrap().iter().map(|summary| summary.instance_id.to_string()).collect()
    };
    let all = InstanceFilter::default;
    assert_eq!(list(all()), "abcdef");
    assert_eq!(list(InstanceFilter { after: Some(Arc::from("b")), limit: Some(2), ..all() }), "cd");
    assert_eq!(list(InstanceFilter { states: vec![RunState::Paused, RunState::Failed], ..all() }), "bf");
    assert_eq!(list(InstanceFilter { states: vec![RunState::Running], limit: Some(2), ..all() }), "ac");
    assert_eq!(list(InstanceFilter { workflow: Some("workflow".into()), after: Some(Arc::from("e")), ..all() }), "f");
    assert_eq!(list(InstanceFilter { workflow: Some("other".into()), ..all() }), "");
    let statuses: Vec<_> = wait(bench.store.list(all())).unwrap().into_iter().map(|summary| summary.status.as_str()).collect();
    assert_eq!(statuses, ["in_progress", "paused", "in_progress", "cancelled", "in_progress", "failed"]);
}

pub fn the_status_of_several_branches(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let root = bench.start_held("i", lease);
    bench.ok(lease, fork(&root, "f", 4, 4));
    let views = wait(bench.store.load(lease, root.run, vec![])).unwrap();
    assert_eq!(bench.status("i"), WorkflowStatus::InProgress, "leased");
    bench.ok(lease, park(&views[0], "z", "zig", None));
    bench.ok(lease, park(&views[1], "a", "zag", Some(MINUTE)));
    bench.ok(lease, delay(&views[2], "d", HOUR));
    assert_eq!(bench.status("i"), WorkflowStatus::InProgress, "one is still leased");
    bench.ok(lease, retry(&views[3], SECOND));
    assert_eq!(bench.status("i"), WorkflowStatus::InProgress, "a backoff is progress");
    bench.tick(SECOND);
    let last = bench.claim_one(lease);
    bench.ok(lease, delay(&last, "e", MINUTE));
    let now = bench.record("i").now;
    assert_eq!(bench.status("i"), WorkflowStatus::Waiting { wake_at: (now + MINUTE).into(), delay_id: "e".into() });
    bench.tick(MINUTE.saturating_sub(SECOND));
    assert_eq!(bench.status("i"), WorkflowStatus::InProgress, "a wait that is over is ready");
    for view in bench.claim(lease) {
        bench.ok(lease, end(&view, "x"));
    }
    bench.tick(HOUR);
    for view in bench.claim(lease) {
        bench.ok(lease, end(&view, "x"));
    }
    let status = WorkflowStatus::AwaitingSignal { signal_id: "z".into(), signal_name: "zig".into(), wake_at: None };
    assert_eq!(bench.status("i"), status);
    bench.send("i", "zig", "p");
    assert_eq!(bench.status("i"), WorkflowStatus::InProgress, "its event is there");
}

/// What a store's own filter finds are those whose status says so, in whatever way the instances came to it.
pub fn running_instances_are_listed_by_their_status(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.start("free");
    bench.start_held("leased", lease);
    bench.ok(lease, retry(&bench.start_held("backs off", lease), HOUR));
    bench.ok(lease, delay(&bench.start_held("naps", lease), "nap", HOUR));
    bench.ok(lease, delay(&bench.start_held("wakes", lease), "nap", SECOND));
    bench.ok(lease, park(&bench.start_held("parked", lease), "w", "go", None));
    bench.ok(lease, park(&bench.start_held("timed", lease), "w", "go", Some(HOUR)));
    bench.ok(lease, park(&bench.start_held("told", lease), "w", "go", None));
    bench.send("told", "go", "p");
    // Forks, whose branches do each of these.
    let (second, third) = (|view: &_| park(view, "w", "go", None), |view: &_| delay(view, "nap", HOUR));
    for (id, ends) in [("joins at work", 0), ("joins naps", 1), ("joins parked", 2)] {
        let root = bench.start_held(id, lease);
        bench.ok(lease, fork(&root, "f", 3, 3));
        let views = wait(bench.store.load(lease, root.run, vec![])).unwrap();
        bench.ok(lease, second(&views[0]));
        if ends > 0 {
            bench.ok(lease, end(&views[1], "x"));
            bench.ok(lease, if ends == 1 { third(&views[2]) } else { second(&views[2]) });
        }
    }
    bench.start("paused");
    bench.apply("paused", ControlAction::Pause);
    bench.ok(lease, fail(&bench.start_held("failed", lease), "broken"));
    bench.tick(MINUTE);
    let list = |filter: InstanceFilter| wait(bench.store.list(filter)).unwrap();
    let all: Vec<_> = list(InstanceFilter::default());
    let counted = |word: &str| all.iter().filter(|summary| summary.status.as_str() == word).count();
    assert_eq!((counted("in_progress"), counted("waiting"), counted("awaiting_signal")), (6, 2, 3), "{all:#?}");
    let each = [RunningStatus::InProgress, RunningStatus::Waiting, RunningStatus::AwaitingSignal];
    for wanted in 0..8_u8 {
        let running: Vec<_> = each.into_iter().enumerate().filter(|(bit, _)| wanted & (1 << bit) != 0).map(|(_, status)| status).collect();
        for states in
            [vec![], vec![RunState::Running], vec![RunState::Failed, RunState::Running], vec![RunState::Running, RunState::Completed]]
        {
            let is_wanted = |status: &WorkflowStatus| match RunningStatus::of(status) {
                Some(status) => (states.is_empty() || states.contains(&RunState::Running)) && (wanted == 0 || running.contains(&status)),
                None => states.is_empty() || (states.contains(&RunState::Failed) && status.as_str() == "failed"),
            };
            let should: Vec<_> =
                all.iter().filter(|summary| is_wanted(&summary.status)).map(|summary| Arc::clone(&summary.instance_id)).collect();
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page =
                    list(InstanceFilter { states: states.clone(), running: running.clone(), after, limit: Some(2), ..Default::default() });
                let Some(end_of_page) = page.last() else { break };
                after = Some(Arc::clone(&end_of_page.instance_id));
                found.extend(page.into_iter().map(|summary| summary.instance_id));
            }
            assert_eq!(found, should, "{running:?} of {states:?}");
            let order = ListOrder::NewestFirst { before: None };
            let newest = list(InstanceFilter { states: states.clone(), running: running.clone(), order, ..Default::default() });
            assert_eq!(newest.len(), should.len(), "{running:?} of {states:?}");
        }
    }
}

pub fn an_instance_is_deleted_with_all_it_has(make: Factory<'_>) {
    let bench = Bench::new(make);
    let run = bench.start("i");
    bench.send("i", "go", "p");
    assert!(wait(bench.store.delete("i")).unwrap());
    assert!(!wait(bench.store.delete("i")).unwrap());
    assert_eq!((wait(bench.store.instance("i")).unwrap(), bench.journal(run)), (None, vec![]));
    assert_eq!((wait(bench.store.take_event("i", "go")).unwrap(), bench.claim(bench.lease())), (None, vec![]));
    assert_eq!(wait(bench.store.list(InstanceFilter::default())).unwrap(), []);
}

pub fn nothing_is_left_of_what_was_deleted(make: Factory<'_>) {
    let bench = Bench::new(make);
    bench.send("mail only", "go", "p");
    assert!(!wait(bench.store.delete("mail only")).unwrap(), "an id that has events only is unknown");
    assert_eq!(wait(bench.store.take_event("mail only", "go")).unwrap(), None, "its events are removed all the same");
    bench.start("i");
    bench.send_keyed("i", "go", "p", Some("k"));
    for kind in [SignalKind::Cancel, SignalKind::Pause] {
        wait(bench.store.request_control("i", kind, SignalRequest::default())).unwrap();
    }
    assert!(wait(bench.store.delete("i")).unwrap());
    for kind in [SignalKind::Cancel, SignalKind::Pause] {
        assert_eq!(wait(bench.store.requested_control("i", kind)).unwrap(), None);
    }
    bench.start("i");
    let view = bench.claim_one(bench.lease());
    assert_eq!((view.requested, view.events.len()), (None, 0));
    assert!(matches!(bench.send_keyed("i", "go", "p", Some("k")), SendOutcome::Stored(_)), "keys are forgotten");
}

pub fn rows_of_one_moment_keep_causes_before_effects(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let root = bench.start_held("i", lease);
    bench.ok(lease, fork(&root, "f", 2, 2));
    let mut ready = None;
    // The second child ends first: its row may not come before the fork's, nor behind the join's.
    for child in wait(bench.store.load(lease, root.run, vec![])).unwrap().iter().rev() {
        ready = bench.ok(lease, end(child, "x"));
    }
    let ready = ready.unwrap();
    bench.ok(lease, advance(&ready, "joined", "after"));
    bench.ok(lease, finish(&bench.reload(lease, &ready), "out"));
    let rows = bench.journal(root.run);
    let nodes: Vec<_> = rows.iter().map(|row| &*row.node).collect();
    assert_eq!((&nodes[..2], &nodes[4..]), (&["first", "f"][..], &["f", "after"][..]), "{nodes:?}");
    for limit in [1, 2, 3] {
        let (mut paged, mut after) = (Vec::new(), None);
        while let Some(last) = {
            let page = wait(bench.store.journal(root.run, after.clone(), limit)).unwrap();
            paged.extend(page.iter().cloned());
            page.last().cloned()
        } {
            assert!(paged.len() <= rows.len(), "a page begins behind the one before it");
            after = Some((last.at, JournalRef { branch: last.branch, revision: last.revision }));
        }
        assert_eq!(paged, rows, "in pages of {limit}");
    }
    assert_eq!(wait(bench.store.journal(sayiir_core::branch::RunNumber(1 << 40), None, 10)).unwrap(), []);
}

pub fn an_output_may_be_another_rows_value(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    bench.ok(lease, advance(&view, "value", "b"));
    let view = bench.reload(lease, &view);
    let last = finish(&view, "");
    let output = Output::SameAs(JournalRef { branch: view.branch.clone(), revision: 2 });
    bench.ok(lease, Transition { entry: last.entry.clone().map(|entry| Entry { output, ..entry }), ..last });
    assert_eq!(bench.record("i").output.as_deref(), Some(&b"value"[..]));
}

pub fn a_snapshot_is_imported(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let put = |import: Import| wait(bench.store.import(import)).unwrap();
    assert_eq!(put(import("i", &[("a", "1"), ("b", "2")], at("c"))), ImportOutcome::Imported);
    let view = bench.claim_one(lease);
    assert_eq!((&*view.head.node, view.head.phase, &view.input[..]), ("c", Phase::At, &b"2"[..]));
    assert_eq!(put(import("i", &[], at("d"))), ImportOutcome::Leased);
    bench.tick(MINUTE);
    assert_eq!(put(import("i", &[("a", "1"), ("b", "2"), ("c", "3")], at("d"))), ImportOutcome::Imported);
    bench.refused(lease, advance(&view, "3", "d"), sayiir_persistence::Refusal::LeaseLost);
    let results = bench.kinds(view.run).into_iter().filter(|kind| *kind == EntryKind::TaskCompleted).count();
    assert_eq!(results, 3, "each result is journaled once");
    assert_eq!(bench.claim_one(lease).revision, view.revision + 3);
    bench.tick(MINUTE);
    assert_eq!(put(import("i", &[], ImportState::Completed(Bytes::from_static(b"out")))), ImportOutcome::Imported);
    assert_eq!((bench.status("i"), bench.record("i").output.as_deref()), (WorkflowStatus::Completed, Some(&b"out"[..])));
    assert_eq!(put(import("i", &[], at("a"))), ImportOutcome::Finished(WorkflowStatus::Completed));
    let other = Definition { hash: "other".into(), ..import("i", &[], at("a")).definition };
    assert!(matches!(put(Import { definition: other, ..import("i", &[], at("a")) }), ImportOutcome::DefinitionMismatch { .. }));
    put(import("failed", &[], ImportState::Failed("broken".into())));
    put(import("cancelled", &[], ImportState::Cancelled(SignalRequest::new(Some("why".into()), None))));
    assert_eq!(bench.status("failed"), WorkflowStatus::Failed("broken".into()));
    assert_eq!(bench.status("cancelled"), WorkflowStatus::Cancelled { reason: Some("why".into()), cancelled_by: None });
    assert_eq!(bench.claim(lease), []);
}

pub fn a_snapshot_does_not_undo_a_fork(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let root = bench.start_held("i", lease);
    bench.ok(lease, fork(&root, "j", 2, 0));
    let put = |state| wait(bench.store.import(import("i", &[], state))).unwrap();
    assert_eq!(put(at("b")), ImportOutcome::Forked { node: Arc::from("j") });
    assert_eq!(bench.claim(lease).len(), 2, "both branches are still there");
    let mut snapshot = wait(bench.store.load_snapshot("i")).unwrap();
    bench.tick(MINUTE);
    let error = wait(bench.store.save_snapshot(&mut snapshot)).unwrap_err().to_string();
    assert!(error.contains("\"i\"") && error.contains("\"j\""), "{error}");
    assert_eq!(put(ImportState::Completed(Bytes::from_static(b"out"))), ImportOutcome::Imported);
    assert_eq!(bench.status("i"), WorkflowStatus::Completed);
}

pub fn signals_and_snapshots_work_over_the_store(make: Factory<'_>) {
    let bench = Bench::new(make);
    let store = &bench.store;
    assert!(store.transactional().is_some());
    assert!(matches!(wait(store.load_snapshot("i")), Err(BackendError::NotFound(_))));
    let mut snapshot = WorkflowSnapshot::with_initial_input("i", "workflow", Bytes::from_static(b"in"));
    snapshot.update_position(ExecutionPosition::AtTask { task_id: TaskId::from("b") });
    snapshot.mark_task_completed(TaskId::from("a"), Bytes::from_static(b"1"));
    wait(store.save_snapshot(&mut snapshot)).unwrap();
    wait(store.save_snapshot(&mut snapshot)).unwrap();
    assert_eq!(wait(store.load_snapshot("i")).unwrap().state, snapshot.state);
    wait(store.save_task_result("i", &TaskId::from("b"), Bytes::from_static(b"2"))).unwrap();
    assert_eq!(wait(store.load_snapshot("i")).unwrap().get_last_task_output().as_deref(), Some(&b"2"[..]));
    assert_eq!(wait(store.list_snapshots()).unwrap(), ["i"]);
    let request = SignalRequest::new(Some("why".into()), Some("who".into()));
    wait(store.store_signal("i", SignalKind::Pause, request.clone())).unwrap();
    assert_eq!(wait(store.get_signal("i", SignalKind::Pause)).unwrap().unwrap().reason, request.reason);
    assert!(wait(store.check_and_pause("i")).unwrap() && !wait(store.check_and_pause("i")).unwrap());
    assert_eq!(wait(store.get_signal("i", SignalKind::Pause)).unwrap(), None, "a checked request is forgotten");
    let paused = wait(store.load_snapshot("i")).unwrap().state;
    assert_eq!(paused.pause_details(), Some((request.reason.clone(), request.requested_by.clone())));
    assert!(wait(store.unpause("i")).unwrap().state.is_in_progress());
    wait(store.send_event("i", "go", Bytes::from_static(b"p"))).unwrap();
    assert_eq!(wait(store.consume_event("i", "go")).unwrap().as_deref(), Some(&b"p"[..]));
    assert!(!wait(store.check_and_cancel("i", None)).unwrap());
    wait(store.store_signal("i", SignalKind::Pause, request.clone())).unwrap();
    wait(store.store_signal("i", SignalKind::Cancel, request.clone())).unwrap();
    assert!(!wait(store.check_and_pause("i")).unwrap(), "cancel beats pause");
    assert!(wait(store.check_and_cancel("i", None)).unwrap());
    assert_eq!(wait(store.load_snapshot("i")).unwrap().state.cancellation_details(), Some((request.reason, request.requested_by)));
    assert!(matches!(wait(store.store_signal("i", SignalKind::Pause, SignalRequest::default())), Err(BackendError::CannotPause(_))));
    wait(store.delete_snapshot("i")).unwrap();
    assert!(matches!(wait(store.delete_snapshot("i")), Err(BackendError::NotFound(_))));
}
