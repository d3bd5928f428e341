//! Sub-steps wherever a task may stand, under any name, in any number.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod hooked;

use std::sync::{Arc, Mutex};

use hooked::{Call, HookedStore};
use sayiir::core::journal::EntryKind;
use sayiir::persistence::Store;
use sayiir::prelude::*;
use sayiir::serialization::RkyvCodec;

/// Names that a path could be confused by: separators, iterations, escapes, a NUL, what is no ASCII, what looks like another part's.
const ODD: &[&str] = &["a/b", "a", "b[0]", "[1]", "a%2Fb", "*", "#", " ", "\u{0}", "naïve ☂", "a/b/c", "..", "join"];

#[task(retries = 1, backoff = "1ms")]
async fn odd(x: u32) -> Result<u32, BoxError> {
    let mut sum = x;
    for name in ODD {
        // Each has a value of its own: one that is found under another's name changes the sum.
        let value = u32::try_from(name.len())? + sum;
        sum += checkpoint(*name, async move { Ok(value) }).await?;
    }
    if task_context!().is_some_and(|context| context.attempt == 1) { Err("after all parts".into()) } else { Ok(sum) }
}

async fn parts<B: Store>(store: B, id: &str) -> Vec<String> {
    let rows = WorkflowClient::new(store).history(id).await.unwrap();
    rows.into_iter().filter(|row| row.kind == EntryKind::SubStepCompleted).map(|row| row.node.to_string()).collect()
}

async fn sqlite() -> (tempfile::TempDir, SqliteBackend) {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteBackend::open(directory.path().join("store.db")).await.unwrap();
    (directory, store)
}

#[tokio::test]
async fn a_part_may_have_any_name() {
    let flow = workflow! { name: "odd", steps: [odd] }.unwrap();
    let sum = ODD.iter().fold(1, |sum, name| 2 * sum + u32::try_from(name.len()).unwrap());
    let (_directory, on_disk) = sqlite().await;
    let in_memory = InMemoryBackend::new();
    assert_eq!(flow.run_durable(in_memory.clone(), "i", 1).await.unwrap(), sum);
    assert_eq!(flow.run_durable(on_disk.clone(), "i", 1).await.unwrap(), sum);
    for paths in [parts(in_memory, "i").await, parts(on_disk, "i").await] {
        assert_eq!(paths.len(), ODD.len(), "stored once each, found by the second attempt: {paths:?}");
        let mut distinct = paths.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), ODD.len(), "{paths:?}");
    }
}

#[tokio::test]
async fn a_part_must_have_a_name() {
    let flow = workflow! { name: "no name", steps: [unnamed(x: u32) { checkpoint("", async move { Ok(x) }).await }] }.unwrap();
    let error = flow.run_once(1).await.unwrap_err().to_string();
    assert!(error.contains("a sub-step of unnamed has no name"), "{error}");
}

#[task(retries = 1, backoff = "1ms")]
async fn turn(x: u32) -> Result<LoopResult<u32>, BoxError> {
    let next = checkpoint("next", async move { Ok(x + 1) }).await?;
    match task_context!().map(|context| context.attempt) {
        Some(1) => Err("after its part".into()),
        _ if next < 4 => Ok(LoopResult::Again(next)),
        _ => Ok(LoopResult::Done(next)),
    }
}

#[tokio::test]
async fn each_iteration_has_parts_of_its_own() {
    let flow = workflow! { name: "turns", steps: [loop "outer" [loop turn 5, done(x: u32) { if x < 5 { LoopResult::Again(1) } else { LoopResult::Done(x) } }] 2 exit_with_last] };
    let flow = flow.unwrap();
    let store = InMemoryBackend::new();
    assert_eq!(flow.run_durable(store.clone(), "i", 1).await.unwrap(), 1);
    let turns = |outer: u32| (0..3).map(move |turn| format!("outer[{outer}]/turn[{turn}]/next"));
    assert_eq!(parts(store, "i").await, turns(0).chain(turns(1)).collect::<Vec<_>>());
}

#[task(retries = 1, backoff = "1ms")]
async fn total(results: NamedBranchResults) -> Result<usize, BoxError> {
    // Named as a branch of the fork, which is another place.
    let count = results.len();
    let stored = checkpoint("left", async move { Ok(count) }).await?;
    if task_context!().is_some_and(|context| context.attempt == 1) { Err("after its part".into()) } else { Ok(stored) }
}

#[tokio::test]
async fn joins_have_parts_and_any_codec_may_carry_the_rest() {
    let branch = |x: u32| checkpoint("part", async move { Ok(2 * x) });
    let flow = workflow! {
        name: "joined",
        codec: RkyvCodec,
        steps: [left(x: u32) { branch(x).await } || right(x: u32) { branch(x).await }, total, told(count: usize) { u64::try_from(count) }],
    };
    let flow = flow.unwrap();
    let (_directory, store) = sqlite().await;
    assert_eq!(flow.run_durable(store.clone(), "i", 1).await.unwrap(), 2);
    let mut stored = parts(store.clone(), "i").await;
    stored.sort();
    assert_eq!(stored, ["total/left", "total/left/part", "total/right/part"]);
    // Parts are JSON whatever the codec is: they are read by the same task that wrote them, and by people.
    let rows = WorkflowClient::new(store).history("i").await.unwrap();
    let part = rows.iter().find(|row| &*row.node == "total/left/part").unwrap();
    assert_eq!(part.output.as_deref(), Some(&b"2"[..]));
}

/// The thousandth part is one write of the size of the first: nothing of what came before goes along.
#[tokio::test]
async fn the_thousandth_part_costs_what_the_first_does() {
    const PARTS: usize = 1000;
    let written = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&written);
    let store = HookedStore::new(InMemoryBackend::new(), move |call| {
        if let Call::BeforeCommit(transitions) = call {
            let sizes = transitions.iter().filter_map(|transition| {
                let entry = transition.entry.as_ref().filter(|entry| entry.kind == EntryKind::SubStepCompleted)?;
                // Names and values have one length each; what else differs in length is the number of the revision.
                Some(format!("{entry:?}").len())
            });
            log.lock().unwrap().extend(sizes);
        }
        Box::pin(async { true })
    });
    let many = |_: u32| async move {
        for part in 1000..1000 + PARTS {
            checkpoint(format!("part {part}"), async move { Ok(part) }).await?;
        }
        Ok(0_u32)
    };
    let context = WorkflowContext::new("many", Arc::new(JsonCodec), Arc::new(()));
    let flow = WorkflowBuilder::new(context).then("many", many).build().unwrap();
    let status = CheckpointingRunner::from_shared(store).run(&flow, "i", 1).await.unwrap();
    assert_eq!(status, WorkflowStatus::Completed);
    let written = written.lock().unwrap();
    assert_eq!(written.len(), PARTS);
    assert!(written.iter().all(|size| size == &written[0]), "{written:?}");
}
