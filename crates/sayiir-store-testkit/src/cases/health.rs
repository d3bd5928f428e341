//! What a store tells of itself: counts, what may be wrong, and the sessions that it knows.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::Placement;
use sayiir_core::transition::Wake;
use sayiir_persistence::{BranchStats, CALL_IDLE, ControlAction, Definition, Process, SESSION_IDLE, StartRun, StoreHealth, WorkflowStats};

use super::{HOUR, SECOND};
use crate::bench::{delay, fail, finish, fork, fresh, hand_back, park};
use crate::{Bench, Factory, TTL, wait};

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
