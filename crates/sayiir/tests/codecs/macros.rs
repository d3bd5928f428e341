//! Tasks and workflows written with the macros, on a codec that is not the default.

use rkyv::{Archive, Deserialize, Serialize};
use sayiir::prelude::*;
use sayiir::serialization::RkyvCodec;
use sayiir::{task, workflow};

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Parcel {
    grams: u32,
    label: Vec<u8>,
}

#[derive(BranchKey)]
enum Size {
    Small,
    Large,
}

#[task(id = "weigh")]
async fn weigh(parcel: Parcel) -> Result<Parcel, BoxError> {
    Ok(Parcel { grams: parcel.grams + 10, ..parcel })
}

#[task(id = "stamp")]
async fn stamp(mut parcel: Parcel) -> Result<Parcel, BoxError> {
    parcel.label.extend([0xff, 0x00]);
    Ok(parcel)
}

#[task(id = "pick")]
async fn pick(outputs: NamedBranchResults) -> Result<Parcel, BoxError> {
    let stamped = outputs.as_slice().iter().find(|(name, _)| name == "stamp").ok_or("no branch")?;
    RkyvCodec.decode(stamped.1.clone())
}

#[task(id = "size")]
async fn size(parcel: Parcel) -> Result<String, BoxError> {
    Ok(if parcel.grams < 100 { Size::Small } else { Size::Large }.as_key().to_owned())
}

#[task(id = "halve")]
async fn halve(parcel: Parcel) -> Result<LoopResult<Parcel>, BoxError> {
    let half = Parcel { grams: parcel.grams / 2, ..parcel };
    Ok(if half.grams > 100 { LoopResult::Again(half) } else { LoopResult::Done(half) })
}

#[tokio::test]
async fn macros_take_rkyv() {
    let workflow = workflow! {
        name: "parcels",
        codec: RkyvCodec,
        steps: [
            weigh,
            weigh || stamp, pick,
            loop halve 9,
            route size -> Size { Small => [stamp], Large => [weigh] },
            done(envelope: BranchEnvelope<Parcel>) { envelope.result }
        ]
    }
    .unwrap();
    let parcel = Parcel { grams: 630, label: vec![0xfe] };
    let sent = workflow.run_once(parcel).await.unwrap();
    assert_eq!(sent, Parcel { grams: 80, label: vec![0xfe, 0xff, 0x00, 0xff, 0x00] });
}
