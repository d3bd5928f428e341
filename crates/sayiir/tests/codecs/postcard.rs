//! A codec of one's own, whole: postcard, which is neither text nor self-describing.

use sayiir::bytes::Bytes;
use sayiir::core::codec::sealed::{DecodeValue, EncodeValue};
use sayiir::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[derive(Clone, Copy)]
pub(crate) struct Postcard;

impl Encoder for Postcard {}
impl Decoder for Postcard {}
impl EnvelopeCodec for Postcard {}

impl<T: Serialize + ?Sized> EncodeValue<T> for Postcard {
    fn encode_value(&self, value: &T) -> Result<Bytes, BoxError> {
        Ok(::postcard::to_stdvec(value)?.into())
    }
}

impl<T: DeserializeOwned> DecodeValue<T> for Postcard {
    fn decode_value(&self, bytes: Bytes) -> Result<T, BoxError> {
        match ::postcard::take_from_bytes(&bytes)? {
            (value, []) => Ok(value),
            (_, left) => Err(format!("{} bytes are left over", left.len()).into()),
        }
    }
}
