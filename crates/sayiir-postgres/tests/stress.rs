//! The store under fire: two processes' stores on one database, workers with tiny leases that freeze, crash, and ask again as if
//! replies were lost; clients that start, replace, pause, unpause, cancel and send. Nothing is lost, doubled or stuck.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what went wrong by panicking"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;
use sayiir_core::branch::{BranchId, Head, LeaseId, Phase, Placement, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::journal::EntryKind;
use sayiir_core::transition::{Child, Entry, EventGuard, Next, Output, Transition, Wake};
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{
    BranchView, ClaimRequest, CommitOutcome, ControlAction, ControlCommand, InstanceFilter, Refusal, RunState, StartRun, Store,
};
use sayiir_pg_testserver::{PgServer, Settings};
use sayiir_postgres::PostgresBackend;
use sayiir_store_testkit::wait;

use common::*;

const SHORT: Duration = Duration::from_millis(250);
const CHILDREN: usize = 4;
const ROUNDS: u32 = 3;
const IDS: usize = 40;

type Key = (RunNumber, BranchId);

/// What everybody shares.
struct World {
    stores: Vec<PostgresBackend>,
    over: AtomicBool,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    nonce: AtomicU64,
    url: String,
}

impl World {
    fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

fn row(kind: EntryKind, node: &str) -> Entry {
    let output = Output::Value(Bytes::from(node.to_owned()));
    Entry { kind, node: Arc::from(node), attempt: 1, output, error: None }
}

/// A head at a node of this round, whose value is the row that the transition to it writes.
fn to(view: &BranchView, node: &str, round: u32, phase: Phase) -> Head {
    let input = sayiir_core::branch::JournalRef { branch: view.branch.clone(), revision: view.revision + 1 };
    Head { node: Arc::from(format!("{node}/{round}")), phase, attempt: 0, input, fork_revision: 0 }
}

/// What a worker does with a branch: a fork of four, each with a task, a signal and a nap; a join; three rounds of it.
fn decide(view: &BranchView, rng: &mut Rng) -> Transition {
    let (node, round) = view.head.node.split_once('/').map_or(("begin", 1), |(node, round)| (node, round.parse().unwrap()));
    let (free, head) = (EventGuard::None, view.head.clone());
    let placement = Placement::default;
    if view.paused {
        return transition(view, None, free, Next::Release { head, wake: Wake::AsStored, placement: placement() });
    }
    match (node, view.head.phase) {
        ("begin", _) => {
            let head = Head { fork_revision: view.revision + 1, ..to(view, "join", round, Phase::Joining) };
            let child = |_| Child { head: to(view, "task", round, Phase::At), placement: placement() };
            let next = Next::Fork { head, children: (0..CHILDREN).map(child).collect(), keep: CHILDREN / 2 };
            transition(view, Some(row(EntryKind::Forked, &view.head.node)), free, next)
        }
        ("join", _) if round < ROUNDS => {
            let next = Next::Run { head: to(view, "begin", round + 1, Phase::At) };
            transition(view, Some(row(EntryKind::JoinCompleted, &view.head.node)), free, next)
        }
        ("join", _) => transition(view, Some(row(EntryKind::JoinCompleted, &view.head.node)), free, Next::Finish),
        ("task", _) => {
            let next = Next::Run { head: to(view, "signal", round, Phase::At) };
            transition(view, Some(row(EntryKind::TaskCompleted, &view.head.node)), free, next)
        }
        ("signal", phase) => match view.events.first() {
            Some(event) => {
                let wake = if rng.bool() { Wake::Now } else { Wake::After(Duration::from_millis(20)) };
                let next = Next::Release { head: to(view, "nap", round, Phase::Delaying), wake, placement: placement() };
                let guard = EventGuard::Use { name: event.name.clone(), seq: event.seq };
                transition(view, Some(row(EntryKind::EventReceived, &view.head.node)), guard, next)
            }
            None if phase == Phase::Awaiting => {
                transition(view, None, free, Next::Release { head, wake: Wake::AsStored, placement: placement() })
            }
            None => {
                let head = to(view, "signal", round, Phase::Awaiting);
                let next = Next::Await { head, signal: Arc::from("s"), wake: None, placement: placement() };
                transition(view, Some(row(EntryKind::SignalAwaited, &view.head.node)), EventGuard::NoneSince { mail: view.mail }, next)
            }
        },
        ("nap", _) => transition(view, Some(row(EntryKind::DelayElapsed, &view.head.node)), free, Next::EndBranch),
        other => panic!("{other:?}"),
    }
}

/// Branches that the worker may hold after this was accepted.
fn kept(transition: &Transition) -> Vec<Key> {
    match &transition.next {
        Next::Run { .. } => vec![(transition.run, transition.branch.clone())],
        Next::Fork { head: _, children: _, keep } => {
            (0..*keep).map(|n| (transition.run, transition.branch.child(transition.revision + 1, n))).collect()
        }
        _ => Vec::new(),
    }
}

fn reload(store: &PostgresBackend, lease: LeaseId, keys: Vec<Key>, hold: &mut BTreeMap<Key, BranchView>) {
    for (run, branch) in keys {
        for view in wait(store.load(lease, run, vec![branch])).unwrap() {
            hold.insert((view.run, view.branch.clone()), view);
        }
    }
}

fn work(world: &World, number: usize) {
    let (store, mut rng) = (world.stores[number % world.stores.len()].clone(), Rng::with_seed(number as u64));
    let (mut lease, mut hold) = (session(&store), BTreeMap::<Key, BranchView>::new());
    while !world.is_over() {
        if hold.len() < 16 {
            let ClaimRequest { scope, .. } = everything(8, lease);
            for view in wait(store.claim(ClaimRequest { lease, ttl: SHORT, limit: 8, scope })).unwrap() {
                hold.insert((view.run, view.branch.clone()), view);
            }
        }
        if rng.f32() < 0.02 {
            world.count("frozen");
            thread::sleep(SHORT * 2);
        }
        if rng.f32() < 0.02 {
            world.count("crashes");
            hold.clear();
            lease = session(&store);
            continue;
        }
        if hold.is_empty() {
            thread::sleep(Duration::from_millis(2));
            continue;
        }
        let all: Vec<Transition> = std::mem::take(&mut hold).values().map(|view| decide(view, &mut rng)).collect();
        let outcomes = wait(store.commit(lease, all.clone())).unwrap();
        if rng.f32() < 0.05 {
            world.count("lost replies");
            asked_again(world, &all, &outcomes, &wait(store.commit(lease, all.clone())).unwrap());
        }
        let mut keys = Vec::new();
        for (transition, outcome) in all.iter().zip(outcomes) {
            match outcome {
                CommitOutcome::Accepted { at: _, readied_parent } => {
                    world.count("accepted");
                    keys.extend(kept(transition));
                    keys.extend(readied_parent.map(|parent| (parent.run, parent.branch.clone())));
                }
                CommitOutcome::Refused(Refusal::Moved) => {
                    world.count("moved");
                    keys.push((transition.run, transition.branch.clone()));
                }
                CommitOutcome::Refused(Refusal::LeaseLost) => world.count("lease lost"),
                CommitOutcome::Refused(Refusal::Ended) => world.count("ended"),
                CommitOutcome::Refused(Refusal::Replaced) => world.count("replaced"),
                CommitOutcome::AlreadyAccepted => world.count("already accepted"),
            }
        }
        reload(&store, lease, keys, &mut hold);
    }
}

/// A repeated request is never accepted a second time, and what was accepted is found, unless its run was replaced twice meanwhile:
/// only the journal of the run before the present one is kept. (A step that writes no row is found nowhere.)
fn asked_again(world: &World, all: &[Transition], first: &[CommitOutcome], again: &[CommitOutcome]) {
    for ((transition, first), again) in all.iter().zip(first).zip(again) {
        let was = matches!(first, CommitOutcome::Accepted { .. } | CommitOutcome::AlreadyAccepted);
        assert!(!(was && matches!(again, CommitOutcome::Accepted { .. })), "accepted twice: {transition:?}");
        let stored = was && transition.entry.is_some();
        if stored && *again == CommitOutcome::Refused(Refusal::Replaced) {
            world.count("forgotten");
            let (id, run) = (&transition.instance_id, transition.run);
            let kept = format!("SELECT count(*) FROM instance WHERE instance_id = '{id}' AND (run = {run} OR previous = {run})");
            assert_eq!(number(&mut raw(&world.url, "stress"), &kept), 0, "{transition:?}");
        } else if stored {
            assert_eq!(*again, CommitOutcome::AlreadyAccepted, "{transition:?}");
        }
    }
}

fn send(store: &PostgresBackend, id: &str) {
    wait(store.put_event(event(id, "s", "p"))).unwrap();
}

fn control(store: &PostgresBackend, id: &str, action: ControlAction) {
    wait(store.control(ControlCommand { instance_id: Arc::from(id), action, request: SignalRequest::default() })).unwrap();
}

fn start(world: &World, store: &PostgresBackend, id: &str, policy: ConflictPolicy) {
    let nonce = world.nonce.fetch_add(1, Ordering::SeqCst).into();
    wait(store.start(StartRun { policy, ..request(id, nonce, None) })).unwrap();
}

fn trouble(world: &World, number: usize, until: Instant) {
    let (store, mut rng) = (&world.stores[number % world.stores.len()], Rng::with_seed(1000 + number as u64));
    while Instant::now() < until {
        let id = format!("i{}", rng.usize(..IDS));
        match rng.u32(..100) {
            0..17 => start(world, store, &id, ConflictPolicy::Fail),
            17..20 => start(world, store, &id, ConflictPolicy::TerminateExisting),
            20..75 => send(store, &id),
            75..83 => control(store, &id, ControlAction::Pause),
            83..98 => control(store, &id, ControlAction::Unpause),
            _ => control(store, &id, ControlAction::Cancel),
        }
    }
}

/// Ten seconds, or as many as `SAYIIR_STRESS_SECONDS` says.
fn trouble_lasts() -> Duration {
    let asked = std::env::var("SAYIIR_STRESS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(asked.unwrap_or(10))
}

/// Lets everything come to its end: every run must, or something is stuck.
fn quiesce(world: &World) {
    let store = &world.stores[0];
    let begun = Instant::now();
    for n in 0..IDS {
        start(world, store, &format!("i{n}"), ConflictPolicy::UseExisting);
    }
    loop {
        let filter = InstanceFilter { states: vec![RunState::Running, RunState::Paused], ..InstanceFilter::default() };
        let left = wait(store.list(filter)).unwrap();
        if left.is_empty() {
            return;
        }
        let stuck: Vec<_> = left.iter().map(|one| (&one.instance_id, &one.status)).collect();
        assert!(begun.elapsed() < PATIENCE, "these do not end: {stuck:?}");
        for one in &left {
            match one.status {
                WorkflowStatus::Paused { .. } => control(store, &one.instance_id, ControlAction::Unpause),
                WorkflowStatus::AwaitingSignal { .. } => send(store, &one.instance_id),
                _ => {}
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// What must be true of the tables, whatever happened.
fn check(server: &PgServer) {
    let mut conn = raw(&server.url(), "stress");
    let mut none = |what: &str, sql: &str| assert_eq!(number(&mut conn, sql), 0, "{what}");
    none("joins stored twice", "SELECT count(*) FROM (SELECT FROM journal WHERE kind = 3 GROUP BY run, node HAVING count(*) > 1) x");
    none("tasks stored twice", "SELECT count(*) FROM (SELECT FROM journal WHERE kind = 2 GROUP BY run, branch HAVING count(*) > 1) x");
    none(
        "events used twice in a branch",
        "SELECT count(*) FROM (SELECT FROM journal WHERE kind = 9 GROUP BY run, branch HAVING count(*) > 1) x",
    );
    for kind in [2, 7, 9] {
        none(
            "completed runs without all of their tasks, naps and events",
            &format!(
                "SELECT count(*) FROM instance i WHERE i.status = 2 AND (SELECT count(*) FROM journal j WHERE j.run = i.run AND j.kind = {kind}) <> 12"
            ),
        );
    }
    none("heads of runs that have ended", "SELECT count(*) FROM branch");
    none(
        "events that are neither used nor there",
        "SELECT count(*) FROM instance i WHERE i.previous IS NULL AND i.mail <> (SELECT count(*) FROM event e WHERE e.run = i.run) \
         + (SELECT count(*) FROM journal j WHERE j.run = i.run AND j.kind = 9)",
    );
}

#[test]
fn nothing_is_lost_doubled_or_stuck() {
    let server = own_server(&Settings::fast());
    let stores = (0..2).map(|_| open_at(&server, options("stress"))).collect();
    let world = World { stores, over: AtomicBool::new(false), counts: Mutex::default(), nonce: AtomicU64::new(1), url: server.url() };
    let until = Instant::now() + trouble_lasts();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn({
                    let world = &world;
                    move || work(world, number)
                })
            })
            .collect();
        let clients: Vec<_> = (0..3)
            .map(|number| {
                scope.spawn({
                    let world = &world;
                    move || trouble(world, number, until)
                })
            })
            .collect();
        let troubled: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let quiet = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| quiesce(&world)));
        world.over.store(true, Ordering::SeqCst);
        assert!(troubled.iter().all(Result::is_ok) && workers.into_iter().all(|worker| worker.join().is_ok()));
        quiet.unwrap();
    });
    println!("{:?}", world.counts.lock().unwrap());
    let seen: BTreeSet<_> = world.counts.lock().unwrap().keys().copied().collect();
    assert!(["accepted", "crashes", "frozen", "lost replies", "moved", "lease lost"].iter().all(|what| seen.contains(what)), "{seen:?}");
    check(&server);
    assert!(!server.log().contains("deadlock detected"), "locks are taken in one order");
}
