//! What a durable store keeps when it is closed and opened again. Each case takes a function that makes a place for a
//! store, and gives back one that opens the store there.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::attribute::{AttributeValue, SearchAttributes};
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, Placement};
use sayiir_core::control::SignalRequest;
use sayiir_core::journal::EntryKind;
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{
    AttributeFilter, BranchView, ControlAction, InstanceFilter, PurgeRequest, Purgeable, Rewind, RewindOutcome, StartOutcome, StartRun,
};

use super::MINUTE;
use crate::bench::{advance, fail, finish, fork, fresh};
use crate::durable::Home;
use crate::{Bench, Fault, FaultStore, TestClock, sample, wait};

pub fn everything_is_there_after_closing(home: Home<'_>) {
    let open = home();
    let clock = Arc::new(TestClock::new());
    sample::write(open(Arc::clone(&clock)), clock);
    let clock = Arc::new(TestClock::new());
    sample::check(open(Arc::clone(&clock)), clock);
}

pub fn numbers_are_not_used_again_after_closing(home: Home<'_>) {
    let (open, clock) = (home(), Arc::new(TestClock::new()));
    let mut last = (sayiir_core::branch::RunNumber(0), LeaseId(0));
    for _ in 0..3 {
        let bench = Bench::over(open(Arc::clone(&clock)), Arc::clone(&clock));
        let next = (bench.start("i"), bench.lease());
        assert!(next.0 > last.0 && next.1 > last.1, "{next:?} after {last:?}");
        assert!(wait(bench.store.delete("i")).unwrap());
        last = next;
    }
}

pub fn a_lease_outlives_its_process(home: Home<'_>) {
    let (open, clock) = (home(), Arc::new(TestClock::new()));
    let bench = Bench::over(open(Arc::clone(&clock)), Arc::clone(&clock));
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    drop(bench);
    let bench = Bench::over(open(Arc::clone(&clock)), Arc::clone(&clock));
    let heir = bench.lease();
    assert_eq!(bench.claim(heir), [], "until it ends, or its process is known to be dead");
    assert_eq!(wait(bench.store.sessions("host")).unwrap().iter().map(|(lease, _)| *lease).collect::<Vec<_>>(), [lease]);
    bench.ok(lease, advance(&view, "1", "b"));
    assert_eq!(wait(bench.store.expire_leases(lease)).unwrap(), 1);
    assert_eq!(bench.claim_one(heir).crashes, 1);
}

/// A crash at every write in turn: what was answered is there when the store is opened again, and what was not is there whole or not at all.
pub fn a_crash_at_every_write_leaves_whole_writes(home: Home<'_>) {
    crash_at_every_write(home, life, whole);
}

pub fn a_crash_at_every_write_of_an_operator_leaves_whole_writes(home: Home<'_>) {
    crash_at_every_write(home, operated, whole_of_operated);
}

/// Lives through `life` until a crash, and looks at what so many of its writes leave.
fn crash_at_every_write(home: Home<'_>, life: fn(&Bench), whole: fn(&Bench, u64)) {
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        for nth in 1.. {
            let (open, clock) = (home(), Arc::new(TestClock::new()));
            let faulty = Arc::new(FaultStore::new(open(Arc::clone(&clock))));
            faulty.fail_write(nth, fault);
            let bench = Bench::over(Arc::clone(&faulty) as _, Arc::clone(&clock));
            let crashed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| life(&bench))).is_err();
            assert_eq!(crashed, faulty.is_crashed());
            drop((bench, faulty));
            let bench = Bench::over(open(Arc::clone(&clock)), Arc::clone(&clock));
            let applied = match fault {
                _ if !crashed => u64::MAX,
                Fault::CrashAfter => nth,
                _ => nth - 1,
            };
            whole(&bench, applied);
            if !crashed {
                break;
            }
        }
    }
}

fn life(bench: &Bench) {
    let lease = bench.lease();
    let root = bench.start_held("i", lease);
    bench.ok(lease, advance(&root, "1", "b"));
    let root = bench.reload(lease, &root);
    bench.ok(lease, fork(&root, "f", 2, 2));
    bench.send("i", "go", "p");
    bench.apply("i", sayiir_persistence::ControlAction::Pause);
    bench.apply("i", sayiir_persistence::ControlAction::Unpause);
}

/// What the first so many writes of [`life`] leave, and nothing of the others.
fn whole(bench: &Bench, applied: u64) {
    let Some(record) = wait(bench.store.instance("i")).unwrap() else {
        assert!(applied < 2, "the start was applied");
        return;
    };
    let kinds = bench.kinds(record.summary.run);
    let writes =
        [(2, EntryKind::Started), (3, EntryKind::TaskCompleted), (4, EntryKind::Forked), (6, EntryKind::Paused), (7, EntryKind::Unpaused)];
    let expected: Vec<_> = writes.into_iter().filter(|(number, _)| *number <= applied).map(|(_, kind)| kind).collect();
    assert_eq!(kinds, expected, "after {applied} writes");
    assert_eq!(wait(bench.store.read_event("i", "go", 1)).unwrap().is_some(), applied >= 5);
    let at = |kind| kinds.contains(&kind);
    assert_eq!(record.branches.len(), if at(EntryKind::Forked) { 3 } else { 1 }, "{kinds:?}");
    assert_eq!(record.branches[0].pending, if at(EntryKind::Forked) { 2 } else { 0 });
    assert_eq!(matches!(record.summary.status, WorkflowStatus::Paused { .. }), at(EntryKind::Paused) && !at(EntryKind::Unpaused));
    if !at(EntryKind::Forked) {
        bench.tick(MINUTE);
        let lease = bench.lease();
        let view = bench.claim_one(lease);
        bench.ok(lease, finish(&view, "done"));
    }
}

fn attributes(found: &[(&str, AttributeValue)]) -> SearchAttributes {
    found.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect()
}

fn set(bench: &Bench, lease: LeaseId, view: &BranchView, name: &str, value: impl Into<AttributeValue>) {
    let attributes = attributes(&[(name, value.into())]);
    assert!(wait(bench.store.set_search_attributes(lease, view.run, view.branch.clone(), attributes)).unwrap());
}

fn start_found(bench: &Bench, id: &str, lease: LeaseId) -> BranchView {
    let attributes = attributes(&[("stage", "new".into()), ("customer", "acme".into())]);
    *fresh(bench.start_with(StartRun { attributes, lease: Some((lease, MINUTE)), ..bench.request(id) })).1.expect("its root is leased")
}

fn rewind_of(bench: &Bench, id: &str, keep: u64, node: &str) -> Rewind {
    Rewind {
        instance_id: Arc::from(id),
        expected: bench.record(id).summary.run,
        nonce: 99,
        keep,
        node: Arc::from(node),
        input: JournalRef { branch: BranchId::root(), revision: keep },
        placement: Placement::default(),
        request: SignalRequest::default(),
    }
}

fn purge(bench: &Bench) -> u64 {
    wait(bench.store.purge(PurgeRequest { what: Purgeable::Ended { workflow: None }, older_than: Duration::ZERO, limit: 10 })).unwrap()
}

/// Attributes of a start and of a task, a retry, a rewind and a purge, each of an instance of its own.
pub fn what_operators_did_is_there_after_closing(home: Home<'_>) {
    let (open, clock) = (home(), Arc::new(TestClock::new()));
    let bench = Bench::over(open(Arc::clone(&clock)), Arc::clone(&clock));
    let lease = bench.lease();
    bench.ok(lease, finish(&bench.start_held("purged", lease), "out"));
    assert_eq!(purge(&bench), 1);
    let found = start_found(&bench, "found", lease);
    set(&bench, lease, &found, "stage", "charged");
    bench.ok(lease, fail(&bench.start_held("retried", lease), "broken"));
    bench.apply("retried", ControlAction::Retry);
    let view = start_found(&bench, "rewound", lease);
    bench.ok(lease, advance(&view, "of a", "b"));
    bench.ok(lease, finish(&bench.reload(lease, &view), "out"));
    let asked = rewind_of(&bench, "rewound", 2, "b");
    let RewindOutcome::Rewound { run } = wait(bench.store.rewind(asked.clone())).unwrap() else { panic!("it is rewound") };
    drop(bench);

    let bench = Bench::over(open(Arc::clone(&clock)), clock);
    assert_eq!(wait(bench.store.instance("purged")).unwrap(), None);
    let list = |filter| {
        let filter = InstanceFilter { attributes: vec![filter], ..InstanceFilter::default() };
        wait(bench.store.list(filter)).unwrap().into_iter().map(|summary| summary.instance_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(list(AttributeFilter::is("stage", "charged")), ["found"]);
    assert_eq!(list(AttributeFilter::is("stage", "new")), ["rewound"]);
    assert_eq!(list(AttributeFilter::is("customer", "acme")), ["found", "rewound"]);
    assert_eq!(bench.kinds(bench.record("retried").summary.run), [EntryKind::Started, EntryKind::Failed, EntryKind::Retried]);
    assert_eq!(wait(bench.store.rewind(asked)).unwrap(), RewindOutcome::Rewound { run }, "its nonce is known still");
    assert_eq!(bench.record("rewound").summary.run, run);
    assert_eq!(bench.kinds(run), [EntryKind::Started, EntryKind::TaskCompleted, EntryKind::Rewound]);
    let (claimed, next) = (bench.claim(bench.lease()), bench.lease());
    let mut due: Vec<_> = claimed.iter().map(|view| (&*view.instance_id, &*view.head.node, &view.input[..])).collect();
    due.sort_unstable();
    assert_eq!(due, [("retried", "first", &b"input"[..]), ("rewound", "b", &b"of a"[..])]);
    assert!(bench.start_held("new", next).run > run, "no run number is used again");
}

/// An instance as an operator sees it: found, failed, retried, rewound, purged.
fn operated(bench: &Bench) {
    let lease = bench.lease();
    let view = start_found(bench, "o", lease);
    set(bench, lease, &view, "stage", "charged");
    bench.ok(lease, advance(&view, "of a", "b"));
    bench.ok(lease, fail(&bench.reload(lease, &view), "broken"));
    bench.apply("o", ControlAction::Retry);
    let RewindOutcome::Rewound { .. } = wait(bench.store.rewind(rewind_of(bench, "o", 2, "b"))).unwrap() else { panic!("it is rewound") };
    bench.apply("o", ControlAction::Cancel);
    assert_eq!(purge(bench), 1);
}

/// What the first so many writes of [`operated`] leave, and nothing of the others.
fn whole_of_operated(bench: &Bench, applied: u64) {
    use EntryKind::{Cancelled, Failed, Retried, Rewound, Started, TaskCompleted};

    let record = wait(bench.store.instance("o")).unwrap();
    assert_eq!(record.is_some(), (2..9).contains(&applied), "after {applied} writes");
    let Some(record) = record else {
        let again = bench.start_with(StartRun { policy: ConflictPolicy::Fail, ..bench.request("o") });
        assert!(matches!(again, StartOutcome::Fresh { .. }), "nothing is left of it: {again:?}");
        return assert_eq!(bench.record("o").summary.attributes, SearchAttributes::new());
    };
    let stage = if applied >= 3 { "charged" } else { "new" };
    assert_eq!(record.summary.attributes, attributes(&[("stage", stage.into()), ("customer", "acme".into())]), "after {applied} writes");
    let before = [(2, Started), (4, TaskCompleted), (5, Failed), (6, Retried)].into_iter().filter(|(number, _)| *number <= applied);
    let expected: Vec<_> = match applied {
        ..7 => before.map(|(_, kind)| kind).collect(),
        7 => vec![Started, TaskCompleted, Rewound],
        _ => vec![Started, TaskCompleted, Rewound, Cancelled],
    };
    assert_eq!(bench.kinds(record.summary.run), expected, "after {applied} writes");
    let (failed, cancelled) = (applied == 5, applied == 8);
    assert_eq!(matches!(record.summary.status, WorkflowStatus::Failed(_)), failed);
    assert_eq!(matches!(record.summary.status, WorkflowStatus::Cancelled { .. }), cancelled);
    if !failed && !cancelled {
        bench.tick(2 * MINUTE);
        let lease = bench.lease();
        let view = bench.claim_one(lease);
        assert_eq!(&*view.head.node, if applied >= 4 { "b" } else { "first" });
        bench.ok(lease, finish(&view, "done"));
    }
}
