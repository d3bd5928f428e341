//! A codec that is not JSON works at every node kind: nothing looks into payloads but the codec.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::now;
use sayiir_core::codec::sealed::{DecodeValue, EncodeValue};
use sayiir_core::prelude::*;
use sayiir_core::task::TaskInput;
use sayiir_core::workflow::RunnableWorkflow;

/// JSON written backwards: no payload is valid JSON.
struct Backwards;

impl Encoder for Backwards {}
impl Decoder for Backwards {}
impl EnvelopeCodec for Backwards {}

impl<T: serde::Serialize + ?Sized> EncodeValue<T> for Backwards {
    fn encode_value(&self, value: &T) -> Result<Bytes, BoxError> {
        let mut bytes = serde_json::to_vec(value)?;
        bytes.reverse();
        Ok(bytes.into())
    }
}

impl<T: serde::de::DeserializeOwned> DecodeValue<T> for Backwards {
    fn decode_value(&self, bytes: Bytes) -> Result<T, BoxError> {
        let bytes: Vec<u8> = bytes.iter().rev().copied().collect();
        Ok(serde_json::from_slice(&bytes)?)
    }
}

#[test]
fn every_payload_goes_through_the_codec() {
    let workflow = WorkflowBuilder::new(WorkflowContext::new("backwards", Arc::new(Backwards), Arc::new(())))
        .loop_task("l", |x: u32| async move { Ok(LoopResult::Again(x + 1)) }, 5)
        .route_str::<u32, _, _>(|x| async move { Ok(x.to_string()) })
        .default_branch(|arm| arm.then("t", |x: u32| async move { Ok(x) }))
        .done()
        .fork()
        .branch("b", |envelope: BranchEnvelope<u32>| async move { Ok(envelope.result) })
        .join("j", |outputs| async move { outputs.get_by_id::<u32>("b") })
        .wait_for_signal_opt::<u32>("s", "go", None)
        .build()
        .unwrap();
    let (codec, payloads) = (Arc::clone(workflow.codec()), workflow.payloads());
    let find = |path| workflow.plan().find(path).unwrap();
    let encode = |value: &serde_json::Value| codec.encode(value).unwrap();

    let body = workflow.task(find("l")).unwrap();
    let returned = now(body.run(TaskInput::Value(encode(&12.into())))).unwrap();
    // The body shares the loop's path, and comes right after it.
    let repeat = workflow.plan().first();
    assert_eq!(payloads.loop_result(repeat, &returned).unwrap(), LoopResult::Again(encode(&13.into())));

    let key = now(workflow.task(find("route")).unwrap().run(TaskInput::Value(encode(&12.into())))).unwrap();
    assert_eq!(key, "12");
    let envelope = payloads.route_envelope(find("route"), "12", &encode(&34.into())).unwrap();
    assert_eq!(envelope, encode(&serde_json::json!({"branch": "12", "result": 34})));

    let join = workflow.task(find("j")).unwrap();
    let branches = TaskInput::Branches(vec![(Arc::from("b"), encode(&56.into()))]);
    assert_eq!(now(join.run(branches)).unwrap(), "65");

    let signal = find("s");
    assert_eq!(payloads.event_value(signal, &encode(&78.into())).unwrap(), "87");
    let timeout = payloads.timeout_value(signal).unwrap();
    assert_eq!(workflow.decode_output(timeout).unwrap(), None);
}

#[test]
fn a_workflow_is_generic_over_its_codec() {
    fn build<C>(codec: C) -> Result<Workflow<C, u32, (), u32>, BuildErrors>
    where
        C: EnvelopeCodec + EncodeValue<u32> + DecodeValue<u32> + EncodeValue<LoopResult<u32>> + DecodeValue<LoopResult<u32>>,
    {
        WorkflowBuilder::new(WorkflowContext::new("generic", Arc::new(codec), Arc::new(())))
            .then("a", |x: u32| async move { Ok(x) })
            .loop_task("l", |x: u32| async move { Ok(LoopResult::Done(x)) }, 5)
            .fork()
            .branch("b", |x: u32| async move { Ok(x) })
            .join("j", |outputs| async move { outputs.get_by_id::<u32>("b") })
            .build()
    }
    let (json, backwards) = (build(JsonCodec).unwrap(), build(Backwards).unwrap());
    assert_eq!((&**json.plan().codec(), &**backwards.plan().codec()), ("json", "Backwards"));
    assert_ne!(json.definition_hash(), backwards.definition_hash(), "the codec is part of a definition");
}
