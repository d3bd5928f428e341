//! Codecs: how values become payloads. The traits say per type what a codec can carry, so that a
//! workflow whose types its codec cannot carry does not compile.
//!
//! A codec of your own is three empty impls and one impl per direction:
//!
//! ```
//! use bytes::Bytes;
//! use sayiir_core::codec::sealed::{DecodeValue, EncodeValue};
//! use sayiir_core::codec::{Decoder, Encoder, EnvelopeCodec};
//! use sayiir_core::error::BoxError;
//!
//! struct PrettyJson;
//!
//! impl Encoder for PrettyJson {}
//! impl Decoder for PrettyJson {}
//! impl EnvelopeCodec for PrettyJson {}
//!
//! impl<T: serde::Serialize + ?Sized> EncodeValue<T> for PrettyJson {
//!     fn encode_value(&self, value: &T) -> Result<Bytes, BoxError> {
//!         Ok(serde_json::to_vec_pretty(value)?.into())
//!     }
//! }
//!
//! impl<T: serde::de::DeserializeOwned> DecodeValue<T> for PrettyJson {
//!     fn decode_value(&self, bytes: Bytes) -> Result<T, BoxError> {
//!         Ok(serde_json::from_slice(&bytes)?)
//!     }
//! }
//!
//! let bytes = PrettyJson.encode(&[1, 2]).unwrap();
//! assert_eq!(PrettyJson.decode::<Vec<u8>>(bytes).unwrap(), [1, 2]);
//! ```

mod framing;
#[cfg(feature = "json")]
mod json;

use bytes::Bytes;

#[cfg(feature = "json")]
pub use json::JsonCodec;

use crate::branch_results::NamedBranchResults;
use crate::error::BoxError;
use crate::future::{MaybeSend, MaybeSync};

/// What a codec can do with one type. A codec implements these; everybody else only asks for them.
pub mod sealed {
    use bytes::Bytes;

    use crate::error::BoxError;

    /// The codec can encode a `T`.
    #[diagnostic::on_unimplemented(
        message = "the codec `{Self}` cannot encode a `{T}`",
        note = "`JsonCodec` encodes what implements `serde::Serialize`"
    )]
    pub trait EncodeValue<T: ?Sized> {
        /// Makes the value a payload.
        fn encode_value(&self, value: &T) -> Result<Bytes, BoxError>;
    }

    /// The codec can decode a `T`.
    #[diagnostic::on_unimplemented(
        message = "the codec `{Self}` cannot decode a `{T}`",
        note = "`JsonCodec` decodes what implements `serde::de::DeserializeOwned`"
    )]
    pub trait DecodeValue<T> {
        /// Makes the payload a value.
        fn decode_value(&self, bytes: Bytes) -> Result<T, BoxError>;
    }
}

use sealed::{DecodeValue, EncodeValue};

/// Makes values payloads.
pub trait Encoder: MaybeSend + MaybeSync + 'static {
    /// Encodes a value of a type that this codec can carry.
    fn encode<T: ?Sized>(&self, value: &T) -> Result<Bytes, BoxError>
    where
        Self: EncodeValue<T>,
    {
        self.encode_value(value)
    }
}

/// Makes payloads values.
pub trait Decoder: MaybeSend + MaybeSync + 'static {
    /// Decodes a value of a type that this codec can carry.
    fn decode<T>(&self, bytes: Bytes) -> Result<T, BoxError>
    where
        Self: DecodeValue<T>,
    {
        self.decode_value(bytes)
    }
}

/// Both directions.
pub trait Codec: Encoder + Decoder {}

impl<C: Encoder + Decoder> Codec for C {}

/// Packs the outputs of a fork's branches into one payload, for whoever must hand them to a join as
/// one. The provided framing is the same for every codec and does not look into the outputs.
pub trait EnvelopeCodec: Codec {
    /// Packs names and outputs.
    fn encode_branches(&self, results: &NamedBranchResults) -> Result<Bytes, BoxError> {
        Ok(framing::pack(results))
    }

    /// Unpacks what [`EnvelopeCodec::encode_branches`] packed.
    fn decode_branches(&self, bytes: Bytes) -> Result<NamedBranchResults, BoxError> {
        Ok(framing::unpack(bytes)?)
    }
}
