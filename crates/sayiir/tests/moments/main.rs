//! What runners and workers do at awkward moments: timers beside running tasks, replies that come late or never,
//! requests that come while a task runs. Every wait here has an end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "tests")]

mod answers;
#[path = "../hooked/mod.rs"]
mod hooked;
mod leases;
mod runners;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use sayiir::core::future::BoxFuture;
use sayiir::core::journal::EntryKind;
use sayiir::core::transition::Transition;
use sayiir::core::workflow::Typed;
use sayiir::prelude::*;
use tokio::sync::Notify;

/// Long beside what is awaited, short beside a lease.
const SOON: Duration = Duration::from_secs(5);

fn flow<Input>(name: &str) -> WorkflowBuilder<JsonCodec, Input, Typed<Input>> {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

fn retried(millis: u64) -> TaskMetadata {
    let policy = RetryPolicy { initial_delay: Duration::from_millis(millis), ..RetryPolicy::with_max_retries(3) };
    TaskMetadata { retries: Some(policy), ..TaskMetadata::default() }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what}: not within {SOON:?}"))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// A task that says that it has begun, and waits until it may go on.
fn gated(begun: &Arc<Notify>, gate: &Arc<Notify>) -> impl Fn(u32) -> BoxFuture<'static, Result<u32, BoxError>> + Send + Sync + 'static {
    let (begun, gate) = (Arc::clone(begun), Arc::clone(gate));
    move |x| {
        let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
        Box::pin(async move {
            begun.notify_one();
            gate.notified().await;
            Ok(x + 1)
        })
    }
}

fn is_at(transitions: &[Transition], kind: EntryKind, node: &str) -> bool {
    transitions.iter().any(|t| t.entry.as_ref().is_some_and(|entry| entry.kind == kind && &*entry.node == node))
}
