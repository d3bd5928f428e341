//! What a durable store keeps when it is closed and opened again. Each case takes a function that makes a place for a
//! store, and gives back one that opens the store there.

use std::sync::Arc;

use sayiir_core::branch::LeaseId;
use sayiir_core::journal::EntryKind;
use sayiir_core::workflow::WorkflowStatus;

use super::MINUTE;
use crate::bench::{advance, finish, fork};
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
