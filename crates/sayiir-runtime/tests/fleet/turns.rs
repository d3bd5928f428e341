//! Who takes what: who failed it gives way, what is urgent comes first, and what is not its own is left.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sayiir_core::workflow::RunnableWorkflow;
use sayiir_driver::{SessionOptions, WorkerOptions};
use sayiir_persistence::{Operation, Store};
use sayiir_runtime::prelude::*;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::town::{self, Way, employ, flow, memory, pooled, retried};
use super::{HOUR, SECOND, looks};

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
