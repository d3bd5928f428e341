//! What is announced: nobody who listened before a change sleeps through it.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::transition::Wake;
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{ControlAction, StartRun};

use super::MINUTE;
use crate::bench::{delay, fail, finish, fork, hand_back, park};
use crate::{Bench, Factory, wait};

/// How long an announcement may take to come.
const SOON: Duration = Duration::from_secs(5);

/// Does something, and waits until who listened before it was told.
#[track_caller]
fn tells(what: &str, mut listener: impl Future<Output = ()> + Unpin, change: impl FnOnce()) {
    change();
    let begun = Instant::now();
    while (&mut listener).now_or_never().is_none() {
        assert!(begun.elapsed() < SOON, "nothing was announced: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn what_becomes_due_is_announced(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let due = || bench.store.wakeups().listen_due();
    tells("a start", due(), || {
        bench.start("a");
    });
    let view = bench.start_held("b", lease);
    tells("a release", due(), || drop(bench.ok(lease, hand_back(&view, Wake::Now))));
    let view = bench.start_held("c", lease);
    tells("a delay", due(), || drop(bench.ok(lease, delay(&view, "d", MINUTE))));
    bench.ok(lease, park(&bench.start_held("d", lease), "w", "go", None));
    tells("an event that somebody waits for", due(), || {
        bench.send("d", "go", "p");
    });
    let view = bench.start_held("e", lease);
    tells("children that are not kept", due(), || drop(bench.ok(lease, fork(&view, "f", 2, 1))));
    bench.start("f");
    bench.apply("f", ControlAction::Pause);
    tells("an unpause", due(), || bench.apply("f", ControlAction::Unpause));
    tells("a recorded request", due(), || {
        wait(bench.store.request_control("f", SignalKind::Pause, SignalRequest::default())).unwrap();
    });
    tells("leases that are expired", due(), || assert!(wait(bench.store.expire_leases(lease)).unwrap() > 0));
}

pub fn owners_are_told_of_control(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let control = || bench.store.wakeups().listen_control();
    bench.start_held("a", lease);
    tells("a pause", control(), || bench.apply("a", ControlAction::Pause));
    tells("an unpause", control(), || bench.apply("a", ControlAction::Unpause));
    tells("a recorded request", control(), || {
        wait(bench.store.request_control("a", SignalKind::Cancel, SignalRequest::default())).unwrap();
    });
    tells("a cancel", control(), || bench.apply("a", ControlAction::Cancel));
    bench.start_held("b", lease);
    tells("a replaced run", control(), || {
        bench.start_with(StartRun { policy: ConflictPolicy::TerminateExisting, ..bench.request("b") });
    });
    tells("a deleted instance", control(), || assert!(wait(bench.store.delete("b")).unwrap()));
    let root = bench.start_held("c", lease);
    bench.ok(lease, fork(&root, "f", 2, 2));
    let views = wait(bench.store.load(lease, root.run, vec![])).unwrap();
    tells("a failure", control(), || drop(bench.ok(lease, fail(&views[0], "broken"))));
}

pub fn who_waits_for_an_instance_is_told(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let watch = bench.store.wakeups().listen_instance("a");
    tells("a start", watch.listen(), || {
        bench.start("a");
    });
    tells("a pause", watch.listen(), || bench.apply("a", ControlAction::Pause));
    tells("an unpause", watch.listen(), || bench.apply("a", ControlAction::Unpause));
    tells("a cancel", watch.listen(), || bench.apply("a", ControlAction::Cancel));
    for (id, end) in [("b", finish as fn(&_, &str) -> _), ("c", fail)] {
        let watch = bench.store.wakeups().listen_instance(id);
        let view = bench.start_held(id, lease);
        tells("an end", watch.listen(), || drop(bench.ok(lease, end(&view, "x"))));
    }
    let watch = bench.store.wakeups().listen_instance("d");
    let view = bench.start_held("d", lease);
    tells("a wait", watch.listen(), || drop(bench.ok(lease, park(&view, "w", "go", None))));
    tells("an event", watch.listen(), || {
        bench.send("d", "go", "p");
    });
}
