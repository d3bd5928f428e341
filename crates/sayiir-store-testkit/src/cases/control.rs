//! Cancel, pause and unpause reach a branch wherever it is, and no owner writes past them unknowing.

use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::EntryKind;
use sayiir_core::transition::Wake;
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{BranchView, CommitOutcome, ControlAction, ControlOutcome, Refusal};

use super::{HOUR, MINUTE};
use crate::bench::{advance, delay, fail, finish, fork, hand_back, park};
use crate::{Bench, Factory, wait};

fn ask(bench: &Bench, id: &str, kind: SignalKind) -> ControlOutcome {
    wait(bench.store.request_control(id, kind, SignalRequest::new(Some("please".into()), None))).unwrap()
}

fn asked(bench: &Bench, id: &str, kind: SignalKind) -> Option<String> {
    wait(bench.store.requested_control(id, kind)).unwrap().and_then(|request| request.reason)
}

pub fn a_pause_holds_what_is_free(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.start("queued");
    bench.ok(lease, delay(&bench.start_held("delayed", lease), "d", MINUTE));
    bench.ok(lease, park(&bench.start_held("parked", lease), "w", "go", Some(MINUTE)));
    for id in ["queued", "delayed", "parked"] {
        let before = bench.record(id).branches[0].revision;
        bench.apply(id, ControlAction::Pause);
        let record = bench.record(id);
        assert_eq!((record.branches[0].run_at, record.branches[0].revision), (None, before + 1), "{id}");
        let status = WorkflowStatus::Paused { reason: Some("because".into()), paused_by: Some("somebody".into()) };
        assert_eq!((record.summary.status, record.pause_request.unwrap().requested_at), (status, record.now.into()));
    }
    bench.send("parked", "go", "p");
    bench.tick(HOUR);
    assert_eq!(bench.claim(lease), [], "a paused run is not taken, by time or by event");
}

pub fn a_pause_moves_what_is_leased(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    bench.apply("i", ControlAction::Pause);
    bench.refused(lease, advance(&view, "1", "b"), Refusal::Moved);
    let renewed = wait(bench.store.renew(lease, MINUTE, vec![(view.run, view.branch.clone())])).unwrap();
    assert_eq!(renewed, [Some(view.revision + 1)], "the renewal tells of the news");
    let seen = bench.reload(lease, &view);
    assert!(seen.paused && !view.paused && seen.requested.is_none());
    bench.ok(lease, hand_back(&seen, Wake::Now));
    assert_eq!(bench.claim(lease), [], "what a paused owner gives up is held");
}

pub fn an_unpause_moves_what_is_leased(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    bench.apply("i", ControlAction::Pause);
    let paused = bench.reload(lease, &view);
    bench.apply("i", ControlAction::Unpause);
    bench.refused(lease, hand_back(&paused, Wake::Now), Refusal::Moved);
    let on = bench.reload(lease, &view);
    assert!(!on.paused && on.revision == paused.revision + 1);
    bench.ok(lease, advance(&on, "1", "b"));
}

pub fn an_unpause_derives_every_time_again(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.start("queued");
    bench.ok(lease, delay(&bench.start_held("delayed", lease), "d", HOUR));
    bench.ok(lease, park(&bench.start_held("timed", lease), "w", "go", Some(HOUR)));
    bench.ok(lease, park(&bench.start_held("parked", lease), "w", "go", None));
    let parent = bench.start_held("forked", lease);
    bench.ok(lease, fork(&parent, "f", 1, 1));
    let root = |id: &str| bench.record(id).branches.remove(0);
    let ids = ["queued", "delayed", "timed", "parked", "forked"];
    let before = ids.map(|id| (root(id).run_at, root(id).revision + 2, root(id).lease));
    for action in [ControlAction::Pause, ControlAction::Unpause] {
        for id in ids {
            bench.apply(id, action);
        }
    }
    assert_eq!(ids.map(|id| (root(id).run_at, root(id).revision, root(id).lease)), before);
    let held = bench.start_held("held", lease);
    bench.apply("held", ControlAction::Pause);
    bench.ok(lease, delay(&bench.reload(lease, &held), "d", MINUTE));
    assert_eq!(root("held").run_at, None);
    bench.apply("held", ControlAction::Unpause);
    assert_eq!(root("held").run_at, root("held").due_at);
    bench.tick(MINUTE);
    assert_eq!(bench.claim(lease).len(), 3, "the queued one, the delay entered during a pause, and the child whose lease has ended");
}

pub fn what_forks_or_parks_during_a_pause_is_held(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let (forking, parking) = (bench.start_held("forking", lease), bench.start_held("parking", lease));
    bench.apply("forking", ControlAction::Pause);
    bench.apply("parking", ControlAction::Pause);
    bench.ok(lease, fork(&bench.reload(lease, &forking), "f", 2, 1));
    bench.ok(lease, park(&bench.reload(lease, &parking), "w", "go", Some(MINUTE)));
    let held = |id: &str| bench.record(id).branches.iter().all(|branch| branch.run_at.is_none() && branch.lease.is_none());
    assert!(held("forking") && held("parking"));
    bench.send("parking", "go", "p");
    bench.tick(HOUR);
    assert_eq!(bench.claim(lease), []);
    bench.apply("forking", ControlAction::Unpause);
    bench.apply("parking", ControlAction::Unpause);
    assert_eq!(bench.claim(lease).len(), 3, "both children and the waiter");
}

pub fn requests_do_not_wake_a_failed_run(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    ask(&bench, "i", SignalKind::Cancel);
    ask(&bench, "i", SignalKind::Pause);
    bench.ok(lease, fail(&bench.reload(lease, &view), "broken"));
    let before = bench.record("i").branches;
    for kind in [SignalKind::Cancel, SignalKind::Pause] {
        wait(bench.store.clear_control("i", kind)).unwrap();
    }
    bench.tick(HOUR);
    assert_eq!((bench.claim(lease), bench.record("i").branches), (vec![], before));
}

pub fn an_event_during_a_pause_wakes_after_it(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, park(&bench.start_held("i", lease), "w", "go", Some(HOUR)));
    bench.apply("i", ControlAction::Pause);
    bench.send("i", "go", "p");
    assert_eq!(bench.claim(lease), []);
    bench.apply("i", ControlAction::Unpause);
    assert_eq!(bench.claim_one(lease).events.len(), 1);
}

pub fn a_paused_owner_may_store_and_finish(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    bench.apply("i", ControlAction::Pause);
    let paused = bench.reload(lease, &view);
    bench.ok(lease, advance(&paused, "1", "b"));
    bench.ok(lease, finish(&bench.reload(lease, &paused), "2"));
    assert_eq!(bench.status("i"), WorkflowStatus::Completed);
}

pub fn a_cancel_ends_every_position(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.start("queued");
    let held = bench.start_held("held", lease);
    bench.ok(lease, delay(&bench.start_held("delayed", lease), "d", MINUTE));
    bench.ok(lease, park(&bench.start_held("parked", lease), "w", "go", None));
    let parent = bench.start_held("forked", lease);
    bench.ok(lease, fork(&parent, "f", 3, 1));
    for id in ["queued", "held", "delayed", "parked", "forked"] {
        bench.apply(id, ControlAction::Cancel);
        let record = bench.record(id);
        let status = WorkflowStatus::Cancelled { reason: Some("because".into()), cancelled_by: Some("somebody".into()) };
        assert_eq!((record.summary.status, record.branches.len()), (status, 0), "{id}");
    }
    bench.tick(HOUR);
    assert_eq!(bench.claim(lease), []);
    assert_eq!(wait(bench.store.next_due(bench.scope())).unwrap(), None);
    bench.refused(lease, advance(&held, "1", "b"), Refusal::Ended);
}

pub fn a_cancel_ends_a_paused_run(make: Factory<'_>) {
    let bench = Bench::new(make);
    bench.start("i");
    bench.apply("i", ControlAction::Pause);
    bench.apply("i", ControlAction::Cancel);
    assert!(matches!(bench.status("i"), WorkflowStatus::Cancelled { .. }));
}

pub fn a_finished_run_refuses_control(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, finish(&bench.start_held("i", lease), "1"));
    for action in [ControlAction::Cancel, ControlAction::Pause, ControlAction::Unpause] {
        assert_eq!(bench.control("i", action), ControlOutcome::Finished(WorkflowStatus::Completed));
        assert_eq!(bench.control("unknown", action), ControlOutcome::NotFound);
    }
    for kind in [SignalKind::Cancel, SignalKind::Pause] {
        assert_eq!(ask(&bench, "i", kind), ControlOutcome::Finished(WorkflowStatus::Completed));
        assert_eq!(ask(&bench, "unknown", kind), ControlOutcome::NotFound);
    }
    bench.send("mail only", "go", "p");
    assert_eq!(bench.control("mail only", ControlAction::Cancel), ControlOutcome::NotFound);
}

pub fn control_that_changes_nothing_says_so(make: Factory<'_>) {
    let bench = Bench::new(make);
    bench.start("i");
    assert_eq!(bench.control("i", ControlAction::Unpause), ControlOutcome::AlreadySo);
    bench.apply("i", ControlAction::Pause);
    let before = bench.record("i");
    assert_eq!(bench.control("i", ControlAction::Pause), ControlOutcome::AlreadySo);
    assert_eq!(bench.record("i"), before);
    bench.apply("i", ControlAction::Cancel);
    assert_eq!(bench.control("i", ControlAction::Cancel), ControlOutcome::AlreadySo);
    assert!(matches!(bench.control("i", ControlAction::Pause), ControlOutcome::Finished(_)));
}

pub fn a_recorded_request_reaches_free_and_leased_branches(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, delay(&bench.start_held("delayed", lease), "d", HOUR));
    assert_eq!(ask(&bench, "delayed", SignalKind::Pause), ControlOutcome::Applied);
    let free = bench.claim_one(lease);
    assert_eq!((free.requested, free.paused), (Some(SignalKind::Pause), false));
    let view = bench.start_held("held", lease);
    ask(&bench, "held", SignalKind::Pause);
    ask(&bench, "held", SignalKind::Cancel);
    bench.refused(lease, advance(&view, "1", "b"), Refusal::Moved);
    let seen = bench.reload(lease, &view);
    assert_eq!(seen.requested, Some(SignalKind::Cancel), "cancel comes before pause");
    assert_eq!(asked(&bench, "held", SignalKind::Pause).as_deref(), Some("please"));
    bench.apply("delayed", ControlAction::Pause);
    let applied = bench.reload(lease, &free);
    assert_eq!((applied.requested, applied.paused), (None, true));
    bench.ok(lease, hand_back(&applied, Wake::AsStored));
    bench.apply("delayed", ControlAction::Unpause);
    assert_eq!(asked(&bench, "delayed", SignalKind::Pause), None);
    let root = bench.record("delayed").branches.remove(0);
    assert!(root.run_at.is_some() && root.run_at == root.due_at, "the delay goes on where it was: {root:?}");
}

pub fn a_recorded_cancel_reaches_a_paused_run(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.start("i");
    bench.apply("i", ControlAction::Pause);
    assert_eq!(ask(&bench, "i", SignalKind::Cancel), ControlOutcome::Applied);
    let view = bench.claim_one(lease);
    assert_eq!((view.paused, view.requested), (true, Some(SignalKind::Cancel)));
    bench.start("j");
    ask(&bench, "j", SignalKind::Cancel);
    bench.apply("j", ControlAction::Pause);
    assert_eq!(bench.claim_one(lease).requested, Some(SignalKind::Cancel), "a pause does not hide a cancel");
}

pub fn a_cleared_request_is_forgotten(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, delay(&bench.start_held("i", lease), "d", HOUR));
    ask(&bench, "i", SignalKind::Cancel);
    assert_eq!(asked(&bench, "i", SignalKind::Cancel).as_deref(), Some("please"));
    wait(bench.store.clear_control("i", SignalKind::Cancel)).unwrap();
    assert_eq!((asked(&bench, "i", SignalKind::Cancel), bench.claim(lease)), (None, Vec::<BranchView>::new()));
    wait(bench.store.clear_control("unknown", SignalKind::Pause)).unwrap();
}

pub fn owners_that_race_with_control_miss_none_of_it(make: Factory<'_>) {
    const ROUNDS: usize = 15;
    let bench = Bench::new(make);
    let lease = bench.lease();
    let mut view = bench.start_held("i", lease);
    let run = view.run;
    let accepted = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            for _ in 0..ROUNDS {
                bench.apply("i", ControlAction::Pause);
                bench.apply("i", ControlAction::Unpause);
            }
            bench.apply("i", ControlAction::Cancel);
        });
        let mut accepted = 0;
        loop {
            match bench.commit(lease, advance(&view, "1", "b")) {
                CommitOutcome::Accepted { .. } => accepted += 1,
                CommitOutcome::Refused(Refusal::Moved) => {}
                CommitOutcome::Refused(Refusal::Ended) => break,
                other => panic!("{other:?}"),
            }
            match wait(bench.store.load(lease, run, vec![])).unwrap().pop() {
                Some(now) => view = now,
                None => break,
            }
        }
        client.join().unwrap();
        accepted
    });
    let kinds = bench.kinds(run);
    let count = |kind| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!((count(EntryKind::TaskCompleted), count(EntryKind::Paused), count(EntryKind::Unpaused)), (accepted, ROUNDS, ROUNDS));
    assert_eq!(kinds.last(), Some(&EntryKind::Cancelled), "nothing comes behind it");
}

pub fn control_is_journaled(make: Factory<'_>) {
    let bench = Bench::new(make);
    let run = bench.start("i");
    for action in [ControlAction::Pause, ControlAction::Unpause, ControlAction::Cancel] {
        bench.tick(MINUTE);
        bench.apply("i", action);
    }
    let rows = bench.journal(run);
    let control: Vec<_> = rows.iter().filter(|row| row.branch.as_str().is_empty()).map(|row| (row.kind, row.revision)).collect();
    assert_eq!(control, [(EntryKind::Paused, 1), (EntryKind::Unpaused, 2), (EntryKind::Cancelled, 3)]);
    assert_eq!(rows.last().unwrap().error.as_deref(), Some("because (by somebody)"));
}
