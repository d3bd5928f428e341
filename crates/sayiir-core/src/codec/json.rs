//! JSON, by serde.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sealed::{DecodeValue, EncodeValue};
use super::{Decoder, Encoder, EnvelopeCodec};
use crate::error::BoxError;

/// The default codec: carries what serde can write as JSON and read back.
///
/// ```
/// use sayiir_core::codec::{Decoder, Encoder, JsonCodec};
/// let bytes = JsonCodec.encode(&("order", 17)).unwrap();
/// assert_eq!(&bytes[..], br#"["order",17]"#);
/// assert_eq!(JsonCodec.decode::<(String, u32)>(bytes).unwrap().1, 17);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JsonCodec;

impl Encoder for JsonCodec {}
impl Decoder for JsonCodec {}
impl EnvelopeCodec for JsonCodec {}

impl<T: Serialize + ?Sized> EncodeValue<T> for JsonCodec {
    fn encode_value(&self, value: &T) -> Result<Bytes, BoxError> {
        Ok(serde_json::to_vec(value)?.into())
    }
}

impl<T: DeserializeOwned> DecodeValue<T> for JsonCodec {
    fn decode_value(&self, bytes: Bytes) -> Result<T, BoxError> {
        Ok(serde_json::from_slice(&bytes)?)
    }
}
