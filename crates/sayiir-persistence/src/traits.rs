//! The vocabulary traits: what tools and tests call. Each is implemented for every [`Store`]; a
//! hand-written minimal store may implement them alone.

use std::future::Future;

use bytes::Bytes;
use sayiir_core::TaskId;
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::future::{MaybeSend, MaybeSync};
use sayiir_core::snapshot::WorkflowSnapshot;
use sayiir_core::task_claim::{AvailableTask, TaskClaim};

use crate::backend_error::BackendError;
use crate::store::Store;
use crate::{claims, vocabulary};

/// What a vocabulary operation returns.
pub type BackendResult<T> = Result<T, BackendError>;

/// Snapshots of instances.
///
/// For a [`Store`], a snapshot is a view, and saving one is an import: journaled, under a new revision,
/// refused while another holds a lease; what is finished stays finished. A snapshot remembers where it was loaded
/// or saved ([`WorkflowSnapshot::stored`]), and is refused as [`BackendError::Stale`] once the instance has gone on from
/// there. One that comes from elsewhere is stale if it lacks a result that the instance has.
///
/// Weaker than the names suggest: a store knows no plan, so a loaded snapshot does not tell what follows a delay or a wait
/// (`next_task_id` is `None` there; [`WorkflowSnapshot::tell_next`] fills it in), and it shows where the root branch stands, not those of a fork.
///
/// ```
/// use sayiir_core::snapshot::TaskHint;
/// use sayiir_persistence::{ConflictPolicy, InMemoryBackend, SnapshotStore, prepare_run};
///
/// # futures_executor::block_on(async {
/// let store = InMemoryBackend::new();
/// prepare_run("order-17", "order", "42".into(), TaskHint::new("charge", None, &[]), &store, ConflictPolicy::Fail).await?;
/// let snapshot = store.load_snapshot("order-17").await?;
/// assert_eq!(snapshot.initial_input_bytes().as_deref(), Some(&b"42"[..]));
/// assert_eq!(store.list_snapshots().await?, ["order-17"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub trait SnapshotStore: MaybeSend + MaybeSync {
    /// Stores a snapshot, and stamps it with its times and its place in the store.
    fn save_snapshot(&self, snapshot: &mut WorkflowSnapshot) -> impl Future<Output = BackendResult<()>> + MaybeSend;

    /// Stores what one task gave, also while the task is claimed ([`TaskClaimStore::claim_task`]). The instance stays where
    /// it stands: what follows the task is known to a worker alone, and one that takes the instance there runs the task again.
    fn save_task_result(&self, instance_id: &str, task_id: &TaskId, output: Bytes) -> impl Future<Output = BackendResult<()>> + MaybeSend;

    /// Loads a snapshot; [`BackendError::NotFound`] for an unknown id.
    fn load_snapshot(&self, instance_id: &str) -> impl Future<Output = BackendResult<WorkflowSnapshot>> + MaybeSend;

    /// Removes an instance with its control requests and its buffered events; [`BackendError::NotFound`] for an unknown id.
    fn delete_snapshot(&self, instance_id: &str) -> impl Future<Output = BackendResult<()>> + MaybeSend;

    /// The ids of all instances, in order.
    fn list_snapshots(&self) -> impl Future<Output = BackendResult<Vec<String>>> + MaybeSend;

    /// The transactional store behind this one, if there is one. Without it, a function that needs
    /// several of these operations does them one after the other, and is not atomic.
    fn transactional(&self) -> Option<&dyn Store> {
        None
    }
}

/// Control requests and events.
///
/// Weaker than a store's own operations: the two checks apply and then forget, one after the other. A crash in between
/// leaves the request applied and still recorded, which asks for nothing more; of two that check at once, one says that it did.
/// An event that is consumed is gone, whatever becomes of its consumer: a workflow's own wait uses it together with its step.
///
/// ```
/// use sayiir_core::snapshot::TaskHint;
/// use sayiir_persistence::{ConflictPolicy, InMemoryBackend, SignalStore, prepare_run};
///
/// # futures_executor::block_on(async {
/// let store = InMemoryBackend::new();
/// prepare_run("order-17", "order", "42".into(), TaskHint::new("charge", None, &[]), &store, ConflictPolicy::Fail).await?;
/// store.send_event("order-17", "approved", "true".into()).await?;
/// assert_eq!(store.consume_event("order-17", "approved").await?.as_deref(), Some(&b"true"[..]));
/// assert_eq!(store.consume_event("order-17", "approved").await?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub trait SignalStore: MaybeSend + MaybeSync {
    /// Records a request, to be applied at the next task boundary.
    fn store_signal(
        &self,
        instance_id: &str,
        kind: SignalKind,
        request: SignalRequest,
    ) -> impl Future<Output = BackendResult<()>> + MaybeSend;

    /// The last request of that kind, until it is cleared, checked or unpaused.
    fn get_signal(&self, instance_id: &str, kind: SignalKind) -> impl Future<Output = BackendResult<Option<SignalRequest>>> + MaybeSend;

    /// Forgets a request.
    fn clear_signal(&self, instance_id: &str, kind: SignalKind) -> impl Future<Output = BackendResult<()>> + MaybeSend;

    /// Stores an event; the instance need not exist yet.
    fn send_event(&self, instance_id: &str, name: &str, payload: Bytes) -> impl Future<Output = BackendResult<()>> + MaybeSend;

    /// Takes the first waiting event of that name.
    fn consume_event(&self, instance_id: &str, name: &str) -> impl Future<Output = BackendResult<Option<Bytes>>> + MaybeSend;

    /// Applies a recorded cancel that waits to be applied; whether there was one. `interrupted` is the task that was about to run.
    fn check_and_cancel(&self, instance_id: &str, interrupted: Option<TaskId>) -> impl Future<Output = BackendResult<bool>> + MaybeSend;

    /// Applies a recorded pause, unless a cancel is recorded too; whether it did.
    fn check_and_pause(&self, instance_id: &str) -> impl Future<Output = BackendResult<bool>> + MaybeSend;

    /// Lets a paused instance go on. One that is not paused is left as it is.
    fn unpause(&self, instance_id: &str) -> impl Future<Output = BackendResult<WorkflowSnapshot>> + MaybeSend;
}

/// Claims of single tasks, for tools that run tasks outside a worker.
///
/// For a [`Store`] a claim is a lease like a worker's: no worker runs the task meanwhile, and a result that comes after
/// somebody else took the task is refused. Keeping a claim is up to its worker: nothing renews it by itself.
///
/// ```
/// use sayiir_core::snapshot::TaskHint;
/// use sayiir_persistence::{ConflictPolicy, InMemoryBackend, TaskClaimStore, prepare_run};
///
/// # futures_executor::block_on(async {
/// let store = InMemoryBackend::new();
/// prepare_run("order-17", "order", "42".into(), TaskHint::new("charge", None, &[]), &store, ConflictPolicy::Fail).await?;
/// let minute = chrono::Duration::minutes(1);
/// for task in store.find_available_tasks("me", 10, minute * 5, &[]).await? {
///     if let Some(claim) = store.claim_task(&task.instance_id, &task.task_id, "me", Some(minute)).await? {
///         assert!(!claim.is_expired());
///         store.release_task_claim(&task.instance_id, &task.task_id, "me").await?;
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub trait TaskClaimStore: MaybeSend + MaybeSync {
    /// Claims the task, if the instance stands at it, is due there, and nobody holds it. `None` otherwise. A claim whose time
    /// is over can be taken over. Without a `ttl` the claim lasts 5 minutes.
    fn claim_task(
        &self,
        instance_id: &str,
        task_id: &TaskId,
        worker_id: &str,
        ttl: Option<chrono::Duration>,
    ) -> impl Future<Output = BackendResult<Option<TaskClaim>>> + MaybeSend;

    /// Gives a claim back, so that others can take the task at once. Fine if nobody holds it;
    /// [`BackendError::ClaimLost`] if another worker does.
    fn release_task_claim(
        &self,
        instance_id: &str,
        task_id: &TaskId,
        worker_id: &str,
    ) -> impl Future<Output = BackendResult<()>> + MaybeSend;

    /// Lets a claim end this long from now (not from its present end). [`BackendError::ClaimLost`] unless this worker holds it.
    fn extend_task_claim(
        &self,
        instance_id: &str,
        task_id: &TaskId,
        worker_id: &str,
        ttl: chrono::Duration,
    ) -> impl Future<Output = BackendResult<()>> + MaybeSend;

    /// Up to `limit` tasks that could be claimed now by a worker that serves these tags (none: all), the most urgent first:
    /// by priority, and waiting for `aging` raises a task by one priority. It is a look and holds nothing, so a
    /// task may be gone when it is claimed. Over a [`Store`] it reads every running instance: for tools, not for polling.
    fn find_available_tasks(
        &self,
        worker_id: &str,
        limit: usize,
        aging: chrono::Duration,
        worker_tags: &[String],
    ) -> impl Future<Output = BackendResult<Vec<AvailableTask>>> + MaybeSend;
}

/// Results of tasks.
///
/// ```
/// use sayiir_core::snapshot::TaskHint;
/// use sayiir_persistence::{ConflictPolicy, InMemoryBackend, SnapshotStore, TaskResultStore, prepare_run};
///
/// # futures_executor::block_on(async {
/// let store = InMemoryBackend::new();
/// prepare_run("order-17", "order", "42".into(), TaskHint::new("charge", None, &[]), &store, ConflictPolicy::Fail).await?;
/// assert_eq!(store.load_task_result("order-17", &"charge".into()).await?, None);
/// store.save_task_result("order-17", &"charge".into(), "43".into()).await?;
/// assert_eq!(store.load_task_result("order-17", &"charge".into()).await?.as_deref(), Some(&b"43"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub trait TaskResultStore: MaybeSend + MaybeSync {
    /// What the task gave last, if it has given anything; [`BackendError::NotFound`] for an unknown instance. The id is that
    /// of a node path, or of a task that stands anywhere.
    fn load_task_result(&self, instance_id: &str, task_id: &TaskId) -> impl Future<Output = BackendResult<Option<Bytes>>> + MaybeSend;
}

/// A store with its whole vocabulary, which is every [`Store`]: the bound of a function that takes any
/// durable backend, and what runners and clients can be built on.
///
/// No two of the traits share a name, so a function with this bound calls all of them as methods.
///
/// ```
/// use sayiir_persistence::{BackendResult, InMemoryBackend, PersistentBackend};
///
/// async fn how_many(store: &impl PersistentBackend) -> BackendResult<usize> {
///     Ok(store.list_snapshots().await?.len())
/// }
/// # futures_executor::block_on(async {
/// assert_eq!(how_many(&InMemoryBackend::new()).await?, 0);
/// # Ok::<(), sayiir_persistence::BackendError>(())
/// # }).unwrap();
/// ```
pub trait PersistentBackend: Store + SnapshotStore + SignalStore + TaskClaimStore + TaskResultStore {}

impl<B: Store + SnapshotStore + SignalStore + TaskClaimStore + TaskResultStore> PersistentBackend for B {}

/// Implements the vocabulary for a type that is a store; `$me` turns `&self` into `&dyn Store`.
macro_rules! vocabulary_of {
    ([$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> SnapshotStore for $type {
            async fn save_snapshot(&self, snapshot: &mut WorkflowSnapshot) -> BackendResult<()> {
                vocabulary::save_snapshot(self, snapshot).await
            }

            async fn save_task_result(&self, instance_id: &str, task_id: &TaskId, output: Bytes) -> BackendResult<()> {
                vocabulary::save_task_result(self, instance_id, task_id, output).await
            }

            async fn load_snapshot(&self, instance_id: &str) -> BackendResult<WorkflowSnapshot> {
                vocabulary::load_snapshot(self, instance_id).await
            }

            async fn delete_snapshot(&self, instance_id: &str) -> BackendResult<()> {
                vocabulary::delete_snapshot(self, instance_id).await
            }

            async fn list_snapshots(&self) -> BackendResult<Vec<String>> {
                vocabulary::list_snapshots(self).await
            }

            fn transactional(&self) -> Option<&dyn Store> {
                Some(self)
            }
        }

        impl<$($generics)*> SignalStore for $type {
            async fn store_signal(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> BackendResult<()> {
                vocabulary::store_signal(self, instance_id, kind, request).await
            }

            async fn get_signal(&self, instance_id: &str, kind: SignalKind) -> BackendResult<Option<SignalRequest>> {
                Ok(self.requested_control(instance_id, kind).await?)
            }

            async fn clear_signal(&self, instance_id: &str, kind: SignalKind) -> BackendResult<()> {
                Ok(self.clear_control(instance_id, kind).await?)
            }

            async fn send_event(&self, instance_id: &str, name: &str, payload: Bytes) -> BackendResult<()> {
                vocabulary::send_event(self, instance_id, name, payload).await
            }

            async fn consume_event(&self, instance_id: &str, name: &str) -> BackendResult<Option<Bytes>> {
                Ok(self.take_event(instance_id, name).await?)
            }

            async fn check_and_cancel(&self, instance_id: &str, _interrupted: Option<TaskId>) -> BackendResult<bool> {
                vocabulary::check_and_cancel(self, instance_id).await
            }

            async fn check_and_pause(&self, instance_id: &str) -> BackendResult<bool> {
                vocabulary::check_and_pause(self, instance_id).await
            }

            async fn unpause(&self, instance_id: &str) -> BackendResult<WorkflowSnapshot> {
                vocabulary::unpause(self, instance_id).await
            }
        }

        impl<$($generics)*> TaskClaimStore for $type {
            async fn claim_task(
                &self,
                instance_id: &str,
                task_id: &TaskId,
                worker_id: &str,
                ttl: Option<chrono::Duration>,
            ) -> BackendResult<Option<TaskClaim>> {
                claims::claim_task(self, instance_id, task_id, worker_id, ttl).await
            }

            async fn release_task_claim(&self, instance_id: &str, task_id: &TaskId, worker_id: &str) -> BackendResult<()> {
                claims::release_task_claim(self, instance_id, task_id, worker_id).await
            }

            async fn extend_task_claim(
                &self,
                instance_id: &str,
                task_id: &TaskId,
                worker_id: &str,
                ttl: chrono::Duration,
            ) -> BackendResult<()> {
                claims::extend_task_claim(self, instance_id, task_id, worker_id, ttl).await
            }

            async fn find_available_tasks(
                &self,
                _worker_id: &str,
                limit: usize,
                aging: chrono::Duration,
                worker_tags: &[String],
            ) -> BackendResult<Vec<AvailableTask>> {
                claims::find_available_tasks(self, limit, aging.to_std().unwrap_or_default(), worker_tags).await
            }
        }

        impl<$($generics)*> TaskResultStore for $type {
            async fn load_task_result(&self, instance_id: &str, task_id: &TaskId) -> BackendResult<Option<Bytes>> {
                vocabulary::load_task_result(self, instance_id, task_id).await
            }
        }
    };
}

vocabulary_of!([S: Store] S);
vocabulary_of!([] dyn Store);
