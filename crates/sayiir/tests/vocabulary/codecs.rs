//! Codecs: the default one, and one of the user's own with every node kind that asks it for something.

use std::sync::Arc;

use bytes::Bytes;
use sayiir::core::codec::sealed::{DecodeValue, EncodeValue};
use sayiir::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::{Double, Size};

/// JSON with a mark before it, so that nothing else can read it.
struct Marked;

impl Encoder for Marked {}
impl Decoder for Marked {}
impl EnvelopeCodec for Marked {}

impl<T: Serialize + ?Sized> EncodeValue<T> for Marked {
    fn encode_value(&self, value: &T) -> Result<Bytes, BoxError> {
        Ok([&b"#"[..], &JsonCodec.encode(value)?].concat().into())
    }
}

impl<T: DeserializeOwned> DecodeValue<T> for Marked {
    fn decode_value(&self, bytes: Bytes) -> Result<T, BoxError> {
        let json = bytes.strip_prefix(b"#").ok_or("no mark")?;
        JsonCodec.decode(Bytes::copy_from_slice(json))
    }
}

#[test]
fn json_is_the_default() {
    let bytes: Bytes = JsonCodec.encode(&("order", 17)).unwrap();
    let error: BoxError = JsonCodec.decode::<u32>(bytes.clone()).unwrap_err();
    assert!(error.to_string().contains("expected u32"), "{error}");
    assert_eq!(JsonCodec.decode::<(String, u32)>(bytes).unwrap(), ("order".to_owned(), 17));
}

#[tokio::test]
async fn a_codec_of_ones_own_serves_every_node_kind_and_store() {
    let context = WorkflowContext::new("marked", Arc::new(Marked), Arc::new(()));
    let workflow = WorkflowBuilder::new(context)
        .then_task::<Double>()
        .fork()
        .branch("one", |x: u32| async move { Ok(x + 1) })
        .branch("two", |x: u32| async move { Ok(x + 2) })
        .join(
            "sum",
            |outputs: BranchOutputs<Marked>| async move { Ok(outputs.get_by_id::<u32>("one")? + outputs.get_by_id::<u32>("two")?) },
        )
        .loop_task("down", |x: u32| async move { Ok(if x > 12 { LoopResult::Again(x - 1) } else { LoopResult::Done(x) }) }, 30)
        .route::<u32, Size, _, _>(|x: u32| async move { Ok(Size::of(x)) })
        .branch(Size::Small, |arm| arm.then_task::<Double>())
        .default_branch(|arm| arm.then("same", |x: u32| async move { Ok(x) }))
        .done()
        .wait_for_signal_opt::<String>("gate", "go", None)
        .then("end", |word: Option<String>| async move { Ok(word.unwrap_or_default()) })
        .build()
        .unwrap();
    let store = SqliteBackend::in_memory().await.unwrap();
    let client = WorkflowClient::new(store.clone());
    client.send_event("m", "go", Marked.encode("open").unwrap()).await.unwrap();
    let status = CheckpointingRunner::new(store).run(&workflow, "m", 7).await.unwrap();
    assert_eq!(status, WorkflowStatus::Completed);
    assert_eq!(client.wait_for(&workflow, "m", None).await.unwrap(), "open");
    assert_eq!(client.get_task_result("m", "down").await.unwrap().unwrap(), r#"#{"_loop":"done","value":12}"#);
}
