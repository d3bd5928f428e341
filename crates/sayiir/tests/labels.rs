//! Node names that look like something else, and snapshots that name a node by its hash.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use sayiir::core::snapshot::{ExecutionPosition, WorkflowSnapshot};
use sayiir::core::workflow::Typed;
use sayiir::prelude::*;

fn flow<Input>(name: &str) -> WorkflowBuilder<JsonCodec, Input, Typed<Input>> {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

#[tokio::test]
async fn a_node_may_be_named_with_an_at_sign() {
    let named = flow("named")
        .then("@first", |x: u32| async move { Ok(x + 1) })
        .delay("@nap", Duration::from_millis(1))
        .then("@last", |x: u32| async move { Ok(x + 1) })
        .build()
        .unwrap();
    assert_eq!(named.run_once(1).await.unwrap(), 3);
}

#[tokio::test]
async fn a_snapshot_may_be_imported_into_the_body_of_a_loop() {
    let rounds = flow("rounds")
        .then("first", |x: u32| async move { Ok(x + 1) })
        .loop_flow(
            "rounds",
            |body| {
                body.then("one", |x: u32| async move { Ok(x + 1) })
                    .then("two", |x: u32| async move { Ok(x + 1) })
                    .then("judge", |x: u32| async move { Ok(if x < 9 { LoopResult::Again(x) } else { LoopResult::Done(x) }) })
            },
            9,
        )
        .build()
        .unwrap();
    let expected = rounds.run_once(1).await.unwrap();
    let store = InMemoryBackend::new();
    let mut snapshot = WorkflowSnapshot::with_initial_input("a", *rounds.definition_hash(), bytes::Bytes::from_static(b"1"));
    snapshot.mark_task_completed(TaskId::from("first"), bytes::Bytes::from_static(b"2"));
    snapshot.update_position(ExecutionPosition::AtTask { task_id: TaskId::from("rounds/one") });
    store.save_snapshot(&mut snapshot).await.unwrap();
    let runner = CheckpointingRunner::new(store.clone());
    let status = runner.resume(&rounds, "a").await.unwrap();
    assert!(status.is_completed(), "{status:?}");
    assert_eq!(WorkflowClient::new(store).wait_for(&rounds, "a", None).await.unwrap(), expected);
}

#[tokio::test]
async fn a_tag_that_no_store_holds_fails_the_instance_and_says_so() {
    let retries = Some(RetryPolicy { initial_delay: Duration::from_millis(1), ..RetryPolicy::with_max_retries(2) });
    let tagged = TaskMetadata { tags: vec!["a\0b".to_owned()], retries, ..TaskMetadata::default() };
    let forked = flow("forked")
        .fork()
        .branch_flow("a", |s| s.then("one", |x: u32| async move { Ok(x) }).with_metadata(tagged.clone()))
        .join("join", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) })
        .build()
        .unwrap();
    let failing = flow("failing")
        .then("one", |x: u32| async move { Ok(x) })
        .then("two", |_: u32| async move { Err::<u32, _>("no luck".into()) })
        .with_metadata(tagged)
        .build()
        .unwrap();
    let runner = CheckpointingRunner::new(InMemoryBackend::new());
    for status in [runner.run(&forked, "a", 1).await.unwrap(), runner.run(&failing, "b", 1).await.unwrap()] {
        assert!(matches!(&status, WorkflowStatus::Failed(error) if error.contains("a tag of instance")), "{status:?}");
    }
}
