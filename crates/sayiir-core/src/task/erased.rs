//! A task as drivers see it: bytes in, bytes out.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::BoxError;
use crate::future::{BoxFuture, MaybeSend, MaybeSync};

/// What a task is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskInput {
    /// The value of the step before it.
    Value(Bytes),
    /// A join's: what each branch handed on, by branch name, in the fork's order.
    Branches(Vec<(Arc<str>, Bytes)>),
}

/// A task without its types.
pub trait ErasedTask: MaybeSend + MaybeSync + 'static {
    /// Runs one attempt. A route's key task returns the key as UTF-8, whatever the codec.
    fn run(&self, input: TaskInput) -> BoxFuture<'static, Result<Bytes, BoxError>>;
}
