//! Events in groups beside everything that locks the same rows: commits, controls, rewinds, deletes, purges and starts, from two
//! processes. None is lost, doubled or told an error, each wakes who waits for it, and nobody waits for each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_util::future::join_all;
use sayiir_core::branch::{BranchId, Head, JournalRef, Phase, Placement, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::journal::EntryKind;
use sayiir_core::transition::{Child, Entry, EventGuard, Next, Transition, Wake};
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{
    BranchView, CommitOutcome, ControlAction, ControlCommand, NewEvent, PurgeRequest, Purgeable, Refusal, Rewind, SendOutcome, StartRun,
    Store,
};
use sayiir_pg_testserver::Settings;
use sayiir_postgres::PostgresBackend;
use sayiir_store_testkit::wait;

use crate::common::*;

const IDS: usize = 12;
const CHILDREN: usize = 3;
const BURST: usize = 12;

/// What everybody shares. Ids that begin with `k` are kept: never ended, replaced or deleted, so that each of their events is accounted for.
struct World {
    stores: [PostgresBackend; 2],
    over: AtomicBool,
    next: AtomicU64,
    /// The events that a sender was told of, and those that a branch used, by instance and number.
    sent: Mutex<BTreeSet<(Arc<str>, u64)>>,
    used: Mutex<BTreeSet<(Arc<str>, u64)>>,
    /// The highest number that was told.
    told: Mutex<BTreeMap<Arc<str>, u64>>,
}

impl World {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }
}

fn is_kept(id: &str) -> bool {
    id.starts_with('k')
}

/// The root forks, and each of its children uses one event after another.
fn decide(view: &BranchView, rng: &mut Rng) -> Transition {
    let (free, head, placement) = (EventGuard::None, view.head.clone(), Placement::default);
    let input = JournalRef { branch: view.branch.clone(), revision: view.revision + 1 };
    let at = |phase| Head { node: Arc::from("wait"), phase, attempt: 0, input: input.clone(), fork_revision: 0 };
    let row = |kind| Some(Entry { kind, ..entry("wait", "v") });
    let as_stored = |head| Next::Release { head, wake: Wake::AsStored, placement: placement() };
    if view.paused {
        return transition(view, None, free, as_stored(head));
    }
    if view.branch == BranchId::root() {
        let head = Head { fork_revision: view.revision + 1, ..at(Phase::Joining) };
        let child = |_| Child { head: at(Phase::At), placement: placement() };
        return transition(view, row(EntryKind::Forked), free, Next::Fork { head, children: (0..CHILDREN).map(child).collect(), keep: 1 });
    }
    match view.events.first() {
        Some(_) if !is_kept(&view.instance_id) && rng.u32(..10) == 0 => transition(view, row(EntryKind::Failed), free, Next::Fail { head }),
        Some(event) => {
            let guard = EventGuard::Use { name: event.name.clone(), seq: event.seq };
            transition(view, row(EntryKind::EventReceived), guard, Next::Run { head: at(Phase::At) })
        }
        None if view.head.phase == Phase::Awaiting => transition(view, None, free, as_stored(head)),
        None => {
            let next = Next::Await { head: at(Phase::Awaiting), signal: Arc::from("s"), wake: None, placement: placement() };
            transition(view, row(EntryKind::SignalAwaited), EventGuard::NoneSince { mail: view.mail }, next)
        }
    }
}

fn work(world: &World, number: usize) {
    let (store, mut rng) = (&world.stores[number % 2], Rng::with_seed(number as u64));
    let lease = session(store);
    // A branch whose run failed and was retried meanwhile is claimed while its old view is here: the new one takes its place.
    let mut hold: BTreeMap<(RunNumber, BranchId), BranchView> = BTreeMap::new();
    while !world.over.load(Ordering::SeqCst) {
        if hold.len() < 16 {
            let claimed = wait(store.claim(everything(8, lease))).unwrap();
            hold.extend(claimed.into_iter().map(|view| ((view.run, view.branch.clone()), view)));
        }
        let all: Vec<_> = std::mem::take(&mut hold).values().map(|view| decide(view, &mut rng)).collect();
        if all.is_empty() {
            thread::sleep(Duration::from_millis(2));
            continue;
        }
        let mut keys: Vec<(RunNumber, BranchId)> = Vec::new();
        for (transition, outcome) in all.iter().zip(wait(store.commit(lease, all.clone())).unwrap()) {
            let Transition { instance_id, run, branch, revision, guard, next, .. } = transition;
            match outcome {
                CommitOutcome::Accepted { .. } => {
                    if let EventGuard::Use { seq, .. } = guard
                        && is_kept(instance_id)
                    {
                        assert!(world.used.lock().unwrap().insert((instance_id.clone(), *seq)), "{instance_id} {seq} is used twice");
                    }
                    match next {
                        Next::Run { .. } => keys.push((*run, branch.clone())),
                        Next::Fork { .. } => keys.push((*run, branch.child(revision + 1, 0))),
                        _ => {}
                    }
                }
                CommitOutcome::Refused(Refusal::Moved) => keys.push((*run, branch.clone())),
                CommitOutcome::Refused(_) => {}
                CommitOutcome::AlreadyAccepted => panic!("nothing is asked twice: {transition:?}"),
            }
        }
        for (run, branch) in keys {
            let loaded = wait(store.load(lease, run, vec![branch.clone()])).unwrap();
            hold.extend(loaded.into_iter().map(|view| ((run, branch.clone()), view)));
        }
    }
}

/// Sends some at once, some of them twice under a key.
fn send(world: &World, store: &PostgresBackend, rng: &mut Rng) {
    let mut events: Vec<NewEvent> = Vec::new();
    for _ in 0..BURST {
        let id = format!("{}{}", if rng.u32(..3) == 0 { 'o' } else { 'k' }, rng.usize(..IDS));
        let number = world.number().to_string();
        let key = rng.bool().then(|| Arc::from(&*number));
        let event = NewEvent { key, ..event(&id, "s", &number) };
        let twice = event.key.is_some() && rng.bool();
        events.extend(std::iter::repeat_n(event, 1 + usize::from(twice)));
    }
    let told_before = world.told.lock().unwrap().clone();
    let asked: Vec<_> = events.iter().map(|event| store.put_event(event.clone())).collect();
    let mut stored_by_key: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    for (NewEvent { instance_id, key, .. }, answer) in events.iter().zip(RUNTIME.block_on(join_all(asked))) {
        match answer.unwrap() {
            SendOutcome::Stored(seq) if is_kept(instance_id) => {
                assert!(seq > told_before.get(instance_id).copied().unwrap_or(0), "{instance_id} {seq} comes before what was told before");
                assert!(world.sent.lock().unwrap().insert((instance_id.clone(), seq)), "{instance_id} {seq} is given twice");
                let mut told = world.told.lock().unwrap();
                let highest = told.entry(instance_id.clone()).or_default();
                *highest = seq.max(*highest);
                if let Some(key) = key {
                    *stored_by_key.entry(key.clone()).or_default() += 1;
                }
            }
            SendOutcome::Duplicate => assert!(key.is_some()),
            SendOutcome::Stored(_) => {}
            SendOutcome::Finished(status) => assert!(!is_kept(instance_id), "{instance_id} {status:?}"),
        }
    }
    let keys: BTreeSet<_> = events.iter().filter(|event| is_kept(&event.instance_id)).filter_map(|event| event.key.clone()).collect();
    assert!(stored_by_key.keys().eq(keys.iter()) && stored_by_key.values().all(|times| *times == 1), "{stored_by_key:?} of {keys:?}");
}

fn control(store: &PostgresBackend, id: &str, action: ControlAction) {
    wait(store.control(ControlCommand { instance_id: Arc::from(id), action, request: SignalRequest::default() })).unwrap();
}

fn start(world: &World, store: &PostgresBackend, id: &str, policy: ConflictPolicy) {
    wait(store.start(StartRun { policy, ..request(id, world.number().into(), None) })).unwrap();
}

fn rewind(world: &World, store: &PostgresBackend, id: &str) {
    let Some(found) = wait(store.instance(id)).unwrap() else { return };
    let rewind = Rewind {
        instance_id: Arc::from(id),
        expected: found.summary.run,
        nonce: world.number().into(),
        keep: 1,
        node: Arc::from("first"),
        input: JournalRef::instance_input(),
        placement: Placement::default(),
        request: SignalRequest::default(),
    };
    wait(store.rewind(rewind)).unwrap();
}

fn trouble(world: &World, number: usize, until: Instant) {
    let (store, mut rng) = (&world.stores[number % 2], Rng::with_seed(1000 + number as u64));
    while Instant::now() < until {
        let (kept, other) = (format!("k{}", rng.usize(..IDS)), format!("o{}", rng.usize(..IDS)));
        match rng.u32(..100) {
            0..40 => send(world, store, &mut rng),
            40..55 => control(store, &kept, ControlAction::Pause),
            55..65 => control(store, &kept, ControlAction::Unpause),
            65..70 => rewind(world, store, &kept),
            70..72 => rewind(world, store, &other),
            72..75 => control(store, &other, ControlAction::Pause),
            75..80 => control(store, &other, ControlAction::Retry),
            80..83 => control(store, &other, ControlAction::Cancel),
            83..88 => start(world, store, &other, ConflictPolicy::TerminateExisting),
            88..93 => start(world, store, &other, ConflictPolicy::Fail),
            93..97 => drop(wait(store.delete(&other)).unwrap()),
            _ => {
                let what = if rng.bool() { Purgeable::Ended { workflow: None } } else { Purgeable::UnclaimedEvents };
                wait(store.purge(PurgeRequest { what, older_than: Duration::ZERO, limit: 5 })).unwrap();
            }
        }
    }
}

/// Five seconds, or as many as `SAYIIR_STRESS_SECONDS` says.
fn trouble_lasts() -> Duration {
    let asked = std::env::var("SAYIIR_STRESS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(asked.unwrap_or(5))
}

#[test]
fn each_event_is_stored_once_and_wakes_whoever_waits() {
    let server = own_server(&Settings::fast());
    let stores = [open_at(&server, options("fire")), open_at(&server, options("fire"))];
    let world = World {
        stores,
        over: AtomicBool::new(false),
        next: AtomicU64::new(1),
        sent: Mutex::default(),
        used: Mutex::default(),
        told: Mutex::default(),
    };
    for number in 0..IDS {
        start(&world, &world.stores[0], &format!("k{number}"), ConflictPolicy::Fail);
    }
    let until_then = Instant::now() + trouble_lasts();
    thread::scope(|scope| {
        let world = &world;
        let workers: Vec<_> = (0..3).map(|number| scope.spawn(move || work(world, number))).collect();
        let troubled: Vec<_> = (0..4).map(|number| scope.spawn(move || trouble(world, number, until_then))).collect();
        let troubled: Vec<_> = troubled.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let used_up = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut raw = raw(&server.url(), "fire");
            for id in (0..IDS).flat_map(|number| [format!("k{number}"), format!("o{number}")]) {
                control(&world.stores[0], &id, ControlAction::Unpause);
            }
            // A child that was not woken would sleep on.
            until(&mut raw, "SELECT count(*) FROM event JOIN instance USING (run) WHERE status = 1", 0);
        }));
        world.over.store(true, Ordering::SeqCst);
        assert!(troubled.iter().all(Result::is_ok) && workers.into_iter().all(|worker| worker.join().is_ok()));
        used_up.unwrap();
    });
    let (sent, used) = (world.sent.into_inner().unwrap(), world.used.into_inner().unwrap());
    println!("{} events of kept instances", sent.len());
    assert_eq!(sent, used, "what was told is stored, and was used");
    let mut raw = raw(&server.url(), "fire");
    let counted = i64::try_from(sent.len()).unwrap();
    assert_eq!(number(&mut raw, "SELECT sum(mail)::bigint FROM instance WHERE instance_id LIKE 'k%'"), counted, "and nothing else");
    assert!(!server.log().contains("deadlock detected"), "locks are taken in one order");
}
