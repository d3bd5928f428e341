//! A registry built in one expression, with one codec for all.

use std::future::Future;
use std::sync::Arc;

use super::TaskRegistry;
use crate::codec::sealed::{DecodeValue, EncodeValue};
use crate::codec::{Codec, EnvelopeCodec};
use crate::error::BoxError;
use crate::future::{MaybeSend, MaybeSync};
use crate::task::{BranchOutputs, CoreTask, TaskMetadata};

/// A registry in the making, with one codec for all its tasks.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_core::codec::JsonCodec;
/// use sayiir_core::registry::TaskRegistry;
///
/// let registry = TaskRegistry::with_codec(Arc::new(JsonCodec))
///     .register_fn("double", |x: u32| async move { Ok(2 * x) })
///     .register_join("sum", |outputs| async move { Ok(outputs.get_by_id::<u32>("a")? + outputs.get_by_id::<u32>("b")?) })
///     .build();
/// assert_eq!(registry.len(), 2);
/// ```
#[derive(Debug)]
pub struct RegistryBuilder<C> {
    codec: Arc<C>,
    registry: TaskRegistry,
}

impl<C> RegistryBuilder<C> {
    pub(super) const fn new(codec: Arc<C>) -> Self {
        Self { codec, registry: TaskRegistry::new() }
    }

    /// The registry.
    pub fn build(self) -> TaskRegistry {
        self.registry
    }

    /// Registers a task.
    #[must_use]
    pub fn register<T>(self, id: &str, task: T) -> Self
    where
        T: CoreTask,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        self.register_with_metadata(id, task, TaskMetadata::default())
    }

    /// Registers a task with its metadata.
    #[must_use]
    pub fn register_with_metadata<T>(mut self, id: &str, task: T, metadata: TaskMetadata) -> Self
    where
        T: CoreTask,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        self.registry.register_with_metadata(id, Arc::clone(&self.codec), task, metadata);
        self
    }

    /// Registers an async closure.
    #[must_use]
    pub fn register_fn<I, O, F, Fut>(self, id: &str, function: F) -> Self
    where
        I: 'static,
        O: 'static,
        F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: Codec + DecodeValue<I> + EncodeValue<O>,
    {
        self.register_fn_with_metadata(id, function, TaskMetadata::default())
    }

    /// Registers an async closure with its metadata.
    #[must_use]
    pub fn register_fn_with_metadata<I, O, F, Fut>(mut self, id: &str, function: F, metadata: TaskMetadata) -> Self
    where
        I: 'static,
        O: 'static,
        F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: Codec + DecodeValue<I> + EncodeValue<O>,
    {
        self.registry.register_fn_with_metadata(id, Arc::clone(&self.codec), function, metadata);
        self
    }

    /// Registers an async closure that joins branches.
    #[must_use]
    pub fn register_join<O, F, Fut>(self, id: &str, function: F) -> Self
    where
        O: 'static,
        F: Fn(BranchOutputs<C>) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: EnvelopeCodec + EncodeValue<O>,
    {
        self.register_join_with_metadata(id, function, TaskMetadata::default())
    }

    /// Registers an async closure that joins branches, with its metadata.
    #[must_use]
    pub fn register_join_with_metadata<O, F, Fut>(mut self, id: &str, function: F, metadata: TaskMetadata) -> Self
    where
        O: 'static,
        F: Fn(BranchOutputs<C>) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: EnvelopeCodec + EncodeValue<O>,
    {
        self.registry.register_join_with_metadata(id, Arc::clone(&self.codec), function, metadata);
        self
    }
}
