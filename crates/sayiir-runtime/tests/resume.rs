//! Two callers drive one instance on one runner, and one of them goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod town;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sayiir_persistence::Store;
use sayiir_runtime::prelude::*;
use tokio::sync::{Notify, Semaphore};
use town::flow;

#[tokio::test]
async fn dropping_one_of_two_resumes_gives_back_only_what_it_drove() {
    let (gate, ran): (_, [Arc<AtomicU32>; 2]) = (Arc::new(Semaphore::new(0)), Default::default());
    let begun: [Arc<Notify>; 2] = Default::default();
    let branch = |number: usize| {
        let (gate, ran, begun) = (Arc::clone(&gate), Arc::clone(&ran[number]), Arc::clone(&begun[number]));
        move |x: u32| {
            ran.fetch_add(1, Ordering::SeqCst);
            let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
            async move {
                begun.notify_one();
                gate.acquire().await?.forget();
                Ok(x)
            }
        }
    };
    // The one runs at once; the other waits for an event first.
    let fan = flow("fan")
        .branches(|all| {
            all.add("now", branch(0));
            let late = branch(1);
            all.add_flow("later", move |steps| {
                steps.wait_for_signal_opt::<u32>("wait", "go", None).then("late", move |x: Option<u32>| late(x.unwrap_or(0)))
            });
        })
        .join("all", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) })
        .build()
        .unwrap();
    let store = Arc::new(InMemoryBackend::new());
    let (runner, client) =
        (Arc::new(CheckpointingRunner::from_shared(Arc::clone(&store))), WorkflowClient::from_shared(Arc::clone(&store)));
    let mut first = Box::pin(runner.run(&fan, "f", 1));
    tokio::select! {
        ended = &mut first => panic!("{ended:?}"),
        () = begun[0].notified() => {}
    }
    // From here on the first is not polled: the second alone hears of the event.
    client.send_event("f", "go", "7").await.unwrap();
    let second = {
        let (runner, fan) = (Arc::clone(&runner), fan.clone());
        tokio::spawn(async move { runner.resume(&fan, "f").await })
    };
    begun[1].notified().await;
    second.abort();
    second.await.unwrap_err();
    let branches = async || store.instance("f").await.unwrap().unwrap().branches;
    let before = branches().await;
    let given_back = async {
        while branches().await[2].lease.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), given_back).await.expect("what the second drove is given back");
    let now = branches().await;
    assert_eq!((now[1].revision, now[1].lease), (before[1].revision, before[1].lease), "what the first drives is not");
    assert!(now[1].lease.is_some());
    gate.add_permits(3);
    let status = tokio::time::timeout(Duration::from_secs(20), first).await.expect("in time").unwrap();
    assert!(status.is_completed(), "{status:?}");
    assert_eq!(ran.map(|ran| ran.load(Ordering::SeqCst)), [1, 2], "only what was given back ran again");
}
