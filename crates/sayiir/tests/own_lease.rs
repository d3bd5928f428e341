//! A session takes its own lease over: it ended while its owner was held up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "tests")]

#[allow(dead_code, reason = "other tests use the rest")]
mod hooked;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hooked::{Call, HookedStore};
use sayiir::persistence::Store;
use sayiir::prelude::*;
use tokio::sync::{Notify, Semaphore};

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), future).await.unwrap_or_else(|_| panic!("{what}: not soon"))
}

#[tokio::test]
async fn a_claim_that_is_answered_after_its_branch_has_moved_on_runs_nothing_again() {
    let (claimed, answer, looked) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let hook = (Arc::clone(&claimed), Arc::clone(&answer), Arc::clone(&looked));
    let store = HookedStore::new(InMemoryBackend::new(), move |call| {
        let (claimed, answer, looked) = hook.clone();
        Box::pin(async move {
            match call {
                Call::AfterClaim(views) if views.iter().any(|view| view.crashes == 1) => {
                    claimed.notify_one();
                    answer.notified().await;
                }
                Call::AfterLoad(views) if views.is_empty() => looked.notify_one(),
                _ => {}
            }
            true
        })
    });
    let (begun, gate, ran) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let (note, wait, counted) = (Arc::clone(&begun), Arc::clone(&gate), Arc::clone(&ran));
    let naps = WorkflowBuilder::new(WorkflowContext::new("naps", Arc::new(JsonCodec), Arc::new(())))
        .then("first", move |x: u32| {
            let (note, wait) = (Arc::clone(&note), Arc::clone(&wait));
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                note.add_permits(1);
                wait.acquire().await?.forget();
                Ok(x)
            }
        })
        .delay("nap", Duration::from_hours(1))
        .build()
        .unwrap();
    let client = WorkflowClient::from_shared(Arc::clone(&store));
    client.submit(&naps, "a", 7).await.unwrap();
    let workflows = WorkflowSet::new().with(Arc::new(naps.clone()));
    let worker = LocalWorker::from_shared(Arc::clone(&store)).lease(Duration::from_hours(1)).spawn(workflows).await.unwrap();
    soon("the task", begun.acquire()).await.unwrap().forget();

    let lease = store.instance("a").await.unwrap().unwrap().branches.into_iter().find_map(|branch| branch.lease).unwrap();
    store.expire_leases(lease).await.unwrap();
    soon("the claim", claimed.notified()).await;
    // The claim took the branch at its task; its owner stores the result and parks it before the answer comes.
    gate.add_permits(10);
    soon("the nap", async {
        while !matches!(client.status("a").await.unwrap(), WorkflowStatus::Waiting { .. }) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    answer.notify_one();
    soon("a second run, or a look at where it stands", async {
        tokio::select! {
            () = looked.notified() => {}
            again = begun.acquire() => again.unwrap().forget(),
        }
    })
    .await;
    assert_eq!(ran.load(Ordering::SeqCst), 1, "what was stored is not run again");
    worker.shutdown();
    soon("the worker", worker.join()).await.unwrap();
}
