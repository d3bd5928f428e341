//! How a worker ends: gently, at once, while its store is away. Under a clock that jumps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod town;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use sayiir_persistence::{BranchSummary, InMemoryBackend, Store};
use sayiir_runtime::prelude::*;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use town::{Way, flow, memory};

const SECOND: Duration = Duration::from_secs(1);

/// Two steps; the first waits for a gate and counts, the second counts.
struct Gated {
    flow: Workflow<JsonCodec, u32, (), u32>,
    begun: Arc<Notify>,
    gate: Arc<Semaphore>,
    ran: [Arc<AtomicU32>; 2],
}

fn gated() -> Gated {
    let (begun, gate) = (Arc::<Notify>::default(), Arc::new(Semaphore::new(0)));
    let ran: [Arc<AtomicU32>; 2] = Default::default();
    let (note, wait, [first, second]) = (Arc::clone(&begun), Arc::clone(&gate), ran.clone());
    let flow = flow("gated")
        .then("first", move |x: u32| {
            first.fetch_add(1, Ordering::SeqCst);
            let (note, wait) = (Arc::clone(&note), Arc::clone(&wait));
            async move {
                note.notify_one();
                wait.acquire().await?.forget();
                Ok(x + 1)
            }
        })
        .then("second", move |x: u32| {
            second.fetch_add(1, Ordering::SeqCst);
            async move { Ok(x + 1) }
        })
        .build()
        .unwrap();
    Gated { flow, begun, gate, ran }
}

impl Gated {
    fn ran(&self) -> [u32; 2] {
        self.ran.each_ref().map(|ran| ran.load(Ordering::SeqCst))
    }

    fn work<B: Store + Clone>(&self, store: &B) -> WorkerHandle<B> {
        PooledWorker::new("w", store.clone(), TaskRegistry::new()).spawn(SECOND, WorkflowSet::new().with(Arc::new(self.flow.clone())))
    }
}

async fn root(store: &InMemoryBackend, id: &str) -> BranchSummary {
    store.instance(id).await.unwrap().unwrap().branches.remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_takes_nothing_new_and_gives_back_what_comes_after_the_running_tasks() {
    let (store, gated) = (memory(), gated());
    let client = WorkflowClient::new(store.clone());
    let worker = gated.work(&store);
    client.submit(&gated.flow, "a", 1).await.unwrap();
    gated.begun.notified().await;
    worker.shutdown();
    client.submit(&gated.flow, "b", 1).await.unwrap();
    tokio::time::sleep(10 * SECOND).await;
    worker.shutdown();
    let other = worker.clone();
    drop(worker);
    assert_eq!((gated.ran(), root(&store, "b").await.revision), ([1, 0], 1), "b is not taken, a still runs");
    gated.gate.add_permits(2);
    let begun = Instant::now();
    other.join().await.unwrap();
    assert!(begun.elapsed() < SECOND, "it ends with its last task");
    let left = root(&store, "a").await;
    assert_eq!((gated.ran(), &*left.head.node, left.lease, left.crashes), ([1, 0], "second", None, 0));
    let next = gated.work(&store);
    for id in ["a", "b"] {
        assert_eq!(client.wait_for(&gated.flow, id, None).await.unwrap(), 3);
    }
    assert_eq!(gated.ran(), [2, 2], "nothing ran twice");
    next.shutdown();
    next.join().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_outlasts_the_grace_is_given_back_and_only_that_runs_again() {
    for now in [false, true] {
        let (store, gated) = (memory(), gated());
        let client = WorkflowClient::new(store.clone());
        let worker = gated.work(&store);
        client.submit(&gated.flow, "a", 1).await.unwrap();
        gated.begun.notified().await;
        let begun = Instant::now();
        worker.shutdown();
        if now {
            worker.shutdown_now();
        }
        worker.join().await.unwrap();
        let took = begun.elapsed();
        assert_eq!(took >= 30 * SECOND, !now, "{took:?}");
        let left = root(&store, "a").await;
        // Given back, not lost: no lease is waited for, and no crash is counted, however often a deploy cuts a long task short.
        assert_eq!((&*left.head.node, left.lease, left.crashes), ("first", None, 0));
        assert!(left.run_at.is_some_and(|at| at <= left.attempt_at + took + SECOND), "{left:?}");
        gated.gate.add_permits(1);
        let next = gated.work(&store);
        let begun = Instant::now();
        assert_eq!(client.wait_for(&gated.flow, "a", None).await.unwrap(), 3);
        assert!(begun.elapsed() < SECOND, "at once: {:?}", begun.elapsed());
        assert_eq!(gated.ran(), [2, 1]);
        next.shutdown_now();
        next.join().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_works_on_when_its_handle_is_dropped() {
    let (store, gated) = (memory(), gated());
    gated.gate.add_permits(1);
    drop(gated.work(&store));
    let client = WorkflowClient::new(store);
    client.submit(&gated.flow, "a", 1).await.unwrap();
    assert_eq!(client.wait_for(&gated.flow, "a", None).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_though_the_store_is_away() {
    for begins_away in [true, false] {
        let (store, gated) = (memory(), gated());
        let away = Arc::new(AtomicBool::new(begins_away));
        let answers = Arc::clone(&away);
        let way = Way::to(&store).with_fate(move |_| {
            let answered = !answers.load(Ordering::SeqCst);
            Box::pin(async move { answered })
        });
        let worker = gated.work(&Arc::new(way));
        let client = WorkflowClient::new(store.clone());
        client.submit(&gated.flow, "a", 1).await.unwrap();
        if begins_away {
            tokio::time::sleep(10 * SECOND).await;
        } else {
            gated.begun.notified().await;
            away.store(true, Ordering::SeqCst);
            gated.gate.add_permits(1);
        }
        let begun = Instant::now();
        worker.shutdown();
        worker.join().await.unwrap();
        assert!(begun.elapsed() <= 40 * SECOND, "{:?}", begun.elapsed());
        assert_eq!(gated.ran(), [u32::from(!begins_away), 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_waits_for_a_store_that_is_away_when_it_begins() {
    let (store, gated) = (memory(), gated());
    let away = Arc::new(AtomicBool::new(true));
    let answers = Arc::clone(&away);
    let way = Way::to(&store).with_fate(move |_| {
        let answered = !answers.load(Ordering::SeqCst);
        Box::pin(async move { answered })
    });
    let worker = gated.work(&Arc::new(way));
    let client = WorkflowClient::new(store);
    client.submit(&gated.flow, "a", 1).await.unwrap();
    gated.gate.add_permits(1);
    tokio::time::sleep(600 * SECOND).await;
    away.store(false, Ordering::SeqCst);
    assert_eq!(client.wait_for(&gated.flow, "a", None).await.unwrap(), 3);
    worker.shutdown();
    worker.join().await.unwrap();
}
