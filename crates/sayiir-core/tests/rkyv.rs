//! `RkyvCodec`: values come back as they were, and no bytes whatever make it panic.
#![cfg(feature = "rkyv")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use bytes::Bytes;
use rkyv::{Archive, Deserialize, Serialize};
use sayiir_core::codec::RkyvCodec;
use sayiir_core::codec::sealed::{DecodeValue, EncodeValue};
use sayiir_core::prelude::*;

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
struct Order {
    id: u128,
    lines: Vec<(String, u32)>,
    photo: Vec<u8>,
    note: Option<Box<str>>,
    by_name: BTreeMap<String, i64>,
}

fn order() -> Order {
    Order {
        id: 17,
        lines: vec![("a name that is not stored inline".to_owned(), 3), ("b".to_owned(), 4)],
        photo: (0..=255).collect(),
        note: Some("fragile".into()),
        by_name: (0..40).map(|n| (format!("key {n}"), n)).collect(),
    }
}

/// The bytes at an address that is one more than a multiple of 16.
fn unaligned(bytes: &Bytes) -> Bytes {
    let mut buffer = vec![0; bytes.len() + 16];
    let from = (0..16).find(|&from| buffer.as_ptr().wrapping_add(from).addr() % 16 == 1).unwrap();
    buffer[from..from + bytes.len()].copy_from_slice(bytes);
    Bytes::from(buffer).slice(from..from + bytes.len())
}

fn comes_back<T: Debug + PartialEq>(value: &T)
where
    RkyvCodec: EncodeValue<T> + DecodeValue<T>,
{
    let bytes = RkyvCodec.encode(value).unwrap();
    assert_eq!(&RkyvCodec.decode::<T>(bytes.clone()).unwrap(), value);
    assert_eq!(&RkyvCodec.decode::<T>(unaligned(&bytes)).unwrap(), value, "from unaligned bytes");
    for end in 0..bytes.len() {
        // Not every cut shows (an archive is read from its end), but none may panic.
        drop(RkyvCodec.decode::<T>(bytes.slice(..end)));
        drop(RkyvCodec.decode::<T>(bytes.slice(end..)));
    }
}

#[test]
fn values_come_back() {
    comes_back(&());
    comes_back(&true);
    comes_back(&-1_i64);
    comes_back(&u128::MAX);
    comes_back(&1.5_f32);
    comes_back(&String::new());
    comes_back(&"short".to_owned());
    comes_back(&"long enough to be stored out of line".to_owned());
    comes_back(&(0..=255).collect::<Vec<u8>>());
    comes_back(&Bytes::from_static(b"\xff\x00\xfe"));
    comes_back(&vec![Some(1_u64), None]);
    comes_back(&HashMap::from([(1_u8, "one".to_owned()), (2, "two".to_owned())]));
    comes_back(&order());
    comes_back(&LoopResult::Again(order()));
    comes_back(&LoopResult::<u8>::Done(1));
    comes_back(&BranchEnvelope { branch: "key".to_owned(), result: order() });
    comes_back(&NamedBranchResults::new(vec![("a".to_owned(), Bytes::from_static(b"\xff"))]));
    comes_back(&Some(Some(3_u32)));
}

/// The step after a wait may take a `P` or an `Option<P>`, and for a wait that timed out only an `Option<P>`.
fn is_given_after_a_wait<P: Debug + PartialEq + Clone>(value: &P)
where
    RkyvCodec: EncodeValue<P> + DecodeValue<P> + DecodeValue<Option<P>> + EncodeValue<Option<P>>,
{
    let event = RkyvCodec.encode(value).unwrap();
    assert_eq!(RkyvCodec.decode::<Option<P>>(event.clone()).unwrap().as_ref(), Some(value));
    assert_eq!(&RkyvCodec.decode::<P>(event).unwrap(), value);
    let optional = RkyvCodec.encode(&Some(value.clone())).unwrap();
    assert_eq!(RkyvCodec.decode::<Option<P>>(optional).unwrap().as_ref(), Some(value));
    let timed_out = RkyvCodec.encode_timeout().unwrap();
    assert_eq!(RkyvCodec.decode::<Option<P>>(timed_out.clone()).unwrap(), None);
    let error = RkyvCodec.decode::<P>(timed_out).unwrap_err();
    assert!(error.to_string().contains("timed out"), "{error}");
}

#[test]
fn an_event_is_read_as_an_option_of_itself() {
    is_given_after_a_wait(&false);
    is_given_after_a_wait(&0_u8);
    is_given_after_a_wait(&());
    is_given_after_a_wait(&7_u32);
    is_given_after_a_wait(&u128::MAX);
    is_given_after_a_wait(&"a text that is stored out of line".to_owned());
    is_given_after_a_wait(&vec![0_u8; 100]);
    is_given_after_a_wait(&order());
}

#[test]
fn payloads_are_plain_archives() {
    let bytes = RkyvCodec.encode(&order()).unwrap();
    assert_eq!(rkyv::from_bytes::<Order, rkyv::rancor::Error>(&bytes).unwrap(), order());
    let plain = rkyv::to_bytes::<rkyv::rancor::Error>(&order()).unwrap();
    assert_eq!(RkyvCodec.decode::<Order>(Bytes::copy_from_slice(&plain)).unwrap(), order());
    assert_eq!(RkyvCodec.encode(&vec![7_u8; 1000]).unwrap().len(), 1000 + 12, "the root and its tag are all that is added");
}

#[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
#[rkyv(serialize_bounds(__S: rkyv::ser::Writer + rkyv::ser::Allocator, __S::Error: rkyv::rancor::Source))]
#[rkyv(deserialize_bounds(__D::Error: rkyv::rancor::Source))]
#[rkyv(bytecheck(bounds(__C: rkyv::validation::ArchiveContext, __C::Error: rkyv::rancor::Source)))]
struct Chain(#[rkyv(omit_bounds)] Option<Box<Chain>>);

#[test]
fn what_is_nested_too_deep_is_an_error() {
    let chain = |length| (0..length).fold(Chain(None), |inner, _| Chain(Some(Box::new(inner))));
    comes_back(&chain(100));
    let deep = RkyvCodec.encode(&chain(1000)).unwrap();
    assert!(RkyvCodec.decode::<Chain>(deep).is_err());
}

/// A small deterministic generator: the test's own, so that a failure repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[3]
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }
}

#[test]
fn no_bytes_make_it_panic() {
    fn read(bytes: &Bytes) {
        drop(RkyvCodec.decode::<Order>(bytes.clone()));
        drop(RkyvCodec.decode::<HashMap<String, Vec<u64>>>(bytes.clone()));
        drop(RkyvCodec.decode::<LoopResult<Option<String>>>(bytes.clone()));
        drop(RkyvCodec.decode::<BranchEnvelope<Vec<char>>>(bytes.clone()));
        drop(RkyvCodec.decode::<NamedBranchResults>(bytes.clone()));
        drop(RkyvCodec.decode::<std::time::Duration>(bytes.clone()));
        drop(RkyvCodec.decode::<Chain>(bytes.clone()));
    }
    let mut random = Random(0x5eed);
    let names = HashMap::from([("a".to_owned(), vec![1_u64, 2]), ("a name out of line".to_owned(), vec![3])]);
    let sound = [RkyvCodec.encode(&order()).unwrap(), RkyvCodec.encode(&names).unwrap()];
    for _ in 0..20_000 {
        let mut bytes = sound[random.below(2)].to_vec();
        for _ in 0..=random.below(4) {
            let (at, byte) = (random.below(bytes.len()), random.byte());
            bytes[at] = byte;
        }
        read(&bytes.into());
        let noise: Vec<u8> = (0..random.below(80)).map(|_| random.byte() & 0x1f).collect();
        read(&noise.into());
    }
}
