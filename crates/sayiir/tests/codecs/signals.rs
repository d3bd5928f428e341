//! Waits with and without a timeout, and what the step after them may take.

use std::sync::Arc;
use std::time::Duration;

use sayiir::bytes::Bytes;
use sayiir::core::codec::sealed::{DecodeValue, EncodeValue};
use sayiir::persistence::Store;
use sayiir::prelude::*;
use sayiir::serialization::RkyvCodec;

use crate::postcard::Postcard;
use crate::{PATIENCE, both, context};

const HOUR: Duration = Duration::from_hours(1);

trait Texts: EnvelopeCodec + Clone + EncodeValue<String> + DecodeValue<String> + OptionalTexts {}

impl<C> Texts for C where C: EnvelopeCodec + Clone + EncodeValue<String> + DecodeValue<String> + OptionalTexts {}

trait OptionalTexts: EncodeValue<Option<()>> + EncodeValue<Option<String>> + DecodeValue<Option<String>> {}

impl<C> OptionalTexts for C where C: EncodeValue<Option<()>> + EncodeValue<Option<String>> + DecodeValue<Option<String>> {}

/// A text that rkyv does not store inline.
fn text() -> String {
    "a text of more than a few bytes".to_owned()
}

async fn end<C, Out>(
    store: &Arc<dyn Store>,
    flow: &Workflow<C, String, (), Out>,
    id: &str,
    event: Option<Bytes>,
) -> Result<Out, RuntimeError>
where
    C: Texts,
    Out: 'static,
{
    let client = WorkflowClient::new(Arc::clone(store));
    if let Some(event) = event {
        client.send_event(id, "go", event).await.unwrap();
    }
    let worker = LocalWorker::builder(Arc::clone(store)).spawn(WorkflowSet::new().with(Arc::new(flow.clone()))).await.unwrap();
    client.submit(flow, id, "input".to_owned()).await.unwrap();
    let end = client.wait_for(flow, id, PATIENCE).await;
    worker.shutdown();
    worker.join().await.unwrap();
    end
}

/// A `wait_for_signal` whose next step takes an `Option`.
fn optional<C: Texts>(codec: &C, timeout: Duration) -> Workflow<C, String, (), Option<String>> {
    let start = WorkflowBuilder::new(context("optional", codec.clone())).then("start", |x: String| async move { Ok(x) });
    start.wait_for_signal("wait", "go", Some(timeout)).then("after", |x: Option<String>| async move { Ok(x) }).build().unwrap()
}

#[tokio::test]
async fn the_step_after_a_wait_may_take_an_option_of_the_payload() {
    async fn takes<C: Texts>(codec: C, store: Arc<dyn Store>) {
        let event = codec.encode(&text()).unwrap();
        assert_eq!(end(&store, &optional(&codec, HOUR), "sent", Some(event)).await.unwrap(), Some(text()));
        assert_eq!(end(&store, &optional(&codec, Duration::ZERO), "late", None).await.unwrap(), None);
    }
    both(async |store| takes(JsonCodec, store).await).await;
    both(async |store| takes(RkyvCodec, store).await).await;
}

#[tokio::test]
async fn a_wait_for_an_option_serves_every_codec() {
    fn flow<C: Texts>(codec: &C, timeout: Duration) -> Workflow<C, String, (), Option<String>> {
        let start = WorkflowBuilder::new(context("opt", codec.clone())).then("start", |x: String| async move { Ok(x) });
        start.wait_for_signal_opt::<String>("wait", "go", Some(timeout)).build().unwrap()
    }
    async fn gives<C: Texts>(codec: C, store: Arc<dyn Store>) {
        let event = codec.encode(&text()).unwrap();
        assert_eq!(end(&store, &flow(&codec, HOUR), "sent", Some(event)).await.unwrap(), Some(text()));
        assert_eq!(end(&store, &flow(&codec, Duration::ZERO), "late", None).await.unwrap(), None);
    }
    both(async |store| gives(JsonCodec, store).await).await;
    both(async |store| gives(RkyvCodec, store).await).await;
    both(async |store| gives(Postcard, store).await).await;
}

#[tokio::test]
async fn a_step_that_cannot_take_none_fails_and_names_the_signal() {
    async fn fails<C: Texts>(codec: C, store: Arc<dyn Store>) {
        let start = WorkflowBuilder::new(context("strict", codec)).then("start", |x: String| async move { Ok(x) });
        let strict = start.wait_for_signal("wait", "go", Some(Duration::ZERO)).then("after", |x: String| async move { Ok(x) });
        let error = end(&store, &strict.build().unwrap(), "late", None).await.unwrap_err().to_string();
        assert!(error.contains("the signal \"go\"") && error.contains("\"after\""), "{error}");
    }
    both(async |store| fails(JsonCodec, store).await).await;
    both(async |store| fails(RkyvCodec, store).await).await;
}

#[tokio::test]
async fn bytes_that_are_no_payload_fail_the_instance_and_name_the_signal() {
    async fn fails<C: Texts>(codec: C, store: Arc<dyn Store>) {
        let noise = Bytes::from_static(b"\xff\xfe\xfd");
        let error = end(&store, &optional(&codec, HOUR), "noise", Some(noise)).await.unwrap_err().to_string();
        assert!(error.contains("the signal \"go\""), "{error}");
    }
    both(async |store| fails(JsonCodec, store).await).await;
    both(async |store| fails(RkyvCodec, store).await).await;
    both(async |store| fails(Postcard, store).await).await;
}
