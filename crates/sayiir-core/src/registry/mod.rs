//! Registries: implementations by task id, from which a stored definition gets its code.

mod builder;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

pub use builder::RegistryBuilder;

use crate::codec::sealed::{DecodeValue, EncodeValue};
use crate::codec::{Codec, EnvelopeCodec};
use crate::deps::{Deps, DepsInjectable, MissingDep};
use crate::error::BoxError;
use crate::future::{MaybeSend, MaybeSync};
use crate::task::{BranchOutputs, CoreTask, ErasedTask, Implementation, RegisterableTask, TaskMetadata, fn_task};

/// Implementations by task id.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_core::codec::JsonCodec;
/// use sayiir_core::registry::TaskRegistry;
///
/// let codec = Arc::new(JsonCodec);
/// let mut registry = TaskRegistry::new();
/// registry.register_fn("double", codec, |x: u32| async move { Ok(2 * x) });
/// assert!(registry.contains("double"));
/// ```
#[derive(Clone, Default)]
pub struct TaskRegistry {
    entries: BTreeMap<Arc<str>, Entry>,
}

#[derive(Clone)]
struct Entry {
    implementation: Implementation,
    metadata: TaskMetadata,
}

impl TaskRegistry {
    /// An empty registry.
    pub const fn new() -> Self {
        Self { entries: BTreeMap::new() }
    }

    /// An empty registry whose tasks all use this codec.
    pub const fn with_codec<C>(codec: Arc<C>) -> RegistryBuilder<C> {
        RegistryBuilder::new(codec)
    }

    /// Registers a task. What was under its id before is replaced.
    pub fn register<T, C>(&mut self, id: &str, codec: Arc<C>, task: T) -> &mut Self
    where
        T: CoreTask,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        self.register_with_metadata(id, codec, task, TaskMetadata::default())
    }

    /// Registers a task with its metadata.
    pub fn register_with_metadata<T, C>(&mut self, id: &str, codec: Arc<C>, task: T, metadata: TaskMetadata) -> &mut Self
    where
        T: CoreTask,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        self.insert(id, Implementation::of_task(id, codec, task), metadata)
    }

    /// Registers an async closure.
    pub fn register_fn<I, O, F, Fut, C>(&mut self, id: &str, codec: Arc<C>, function: F) -> &mut Self
    where
        I: 'static,
        O: 'static,
        F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: Codec + DecodeValue<I> + EncodeValue<O>,
    {
        self.register_fn_with_metadata(id, codec, function, TaskMetadata::default())
    }

    /// Registers an async closure with its metadata.
    pub fn register_fn_with_metadata<I, O, F, Fut, C>(&mut self, id: &str, codec: Arc<C>, function: F, metadata: TaskMetadata) -> &mut Self
    where
        I: 'static,
        O: 'static,
        F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: Codec + DecodeValue<I> + EncodeValue<O>,
    {
        self.insert(id, Implementation::of_closure(id, codec, fn_task(function)), metadata)
    }

    /// Registers an async closure that joins branches.
    pub fn register_join<O, F, Fut, C>(&mut self, id: &str, codec: Arc<C>, function: F) -> &mut Self
    where
        O: 'static,
        F: Fn(BranchOutputs<C>) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: EnvelopeCodec + EncodeValue<O>,
    {
        self.register_join_with_metadata(id, codec, function, TaskMetadata::default())
    }

    /// Registers an async closure that joins branches, with its metadata.
    pub fn register_join_with_metadata<O, F, Fut, C>(&mut self, id: &str, codec: Arc<C>, function: F, metadata: TaskMetadata) -> &mut Self
    where
        O: 'static,
        F: Fn(BranchOutputs<C>) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: EnvelopeCodec + EncodeValue<O>,
    {
        self.insert(id, Implementation::of_join(id, codec, function), metadata)
    }

    /// Registers a task that is made from deps, under its own id and with its own metadata.
    ///
    /// # Errors
    ///
    /// What the deps lack, all of it; the registry is as it was then.
    pub fn register_from_deps<T, C>(&mut self, codec: Arc<C>, deps: &Deps) -> Result<(), Vec<MissingDep>>
    where
        T: RegisterableTask + DepsInjectable,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        let missing = T::verify_deps(deps);
        if !missing.is_empty() {
            return Err(missing);
        }
        self.register_with_metadata(T::task_id(), codec, T::from_deps(deps), T::metadata());
        Ok(())
    }

    /// Takes over another registry's tasks. Where both have an id, this one's stays.
    pub fn merge(&mut self, other: Self) -> &mut Self {
        for (id, entry) in other.entries {
            self.entries.entry(id).or_insert(entry);
        }
        self
    }

    /// A task's implementation.
    pub fn get(&self, id: &str) -> Option<&Arc<dyn ErasedTask>> {
        self.implementation(id).map(|implementation| &implementation.task)
    }

    /// A task's metadata.
    pub fn get_metadata(&self, id: &str) -> Option<&TaskMetadata> {
        self.entries.get(id).map(|entry| &entry.metadata)
    }

    /// Replaces a task's metadata. Says whether there is such a task.
    pub fn set_metadata(&mut self, id: &str, metadata: TaskMetadata) -> bool {
        let entry = self.entries.get_mut(id);
        let found = entry.is_some();
        if let Some(entry) = entry {
            entry.metadata = metadata;
        }
        found
    }

    /// Whether there is such a task.
    pub fn contains(&self, id: &str) -> bool {
        self.entries.contains_key(id)
    }

    /// How many tasks there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no task.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The ids of the tasks, sorted.
    pub fn task_ids(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(|id| &**id)
    }

    pub(crate) fn implementation(&self, id: &str) -> Option<&Implementation> {
        self.entries.get(id).map(|entry| &entry.implementation)
    }

    pub(crate) fn insert(&mut self, id: &str, implementation: Implementation, metadata: TaskMetadata) -> &mut Self {
        self.entries.insert(Arc::from(id), Entry { implementation, metadata });
        self
    }
}

impl fmt::Debug for TaskRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskRegistry").field(&self.entries.keys().collect::<Vec<_>>()).finish()
    }
}
