//! Answers of the store that are lost, or never come; and a purge of a store that is busy meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sayiir_driver::{SessionOptions, WorkerOptions};
use sayiir_persistence::{Operation, Store};
use sayiir_runtime::prelude::*;
use tokio::time::Instant;

use super::town::{Way, employ, flow, memory, pooled};
use super::{HOUR, SECOND, looks};

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
