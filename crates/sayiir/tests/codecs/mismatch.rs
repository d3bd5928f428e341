//! An instance of one codec is never read by another.

use std::sync::Arc;
use std::time::Duration;

use sayiir::core::codec::sealed::{DecodeValue, EncodeValue};
use sayiir::core::error::error_chain;
use sayiir::persistence::Store;
use sayiir::prelude::*;
use sayiir::serialization::RkyvCodec;

use crate::postcard::Postcard;
use crate::{PATIENCE, both, context};

/// The same workflow, but for its codec.
fn flow<C>(codec: C) -> Workflow<C, u32, (), u32>
where
    C: EnvelopeCodec + EncodeValue<u32> + DecodeValue<u32> + EncodeValue<Option<()>>,
{
    let start = WorkflowBuilder::new(context("one", codec)).then("first", |x: u32| async move { Ok(x + 1) });
    start.wait_for_signal("wait", "go", None).then("last", |x: u32| async move { Ok(x) }).build().unwrap()
}

/// The codecs that a refusal names.
fn named(error: &RuntimeError) -> (&str, &str) {
    let RuntimeError::Codec(CodecError::Mismatch { stored, used, source: _ }) = error else {
        panic!("not a mismatch of codecs: {error}");
    };
    (stored, used)
}

#[tokio::test]
async fn run_resume_submit_and_wait_refuse_another_codec() {
    async fn refuses<C>(other: C, name: &str, store: Arc<dyn Store>)
    where
        C: EnvelopeCodec + EncodeValue<u32> + DecodeValue<u32> + EncodeValue<Option<()>>,
    {
        let (rkyv, other) = (flow(RkyvCodec), flow(other));
        let runner = CheckpointingRunner::from_shared(Arc::new(Arc::clone(&store)));
        let client = WorkflowClient::new(Arc::clone(&store));
        assert!(matches!(runner.run(&rkyv, "i", 1).await.unwrap(), WorkflowStatus::AwaitingSignal { .. }));
        for policy in [ConflictPolicy::Fail, ConflictPolicy::UseExisting, ConflictPolicy::TerminateExisting] {
            let runner = CheckpointingRunner::from_shared(Arc::new(Arc::clone(&store))).with_conflict_policy(policy);
            assert_eq!(named(&runner.run(&other, "i", 1).await.unwrap_err()), ("rkyv", name));
            let client = WorkflowClient::new(Arc::clone(&store)).with_conflict_policy(policy);
            assert_eq!(named(&client.submit(&other, "i", 1).await.unwrap_err()), ("rkyv", name));
        }
        let error = runner.resume(&other, "i").await.unwrap_err();
        assert_eq!(named(&error), ("rkyv", name));
        let told = error_chain(&error);
        assert!(told.contains(&format!("the codec changed from \"rkyv\" to {name:?}")), "{told}");
        for workflow in [rkyv.definition_hash(), other.definition_hash()] {
            assert!(told.contains(&workflow.to_hex()), "{told}");
        }
        assert_eq!(named(&client.snapshot(&other, "i").await.unwrap_err()), ("rkyv", name));
        client.send_event("i", "go", RkyvCodec.encode(&7_u32).unwrap()).await.unwrap();
        assert_eq!(runner.resume(&rkyv, "i").await.unwrap(), WorkflowStatus::Completed);
        assert_eq!(named(&client.wait_for(&other, "i", PATIENCE).await.unwrap_err()), ("rkyv", name));
        assert_eq!(client.wait_for(&rkyv, "i", PATIENCE).await.unwrap(), 7);
    }
    both(async |store| refuses(JsonCodec, "json", store).await).await;
    both(async |store| refuses(Postcard, "Postcard", store).await).await;
}

/// Beside each other on one store, each worker takes what is of its codec.
#[tokio::test]
async fn a_worker_never_takes_an_instance_of_another_codec() {
    both(async |store| {
        let (json, rkyv) = (flow(JsonCodec), flow(RkyvCodec));
        let client = WorkflowClient::new(Arc::clone(&store));
        client.submit(&rkyv, "rkyv", 1).await.unwrap();
        client.submit(&json, "json", 1).await.unwrap();
        client.send_event("rkyv", "go", RkyvCodec.encode(&5_u32).unwrap()).await.unwrap();
        client.send_event("json", "go", JsonCodec.encode(&6_u32).unwrap()).await.unwrap();
        let worker = LocalWorker::builder(Arc::clone(&store)).spawn(WorkflowSet::new().with(Arc::new(json.clone()))).await.unwrap();
        assert_eq!(client.wait_for(&json, "json", PATIENCE).await.unwrap(), 6);
        // The worker that took the younger instance has seen the older one.
        let row_count = client.history("rkyv").await.unwrap().len();
        assert_eq!((client.status("rkyv").await.unwrap(), row_count), (WorkflowStatus::InProgress, 1), "it is left as it was");
        worker.shutdown();
        worker.join().await.unwrap();
        let worker = LocalWorker::builder(Arc::clone(&store)).spawn(WorkflowSet::new().with(Arc::new(rkyv.clone()))).await.unwrap();
        assert_eq!(client.wait_for(&rkyv, "rkyv", PATIENCE).await.unwrap(), 5);
        worker.shutdown();
        worker.join().await.unwrap();
    })
    .await;
}

/// An instance that somebody started without a definition (through `prepare_run`) is refused too, by its hash alone.
#[tokio::test]
async fn without_a_kept_definition_the_refusal_names_the_hashes() {
    let store = InMemoryBackend::new();
    let first = sayiir::core::snapshot::TaskHint::new("first", None, &[]);
    sayiir::persistence::prepare_run(
        "i",
        *flow(RkyvCodec).definition_hash(),
        RkyvCodec.encode(&1_u32).unwrap(),
        first,
        &store,
        ConflictPolicy::Fail,
    )
    .await
    .unwrap();
    let error = CheckpointingRunner::new(store).resume(&flow(JsonCodec), "i").await.unwrap_err();
    assert!(matches!(error, RuntimeError::Workflow(WorkflowError::DefinitionMismatch { changes: None, .. })), "{error}");
    assert!(error.to_string().contains("mismatch"), "{error}");
}

#[tokio::test]
async fn a_wait_for_another_version_reads_what_its_own_codec_wrote() {
    let store = InMemoryBackend::new();
    let client = WorkflowClient::new(store.clone());
    let build = |version: &str| {
        let start = WorkflowBuilder::new(context("two", RkyvCodec)).version(version);
        start.then("only", |x: u32| async move { Ok(x + 1) }).build().unwrap()
    };
    CheckpointingRunner::new(store).run(&build("1"), "i", 1).await.unwrap();
    assert_eq!(client.wait_for(&build("2"), "i", Some(Duration::ZERO)).await.unwrap(), 2);
}
