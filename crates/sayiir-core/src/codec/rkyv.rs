//! rkyv: archives that are checked before they are read.
//!
//! Stored bytes are never trusted: they are validated on every read, copied first if the store hands
//! them out unaligned, and whatever is wrong with them is an error.

use std::any::type_name;
use std::borrow::Cow;
use std::num::NonZeroUsize;

use bytes::Bytes;
use rkyv::api::access_with_context;
use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator, to_bytes_in_with_alloc};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::{AlignedVec, with_arena};
use rkyv::validation::Validator;
use rkyv::validation::archive::ArchiveValidator;
use rkyv::validation::shared::SharedValidator;
use rkyv::with::Inline;
use rkyv::{Archive, Archived, Deserialize, Serialize};

use super::sealed::{DecodeValue, EncodeValue};
use super::{Decoder, Encoder, EnvelopeCodec};
use crate::error::BoxError;

/// What archives are aligned to: no archived type of rkyv needs more.
const ALIGNMENT: usize = 16;

/// How deep values may be nested, as in JSON.
const MAX_DEPTH: Option<NonZeroUsize> = NonZeroUsize::new(128);

/// What a wait hands on when its time ran out. No value is encoded so: before each value's root there is a 1.
const TIMED_OUT: &[u8] = b"timed out";

/// Carries what rkyv can archive: types that derive `rkyv::Archive`, `rkyv::Serialize` and `rkyv::Deserialize`.
///
/// A payload is an rkyv archive of the value, with a tag before its root that makes it an archive of
/// `Some(value)` as well: so the step after a wait for a signal may take a `P` or an `Option<P>`, as with
/// any codec. `rkyv::access` and `rkyv::from_bytes` read payloads directly, and what `rkyv::to_bytes` wrote
/// is decoded too (but as exactly its type: an `Option<P>` is not read from a plain archive of a `P`).
///
/// Payloads are checked on every read, whatever their alignment. Bytes that are no archive of the type are an
/// error, never undefined behaviour or a panic; so are values nested deeper than 128 levels. But archives do not name their
/// types: bytes of another type that happen to be a valid archive are read as one. Change a task's `version` when
/// you change its types.
///
/// ```
/// use rkyv::{Archive, Deserialize, Serialize};
/// use sayiir_core::codec::{Decoder, Encoder, RkyvCodec};
///
/// #[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
/// struct Order {
///     id: u64,
///     photo: Vec<u8>,
/// }
///
/// let order = Order { id: 17, photo: vec![0xff, 0x00] };
/// let bytes = RkyvCodec.encode(&order).unwrap();
/// assert_eq!(RkyvCodec.decode::<Order>(bytes.clone()).unwrap(), order);
/// assert!(RkyvCodec.decode::<Order>(bytes.slice(1..)).is_err());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RkyvCodec;

/// The value at the root of a payload, laid out as `Some(value)` is.
#[derive(Archive, Serialize)]
enum Present<'a, T> {
    #[allow(dead_code, reason = "gives the other variant the tag that `Some` has")]
    Nothing,
    Value(#[rkyv(with = Inline)] &'a T),
}

impl Encoder for RkyvCodec {
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("rkyv")
    }

    fn encode_timeout(&self) -> Result<Bytes, BoxError>
    where
        Self: EncodeValue<Option<()>>,
    {
        Ok(Bytes::from_static(TIMED_OUT))
    }
}

impl Decoder for RkyvCodec {}
impl EnvelopeCodec for RkyvCodec {}

impl<T> EncodeValue<T> for RkyvCodec
where
    T: for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, Error>>,
{
    fn encode_value(&self, value: &T) -> Result<Bytes, BoxError> {
        let archive: AlignedVec =
            with_arena(|arena| to_bytes_in_with_alloc::<_, _, Error>(&Present::Value(value), AlignedVec::new(), arena.acquire()))?;
        Ok(Bytes::from_owner(archive))
    }
}

impl<T> DecodeValue<T> for RkyvCodec
where
    T: Archive,
    Archived<T>: for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<T, HighDeserializer<Error>>,
{
    fn decode_value(&self, bytes: Bytes) -> Result<T, BoxError> {
        if bytes == TIMED_OUT {
            if !is_option::<T>() {
                return Err("the wait timed out: there is no value but None".into());
            }
            // An archive of nothing but zeros is `None`, whatever the option is of.
            return read(&vec![0; size_of::<Archived<T>>()]);
        }
        read(&bytes)
    }
}

/// Whether this is an `Option`. If a compiler named it otherwise, a timed-out wait would be an error, not a wrong value.
fn is_option<T>() -> bool {
    type_name::<T>().starts_with("core::option::Option<")
}

fn read<T>(bytes: &[u8]) -> Result<T, BoxError>
where
    T: Archive,
    Archived<T>: for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<T, HighDeserializer<Error>>,
{
    if bytes.as_ptr().align_offset(ALIGNMENT) != 0 {
        let mut aligned = AlignedVec::<ALIGNMENT>::with_capacity(bytes.len());
        aligned.extend_from_slice(bytes);
        return read_aligned(&aligned);
    }
    read_aligned(bytes)
}

fn read_aligned<T>(bytes: &[u8]) -> Result<T, BoxError>
where
    T: Archive,
    Archived<T>: for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<T, HighDeserializer<Error>>,
{
    let mut validator = Validator::new(ArchiveValidator::with_max_depth(bytes, MAX_DEPTH), SharedValidator::new());
    let archived = access_with_context::<Archived<T>, _, Error>(bytes, &mut validator)?;
    Ok(rkyv::deserialize::<T, Error>(archived)?)
}
