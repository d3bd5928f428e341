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
//! assert_eq!(PrettyJson.name(), "PrettyJson");
//! let bytes = PrettyJson.encode(&[1, 2]).unwrap();
//! assert_eq!(PrettyJson.decode::<Vec<u8>>(bytes).unwrap(), [1, 2]);
//! ```

mod framing;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "rkyv")]
mod rkyv;

use std::any::type_name;
use std::borrow::Cow;

use bytes::Bytes;

#[cfg(feature = "json")]
pub use json::JsonCodec;
#[cfg(feature = "rkyv")]
pub use rkyv::RkyvCodec;

use crate::branch_results::NamedBranchResults;
use crate::error::{BoxError, short_type_name};
use crate::future::{MaybeSend, MaybeSync};

/// The name of the JSON codec, which adds nothing to a definition's hash.
pub(crate) const JSON: &str = "json";

/// What a codec can do with one type. A codec implements these; everybody else only asks for them.
pub mod sealed {
    use bytes::Bytes;

    use crate::error::BoxError;

    /// The codec can encode a `T`.
    #[diagnostic::on_unimplemented(
        message = "the codec `{Self}` cannot encode a `{T}`",
        note = "`JsonCodec` encodes what implements `serde::Serialize`, `RkyvCodec` what derives `rkyv::Archive` and `rkyv::Serialize`"
    )]
    pub trait EncodeValue<T: ?Sized> {
        /// Makes the value a payload.
        fn encode_value(&self, value: &T) -> Result<Bytes, BoxError>;
    }

    /// The codec can decode a `T`.
    #[diagnostic::on_unimplemented(
        message = "the codec `{Self}` cannot decode a `{T}`",
        note = "`JsonCodec` decodes what implements `serde::de::DeserializeOwned`, `RkyvCodec` what derives `rkyv::Archive` and `rkyv::Deserialize`"
    )]
    pub trait DecodeValue<T> {
        /// Makes the payload a value.
        fn decode_value(&self, bytes: Bytes) -> Result<T, BoxError>;
    }
}

use sealed::{DecodeValue, EncodeValue};

/// Makes values payloads.
///
/// ```
/// use sayiir_core::codec::{Encoder, JsonCodec};
///
/// assert_eq!(JsonCodec.encode(&(1, "two")).unwrap(), "[1,\"two\"]");
/// ```
pub trait Encoder: MaybeSend + MaybeSync + 'static {
    /// The codec's name, which is part of the identity of every definition built with it: an instance whose
    /// payloads are of one codec is never given to a workflow of another.
    ///
    /// It is the name of the codec's type, without modules, unless the codec says otherwise. Say so before you rename
    /// the type, or when a new version of the codec no longer reads what the old one wrote.
    fn name(&self) -> Cow<'static, str> {
        Cow::Owned(short_type_name(type_name::<Self>()))
    }

    /// Encodes a value of a type that this codec can carry.
    fn encode<T: ?Sized>(&self, value: &T) -> Result<Bytes, BoxError>
    where
        Self: EncodeValue<T>,
    {
        self.encode_value(value)
    }

    /// What the step after a wait for a signal is given when the time ran out: it decodes as `None`, whatever
    /// the `Option` is of. Override it for a codec whose `None` has bytes that depend on that.
    fn encode_timeout(&self) -> Result<Bytes, BoxError>
    where
        Self: EncodeValue<Option<()>>,
    {
        self.encode(&None::<()>)
    }
}

/// Makes payloads values.
///
/// ```
/// use sayiir_core::codec::{Decoder, JsonCodec};
///
/// let pair: (u32, String) = JsonCodec.decode("[1,\"two\"]".into()).unwrap();
/// assert_eq!(pair, (1, "two".to_owned()));
/// ```
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
///
/// ```
/// use sayiir_core::codec::sealed::{DecodeValue, EncodeValue};
/// use sayiir_core::codec::{Codec, JsonCodec};
/// use sayiir_core::error::BoxError;
///
/// fn same<C: Codec + EncodeValue<u32> + DecodeValue<u32>>(codec: &C, value: u32) -> Result<u32, BoxError> {
///     codec.decode(codec.encode(&value)?)
/// }
/// assert_eq!(same(&JsonCodec, 5).unwrap(), 5);
/// ```
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
