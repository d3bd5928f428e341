//! What operators do through the client: find instances, retry and rewind them, purge; and what they are told where it cannot be done.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sayiir::core::workflow::Typed;
use sayiir::persistence::{AttributeFilter, BackendError, InMemoryBackend, InstanceFilter, Store};
use sayiir::prelude::*;
use sayiir_store_testkit::{Fault, FaultStore};

const HOUR: Duration = Duration::from_hours(1);

fn flow(name: &str) -> WorkflowBuilder<JsonCodec, u64, Typed<u64>> {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

fn setup() -> (InMemoryBackend, CheckpointingRunner<InMemoryBackend>, WorkflowClient<InMemoryBackend>) {
    let store = InMemoryBackend::new();
    (store.clone(), CheckpointingRunner::new(store.clone()), WorkflowClient::new(store))
}

async fn found(client: &WorkflowClient<InMemoryBackend>, filter: AttributeFilter) -> usize {
    client.list(InstanceFilter { attributes: vec![filter], ..InstanceFilter::default() }).await.unwrap().len()
}

#[tokio::test]
async fn a_task_sets_what_its_instance_is_found_by() {
    let (_, runner, client) = setup();
    let task = |n: u64| async move {
        let context = task_context!().ok_or("no context")?;
        context.set_search_attribute("stage", "charged").await?;
        context.set_search_attribute("euros", i64::try_from(n)?).await?;
        Ok(n)
    };
    let order = flow("order").then("charge", task).build().unwrap();
    client.submission(&order, "order-17", 120).attribute("stage", "new").attribute("customer", "acme").send().await.unwrap();
    assert_eq!(found(&client, AttributeFilter::is("stage", "new")).await, 1);
    runner.resume(&order, "order-17").await.unwrap();
    assert_eq!(found(&client, AttributeFilter::is("stage", "new")).await, 0, "a task's takes its place");
    assert_eq!(found(&client, AttributeFilter::is("stage", "charged")).await, 1);
    assert_eq!(found(&client, AttributeFilter::at_least("euros", 100)).await, 1);
    assert_eq!(found(&client, AttributeFilter::is("customer", "acme")).await, 1);
}

#[tokio::test]
async fn an_attribute_that_the_store_does_not_take_fails_the_task_that_sets_it() {
    let (_, runner, client) = setup();
    let task = |n: u64| async move {
        task_context!().ok_or("no context")?.set_search_attribute("text", "x".repeat(1000)).await?;
        Ok(n)
    };
    let order = flow("order").then("charge", task).build().unwrap();
    let status = runner.run(&order, "order-17", 1).await.unwrap();
    assert!(matches!(&status, WorkflowStatus::Failed(error) if error.contains("search attribute") && error.contains("512")), "{status:?}");
    let refused = client.submission(&order, "order-18", 1).attribute("", 1).send().await.unwrap_err().to_string();
    assert!(refused.contains("order-18") && refused.contains("search attribute"), "{refused}");
}

#[tokio::test]
async fn a_wait_whose_event_cannot_be_read_waits_anew_when_it_is_retried() {
    let (store, runner, client) = setup();
    let order = flow("order").wait_for_signal_opt::<u64>("wait", "paid", Some(HOUR));
    let order = order.then("after", |paid: Option<u64>| async move { Ok(paid.unwrap_or(0)) }).build().unwrap();
    runner.run(&order, "order-17", 1).await.unwrap();
    client.send_event("order-17", "paid", "no json").await.unwrap();
    let failed = |status| assert!(matches!(&status, WorkflowStatus::Failed(error) if error.contains("paid")), "{status:?}");
    failed(runner.resume(&order, "order-17").await.unwrap());
    client.retry("order-17", None, None).await.unwrap();
    failed(runner.resume(&order, "order-17").await.unwrap());
    assert!(store.take_event("order-17", "paid").await.unwrap().is_some());
    client.retry("order-17", None, None).await.unwrap();
    let status = runner.resume(&order, "order-17").await.unwrap();
    assert!(matches!(&status, WorkflowStatus::AwaitingSignal { wake_at: Some(_), .. }), "it waits, and not for ever: {status:?}");
    client.send_event("order-17", "paid", "7").await.unwrap();
    runner.resume(&order, "order-17").await.unwrap();
    assert_eq!(client.wait_for(&order, "order-17", None).await.unwrap(), 7);
}

#[tokio::test]
async fn a_retry_repeats_neither_steps_nor_sub_steps() {
    static MENDED: AtomicBool = AtomicBool::new(false);
    let (_, runner, client) = setup();
    let parts = |n: u64| async move {
        let part =
            checkpoint("part", async move { if MENDED.load(Ordering::SeqCst) { Err("it ran again".into()) } else { Ok(10 * n) } }).await?;
        if MENDED.load(Ordering::SeqCst) { Ok(part) } else { Err("not mended".into()) }
    };
    let fork = flow("order").fork().branch("whole", |n: u64| async move { Ok(n) }).branch("parts", parts);
    let order = fork.join("join", |outputs: BranchOutputs<JsonCodec>| async move {
        Ok(outputs.get_by_id::<u64>("whole")? + outputs.get_by_id::<u64>("parts")?)
    });
    let order = order.build().unwrap();
    assert!(matches!(runner.run(&order, "order-17", 1).await.unwrap(), WorkflowStatus::Failed(_)));
    MENDED.store(true, Ordering::SeqCst);
    client.retry("order-17", None, None).await.unwrap();
    runner.resume(&order, "order-17").await.unwrap();
    assert_eq!(client.wait_for(&order, "order-17", None).await.unwrap(), 11);
}

#[tokio::test]
async fn what_cannot_be_retried_or_rewound_is_told_in_words() {
    let (_, runner, client) = setup();
    let fork = flow("order").then("first", |n: u64| async move { Ok(n) }).fork().branch("left", |n: u64| async move { Ok(n) });
    let join = |outputs: BranchOutputs<JsonCodec>| async move { outputs.get_by_id::<u64>("left") };
    let order = fork.branch("right", |n: u64| async move { Ok(n) }).join("both", join).build().unwrap();
    let other = flow("other").then("first", |n: u64| async move { Ok(n) }).build().unwrap();
    let text = |error: RuntimeError| error.to_string();
    assert!(matches!(client.retry("nobody", None, None).await, Err(RuntimeError::Backend(BackendError::NotFound(_)))));
    assert!(matches!(client.rewind("nobody", "first").send().await, Err(RuntimeError::Backend(BackendError::NotFound(_)))));
    client.submit(&order, "order-17", 1).await.unwrap();
    client.retry("order-17", None, None).await.unwrap();
    let early = text(client.rewind("order-17", "both").of(&order).send().await.unwrap_err());
    assert!(early.contains("never came to \"both\"") && early.contains("order-17"), "{early}");
    client.rewind("order-17", "first").send().await.unwrap();
    runner.resume(&order, "order-17").await.unwrap();
    let ended = text(client.retry("order-17", None, None).await.unwrap_err());
    assert_eq!(ended, "Cannot retry: instance \"order-17\" is completed");
    for inside in [client.rewind("order-17", "both/left").of(&order).send().await, client.rewind("order-17", "both/left").send().await] {
        let inside = text(inside.unwrap_err());
        assert!(inside.contains("inside the fork \"both\""), "{inside}");
    }
    let unknown = text(client.rewind("order-17", "nowhere").of(&order).send().await.unwrap_err());
    assert!(unknown.contains("workflow \"order\" has no node \"nowhere\""), "{unknown}");
    let mismatch = text(client.rewind("order-17", "first").of(&other).send().await.unwrap_err());
    assert!(mismatch.contains("mismatch"), "{mismatch}");
    client.rewind("order-17", "both").send().await.unwrap();
    runner.resume(&order, "order-17").await.unwrap();
    assert_eq!(client.wait_for(&order, "order-17", None).await.unwrap(), 1);
}

#[tokio::test]
async fn a_rewind_whose_reply_is_lost_is_done_once() {
    let store = Arc::new(FaultStore::new(Arc::new(InMemoryBackend::new())));
    let (runner, client) = (CheckpointingRunner::from_shared(Arc::clone(&store)), WorkflowClient::from_shared(Arc::clone(&store)));
    let order = flow("order").then("first", |n: u64| async move { Ok(n) }).then("last", |n: u64| async move { Ok(n) }).build().unwrap();
    runner.run(&order, "order-17", 1).await.unwrap();
    let before = client.list(InstanceFilter::default()).await.unwrap()[0].run;
    for fault in [Fault::ReplyLost, Fault::RequestLost] {
        let at = client.list(InstanceFilter::default()).await.unwrap()[0].run;
        let writes = store.writes();
        store.fail_write(1, fault);
        let run = client.rewind("order-17", "last").of(&order).send().await.unwrap();
        assert_eq!((run.0, store.writes()), (at.0 + 1, writes + 2), "after {fault:?}");
    }
    assert_eq!(client.list(InstanceFilter::default()).await.unwrap()[0].run.0, before.0 + 2);
    runner.resume(&order, "order-17").await.unwrap();
    assert_eq!(client.wait_for(&order, "order-17", None).await.unwrap(), 1);
}

#[tokio::test]
async fn a_named_iteration_is_rewound_to() {
    let (_, runner, client) = setup();
    let body = |n: u64| async move { Ok(if n < 3 { LoopResult::Again(n + 1) } else { LoopResult::Done(n) }) };
    let order = flow("order").loop_task("pages", body, 9).then("last", |n: u64| async move { Ok(n) }).build().unwrap();
    runner.run(&order, "order-17", 0).await.unwrap();
    let nodes: Vec<_> = client.timeline("order-17").await.unwrap().into_iter().map(|row| row.node.to_string()).collect();
    let third = nodes.iter().find(|node| node.contains("[2]")).unwrap().clone();
    client.rewind("order-17", &third).of(&order).send().await.unwrap();
    let rows = client.timeline("order-17").await.unwrap();
    assert_eq!((rows.len(), &*rows[3].node), (4, &*third), "the start, two rounds, and where it begins anew");
    client.rewind("order-17", "pages").of(&order).send().await.unwrap();
    let rows = client.timeline("order-17").await.unwrap();
    assert!(rows.len() == 2 && rows[1].node.contains("[0]"), "a loop begins at its first round: {rows:?}");
    runner.resume(&order, "order-17").await.unwrap();
    assert_eq!(client.wait_for(&order, "order-17", None).await.unwrap(), 3);
}

#[tokio::test]
async fn many_instances_are_purged_in_batches() {
    let (_, runner, client) = setup();
    let order = flow("order").then("first", |n: u64| async move { Ok(n) }).build().unwrap();
    for number in 0..250 {
        runner.run(&order, format!("order-{number}"), 1).await.unwrap();
    }
    client.submit(&order, "live", 1).await.unwrap();
    assert_eq!(client.purge(Some("other"), Duration::ZERO).await.unwrap(), 0);
    assert_eq!(client.purge(Some("order"), HOUR).await.unwrap(), 0);
    assert_eq!(client.purge(None, Duration::ZERO).await.unwrap(), 250);
    assert_eq!(client.list(InstanceFilter::default()).await.unwrap().len(), 1);
}
