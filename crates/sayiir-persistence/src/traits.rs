//! The vocabulary traits: what tools and tests call. Each is implemented for every [`Store`]; a
//! hand-written minimal store may implement them alone.

use std::future::Future;

use bytes::Bytes;
use sayiir_core::TaskId;
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::future::{MaybeSend, MaybeSync};
use sayiir_core::snapshot::WorkflowSnapshot;

use crate::backend_error::BackendError;
use crate::store::Store;
use crate::vocabulary;

/// What a vocabulary operation returns.
pub type BackendResult<T> = Result<T, BackendError>;

/// Snapshots of instances.
///
/// For a [`Store`], a snapshot is a view, and saving one is an import: journaled, under a new revision,
/// refused while another holds a lease; what is finished stays finished.
pub trait SnapshotStore: MaybeSend + MaybeSync {
    /// Stores a snapshot.
    fn save_snapshot(&self, snapshot: &mut WorkflowSnapshot) -> impl Future<Output = BackendResult<()>> + MaybeSend;

    /// Stores what one task gave.
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

    /// Applies a recorded cancel; whether there was one. `interrupted` is the task that was about to run.
    fn check_and_cancel(&self, instance_id: &str, interrupted: Option<TaskId>) -> impl Future<Output = BackendResult<bool>> + MaybeSend;

    /// Applies a recorded pause, unless a cancel is recorded too; whether it did.
    fn check_and_pause(&self, instance_id: &str) -> impl Future<Output = BackendResult<bool>> + MaybeSend;

    /// Lets a paused instance go on. One that is not paused is left as it is.
    fn unpause(&self, instance_id: &str) -> impl Future<Output = BackendResult<WorkflowSnapshot>> + MaybeSend;
}

/// A store with its whole vocabulary, which is every [`Store`]: the bound of a function that takes any
/// durable backend, and what runners and clients can be built on.
///
/// No two of the traits share a name, so a function with this bound calls all of them as methods.
pub trait PersistentBackend: Store + SnapshotStore + SignalStore {}

impl<B: Store + SnapshotStore + SignalStore> PersistentBackend for B {}

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
    };
}

vocabulary_of!([S: Store] S);
vocabulary_of!([] dyn Store);
