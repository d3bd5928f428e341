//! How the branches of a fork are shared among workers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sayiir_core::workflow::RunnableWorkflow;
use sayiir_driver::WorkerOptions;
use sayiir_persistence::Operation;
use sayiir_runtime::prelude::*;
use tokio::sync::Barrier;
use tokio::time::Instant;

use super::town::{Way, employ, flow, memory, pooled};
use super::{HOUR, SECOND, looks};

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
