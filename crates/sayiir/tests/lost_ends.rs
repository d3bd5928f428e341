//! The answer to the end of a fork's branch is lost, and a sibling goes on with their parent before the branch asks again: what it is
//! told then is old, and must not be driven.
#![allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "tests")]

mod hooked;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use hooked::{Call, HookedStore};
use sayiir::core::branch::BranchId;
use sayiir::core::transition::{Next, Transition};
use sayiir::prelude::*;
use tokio::sync::Semaphore;

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.unwrap_or_else(|_| panic!("{what}: not within 30 s"))
}

/// The moments of the story, each reached once.
struct Moments {
    lost: AtomicBool,
    old: AtomicBool,
    /// The sibling has ended, the parent went on, and its task runs.
    at_work: Semaphore,
    /// The parent was let go of.
    parked: Semaphore,
    /// How often the task behind the join began.
    begun: AtomicU32,
}

fn ends(made: &[Transition], child: usize) -> bool {
    let is_it = |branch: &BranchId| *branch == BranchId::root().child(2, child);
    made.iter().any(|transition| matches!(transition.next, Next::EndBranch) && is_it(&transition.branch))
}

impl Moments {
    /// Loses the first answer about the first child's end; lets it ask again while the parent's task runs, and hear of the parent as it
    /// is then only after the parent was let go of.
    async fn tell(&self, call: Call) -> bool {
        match call {
            Call::AfterCommit(made) if ends(&made, 0) => return self.lost.swap(true, Ordering::SeqCst),
            Call::BeforeCommit(made) if ends(&made, 0) && self.lost.load(Ordering::SeqCst) => {
                self.at_work.acquire().await.unwrap().forget();
            }
            Call::AfterLoad(views) if views.iter().any(|view| view.branch.is_root()) && !self.old.swap(true, Ordering::SeqCst) => {
                self.parked.acquire().await.unwrap().forget();
            }
            Call::AfterCommit(made) if made.iter().any(|transition| matches!(transition.next, Next::Await { .. })) => {
                self.parked.add_permits(1);
            }
            _ => {}
        }
        true
    }
}

#[tokio::test]
async fn what_a_sibling_went_on_with_is_not_driven_from_an_old_view() {
    let moments = Arc::new(Moments {
        lost: AtomicBool::new(false),
        old: AtomicBool::new(false),
        at_work: Semaphore::new(0),
        parked: Semaphore::new(0),
        begun: AtomicU32::new(0),
    });
    let told = Arc::clone(&moments);
    let store = HookedStore::new(InMemoryBackend::new(), move |call| {
        let told = Arc::clone(&told);
        Box::pin(async move { told.tell(call).await })
    });
    let (sibling, after) = (Arc::clone(&moments), Arc::clone(&moments));
    let flow = WorkflowBuilder::new(WorkflowContext::new("fan", Arc::new(JsonCodec), Arc::new(())))
        .fork()
        .branch("first", |x: u32| async move { Ok(x) })
        .branch("second", move |x: u32| {
            let sibling = Arc::clone(&sibling);
            async move {
                // It ends last, and so goes on with the parent.
                while !sibling.lost.load(Ordering::SeqCst) {
                    tokio::task::yield_now().await;
                }
                Ok(x)
            }
        })
        .join("join", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) })
        .then("after", move |x: usize| {
            let after = Arc::clone(&after);
            async move {
                after.begun.fetch_add(1, Ordering::SeqCst);
                after.at_work.add_permits(1);
                while !after.old.load(Ordering::SeqCst) {
                    tokio::task::yield_now().await;
                }
                Ok(x)
            }
        })
        .wait_for_signal("wait", "go", None)
        .then("end", |_: u32| async move { Ok(7) })
        .build()
        .unwrap();
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store)).with_lease(Duration::from_hours(1));
    let status = soon("all but the signal", runner.run(&flow, "a", 1)).await.unwrap();
    assert!(matches!(status, WorkflowStatus::AwaitingSignal { .. }), "{status:?}");
    assert!(moments.lost.load(Ordering::SeqCst) && moments.old.load(Ordering::SeqCst), "it was told as meant");
    // The run has ended with all that it drove.
    assert_eq!(moments.begun.load(Ordering::SeqCst), 1, "what the sibling stored is not begun again");
    WorkflowClient::from_shared(store).send_event("a", "go", "1").await.unwrap();
    assert!(soon("the end", runner.resume(&flow, "a")).await.unwrap().is_completed());
    assert_eq!(moments.begun.load(Ordering::SeqCst), 1);
}
