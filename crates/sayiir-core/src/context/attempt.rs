//! What a running task can do besides returning: store a part of itself, say how far it is, learn that it is over.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{TaskExecutionContext, get_task_context};
use crate::attribute::{AttributeValue, SearchAttributes};
use crate::error::{BoxError, CodecError, DoNotRetry};
use crate::future::{BoxFuture, MaybeSend, MaybeSync};

/// Why something that a running task asked for was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// One name was given to two sub-steps.
    #[error("the sub-step {name:?} of {node} was asked for twice in one attempt: give each part a name of its own")]
    RepeatedName {
        /// The task's node path.
        node: Arc<str>,
        /// The name.
        name: Arc<str>,
    },
    /// A sub-step was given an empty name.
    #[error("a sub-step of {node} has no name: give each part one of its own")]
    NoName {
        /// The task's node path.
        node: Arc<str>,
    },
    /// The attempt is over: its branch was taken over, its run ended, its time was up, or it has returned.
    #[error("{node}: this attempt is over, and can store nothing more")]
    Over {
        /// The task's node path.
        node: Arc<str>,
    },
    /// The store did not take it.
    #[error("{node}: could not store {what}")]
    Store {
        /// The task's node path.
        node: Arc<str>,
        /// What it was.
        what: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
}

/// What the driver of an attempt does for its task. Programs use the methods of [`TaskExecutionContext`].
pub trait AttemptServices: MaybeSend + MaybeSync {
    /// The stored result of the sub-step of this name, if there is one. A name is asked for once in an attempt.
    fn sub_step(&self, name: Arc<str>) -> BoxFuture<'_, Result<Option<Bytes>, AttemptError>>;

    /// Stores the result of a sub-step.
    fn store_sub_step(&self, name: Arc<str>, output: Bytes) -> BoxFuture<'_, Result<(), AttemptError>>;

    /// Sets search attributes of the instance.
    fn set_search_attributes(&self, attributes: SearchAttributes) -> BoxFuture<'_, Result<(), AttemptError>>;

    /// Keeps the latest progress.
    fn report_progress(&self, progress: Bytes) -> BoxFuture<'_, Result<(), AttemptError>>;

    /// Whether the attempt is over.
    fn is_over(&self) -> bool;
}

/// The services of an attempt, or none.
#[derive(Clone, Default)]
pub(super) struct Services(pub(super) Option<Arc<dyn AttemptServices>>);

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Services" } else { "None" })
    }
}

impl PartialEq for Services {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl TaskExecutionContext {
    /// The same context with what a driver does for the attempt.
    #[must_use]
    pub fn with_services(mut self, services: Arc<dyn AttemptServices>) -> Self {
        self.services = Services(Some(services));
        self
    }

    /// What a driver does for the attempt, for code that gives it another face: a binding to another language. Outside of a
    /// workflow there is none.
    pub const fn services(&self) -> Option<&Arc<dyn AttemptServices>> {
        self.services.0.as_ref()
    }

    /// Runs a part of a long task, and stores its result (as JSON) under `name` before it goes on: a sub-step.
    ///
    /// If the part was stored before, by an earlier attempt or by a worker that is gone, its result is given and it does
    /// not run again. A part that *was running* at a crash runs again, as a task does. A part that fails stores nothing;
    /// its error is handed on. Storing costs one write, like a step, and is refused like one if the branch was taken over.
    ///
    /// The name must be unique within the task; in a loop of your own, number it: `format!("page {n}")`. Parts may run
    /// side by side. Result and name are limited by the store ([`Limits`]: 4 MiB and 2 KiB unless set).
    ///
    /// [`Limits`]: https://docs.rs/sayiir-persistence
    ///
    /// # Errors
    ///
    /// The part's own error; an [`AttemptError`]; a [`CodecError`] if the result is no JSON, or the stored one is not
    /// that of a `T` (which is not retried: it would be the same each time).
    ///
    /// ```
    /// use sayiir_core::context::{TaskExecutionContext, get_task_context};
    /// use sayiir_core::error::BoxError;
    ///
    /// # async fn download(_: u32) -> Result<Vec<String>, BoxError> { Ok(vec![]) }
    /// # async fn load(_: &[String]) -> Result<u64, BoxError> { Ok(0) }
    /// async fn import(day: u32) -> Result<u64, BoxError> {
    ///     let context = get_task_context().ok_or("not in a workflow")?;
    ///     let rows = context.checkpoint("download", async move { download(day).await }).await?;
    ///     context.checkpoint("load", async { load(&rows).await }).await
    /// }
    /// ```
    pub async fn checkpoint<T, F>(&self, name: impl Into<Arc<str>>, part: F) -> Result<T, BoxError>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, BoxError>>,
    {
        let Some(services) = &self.services.0 else { return part.await };
        let name = name.into();
        if let Some(stored) = services.sub_step(Arc::clone(&name)).await.map_err(advised)? {
            return serde_json::from_slice(&stored).map_err(|source| {
                let context = format!("the stored sub-step {name:?} of {}", self.node_path);
                DoNotRetry::new(CodecError::Decode { type_name: std::any::type_name::<T>(), context, source: source.into() }).into()
            });
        }
        let result = part.await?;
        let encoded = serde_json::to_vec(&result)
            .map_err(|source| DoNotRetry::new(CodecError::Encode { type_name: std::any::type_name::<T>(), source: source.into() }))?;
        services.store_sub_step(name, encoded.into()).await.map_err(advised)?;
        Ok(result)
    }

    /// Says how far the task is, as JSON, for whoever asks [`WorkflowClient::progress`]. Only the latest is kept, until
    /// the attempt ends; it is no part of the journal, and outlasts a crash until the next attempt says more. Costs one
    /// small write each time: say it every so many rows, not for each.
    ///
    /// Does nothing outside of a workflow.
    ///
    /// [`WorkflowClient::progress`]: https://docs.rs/sayiir-runtime
    ///
    /// # Errors
    ///
    /// [`AttemptError::Over`] if the branch is not this worker's any more: time to stop.
    pub async fn report_progress(&self, progress: &(impl Serialize + MaybeSync + ?Sized)) -> Result<(), BoxError> {
        let Some(services) = &self.services.0 else { return Ok(()) };
        let encoded = serde_json::to_vec(progress).map_err(|source| CodecError::Encode { type_name: "progress", source: source.into() })?;
        Ok(services.report_progress(encoded.into()).await?)
    }

    /// Sets a search attribute of the instance, by which it can be found ([`WorkflowClient::list`]); one of the same name is
    /// overwritten. A store takes a few short ones of an instance ([`Limits`]: 32, names of 128 bytes and texts of 512 unless
    /// set). It is no part of the journal: a task that is repeated sets it again. Costs one small write.
    ///
    /// Does nothing outside of a workflow.
    ///
    /// ```
    /// use sayiir_core::context::get_task_context;
    /// use sayiir_core::error::BoxError;
    ///
    /// async fn charge(euros: u32) -> Result<u32, BoxError> {
    ///     if let Some(context) = get_task_context() {
    ///         context.set_search_attribute("euros", euros).await?;
    ///     }
    ///     Ok(euros)
    /// }
    /// ```
    ///
    /// [`WorkflowClient::list`]: https://docs.rs/sayiir-runtime
    /// [`Limits`]: https://docs.rs/sayiir-persistence
    ///
    /// # Errors
    ///
    /// [`AttemptError::Over`] if the branch is not this worker's any more; [`AttemptError::Store`] if the store does not take it.
    pub async fn set_search_attribute(&self, name: impl Into<Arc<str>>, value: impl Into<AttributeValue>) -> Result<(), BoxError> {
        let Some(services) = &self.services.0 else { return Ok(()) };
        Ok(services.set_search_attributes(SearchAttributes::from([(name.into(), value.into())])).await?)
    }

    /// Whether this attempt is over: the instance was cancelled, the attempt's time was up, another worker took the branch, or the
    /// worker shut down. An async task need not ask, for its future is dropped then; code that it left behind on another thread
    /// (`spawn_blocking`) should, and stop: what it still does is lost.
    pub fn is_cancelled(&self) -> bool {
        self.services.0.as_ref().is_some_and(|services| services.is_over())
    }
}

/// What would be the same on each attempt is not worth one.
fn advised(error: AttemptError) -> BoxError {
    match &error {
        AttemptError::RepeatedName { .. } | AttemptError::NoName { .. } => DoNotRetry::new(error).into(),
        AttemptError::Over { .. } | AttemptError::Store { .. } => error.into(),
    }
}

/// [`TaskExecutionContext::checkpoint`] of the task that is running; outside of a workflow, as in a plain unit test of
/// the function, just the part.
///
/// # Errors
///
/// As [`TaskExecutionContext::checkpoint`].
///
/// ```
/// use sayiir_core::context::checkpoint;
/// # use sayiir_core::error::BoxError;
/// async fn double_twice(x: u32) -> Result<u32, BoxError> {
///     let once = checkpoint("once", async move { Ok(2 * x) }).await?;
///     checkpoint("twice", async move { Ok(2 * once) }).await
/// }
/// ```
pub async fn checkpoint<T, F>(name: impl Into<Arc<str>>, part: F) -> Result<T, BoxError>
where
    T: Serialize + DeserializeOwned,
    F: Future<Output = Result<T, BoxError>>,
{
    match get_task_context() {
        Some(context) => context.checkpoint(name, part).await,
        None => part.await,
    }
}
