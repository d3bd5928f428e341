//! How often a worker looks: rarely when all is quiet, and often enough to hear of a cancel.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_persistence::{Operation, Store};
use sayiir_runtime::prelude::*;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::town::{Way, employ, flow, memory, pooled};
use super::{HOUR, SECOND, looks};

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
