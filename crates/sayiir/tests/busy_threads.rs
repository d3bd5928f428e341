//! A task that keeps every thread of its runtime busy does not lose its lease.
#![allow(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "other tests use the rest")]
mod hooked;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use hooked::{Call, HookedStore};
use sayiir::persistence::Store;
use sayiir::prelude::*;
use tokio::sync::oneshot;

/// So many renewals, at half a lease each, outlast three leases.
const RENEWALS: usize = 6;
const LEASE: Duration = Duration::from_secs(2);

/// Where a store is opened.
#[derive(Clone)]
enum Place {
    Memory(InMemoryBackend),
    #[cfg(feature = "postgres")]
    Postgres(String, Box<sayiir::PostgresOptions>),
}

impl Place {
    async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::new(store.clone()),
            #[cfg(feature = "postgres")]
            Self::Postgres(url, options) => {
                Arc::new(sayiir::PostgresBackend::<JsonCodec>::open_with(url, sayiir::PostgresOptions::clone(options)).await.unwrap())
            }
        }
    }
}

/// A worker on a runtime with one thread, which is the task's; its store is opened there, too.
fn work(
    place: Place,
    flow: Workflow<JsonCodec, u32, (), u32>,
    renewed: mpsc::Sender<()>,
    stop: oneshot::Receiver<()>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let store = HookedStore::new(place.open().await, move |call| {
                if call == Call::AfterRenew {
                    renewed.send(()).unwrap_or_default();
                }
                Box::pin(async { true })
            });
            let worker = PooledWorker::new("busy", store, TaskRegistry::new()).with_claim_ttl(Some(LEASE));
            let worker = worker.spawn(Duration::from_millis(100), WorkflowSet::new().with(Arc::new(flow)));
            // Also if the test has failed.
            let _ = stop.await;
            worker.shutdown();
            worker.join().await.unwrap();
        });
    })
}

async fn a_task_that_blocks_its_only_thread_for_several_leases_keeps_its_branch(place: Place) {
    let (renewed, renewals) = mpsc::channel();
    let (ran, renewals) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(renewals)));
    let (count, told) = (Arc::clone(&ran), Arc::clone(&renewals));
    let blocks = WorkflowBuilder::new(WorkflowContext::new("blocks", Arc::new(JsonCodec), Arc::new(())))
        .then("block", move |x: u32| {
            count.fetch_add(1, Ordering::SeqCst);
            let told = Arc::clone(&told);
            async move {
                // Without an await: nothing else runs on this thread meanwhile.
                for _ in 0..RENEWALS {
                    told.lock().unwrap().recv_timeout(Duration::from_secs(20)).map_err(|_| "the lease is not renewed")?;
                }
                Ok(x)
            }
        })
        .build()
        .unwrap();
    let client = WorkflowClient::new(place.open().await);
    client.submit(&blocks, "b", 7).await.unwrap();
    // One of them has it; the other would take it over as soon as the lease ends.
    let (stop_one, stopped_one) = oneshot::channel();
    let (stop_other, stopped_other) = oneshot::channel();
    let threads = [work(place.clone(), blocks.clone(), renewed.clone(), stopped_one), work(place, blocks.clone(), renewed, stopped_other)];
    assert_eq!(client.wait_for(&blocks, "b", Some(Duration::from_mins(1))).await.unwrap(), 7);
    assert_eq!(ran.load(Ordering::SeqCst), 1, "nobody took it over");
    stop_one.send(()).unwrap();
    stop_other.send(()).unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn in_memory() {
    a_task_that_blocks_its_only_thread_for_several_leases_keeps_its_branch(Place::Memory(InMemoryBackend::new())).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn on_postgres() {
    let url = sayiir_pg_testserver::shared().unwrap().url();
    let options = sayiir::PostgresOptions::default().with_schema("busy_threads");
    a_task_that_blocks_its_only_thread_for_several_leases_keeps_its_branch(Place::Postgres(url, Box::new(options))).await;
}
