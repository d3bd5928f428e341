//! What is told of a failure: where, at which attempt, and why, with all its causes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::error::Error;
use std::fmt;

use sayiir::prelude::*;

#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bank's answer is no number")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[task(id = "charge_card", retries = 1, backoff = "1ms")]
async fn charge(_euros: u32) -> Result<u32, Outer> {
    "x".parse().map_err(Outer)
}

#[tokio::test]
async fn a_failure_names_node_task_attempt_and_causes() {
    let flow = workflow! {
        name: "order",
        steps: [
            loop "tries" [pay: (charge) || other(x: u32) { x }, join(o: BranchOutputs<_>) { o.get_by_id::<u32>("pay") }, done(x: u32) { LoopResult::Done(x) }] 3,
        ],
    }
    .unwrap();
    let store = InMemoryBackend::new();
    let error = flow.run_durable(store.clone(), "i", 1).await.unwrap_err().to_string();
    let client = WorkflowClient::new(store);
    let failure = client.failure("i").await.unwrap().unwrap();
    assert_eq!((&*failure.node, failure.task.as_str(), failure.attempt), ("tries[0]/join/pay/charge_card", "charge_card", 2));
    let told = "tries[0]/join/pay/charge_card: attempt 2 failed: the bank's answer is no number: invalid digit found in string";
    assert_eq!((failure.error.as_str(), error.as_str()), (told, told));
    assert_eq!(client.status("i").await.unwrap(), WorkflowStatus::Failed(told.to_owned()));
    client.submit(&flow, "queued", 1).await.unwrap();
    assert_eq!(client.failure("queued").await.unwrap(), None);
    assert!(client.failure("nobody").await.is_err());
}
