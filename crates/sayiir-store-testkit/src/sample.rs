//! A store with an instance in every state, written in one place and checked in another: after the store was closed and
//! opened again, or by a later build after the store was migrated.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::branch::{LeaseId, Phase, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::EntryKind;
use sayiir_core::time::{Clock as _, Timestamp};
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{BranchView, ControlAction, InstanceFilter, InstanceRecord, SendOutcome, StartOutcome, StartRun, Store};

use crate::bench::{advance, delay, end, fail, finish, fork, fresh, park, receive, retry, time_out};
use crate::{Bench, TTL, TestClock, wait};

const HOUR: Duration = Duration::from_hours(1);
/// How far the clock has gone when everything is written.
const WRITTEN: Duration = Duration::from_mins(10);

/// Fills a fresh store, whose clock is a new [`TestClock`]. Kept as a file of an old version, it is given to [`check`] by later builds.
pub fn write(store: Arc<dyn Store>, clock: Arc<TestClock>) {
    let bench = Bench::over(store, clock);
    let begun = bench.clock.now();
    let lease = bench.lease();
    waiting(&bench, lease);
    forked(&bench, lease);
    ended(&bench, lease);
    controlled(&bench, lease);
    bench.start("queued");
    bench.start_held("leased", lease);
    bench.send_keyed("mail only", "go", "early", Some("key"));
    bench.tick((begun + WRITTEN).since(bench.clock.now()));
}

fn waiting(bench: &Bench, lease: LeaseId) {
    let view = bench.start_held("delayed", lease);
    bench.ok(lease, advance(&view, "one", "b"));
    bench.ok(lease, delay(&bench.reload(lease, &view), "nap", HOUR));
    bench.ok(lease, park(&bench.start_held("parked", lease), "wait", "go", None));
    bench.ok(lease, park(&bench.start_held("timed", lease), "wait", "go", Some(HOUR)));
    bench.ok(lease, retry(&bench.start_held("retrying", lease), HOUR));
    bench.send("mailed", "go", "first");
    bench.send("mailed", "go", "second");
    let view = bench.start_held("mailed", lease);
    bench.ok(lease, receive(&view, "go", "first", "b"));
    bench.ok(lease, park(&bench.reload(lease, &view), "wait", "other", None));
}

fn forked(bench: &Bench, lease: LeaseId) {
    let parent = bench.start_held("forked", lease);
    bench.ok(lease, fork(&parent, "join", 4, 3));
    let views = wait(bench.store.load(lease, parent.run, vec![])).unwrap();
    bench.ok(lease, end(&views[0], "zero"));
    bench.ok(lease, park(&views[1], "join/wait", "go", Some(HOUR)));
}

fn ended(bench: &Bench, lease: LeaseId) {
    bench.ok(lease, finish(&bench.start_held("completed", lease), "out"));
    let parent = bench.start_held("failed", lease);
    bench.ok(lease, fork(&parent, "join", 2, 2));
    let views = wait(bench.store.load(lease, parent.run, vec![])).unwrap();
    bench.ok(lease, fail(&views[0], "broken"));
    bench.start("cancelled");
    bench.apply("cancelled", ControlAction::Cancel);
    bench.start("deleted");
    assert!(wait(bench.store.delete("deleted")).unwrap());
    let view = bench.start_held("replaced", lease);
    bench.ok(lease, advance(&view, "of the old run", "b"));
    fresh(bench.start_with(StartRun { policy: ConflictPolicy::TerminateExisting, nonce: 77, ..bench.request("replaced") }));
}

fn controlled(bench: &Bench, lease: LeaseId) {
    bench.ok(lease, delay(&bench.start_held("paused", lease), "nap", HOUR));
    bench.apply("paused", ControlAction::Pause);
    bench.ok(lease, delay(&bench.start_held("asked", lease), "nap", HOUR));
    let request = SignalRequest::new(Some("please".into()), Some("me".into()));
    wait(bench.store.request_control("asked", SignalKind::Pause, request)).unwrap();
}

/// Checks that a store holds what [`write()`] wrote, and that all of it goes on. The clock is a new [`TestClock`].
pub fn check(store: Arc<dyn Store>, clock: Arc<TestClock>) {
    clock.advance(WRITTEN);
    let bench = Bench::over(store, clock);
    check_reads(&bench);
    check_memory(&bench);
    check_going_on(&bench);
}

fn root(bench: &Bench, id: &str) -> sayiir_persistence::BranchSummary {
    bench.record(id).branches.remove(0)
}

fn check_reads(bench: &Bench) {
    let all = wait(bench.store.list(InstanceFilter::default())).unwrap();
    let found: Vec<_> = all.iter().map(|summary| (&*summary.instance_id, summary.status.as_str())).collect();
    let expected = [
        ("asked", "in_progress"),
        ("cancelled", "cancelled"),
        ("completed", "completed"),
        ("delayed", "waiting"),
        ("failed", "failed"),
        ("forked", "in_progress"),
        ("leased", "in_progress"),
        ("mailed", "awaiting_signal"),
        ("parked", "awaiting_signal"),
        ("paused", "paused"),
        ("queued", "in_progress"),
        ("replaced", "in_progress"),
        ("retrying", "in_progress"),
        ("timed", "awaiting_signal"),
    ];
    assert_eq!(found, expected);
    let InstanceRecord { summary, input, output, .. } = bench.record("completed");
    assert_eq!((&input[..], output.as_deref()), (&b"input"[..], Some(&b"out"[..])));
    assert_eq!((&*summary.definition.name, &*summary.definition.version), ("workflow", "1"));
    assert_eq!(bench.status("failed"), WorkflowStatus::Failed("broken".into()));
    assert_eq!(bench.record("failed").branches.len(), 3, "a failed run's branches are held");
    let because = |status| match status {
        WorkflowStatus::Cancelled { reason, cancelled_by: by } | WorkflowStatus::Paused { reason, paused_by: by } => (reason, by),
        other => panic!("{other:?}"),
    };
    for id in ["cancelled", "paused"] {
        assert_eq!(because(bench.status(id)), (Some("because".into()), Some("somebody".into())));
    }
    let start: Timestamp = bench.record("queued").summary.created_at;
    let due = Some(start + HOUR);
    let nap = root(bench, "delayed");
    assert_eq!((nap.head.phase, &*nap.head.node, nap.due_at, nap.run_at, nap.revision), (Phase::Delaying, "nap", due, due, 3));
    assert_eq!((root(bench, "retrying").head.attempt, root(bench, "retrying").run_at), (1, due));
    assert_eq!((root(bench, "timed").awaits.as_deref(), root(bench, "timed").run_at), (Some("go"), due));
    assert_eq!((root(bench, "parked").awaits.as_deref(), root(bench, "parked").run_at), (Some("go"), None));
    assert_eq!((root(bench, "paused").due_at, root(bench, "paused").run_at), (due, None));
    assert_eq!((root(bench, "leased").run_at, root(bench, "leased").crashes), (Some(start + TTL), 0));
    let parent = root(bench, "forked");
    assert_eq!((parent.head.phase, parent.pending, parent.run_at), (Phase::Joining, 3, None));
    let leases: Vec<_> = bench.record("forked").branches.iter().map(|branch| branch.lease.is_some()).collect();
    assert_eq!(leases, [false, false, true, false]);
    let kinds = bench.kinds(bench.record("delayed").summary.run);
    assert_eq!(kinds, [EntryKind::Started, EntryKind::TaskCompleted, EntryKind::DelayStarted]);
    let asked = wait(bench.store.requested_control("asked", SignalKind::Pause)).unwrap().expect("the request is recorded");
    assert_eq!((asked.reason.as_deref(), asked.requested_by.as_deref()), (Some("please"), Some("me")));
}

/// Numbers, keys, nonces and own rows.
fn check_memory(bench: &Bench) {
    let new = bench.lease();
    let held = root(bench, "leased").lease.expect("it is leased");
    assert!(new > held, "no lease number is used again");
    let highest = wait(bench.store.list(InstanceFilter::default())).unwrap().iter().map(|summary| summary.run).max().unwrap();
    assert!(bench.start("new") > highest, "no run number is used again");
    assert!(wait(bench.store.delete("new")).unwrap());
    assert_eq!(wait(bench.store.instance("deleted")).unwrap(), None);
    assert_eq!(bench.send_keyed("mail only", "go", "again", Some("key")), SendOutcome::Duplicate);
    let replacing = StartRun { policy: ConflictPolicy::TerminateExisting, nonce: 77, ..bench.request("replaced") };
    let run = bench.record("replaced").summary.run;
    match bench.start_with(replacing) {
        StartOutcome::Fresh { run: found, .. } => assert_eq!(found, run, "a start that is asked again is its own"),
        other => panic!("{other:?}"),
    }
    let late = BranchView { run: RunNumber(run.0 - 1), revision: 1, instance_id: Arc::from("replaced"), ..held_view(bench, held) };
    let outcome = bench.commit(held, advance(&late, "of the old run", "b"));
    assert_eq!(outcome, sayiir_persistence::CommitOutcome::AlreadyAccepted, "the old run's journal is still there");
}

fn held_view(bench: &Bench, lease: LeaseId) -> BranchView {
    wait(bench.store.load(lease, bench.record("leased").summary.run, vec![])).unwrap().remove(0)
}

/// Everything that lives is brought to its end.
fn check_going_on(bench: &Bench) {
    let lease = bench.lease();
    bench.tick(TTL);
    assert_eq!(wait(bench.store.next_due(bench.scope())).unwrap(), Some(Duration::ZERO));
    let taken = |views: &[BranchView]| {
        let mut ids: Vec<_> = views.iter().map(|view| (view.instance_id.to_string(), view.crashes)).collect();
        ids.sort();
        ids
    };
    let expected = |ids: &[(&str, u32)]| ids.iter().map(|(id, crashes)| ((*id).to_owned(), *crashes)).collect::<Vec<_>>();
    let due = bench.claim(lease);
    assert_eq!(taken(&due), expected(&[("asked", 0), ("forked", 0), ("forked", 1), ("leased", 1), ("queued", 0), ("replaced", 0)]));
    for view in due {
        match (&*view.instance_id, view.branch.is_root()) {
            ("asked", _) => assert_eq!(view.requested, Some(SignalKind::Pause)),
            (_, true) => drop(bench.ok(lease, finish(&view, "done"))),
            (_, false) => drop(bench.ok(lease, end(&view, "done"))),
        }
    }
    bench.send("parked", "go", "p");
    bench.send("mailed", "other", "third");
    let woken = bench.claim(lease);
    assert_eq!(taken(&woken), expected(&[("mailed", 0), ("parked", 0)]));
    for view in woken {
        let name = if &*view.instance_id == "parked" { "go" } else { "other" };
        let read = wait(bench.store.read_event(&view.instance_id, "go", 2)).unwrap();
        assert_eq!(read.as_deref(), (name == "other").then_some(&b"second"[..]), "what waits in the store is kept");
        bench.ok(lease, receive(&view, name, "p", "b"));
        bench.ok(lease, finish(&bench.reload(lease, &view), "done"));
    }
    bench.apply("paused", ControlAction::Unpause);
    bench.tick(HOUR);
    for view in bench.claim(lease) {
        match &*view.instance_id {
            "forked" => {
                bench.ok(lease, time_out(&view, "late"));
                let ready = bench.ok(lease, end(&bench.reload(lease, &view), "late")).expect("it is the last child");
                bench.ok(lease, finish(&ready, "joined"));
            }
            "asked" => {
                bench.apply("asked", ControlAction::Pause);
                bench.apply("asked", ControlAction::Unpause);
                bench.ok(lease, finish(&bench.reload(lease, &view), "done"));
            }
            "timed" => {
                bench.ok(lease, time_out(&view, "late"));
                bench.ok(lease, finish(&bench.reload(lease, &view), "done"));
            }
            _ => drop(bench.ok(lease, finish(&view, "done"))),
        }
    }
    for summary in wait(bench.store.list(InstanceFilter::default())).unwrap() {
        let ended = matches!(&*summary.instance_id, "cancelled" | "failed");
        assert_eq!(summary.status == WorkflowStatus::Completed, !ended, "{summary:?}");
    }
    assert_eq!(wait(bench.store.next_due(bench.scope())).unwrap(), None, "nothing is left");
}
