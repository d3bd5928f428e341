//! One workflow of every node kind, given bytes: they come out as they went in, and each stored payload is what the codec made of one value, byte for byte.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sayiir::bytes::Bytes;
use sayiir::core::branch::JournalRef;
use sayiir::core::codec::sealed::{DecodeValue, EncodeValue};
use sayiir::core::journal::{EntryKind, JournalRow};
use sayiir::core::workflow::{LoopCodec, RouteCodec};
use sayiir::persistence::Store;
use sayiir::prelude::*;
use sayiir::serialization::RkyvCodec;

use crate::postcard::Postcard;
use crate::{PATIENCE, both, context};

/// What the workflow's types ask of a codec.
trait Carries: EnvelopeCodec + Clone + LoopCodec<Vec<u8>> + RouteCodec<Vec<u8>> + CarriesWaits + DecodeValue<BranchEnvelope<Vec<u8>>> {}

impl<C> Carries for C where
    C: EnvelopeCodec + Clone + LoopCodec<Vec<u8>> + RouteCodec<Vec<u8>> + CarriesWaits + DecodeValue<BranchEnvelope<Vec<u8>>>
{
}

trait CarriesWaits: EncodeValue<Option<()>> + EncodeValue<Option<Vec<u8>>> + DecodeValue<Option<Vec<u8>>> {}

impl<C> CarriesWaits for C where C: EncodeValue<Option<()>> + EncodeValue<Option<Vec<u8>>> + DecodeValue<Option<Vec<u8>>> {}

/// A key in which every character means something in a path.
const KEY: &str = "a/[0]%#*\u{fc}";

/// All 256 bytes, again and again: no UTF-8.
fn all_bytes() -> Vec<u8> {
    (0..=255).cycle().take(4096).collect()
}

/// The second half first.
fn turned(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.rotate_left(128);
    bytes
}

async fn same(bytes: Vec<u8>) -> Result<Vec<u8>, BoxError> {
    Ok(bytes)
}

/// Turns what it is given once, and once again.
async fn turn(bytes: Vec<u8>) -> Result<LoopResult<Vec<u8>>, BoxError> {
    let turned = turned(bytes);
    Ok(if turned[0] == 0 { LoopResult::Done(turned) } else { LoopResult::Again(turned) })
}

fn flow<C: Carries>(codec: &C) -> Workflow<C, Vec<u8>, (), Vec<u8>> {
    let child = WorkflowBuilder::new(context("child", codec.clone())).then("inner", same).delay("rest", Duration::ZERO).build().unwrap();
    WorkflowBuilder::new(context("every kind", codec.clone()))
        .then("task", same)
        .fork()
        .branch("left", same)
        .branch_flow("right", |s| s.delay("nap", Duration::ZERO).then("turned", |x| async move { Ok(turned(x)) }))
        .branch_flow("late", |s| {
            let wait = s.wait_for_signal_opt::<Vec<u8>>("never", "never", Some(Duration::ZERO));
            wait.then("gave up", |x: Option<Vec<u8>>| async move { Ok(x.unwrap_or_default()) })
        })
        .join("join", |outputs: BranchOutputs<C>| async move {
            let (left, right) = (outputs.get_by_id::<Vec<u8>>("left")?, outputs.get_by_id::<Vec<u8>>("right")?);
            let late = outputs.get_by_id::<Vec<u8>>("late")?;
            if left == turned(right) && late.is_empty() { Ok(left) } else { Err("the branches differ".into()) }
        })
        .loop_task("loop", turn, 9)
        .route_str::<Vec<u8>, _, _>(|_| async move { Ok(KEY.to_owned()) })
        .branch(KEY, |s| s.then("arm", same))
        .done()
        .then("unwrap", |envelope: BranchEnvelope<Vec<u8>>| async move {
            if envelope.branch == KEY { Ok(envelope.result) } else { Err("another key".into()) }
        })
        .delay("rest", Duration::ZERO)
        .then_flow(child)
        .wait_for_signal("wait", "plain", None)
        .then("waited", same)
        .wait_for_signal_opt::<Vec<u8>>("wait for some", "optional", None)
        .then("last", |x: Option<Vec<u8>>| async move { x.ok_or_else(|| "no event".into()) })
        .build()
        .unwrap()
}

/// What each node is to leave in the store: its own output, and what it handed on where that is another.
fn expected<C: Carries>(codec: &C) -> BTreeMap<String, (Bytes, Option<Bytes>)> {
    let value = |bytes: Vec<u8>| codec.encode(&bytes).unwrap();
    let own = |bytes: Vec<u8>| (value(bytes), None);
    let (all, half) = (all_bytes(), turned(all_bytes()));
    let again = codec.encode(&LoopResult::Again(half.clone())).unwrap();
    let done = codec.encode(&LoopResult::Done(all.clone())).unwrap();
    let envelope = codec.encode(&BranchEnvelope { branch: KEY.to_owned(), result: all.clone() }).unwrap();
    let nodes = [
        ("task", own(all.clone())),
        ("join/left", own(all.clone())),
        ("join/right/turned", own(half.clone())),
        ("join/late/never", (codec.encode(&None::<Vec<u8>>).unwrap(), None)),
        ("join/late/gave up", own(Vec::new())),
        ("join", own(all.clone())),
        ("loop[0]", (again, Some(value(half)))),
        ("loop[1]", (done, Some(value(all.clone())))),
        ("route", (Bytes::from_static(KEY.as_bytes()), None)),
        ("route/a%2F%5B0%5D%25%23%2A\u{fc}/arm", (value(all.clone()), Some(envelope))),
        ("unwrap", own(all.clone())),
        ("child/inner", own(all.clone())),
        ("wait", own(all.clone())),
        ("waited", own(all.clone())),
        ("wait for some", (codec.encode(&Some(all.clone())).unwrap(), None)),
        ("last", own(all)),
    ];
    nodes.into_iter().map(|(path, payloads)| (path.to_owned(), payloads)).collect()
}

/// The payloads that the store has by node; where a row only points at another's value, it holds none.
fn stored(rows: Vec<JournalRow>) -> BTreeMap<String, (Bytes, Option<Bytes>)> {
    let mut stored = BTreeMap::new();
    for row in rows.into_iter().filter(|row| row.kind != EntryKind::Started) {
        assert!(row.same_as.is_none() || row.output.is_none(), "a value that goes on unchanged is not stored again");
        if let Some(output) = row.output {
            let before = stored.insert(row.node.to_string(), (output, row.handed_on));
            assert!(before.is_none(), "{} left two payloads", row.node);
        }
    }
    stored
}

async fn runs<C: Carries>(codec: C, store: Arc<dyn Store>) {
    let (flow, client) = (flow(&codec), WorkflowClient::new(Arc::clone(&store)));
    let worker = LocalWorker::builder(store).spawn(WorkflowSet::new().with(Arc::new(flow.clone()))).await.unwrap();
    for event in ["plain", "optional"] {
        client.send_event("i", event, codec.encode(&all_bytes()).unwrap()).await.unwrap();
    }
    client.submit(&flow, "i", all_bytes()).await.unwrap();
    assert!(client.wait_for(&flow, "i", PATIENCE).await.unwrap() == all_bytes());
    worker.shutdown();
    worker.join().await.unwrap();
    let rows = client.history("i").await.unwrap();
    assert!(rows[0].kind == EntryKind::Started && rows[0].output == Some(codec.encode(&all_bytes()).unwrap()));
    let delays: Vec<JournalRef> = rows.iter().filter(|row| row.node.ends_with("rest")).filter_map(|row| row.same_as.clone()).collect();
    assert_eq!(delays.len(), 2, "a delay points at what it hands on");
    let (stored, expected) = (stored(rows), expected(&codec));
    assert_eq!(stored.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (node, payloads) in &expected {
        assert!(stored[node] == *payloads, "{node} left {} bytes, not {}", stored[node].0.len(), payloads.0.len());
    }
}

#[tokio::test]
async fn json_carries_bytes_through_every_node_kind() {
    both(async |store| runs(JsonCodec, store).await).await;
}

#[tokio::test]
async fn rkyv_carries_bytes_through_every_node_kind() {
    both(async |store| runs(RkyvCodec, store).await).await;
    let payload = RkyvCodec.encode(&all_bytes()).unwrap();
    assert!(payload.len() <= 4096 + 16, "bytes are stored as they are: {}", payload.len());
}

#[tokio::test]
async fn a_codec_of_ones_own_carries_bytes_through_every_node_kind() {
    both(async |store| runs(Postcard, store).await).await;
    let payload = Postcard.encode(&all_bytes()).unwrap();
    assert_eq!(payload.len(), 4096 + 2, "bytes are stored as they are");
}

/// A join that takes names and payloads as they are.
#[derive(Default)]
struct Raw;

impl CoreTask for Raw {
    type Input = NamedBranchResults;
    type Output = Vec<u8>;
    type Future = std::future::Ready<Result<Vec<u8>, BoxError>>;

    fn run(&self, results: NamedBranchResults) -> Self::Future {
        std::future::ready(Ok(results.as_slice()[0].1.to_vec()))
    }
}

impl RegisterableTask for Raw {
    fn task_id() -> &'static str {
        "raw"
    }
}

#[tokio::test]
async fn a_join_may_take_the_payloads_themselves() {
    async fn gives_the_payload<C: Carries + DecodeValue<NamedBranchResults>>(codec: C) {
        let fork = WorkflowBuilder::new(context("raw", codec.clone())).fork().branch("one", same);
        let flow = fork.join_task::<Raw>().build().unwrap();
        assert!(flow.run_once(all_bytes()).await.unwrap() == codec.encode(&all_bytes()).unwrap());
    }
    gives_the_payload(JsonCodec).await;
    gives_the_payload(RkyvCodec).await;
    gives_the_payload(Postcard).await;
}
