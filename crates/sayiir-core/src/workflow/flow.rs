//! What flows from one step to the next, as the builder's type parameter.

use std::marker::PhantomData;

use bytes::Bytes;

use crate::codec::Decoder;
use crate::codec::sealed::DecodeValue;
use crate::error::BoxError;
use crate::loop_result::LoopResult;

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
    note = "a route hands on a `BranchEnvelope`, a signal with a timeout an `Option`; after a child workflow that ends with a signal, call `untyped()` first"
)]
pub trait FlowsInto<I> {}

impl<T> FlowsInto<T> for Typed<T> {}
impl<T> FlowsInto<T> for Untyped {}

/// The steps of a route's arm give an `Out`.
#[diagnostic::on_unimplemented(message = "the arms of this route give a `{Out}`, and this one gives `{Self}`")]
pub trait ArmGives<Out> {}

impl<T: GivenByArms<Out>, Out> ArmGives<Out> for Typed<T> {}
impl<T> ArmGives<T> for Untyped {}

/// What one arm of a route gives is what the others give.
#[diagnostic::on_unimplemented(
    message = "the arms of a route give one type: this one gives a `{Self}`, and the others a `{Out}`",
    label = "gives a `{Self}` instead of a `{Out}`",
    note = "end each arm with a step that gives the same type; an enum may hold what differs"
)]
pub trait GivenByArms<Out> {}

impl<T> GivenByArms<T> for T {}

/// The steps of a loop's body give a `LoopResult` of what they take.
#[diagnostic::on_unimplemented(message = "the last step of a loop's body gives a `LoopResult<{T}>`, and this one gives `{Self}`")]
pub trait BodyGives<T> {}

impl<G: GivenByBody<T>, T> BodyGives<T> for Typed<G> {}
impl<T> BodyGives<T> for Untyped {}

/// What the last step of a loop's body gives says whether to go on.
#[diagnostic::on_unimplemented(
    message = "a loop over a `{T}` ends with a step that gives a `LoopResult<{T}>`: its last one gives a `{Self}`",
    label = "its last step gives a `{Self}`",
    note = "give `LoopResult::Again(value)` to go on and `LoopResult::Done(value)` to end"
)]
pub trait GivenByBody<T> {}

impl<T> GivenByBody<T> for LoopResult<T> {}

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
