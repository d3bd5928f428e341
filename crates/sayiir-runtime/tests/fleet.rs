//! What the workers of a fleet do for each other, and how little an idle one asks, under a clock that jumps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod town;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::workflow::RunnableWorkflow;
use sayiir_driver::{SessionOptions, WorkerOptions};
use sayiir_persistence::{Operation, Store};
use sayiir_runtime::prelude::*;
use tokio::sync::{Barrier, Notify};
use tokio::time::Instant;
use town::{Way, employ, flow, memory, pooled, retried};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// A worker that looks once a minute when all is quiet.
fn looks() -> WorkerOptions {
    WorkerOptions { poll: SECOND, ..WorkerOptions::default() }
}

/// One task that fails here, or does not.
fn picky(ran: &Arc<AtomicU32>, fails: bool, retries: u32) -> Workflow<JsonCodec, u32, (), u32> {
    let ran = Arc::clone(ran);
    let task = move |x: u32| {
        ran.fetch_add(1, Ordering::SeqCst);
        async move { if fails { Err("not on this machine".into()) } else { Ok(x) } }
    };
    flow("picky").then("pick", task).with_metadata(retried(retries, SECOND)).build().unwrap()
}

/// How often a retry ran on a worker that fails it and on one that does not, where the first is always the faster to claim.
async fn picks(head_start: Option<Duration>) -> (u32, u32) {
    const INSTANCES: u32 = 20;
    let store = memory();
    let (bad, good) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
    let slow = |operation| -> futures_util::future::BoxFuture<'static, bool> {
        Box::pin(async move {
            if operation == Operation::NextDue {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            true
        })
    };
    let client = WorkflowClient::new(store.clone());
    let flow = picky(&bad, true, 3);
    let fails: Arc<dyn RunnableWorkflow> = Arc::new(flow.clone());
    let _first = employ(1, &Arc::new(Way::to(&store)), SessionOptions { head_start, ..pooled() }, looks(), fails).await;
    for number in 0..INSTANCES {
        client.submit(&flow, format!("i{number}"), number).await.unwrap();
    }
    // Each has failed once, and waits for a second.
    tokio::time::sleep(SECOND / 2).await;
    assert_eq!(bad.load(Ordering::SeqCst), INSTANCES);
    let way = Arc::new(Way::to(&store).with_fate(slow));
    let _second = employ(2, &way, SessionOptions { head_start, ..pooled() }, looks(), Arc::new(picky(&good, false, 3))).await;
    for number in 0..INSTANCES {
        client.wait(&format!("i{number}"), None).await.unwrap();
    }
    (bad.load(Ordering::SeqCst) - INSTANCES, good.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn what_failed_on_one_worker_is_tried_by_another_first() {
    let (bad, _) = picks(None).await;
    assert!(bad >= 30, "without a head start the faster one has most of them again: {bad}");
    assert_eq!(picks(pooled().head_start).await, (0, 20));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_alone_gives_way_to_nobody_for_long() {
    let (store, ran) = (memory(), Arc::<AtomicU32>::default());
    let flow = picky(&ran, true, 100);
    let way = Arc::new(Way::to(&store));
    let _only = employ(1, &way, pooled(), looks(), Arc::new(flow.clone())).await;
    let client = WorkflowClient::new(store);
    let begun = Instant::now();
    client.submit(&flow, "alone", 1).await.unwrap();
    assert!(matches!(client.wait("alone", None).await.unwrap().status, WorkflowStatus::Failed(_)));
    assert_eq!(ran.load(Ordering::SeqCst), 101, "every attempt was made");
    let lost = begun.elapsed().saturating_sub(100 * SECOND);
    assert!(lost <= 10 * pooled().head_start.unwrap(), "it gave way for {lost:?} in all");
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_asks_less_than_once_in_ten_seconds() {
    let store = memory();
    let naps = flow("naps").then("a", |x: u32| async move { Ok(x) }).wait_for_signal_opt::<u32>("wait", "go", None).build().unwrap();
    let way = Arc::new(Way::to(&store));
    let _worker = employ(1, &way, pooled(), looks(), Arc::new(naps.clone())).await;
    let client = WorkflowClient::new(store);
    for number in 0..100 {
        client.submit(&naps, format!("n{number}"), number).await.unwrap();
    }
    tokio::time::sleep(2 * Duration::from_mins(1)).await;
    assert!(matches!(client.status("n99").await.unwrap(), WorkflowStatus::AwaitingSignal { .. }));
    let before = way.calls();
    tokio::time::sleep(HOUR).await;
    let calls = way.calls() - before;
    assert!(calls < 360, "{calls} calls in an hour, with 100 instances that wait");
    assert!(calls >= 60, "it does look: {calls}");
    client.send_event("n7", "go", "7").await.unwrap();
    assert!(client.wait("n7", None).await.unwrap().status.is_completed());
}

#[tokio::test(start_paused = true)]
async fn a_worker_looks_by_itself_soon_after_work_and_ever_later_without() {
    let store = memory();
    let quick = flow("quick").then("a", |x: u32| async move { Ok(x) }).build().unwrap();
    // It hears of nothing, as where announcements are lost.
    let way = Arc::new(Way::to(&store).deaf());
    let _worker = employ(1, &way, pooled(), looks(), Arc::new(quick.clone())).await;
    let client = WorkflowClient::new(store.clone());
    let found_after = async |id: &str| {
        let begun = Instant::now();
        client.submit(&quick, id, 1).await.unwrap();
        client.wait_for(&quick, id, None).await.unwrap();
        begun.elapsed()
    };
    // In the middle of two looks.
    tokio::time::sleep(HOUR + 30 * SECOND).await;
    let found = found_after("late").await;
    assert!(found > 10 * SECOND && found <= 61 * SECOND, "{found:?}");
    let found = found_after("soon").await;
    assert!(found <= 2 * SECOND, "it has just had work: {found:?}");
}

/// A task that never ends, and tells when it begins and when it is dropped.
struct Endless {
    flow: Workflow<JsonCodec, u32, (), ()>,
    begun: Arc<Notify>,
    dropped: Arc<Notify>,
}

struct TellDropped(Arc<Notify>);

impl Drop for TellDropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn endless() -> Endless {
    let (begun, dropped) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let (tell, tell_dropped) = (Arc::clone(&begun), Arc::clone(&dropped));
    let task = move |_: u32| {
        let guard = TellDropped(Arc::clone(&tell_dropped));
        tell.notify_one();
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok(())
        }
    };
    Endless { flow: flow("endless").then("hang", task).build().unwrap(), begun, dropped }
}

#[tokio::test(start_paused = true)]
async fn a_running_task_learns_of_a_cancel_within_a_second_though_its_announcement_is_lost() {
    // From a while before on, and at several moments between two looks.
    for (recorded, moment) in [false, true].into_iter().flat_map(|recorded| (0..10).map(move |tenth| (recorded, tenth * SECOND / 10))) {
        let store = memory();
        let Endless { flow, begun, dropped } = endless();
        let way = Arc::new(Way::to(&store).deaf());
        let _worker = employ(1, &way, pooled(), looks(), Arc::new(flow.clone())).await;
        let client = WorkflowClient::new(store.clone());
        client.submit(&flow, "e", 1).await.unwrap();
        begun.notified().await;
        tokio::time::sleep(HOUR + moment).await;
        let asked = Instant::now();
        if recorded {
            store.request_control("e", SignalKind::Cancel, SignalRequest::default()).await.unwrap();
        } else {
            client.cancel("e", None, None).await.unwrap();
        }
        dropped.notified().await;
        assert!(asked.elapsed() < SECOND, "recorded {recorded}: {:?}", asked.elapsed());
        assert!(matches!(client.status("e").await.unwrap(), WorkflowStatus::Cancelled { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn while_tasks_run_it_is_looked_often_enough_to_hear_of_a_cancel_and_afterwards_not_at_all() {
    let store = memory();
    let long = flow("long").then("sleep", |x: u64| async move {
        tokio::time::sleep(Duration::from_secs(x)).await;
        Ok(x)
    });
    let long = long.build().unwrap();
    let way = Arc::new(Way::to(&store));
    let _worker = employ(1, &way, pooled(), looks(), Arc::new(long.clone())).await;
    let client = WorkflowClient::new(store);
    for number in 0..50 {
        client.submit(&long, format!("l{number}"), 3600).await.unwrap();
    }
    for number in 0..50 {
        assert_eq!(client.wait_for(&long, &format!("l{number}"), None).await.unwrap(), 3600);
    }
    let (looks, renewals) = (way.count(Operation::Leased), way.count(Operation::Renew));
    assert!((3600..=5400).contains(&looks), "a little more than one look a second, however many tasks run: {looks}");
    assert!((22..=25).contains(&renewals), "and a renewal at half the lease: {renewals}");
    assert_eq!(way.count(Operation::Load), 0, "nothing was to be looked at more closely");
    tokio::time::sleep(HOUR).await;
    assert_eq!((way.count(Operation::Leased), way.count(Operation::Renew)), (looks, renewals));
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_is_lost_costs_no_lease() {
    let store = memory();
    let fan = flow("fan")
        .fork()
        .branch("left", |x: u32| async move { Ok(x) })
        .branch("right", |x: u32| async move { Ok(x) })
        .join("all", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) })
        .build()
        .unwrap();
    let claims = Arc::<AtomicU32>::default();
    let times = Arc::clone(&claims);
    let every_other_is_lost = move |operation| -> futures_util::future::BoxFuture<'static, bool> {
        let answered = operation != Operation::Claim || times.fetch_add(1, Ordering::SeqCst) % 2 == 1;
        Box::pin(async move { answered })
    };
    let way = Arc::new(Way::to(&store).with_fate(every_other_is_lost));
    let client = WorkflowClient::new(store.clone());
    for number in 0..10 {
        client.submit(&fan, format!("f{number}"), number).await.unwrap();
    }
    let begun = Instant::now();
    // One place, so that children are given up and claimed again.
    let one = WorkerOptions { concurrency: 1, batch: 1, ..looks() };
    let worker = employ(1, &way, SessionOptions { ttl: HOUR, ..pooled() }, one, Arc::new(fan.clone())).await;
    for number in 0..10 {
        let patience = Some(Duration::from_mins(10));
        assert_eq!(client.wait_for(&fan, &format!("f{number}"), patience).await.unwrap(), 2);
    }
    assert!(claims.load(Ordering::SeqCst) >= 20, "many answers were lost");
    assert!(begun.elapsed() < Duration::from_mins(1), "no lease was waited for: {:?}", begun.elapsed());
    assert_eq!(store.leased(worker.lease).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn fork_branches_run_on_different_workers_where_one_has_no_room() {
    for rooms in [[1, 3], [2, 2], [1, 64]] {
        let store = memory();
        let (meet, lease_of) = (Arc::new(Barrier::new(4)), Arc::new(Mutex::new(Vec::new())));
        let fan = |worker: u32| {
            let task = |meet: &Arc<Barrier>| {
                let (meet, noted) = (Arc::clone(meet), Arc::clone(&lease_of));
                move |x: u32| {
                    let (meet, noted) = (Arc::clone(&meet), Arc::clone(&noted));
                    async move {
                        noted.lock().unwrap().push(worker);
                        // Only if all four run at once does any of them end.
                        meet.wait().await;
                        Ok(x)
                    }
                }
            };
            let fork =
                flow("fan").fork().branch("a", task(&meet)).branch("b", task(&meet)).branch("c", task(&meet)).branch("d", task(&meet));
            fork.join("all", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) }).build().unwrap()
        };
        let client = WorkflowClient::new(store.clone());
        let one = fan(0);
        let room = |worker: usize| WorkerOptions { concurrency: rooms[worker], ..looks() };
        let _first = employ(0, &Arc::new(Way::to(&store)), pooled(), room(0), Arc::new(one.clone())).await;
        client.submit(&one, "f", 1).await.unwrap();
        tokio::time::sleep(SECOND).await;
        assert_eq!(lease_of.lock().unwrap().len(), rooms[0], "the first keeps what it has room for");
        let _second = employ(1, &Arc::new(Way::to(&store)), pooled(), room(1), Arc::new(fan(1))).await;
        assert_eq!(client.wait_for(&one, "f", None).await.unwrap(), 4);
        let ran = lease_of.lock().unwrap();
        let on = |worker: u32| ran.iter().filter(|ran| **ran == worker).count();
        assert_eq!((on(0), on(1)), (rooms[0], 4 - rooms[0]), "{ran:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn children_beyond_the_room_wake_an_idle_worker_at_once() {
    let store = memory();
    let meet = Arc::new(Barrier::new(2));
    let task = || {
        let meet = Arc::clone(&meet);
        move |x: u32| {
            let meet = Arc::clone(&meet);
            async move {
                meet.wait().await;
                Ok(x)
            }
        }
    };
    let fan = flow("fan").fork().branch("a", task()).branch("b", task());
    let fan = fan.join("all", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) }).build().unwrap();
    let one = || WorkerOptions { concurrency: 1, ..looks() };
    let _first = employ(1, &Arc::new(Way::to(&store)), pooled(), one(), Arc::new(fan.clone())).await;
    let _second = employ(2, &Arc::new(Way::to(&store)), pooled(), one(), Arc::new(fan.clone())).await;
    tokio::time::sleep(HOUR).await;
    let begun = Instant::now();
    let client = WorkflowClient::new(store);
    client.submit(&fan, "f", 1).await.unwrap();
    assert_eq!(client.wait_for(&fan, "f", None).await.unwrap(), 2);
    assert!(begun.elapsed() < Duration::from_millis(10), "nobody waited for a look: {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_worker_claims_by_priority_and_nothing_that_is_paused_or_waits_or_is_not_its_own() {
    let store = memory();
    let order = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&order);
    let client = WorkflowClient::new(store.clone());
    let placed = |name: &str, priority: Priority, tags: &[&str]| {
        let noted = Arc::clone(&noted);
        let task = move |x: String| {
            noted.lock().unwrap().push(x.clone());
            async move { Ok(x) }
        };
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        flow(name).then("note", task).with_metadata(TaskMetadata { priority: Some(priority), tags, ..Default::default() }).build().unwrap()
    };
    let (low, high) = (placed("low", Priority::Minimal, &["cpu"]), placed("high", Priority::Critical, &["cpu"]));
    let (gpu, unknown) = (placed("gpu", Priority::Critical, &["gpu"]), placed("unknown", Priority::Critical, &[]));
    let submit = async |flow: &Workflow<JsonCodec, String, (), String>, id: &str| {
        client.submit(flow, id, id.to_owned()).await.unwrap();
    };
    submit(&low, "waited").await;
    // It waits for as long as raises it above the rest.
    tokio::time::sleep(4 * Duration::from_mins(5) + SECOND).await;
    submit(&low, "low").await;
    submit(&high, "high").await;
    submit(&high, "paused").await;
    submit(&gpu, "gpu").await;
    submit(&unknown, "unknown").await;
    client.pause("paused", None, None).await.unwrap();
    let options = SessionOptions { tags: Arc::from(["cpu".to_owned()]), ..pooled() };
    let one = WorkerOptions { concurrency: 1, ..looks() };
    let way = Arc::new(Way::to(&store));
    let set = WorkflowSet::new().with(Arc::new(low.clone())).with(Arc::new(high.clone())).with(Arc::new(gpu.clone()));
    let _worker = town::employ_all(1, &way, options, one, set).await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(*order.lock().unwrap(), ["waited", "high", "low"]);
    for (id, stands) in [("paused", "Paused"), ("gpu", "InProgress"), ("unknown", "InProgress")] {
        let record = store.instance(id).await.unwrap().unwrap();
        assert!(format!("{:?}", record.summary.status).starts_with(stands), "{id} is there to be seen");
        assert_eq!(
            (record.branches[0].revision, record.branches[0].lease),
            (record.branches[0].revision.min(2), None),
            "{id} was never taken"
        );
    }
    client.unpause("paused").await.unwrap();
    client.wait_for(&high, "paused", None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_workers_of_one_name_do_not_disturb_each_other() {
    let store = memory();
    let (gate, begun) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::<Notify>::default());
    let held_up = AtomicBool::new(true);
    let task = {
        let (gate, begun, held_up) = (Arc::clone(&gate), Arc::clone(&begun), Arc::new(held_up));
        move |x: u32| {
            let (gate, begun, wait) = (Arc::clone(&gate), Arc::clone(&begun), held_up.swap(false, Ordering::SeqCst));
            async move {
                begun.notify_one();
                if wait {
                    gate.acquire().await?.forget();
                    return Ok(x + 100);
                }
                Ok(x)
            }
        }
    };
    let slow = flow("slow").then("work", task).then("end", |x: u32| async move { Ok(x) }).build().unwrap();
    // Both tell the store the same name; their lease numbers differ. The first hears of nothing and looks at nothing: a zombie.
    let zombie = SessionOptions { look: HOUR, ..pooled() };
    let first = employ(7, &Arc::new(Way::to(&store).deaf()), zombie, looks(), Arc::new(slow.clone())).await;
    let client = WorkflowClient::new(store.clone());
    client.submit(&slow, "s", 1).await.unwrap();
    begun.notified().await;
    let second = employ(7, &Arc::new(Way::to(&store)), pooled(), looks(), Arc::new(slow.clone())).await;
    assert_ne!(first.lease, second.lease);
    store.expire_leases(first.lease).await.unwrap();
    assert_eq!(client.wait_for(&slow, "s", None).await.unwrap(), 1, "the second took it over");
    gate.add_permits(1);
    tokio::time::sleep(SECOND).await;
    assert_eq!(client.wait_for(&slow, "s", None).await.unwrap(), 1, "what the first came to, late, is refused");
    let results = client.history("s").await.unwrap().into_iter().filter(|row| row.kind.is_result()).count();
    assert_eq!(results, 2, "each task has one result");
}

/// A fork whose branches note the worker that runs them, and take this long.
fn fan_of(branches: usize, takes: Duration, worker: u32, ran: &Arc<Mutex<Vec<u32>>>) -> Workflow<JsonCodec, u32, (), usize> {
    let task = || {
        let ran = Arc::clone(ran);
        move |x: u32| {
            ran.lock().unwrap().push(worker);
            async move {
                tokio::time::sleep(takes).await;
                Ok(x)
            }
        }
    };
    let fork = (1..branches).fold(flow("fan").fork().branch("b0", task()), |fork, number| fork.branch(format!("b{number}"), task()));
    fork.join("all", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) }).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn fork_branches_run_on_different_workers_though_one_has_room_for_all() {
    let (store, ran) = (memory(), Arc::<Mutex<Vec<u32>>>::default());
    let fan = |worker| Arc::new(fan_of(8, SECOND, worker, &ran));
    let _first = employ(0, &Arc::new(Way::to(&store)), pooled(), looks(), fan(0)).await;
    let _second = employ(1, &Arc::new(Way::to(&store)), pooled(), looks(), fan(1)).await;
    let client = WorkflowClient::new(store);
    for round in 0..5 {
        ran.lock().unwrap().clear();
        let begun = Instant::now();
        client.submit(&fan(0), format!("f{round}"), 1).await.unwrap();
        assert_eq!(client.wait_for(&fan(0), &format!("f{round}"), None).await.unwrap(), 8);
        assert!(begun.elapsed() < SECOND + Duration::from_millis(25), "all eight ran beside each other: {:?}", begun.elapsed());
        let ran = ran.lock().unwrap();
        let on_first = ran.iter().filter(|worker| **worker == 0).count();
        assert_eq!((ran.len(), on_first), (8, 4), "{ran:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_alone_seldom_waits_for_others_to_take_branches() {
    const FORKS: u32 = 100;
    let (store, ran) = (memory(), Arc::<Mutex<Vec<u32>>>::default());
    let fan = Arc::new(fan_of(8, SECOND, 0, &ran));
    let way = Arc::new(Way::to(&store));
    let _only = employ(0, &way, pooled(), looks(), Arc::clone(&fan) as Arc<dyn RunnableWorkflow>).await;
    let client = WorkflowClient::new(store);
    let mut late = Vec::new();
    for number in 0..FORKS {
        let begun = Instant::now();
        client.submit(&fan, format!("f{number}"), 1).await.unwrap();
        assert_eq!(client.wait_for(&fan, &format!("f{number}"), None).await.unwrap(), 8);
        late.push(begun.elapsed().saturating_sub(SECOND));
    }
    let waited = late.iter().filter(|late| !late.is_zero()).count();
    assert!(waited <= 12, "{waited} of {FORKS}: {late:?}");
    assert!(late.iter().all(|late| *late <= Duration::from_millis(25)), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_fork_offers_costs_two_looks_and_nothing_for_each_branch() {
    for (workers, most_claims) in [(1, 6), (2, 8)] {
        let (store, ran) = (memory(), Arc::<Mutex<Vec<u32>>>::default());
        let fan = |worker| Arc::new(fan_of(100, Duration::ZERO, worker, &ran));
        let ways: Vec<_> = (0..workers).map(|_| Arc::new(Way::to(&store))).collect();
        let room = || WorkerOptions { concurrency: 128, batch: 128, ..looks() };
        let mut employed = Vec::new();
        for (number, way) in (0..).zip(&ways) {
            employed.push(employ(number, way, pooled(), room(), fan(number)).await);
        }
        tokio::time::sleep(HOUR).await;
        let before: Vec<_> = ways.iter().map(|way| (way.count(Operation::Claim), way.calls())).collect();
        let client = WorkflowClient::new(store);
        client.submit(&fan(0), "f", 1).await.unwrap();
        assert_eq!(client.wait_for(&fan(0), "f", None).await.unwrap(), 100);
        assert_eq!(ran.lock().unwrap().len(), 100);
        let claims: u64 = ways.iter().zip(&before).map(|(way, (claims, _))| way.count(Operation::Claim) - claims).sum();
        let calls: u64 = ways.iter().zip(&before).map(|(way, (_, calls))| way.calls() - calls).sum();
        assert!(claims <= most_claims, "{workers} workers: {claims} claims");
        // A commit for the start, the fork, each branch, the join; what is read for the join; and the looks.
        assert!(calls <= 103 + 2 * claims + 20, "{workers} workers: {calls} calls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_of_all_that_has_ended_ends_on_a_store_where_instances_go_on_ending() {
    let store = memory();
    let one = flow("one").then("a", |x: u32| async move { Ok(x) }).build().unwrap();
    let calm = WorkflowClient::new(store.clone());
    let number = Arc::<AtomicU32>::default();
    let end_some = {
        let (one, number) = (one.clone(), Arc::clone(&number));
        move || {
            let (calm, one, number) = (calm.clone(), one.clone(), Arc::clone(&number));
            async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                for _ in 0..150 {
                    let id = format!("i{}", number.fetch_add(1, Ordering::SeqCst));
                    calm.submit(&one, &id, 1).await.unwrap();
                    calm.cancel(&id, None, None).await.unwrap();
                }
            }
        }
    };
    end_some().await;
    end_some().await;
    let more = end_some.clone();
    // As many end during each batch as it removes, and more.
    let busy = Way::to(&store).with_fate(move |operation| -> futures_util::future::BoxFuture<'static, bool> {
        let more = more.clone();
        Box::pin(async move {
            if operation == Operation::Purge {
                more().await;
            }
            true
        })
    });
    let client = WorkflowClient::new(busy);
    let removed = tokio::time::timeout(HOUR, client.purge(None, Duration::ZERO)).await.expect("it ends").unwrap();
    assert_eq!(removed, 300, "what had ended when it began");
    assert_eq!(client.purge(None, HOUR).await.unwrap(), 0);
}

/// How often each of two tasks ran, and how long it took, where so many answers to commits and renewals never come.
async fn silent(commits: u32, renewals: u32) -> (u32, Duration, u32) {
    let (store, ran) = (memory(), Arc::<AtomicU32>::default());
    let count = |ran: &Arc<AtomicU32>| {
        let ran = Arc::clone(ran);
        move |x: u32| {
            ran.fetch_add(1, Ordering::SeqCst);
            async move { Ok(x + 1) }
        }
    };
    let two = flow("two").then("first", count(&ran)).then("last", count(&ran)).build().unwrap();
    let left = [(Operation::Commit, AtomicU32::new(commits)), (Operation::Renew, AtomicU32::new(renewals))];
    let never = move |operation| -> futures_util::future::BoxFuture<'static, bool> {
        let mut silenced = left.iter().filter(|(silent, _)| *silent == operation);
        let is_silent = silenced.any(|(_, left)| left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok());
        Box::pin(async move { if is_silent { std::future::pending().await } else { true } })
    };
    let way = Arc::new(Way::to(&store).with_fate(never));
    let options = SessionOptions { ttl: 10 * SECOND, ..pooled() };
    let worker = employ(1, &way, options, looks(), Arc::new(two.clone())).await;
    let client = WorkflowClient::new(store.clone());
    let begun = Instant::now();
    client.submit(&two, "t", 1).await.unwrap();
    let patience = Some(HOUR);
    assert_eq!(client.wait_for(&two, "t", patience).await.unwrap(), 3);
    let taken = begun.elapsed();
    tokio::time::sleep(HOUR).await;
    assert_eq!(store.leased(worker.lease).await.unwrap(), []);
    (ran.load(Ordering::SeqCst), taken, u32::try_from(way.count(Operation::Commit)).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_answered_is_given_up_after_a_lease_and_asked_again() {
    let (ran, taken, commits) = silent(1, 0).await;
    assert_eq!((ran, commits), (2, 3), "the step that was stored does not run again");
    assert!(taken <= 11 * SECOND, "{taken:?}");
    // Renewals, too: leases lapse, and are taken back while the drive waits for its answer.
    for (commits, renewals) in [(0, 1), (1, 1), (1, 8), (2, 8)] {
        let (ran, taken, _) = silent(commits, renewals).await;
        assert_eq!(ran, 2, "{commits} commits and {renewals} renewals were not answered");
        assert!(taken <= commits * 12 * SECOND + SECOND, "{taken:?} where {commits} commits and {renewals} renewals were not answered");
    }
}
