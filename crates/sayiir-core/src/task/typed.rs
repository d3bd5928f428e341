//! Typed tasks behind [`ErasedTask`]: the payload is decoded, the task runs, its output is encoded.
//!
//! All of it happens inside the returned future, so that a panic anywhere shows when it is polled.
//! What cannot be decoded or encoded is never worth a retry.

use std::any::{Any, TypeId, type_name};
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;

use super::core_task::FnTask;
use super::{BranchOutputs, CoreTask, ErasedTask, TaskInput};
use crate::branch_results::NamedBranchResults;
use crate::codec::Codec;
use crate::codec::sealed::{DecodeValue, EncodeValue};
use crate::error::{BoxError, CodecError, DoNotRetry, short_type_name};
use crate::future::{BoxFuture, MaybeSend, MaybeSync};
use crate::workflow::TaskTypes;

/// What a join takes.
const BRANCHES: &str = "BranchOutputs";

/// A task's code, and what tells whether two of them are the same.
#[derive(Clone)]
pub(crate) struct Implementation {
    pub(crate) task: Arc<dyn ErasedTask>,
    /// The type that is all there is to know of the code; `None` for closures with captured values.
    identity: Option<TypeId>,
    /// Whether a value of that type holds nothing, so that one is as good as another.
    stateless: bool,
    /// The Rust types that it takes and gives.
    types: (&'static str, &'static str),
}

impl Implementation {
    /// A task value.
    pub(crate) fn of_task<T, C>(id: &str, codec: Arc<C>, task: T) -> Self
    where
        T: CoreTask,
        C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
    {
        let task = TypedTask { id: Arc::from(id), codec, task: Arc::new(task) };
        let types = (type_name::<T::Input>(), type_name::<T::Output>());
        Self { task: Arc::new(task), identity: Some(TypeId::of::<T>()), stateless: size_of::<T>() == 0, types }
    }

    /// A closure.
    pub(crate) fn of_closure<F, I, C>(id: &str, codec: Arc<C>, task: FnTask<F, I>) -> Self
    where
        FnTask<F, I>: CoreTask,
        C: Codec + DecodeValue<<FnTask<F, I> as CoreTask>::Input> + EncodeValue<<FnTask<F, I> as CoreTask>::Output>,
    {
        let Self { task, identity, stateless, types } = Self::of_task(id, codec, task);
        Self { task, identity: identity.filter(|_| stateless), stateless, types }
    }

    /// A join.
    pub(crate) fn of_join<F, O, Fut, C>(id: &str, codec: Arc<C>, function: F) -> Self
    where
        F: Fn(BranchOutputs<C>) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        O: 'static,
        C: Codec + EncodeValue<O>,
    {
        let stateless = size_of::<F>() == 0;
        let identity = stateless.then(TypeId::of::<F>);
        let task = JoinTask { id: Arc::from(id), codec, function: Arc::new(function), output: PhantomData };
        Self { task: Arc::new(task), identity, stateless, types: (BRANCHES, type_name::<O>()) }
    }

    /// A task of another language, which takes and gives JSON.
    #[cfg(feature = "json")]
    pub(crate) fn of_json(task: Arc<dyn ErasedTask>) -> Self {
        Self { task, identity: None, stateless: false, types: ("Json", "Json") }
    }

    /// The Rust types that it takes and gives, as a definition says them.
    pub(crate) fn types(&self) -> TaskTypes {
        let (input, output) = self.types;
        TaskTypes { input: short_type_name(input), output: short_type_name(output) }
    }

    /// Whether both are the same code, perhaps with different values in it.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.task, &other.task) || (self.identity.is_some() && self.identity == other.identity)
    }

    /// Whether one can run in place of the other.
    pub(crate) fn is_interchangeable(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.task, &other.task) || (self.stateless && self.is_same(other))
    }
}

/// A [`CoreTask`] with a codec.
struct TypedTask<T, C> {
    id: Arc<str>,
    codec: Arc<C>,
    task: Arc<T>,
}

impl<T, C> ErasedTask for TypedTask<T, C>
where
    T: CoreTask,
    C: Codec + DecodeValue<T::Input> + EncodeValue<T::Output>,
{
    fn run(&self, input: TaskInput) -> BoxFuture<'static, Result<Bytes, BoxError>> {
        let (id, codec, task) = (Arc::clone(&self.id), Arc::clone(&self.codec), Arc::clone(&self.task));
        Box::pin(async move {
            let future = task.run(input_value(&*codec, &id, input)?);
            let output = future.await?;
            encode_output(&*codec, &output)
        })
    }
}

/// A closure that joins, with a codec.
struct JoinTask<F, C, O> {
    id: Arc<str>,
    codec: Arc<C>,
    function: Arc<F>,
    output: PhantomData<fn() -> O>,
}

impl<F, O, Fut, C> ErasedTask for JoinTask<F, C, O>
where
    F: Fn(BranchOutputs<C>) -> Fut + MaybeSend + MaybeSync + 'static,
    Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
    O: 'static,
    C: Codec + EncodeValue<O>,
{
    fn run(&self, input: TaskInput) -> BoxFuture<'static, Result<Bytes, BoxError>> {
        let (id, codec, function) = (Arc::clone(&self.id), Arc::clone(&self.codec), Arc::clone(&self.function));
        Box::pin(async move {
            let branches = match input {
                TaskInput::Branches(branches) => branches,
                TaskInput::Value(_) => {
                    return Err(DoNotRetry::new(format!("the join {id:?} stands where no fork is: it needs branches")).into());
                }
            };
            let future = function(BranchOutputs::new(Arc::clone(&codec), branches));
            let output = future.await?;
            encode_output(&*codec, &output)
        })
    }
}

/// A route's key task: takes the key out of the codec's hands.
pub(crate) struct KeyTask<C> {
    /// Gives the key as an encoded `String`.
    pub(crate) inner: Arc<dyn ErasedTask>,
    pub(crate) codec: Arc<C>,
}

impl<C: Codec + DecodeValue<String>> ErasedTask for KeyTask<C> {
    fn run(&self, input: TaskInput) -> BoxFuture<'static, Result<Bytes, BoxError>> {
        let (codec, future) = (Arc::clone(&self.codec), self.inner.run(input));
        Box::pin(async move {
            let key = codec.decode::<String>(future.await?).map_err(|source| {
                let context = "what a route's key task returned".to_owned();
                DoNotRetry::new(CodecError::Decode { type_name: "String", context, source })
            })?;
            Ok(Bytes::from(key))
        })
    }
}

/// A task that is given what a signal brought: its decode error names the signal.
pub(crate) struct AfterSignal {
    pub(crate) inner: Arc<dyn ErasedTask>,
    pub(crate) name: Arc<str>,
}

impl ErasedTask for AfterSignal {
    fn run(&self, input: TaskInput) -> BoxFuture<'static, Result<Bytes, BoxError>> {
        let (name, future) = (Arc::clone(&self.name), self.inner.run(input));
        Box::pin(async move { future.await.map_err(|error| name_signal(error, &name)) })
    }
}

fn name_signal(error: BoxError, name: &str) -> BoxError {
    let error = match error.downcast::<DoNotRetry>() {
        Ok(error) => error.into_inner(),
        Err(error) => return error,
    };
    let named = match error.downcast::<CodecError>() {
        Ok(error) => match *error {
            CodecError::Input { task, signal: _, type_name, source } => {
                CodecError::Input { task, signal: Some(name.to_owned()), type_name, source }
            }
            CodecError::Encode { .. } | CodecError::Decode { .. } | CodecError::Mismatch { .. } => *error,
        },
        Err(error) => return DoNotRetry::new(error).into(),
    };
    DoNotRetry::new(named).into()
}

fn input_value<I: 'static, C: Codec + DecodeValue<I>>(codec: &C, id: &str, input: TaskInput) -> Result<I, BoxError> {
    let failed = |source| DoNotRetry::new(CodecError::Input { task: id.to_owned(), signal: None, type_name: type_name::<I>(), source });
    match input {
        TaskInput::Value(bytes) => Ok(codec.decode(bytes).map_err(failed)?),
        TaskInput::Branches(branches) => {
            let results: NamedBranchResults = branches.into_iter().map(|(name, output)| (name.to_string(), output)).collect();
            cast(results).ok_or_else(|| failed("a join takes `BranchOutputs` or `NamedBranchResults`".into()).into())
        }
    }
}

/// The value as a `T`, if that is its type.
fn cast<T: 'static>(value: NamedBranchResults) -> Option<T> {
    let mut slot = Some(value);
    (&mut slot as &mut dyn Any).downcast_mut::<Option<T>>().and_then(Option::take)
}

fn encode_output<O, C: Codec + EncodeValue<O>>(codec: &C, output: &O) -> Result<Bytes, BoxError> {
    codec.encode(output).map_err(|source| DoNotRetry::new(CodecError::Encode { type_name: type_name::<O>(), source }).into())
}
