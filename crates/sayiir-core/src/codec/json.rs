//! JSON, by serde.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sealed::{DecodeValue, EncodeValue};
use super::{Decoder, Encoder, EnvelopeCodec, JSON};
use crate::error::BoxError;

/// The default codec: carries what serde can write as JSON and read back.
///
/// Bytes pass unchanged, but JSON has no bytes of its own: a `Vec<u8>` and a `bytes::Bytes` become a list of numbers,
/// up to four times as long. Where that matters, say so at the field with a base64 helper (`serde_with::base64::Base64`
/// as `#[serde_as(as = "Base64")]`: a third longer), or use a codec that carries bytes as they are, such as `RkyvCodec`.
///
/// ```
/// use sayiir_core::codec::{Decoder, Encoder, JsonCodec};
/// let bytes = JsonCodec.encode(&("order", 17)).unwrap();
/// assert_eq!(&bytes[..], br#"["order",17]"#);
/// assert_eq!(JsonCodec.decode::<(String, u32)>(bytes).unwrap().1, 17);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JsonCodec;

impl Encoder for JsonCodec {
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(JSON)
    }
}

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
