//! Who takes which branch.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::DefinitionHash;
use sayiir_core::branch::{LeaseId, Placement};
use sayiir_core::priority::Priority;
use sayiir_persistence::{BranchView, ClaimScope, Definition, Process, StartRun};

use super::{HOUR, MINUTE, SECOND};
use crate::bench::{advance, delay, finish, fork, hand_back};
use crate::{Bench, Factory, TTL, wait};
use sayiir_core::transition::Wake;

fn ids(views: &[BranchView]) -> Vec<&str> {
    views.iter().map(|view| &*view.instance_id).collect()
}

fn placed(bench: &Bench, id: &str, priority: Priority, tags: &[&str]) -> StartRun {
    let tags: Arc<[String]> = tags.iter().map(ToString::to_string).collect();
    StartRun { placement: Placement { tags, priority }, ..bench.request(id) }
}

pub fn only_what_is_due_is_taken(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    assert_eq!(bench.claim(lease), []);
    bench.ok(lease, delay(&bench.start_held("later", lease), "d", HOUR));
    bench.start("now");
    assert_eq!(ids(&bench.claim(lease)), ["now"]);
}

pub fn nobody_takes_what_another_holds(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (one, two) = (bench.lease(), bench.lease());
    bench.start("i");
    let view = bench.claim_one(one);
    assert_eq!(bench.claim(two), []);
    bench.tick(TTL.saturating_sub(SECOND));
    wait(bench.store.renew(one, TTL, vec![(view.run, view.branch.clone())])).unwrap();
    bench.tick(TTL.saturating_sub(SECOND));
    assert_eq!(bench.claim(two), [], "the renewed lease still holds");
    bench.ok(one, advance(&view, "1", "b"));
    assert_eq!(bench.claim(two), [], "a step keeps the lease");
    bench.tick(SECOND);
    assert_eq!(bench.claim(two).len(), 1);
}

pub fn an_expired_lease_is_taken_and_counted(make: Factory<'_>) {
    let bench = Bench::new(make);
    bench.start("i");
    for crashes in 0..3 {
        let view = bench.claim_one(bench.lease());
        assert_eq!((view.crashes, view.revision), (crashes, u64::from(crashes) + 2));
        bench.tick(TTL);
    }
    let lease = bench.lease();
    let view = bench.claim_one(lease);
    bench.ok(lease, advance(&view, "1", "b"));
    assert_eq!(bench.reload(lease, &view).crashes, 0, "an accepted transition ends the count");
    let view = bench.reload(lease, &view);
    bench.ok(lease, hand_back(&view, Wake::Now));
    assert_eq!(bench.claim_one(lease).crashes, 0, "a branch handed back is no crash");
}

pub fn the_begin_of_an_attempt_is_stored(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let began = |branch: usize| bench.record("i").branches[branch].attempt_at;
    bench.start("i");
    bench.tick(SECOND);
    let view = bench.claim_one(lease);
    assert_eq!(began(0), view.now, "a claim begins an attempt");
    bench.tick(SECOND);
    wait(bench.store.renew(lease, TTL, vec![(view.run, view.branch.clone())])).unwrap();
    assert_eq!(began(0), view.now, "a renewal begins none");
    bench.ok(lease, advance(&view, "1", "b"));
    assert_eq!(began(0), view.now + SECOND, "a step begins the next one");
    let view = bench.reload(lease, &view);
    bench.tick(SECOND);
    bench.ok(lease, fork(&view, "j", 1, 1));
    assert_eq!(began(1), view.now + SECOND, "a kept child begins with its fork");
    bench.tick(TTL);
    let taken = bench.claim_one(bench.lease());
    assert_eq!(began(1), taken.now, "whoever takes it over begins anew");
}

pub fn priorities_are_kept_and_waiting_raises(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.start_with(placed(&bench, "old and low", Priority::Low, &[]));
    bench.tick(SECOND);
    bench.start_with(placed(&bench, "normal", Priority::Normal, &[]));
    bench.tick(SECOND);
    bench.start_with(placed(&bench, "critical", Priority::Critical, &[]));
    bench.tick(Duration::from_secs(5) * 60);
    bench.start_with(placed(&bench, "new and normal", Priority::Normal, &[]));
    let order: Vec<_> = (0..4).flat_map(|_| bench.claim_in(lease, 1, bench.scope())).collect();
    assert_eq!(ids(&order), ["critical", "normal", "old and low", "new and normal"]);
}

pub fn tags_and_definitions_are_respected(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.start_with(placed(&bench, "plain", Priority::Normal, &[]));
    bench.start_with(placed(&bench, "gpu", Priority::Normal, &["gpu"]));
    bench.start_with(placed(&bench, "both", Priority::Normal, &["gpu", "io"]));
    let other = Definition { hash: DefinitionHash::from("other"), name: Arc::from("other"), version: Arc::from(""), document: None };
    bench.start_with(StartRun { definition: other, ..bench.request("other") });
    let claim = |hash: &str, tags: &[&str]| {
        let tags: Arc<[String]> = tags.iter().map(ToString::to_string).collect();
        let hashes = Arc::from([DefinitionHash::from(hash), DefinitionHash::from(hash)]);
        let views = bench.claim_in(lease, 10, ClaimScope::Definitions { hashes, tags, ageing: MINUTE });
        let mut ids: Vec<_> = views.iter().map(|view| view.instance_id.to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(claim("unknown", &[]), [""; 0]);
    assert_eq!(claim("workflow", &["io"]), ["plain"], "all of a branch's tags must be served; none asks for none");
    assert_eq!(claim("workflow", &["gpu"]), ["gpu"]);
    assert_eq!(claim("workflow", &[]), ["both"], "a worker without tags serves all");
    assert_eq!(claim("other", &[]), ["other"]);
}

pub fn the_limit_is_kept(make: Factory<'_>) {
    let bench = Bench::new(make);
    for id in 0..5 {
        bench.start(&format!("i{id}"));
    }
    let lease = bench.lease();
    let taken = [0, 2, 10].map(|limit| bench.claim_in(lease, limit, bench.scope()).len());
    assert_eq!(taken, [0, 2, 3]);
}

pub fn one_instance_can_be_claimed_alone(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.start("a");
    bench.start("b");
    let only = |id: &str| bench.claim_in(lease, 10, ClaimScope::Instance(Arc::from(id)));
    assert_eq!(ids(&only("b")), ["b"]);
    assert_eq!(only("b"), []);
    assert_eq!(only("unknown"), []);
    assert_eq!(ids(&bench.claim(lease)), ["a"]);
}

pub fn a_dead_process_is_taken_over_at_once(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (dead, heir) = (bench.lease(), bench.lease());
    let view = bench.start_held("i", dead);
    assert_eq!(wait(bench.store.expire_leases(dead)).unwrap(), 1);
    let taken = bench.claim_one(heir);
    assert_eq!((taken.crashes, taken.revision), (1, view.revision + 1));
    assert_eq!(wait(bench.store.expire_leases(dead)).unwrap(), 0);
}

pub fn sessions_are_listed_while_they_hold_leases(make: Factory<'_>) {
    let bench = Bench::new(make);
    let process = Process { host: "here".into(), pid: 7, started: 99, worker_id: "w".into() };
    let lease = wait(bench.store.open_session(process.clone())).unwrap();
    let listed = || wait(bench.store.sessions("here")).unwrap();
    assert_eq!(listed(), []);
    let view = bench.start_held("i", lease);
    assert_eq!(listed(), [(lease, process)]);
    assert_eq!(wait(bench.store.sessions("elsewhere")).unwrap(), []);
    bench.ok(lease, finish(&view, "1"));
    assert_eq!(listed(), []);
}

pub fn the_next_due_time_is_known(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let next = |scope: ClaimScope| wait(bench.store.next_due(scope)).unwrap();
    let instance = || ClaimScope::Instance(Arc::from("i"));
    assert_eq!((next(bench.scope()), next(instance())), (None, None));
    let view = bench.start_held("i", lease);
    assert_eq!((next(bench.scope()), next(instance())), (Some(TTL), Some(TTL)), "a lease's end");
    bench.ok(lease, delay(&view, "d", HOUR));
    bench.tick(MINUTE);
    assert_eq!(next(instance()), HOUR.checked_sub(MINUTE));
    bench.start("now");
    assert_eq!((next(bench.scope()), next(instance())), (Some(Duration::ZERO), HOUR.checked_sub(MINUTE)));
}

pub fn renewal_says_what_is_held(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (mine, other) = (bench.lease(), bench.lease());
    let (a, b) = (bench.start_held("a", mine), bench.start_held("b", other));
    let asked = vec![(b.run, b.branch.clone()), (a.run, a.branch.clone()), (a.run, a.branch.child(5, 0))];
    assert_eq!(wait(bench.store.renew(mine, HOUR, asked)).unwrap(), [None, Some(1), None]);
    bench.tick(TTL);
    assert_eq!(ids(&bench.claim(mine)), ["b"], "only the holder's lease was renewed");
}

pub fn load_shows_only_what_is_held(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (mine, other) = (bench.lease(), bench.lease());
    let view = bench.start_held("a", mine);
    assert_eq!(bench.reload(mine, &view), view);
    assert_eq!(wait(bench.store.load(other, view.run, vec![view.branch.clone()])).unwrap(), []);
    bench.ok(mine, hand_back(&view, Wake::Now));
    assert_eq!(wait(bench.store.load(mine, view.run, vec![])).unwrap(), []);
}

pub fn threads_share_the_work_without_overlap(make: Factory<'_>) {
    let bench = Bench::new(make);
    for id in 0..60 {
        bench.start(&format!("i{id}"));
    }
    let take = |lease: LeaseId| {
        let mut all = Vec::new();
        loop {
            let views = bench.claim_in(lease, 3, bench.scope());
            if views.is_empty() {
                return all;
            }
            for view in views {
                bench.ok(lease, finish(&view, "1"));
                all.push(view.instance_id.to_string());
            }
        }
    };
    let mut done: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| take(bench.lease()))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    done.sort();
    let all = done.len();
    done.dedup();
    assert_eq!((all, done.len()), (60, 60));
}
