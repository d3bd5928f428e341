//! What flows from one step to the next, as the builder's type parameter.

use std::marker::PhantomData;

use bytes::Bytes;

use crate::codec::Decoder;
use crate::codec::sealed::DecodeValue;
use crate::error::BoxError;

/// A builder's state after a step that gives a `T`.
#[derive(Debug)]
pub struct Typed<T>(PhantomData<fn() -> T>);

/// A value whose type the definition does not say: an event's payload.
///
/// It is a builder's state after `wait_for_signal`, where the next step's input says the type, and the
/// output of a workflow that ends there.
///
/// ```
/// use sayiir_core::codec::JsonCodec;
/// use sayiir_core::workflow::Untyped;
///
/// let payload = Untyped::new("5".into());
/// assert_eq!(payload.decode::<u32, _>(&JsonCodec).unwrap(), 5);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Untyped {
    bytes: Bytes,
}

impl Untyped {
    /// The payload of these bytes.
    pub const fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    /// The payload's bytes.
    pub const fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The payload's bytes.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The payload as a `T`.
    pub fn decode<T, C: Decoder + DecodeValue<T>>(&self, codec: &C) -> Result<T, BoxError> {
        codec.decode(self.bytes.clone())
    }
}

/// A step that takes an `I` may stand here.
///
/// ```compile_fail
/// # use std::sync::Arc;
/// # use sayiir_core::prelude::*;
/// WorkflowBuilder::new(WorkflowContext::new("wrong", Arc::new(JsonCodec), Arc::new(())))
///     .then("number", |x: u32| async move { Ok(x) })
///     .then("text", |x: String| async move { Ok(x) }); // a `u32` flows here
/// ```
#[diagnostic::on_unimplemented(
    message = "a step that takes a `{I}` cannot stand here: the step before it gives `{Self}`",
    label = "takes a `{I}`",
    note = "after a child workflow that ends with a signal, call `untyped()` first"
)]
pub trait FlowsInto<I> {}

impl<T> FlowsInto<T> for Typed<T> {}
impl<T> FlowsInto<T> for Untyped {}

/// A builder's state with which a workflow of codec `C` may end.
#[diagnostic::on_unimplemented(
    message = "a workflow cannot end with `{Self}` here",
    note = "the codec must decode its output; after a child workflow that ends with a signal, call `untyped()` first"
)]
pub trait FlowEnd<C> {
    /// What the workflow gives.
    type Output: 'static;

    /// Decodes it.
    fn decode(codec: &C, bytes: Bytes) -> Result<Self::Output, BoxError>;
}

impl<C: Decoder + DecodeValue<T>, T: 'static> FlowEnd<C> for Typed<T> {
    type Output = T;

    fn decode(codec: &C, bytes: Bytes) -> Result<T, BoxError> {
        codec.decode(bytes)
    }
}

impl<C> FlowEnd<C> for Untyped {
    type Output = Self;

    fn decode(_codec: &C, bytes: Bytes) -> Result<Self, BoxError> {
        Ok(Self::new(bytes))
    }
}
