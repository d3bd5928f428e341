//! What the keeper of leases asks, and what it makes of the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use sayiir::persistence::Store;
use sayiir::prelude::*;
use tokio::sync::{Notify, Semaphore};

use super::hooked::{Call, HookedStore};
use super::{flow, gated, retried, soon, until};

#[tokio::test]
async fn news_of_others_make_no_writes() {
    let (reached, gate, renewals, looks) =
        (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (renewed, looked) = (Arc::clone(&renewals), Arc::clone(&looks));
    let store = HookedStore::new(InMemoryBackend::new(), move |call| {
        match call {
            Call::BeforeRenew => drop(renewed.fetch_add(1, Ordering::SeqCst)),
            Call::BeforeLeased => drop(looked.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }
        Box::pin(std::future::ready(true))
    });
    let slow = flow("slow").then("slow", gated(&reached, &gate)).build().unwrap();
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store)).with_lease(Duration::from_hours(1));
    let run = tokio::spawn(async move { runner.run(&slow, "a", 1).await });
    soon("the task", reached.notified()).await;
    // Two processes that hold branches of one file would answer each other's renewals for ever.
    until("five looks", || {
        store.wakeups().announce_everything();
        looks.load(Ordering::SeqCst) + renewals.load(Ordering::SeqCst) >= 5
    })
    .await;
    assert_eq!(renewals.load(Ordering::SeqCst), 0, "a lease of an hour needs no renewal yet");
    gate.notify_one();
    assert!(soon("the run", run).await.unwrap().unwrap().is_completed());
}

#[tokio::test]
async fn a_late_answer_about_an_earlier_hold_aborts_no_later_task() {
    let (armed, asked, parked, again, rounds) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
        Arc::new(AtomicU32::new(0)),
    );
    let hook = (Arc::clone(&armed), Arc::clone(&asked), Arc::clone(&parked), Arc::clone(&again), Arc::clone(&rounds));
    let store = HookedStore::new(InMemoryBackend::new(), move |call| {
        let (armed, asked, parked, again, rounds) = hook.clone();
        Box::pin(async move {
            match call {
                // Whichever way the keeper asks.
                Call::BeforeRenew | Call::BeforeLeased => {
                    rounds.fetch_add(1, Ordering::SeqCst);
                    if armed.load(Ordering::SeqCst) {
                        asked.notify_one();
                        parked.notified().await;
                    }
                }
                Call::AfterRenew | Call::AfterLeased if armed.swap(false, Ordering::SeqCst) => again.notified().await,
                _ => {}
            }
            true
        })
    });
    let (begun, gate, ran) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let (note, wait, counted) = (Arc::clone(&begun), Arc::clone(&gate), Arc::clone(&ran));
    let twice = flow("twice")
        .then("twice", move |x: u32| {
            let (note, wait, first) = (Arc::clone(&note), Arc::clone(&wait), counted.fetch_add(1, Ordering::SeqCst) == 0);
            async move {
                note.add_permits(1);
                wait.acquire().await?.forget();
                if first { Err("once".into()) } else { Ok(x) }
            }
        })
        .with_metadata(retried(50))
        .build()
        .unwrap();
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store)).with_lease(Duration::from_hours(1));
    let run = tokio::spawn(async move { runner.run(&twice, "a", 1).await });
    soon("the first attempt", begun.acquire()).await.unwrap().forget();
    armed.store(true, Ordering::SeqCst);
    soon("the keeper's question", async {
        while tokio::time::timeout(Duration::from_millis(20), asked.notified()).await.is_err() {
            store.wakeups().announce_control();
        }
    })
    .await;
    // The attempt fails, and the branch is nobody's when the question reaches the store.
    gate.add_permits(1);
    soon("the backoff", async {
        while store.instance("a").await.unwrap().unwrap().branches.iter().any(|branch| branch.lease.is_some()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    parked.notify_one();
    soon("the second attempt", begun.acquire()).await.unwrap().forget();
    // The answer comes now; once the keeper asks again, it has acted on it.
    let before = rounds.load(Ordering::SeqCst);
    again.notify_one();
    until("the next round", || {
        store.wakeups().announce_control();
        rounds.load(Ordering::SeqCst) > before
    })
    .await;
    gate.add_permits(1);
    assert!(soon("the run", run).await.unwrap().unwrap().is_completed());
    assert_eq!(ran.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_renewal_that_failed_is_tried_again_before_the_lease_ends() {
    const LEASE: Duration = Duration::from_secs(2);
    let (asked, hook) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let told = Arc::clone(&asked);
    let store = HookedStore::new(InMemoryBackend::new(), move |call| {
        let first = call == Call::BeforeRenew && hook.fetch_add(1, Ordering::SeqCst) == 0;
        if call == Call::BeforeRenew {
            told.add_permits(1);
        }
        Box::pin(std::future::ready(!first))
    });
    let (begun, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = flow("slow").then("slow", gated(&begun, &gate)).build().unwrap();
    let runner = CheckpointingRunner::from_shared(store).with_lease(LEASE);
    let run = tokio::spawn(async move { runner.run(&slow, "a", 1).await });
    soon("the first renewal", asked.acquire()).await.unwrap().forget();
    tokio::time::timeout(LEASE * 2 / 5, asked.acquire()).await.expect("a second before the lease ends").unwrap().forget();
    gate.notify_one();
    assert!(soon("the run", run).await.unwrap().unwrap().is_completed());
}
