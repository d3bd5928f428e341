//! Cancel, pause, unpause and retry.

use std::sync::Arc;

use sayiir_core::control::SignalRequest;
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{BackendError, ControlAction, ControlCommand, ControlOutcome, Store};

use super::{WorkflowClient, not_found};
use crate::error::RuntimeError;

impl<B: Store> WorkflowClient<B> {
    /// Cancels an instance at once, wherever it stands. Cancelling twice is fine.
    ///
    /// # Errors
    ///
    /// `CannotCancel` if it has completed or failed, `NotFound` if the id is unknown.
    pub async fn cancel(&self, instance_id: &str, reason: Option<String>, cancelled_by: Option<String>) -> Result<(), RuntimeError> {
        match self.control(instance_id, ControlAction::Cancel, SignalRequest::new(reason, cancelled_by)).await? {
            ControlOutcome::Applied | ControlOutcome::AlreadySo | ControlOutcome::Finished(WorkflowStatus::Cancelled { .. }) => Ok(()),
            ControlOutcome::Finished(status) => Err(BackendError::CannotCancel(ended(instance_id, &status).into()).into()),
            ControlOutcome::NotFound => Err(not_found(instance_id)),
        }
    }

    /// Pauses an instance: what runs may finish its step, then everything is held. Pausing twice is fine.
    ///
    /// # Errors
    ///
    /// `CannotPause` if it has ended, `NotFound` if the id is unknown.
    pub async fn pause(&self, instance_id: &str, reason: Option<String>, paused_by: Option<String>) -> Result<(), RuntimeError> {
        match self.control(instance_id, ControlAction::Pause, SignalRequest::new(reason, paused_by)).await? {
            ControlOutcome::Applied | ControlOutcome::AlreadySo => Ok(()),
            ControlOutcome::Finished(status) => Err(BackendError::CannotPause(ended(instance_id, &status).into()).into()),
            ControlOutcome::NotFound => Err(not_found(instance_id)),
        }
    }

    /// Lets a paused instance go on. One that is not paused is left as it is.
    ///
    /// # Errors
    ///
    /// `CannotPause` if it has ended, `NotFound` if the id is unknown.
    pub async fn unpause(&self, instance_id: &str) -> Result<(), RuntimeError> {
        match self.control(instance_id, ControlAction::Unpause, SignalRequest::default()).await? {
            ControlOutcome::Applied | ControlOutcome::AlreadySo => Ok(()),
            ControlOutcome::Finished(status) => Err(BackendError::CannotPause(ended(instance_id, &status).into()).into()),
            ControlOutcome::NotFound => Err(not_found(instance_id)),
        }
    }

    /// Sets a failed instance going again where it failed: the branch that failed begins its node anew with fresh attempts, and
    /// every other branch goes on where it stood. What was stored stays: no finished step runs again, and neither do the stored
    /// [sub-steps](sayiir_core::context::checkpoint) of the task that failed. Requests to cancel or pause that were
    /// recorded before are forgotten.
    ///
    /// An instance that has not ended is left as it is, so it is safe to ask again if no answer came.
    ///
    /// # Errors
    ///
    /// `CannotRetry` if it is completed or cancelled (see [`rewind`](Self::rewind)), `NotFound` if the id is unknown.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use sayiir_runtime::prelude::*;
    ///
    /// static BANK_IS_OPEN: AtomicBool = AtomicBool::new(false);
    ///
    /// #[task]
    /// async fn charge(euros: u32) -> Result<u32, BoxError> {
    ///     if BANK_IS_OPEN.load(Ordering::Relaxed) { Ok(euros) } else { Err("the bank is closed".into()) }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let order = workflow! { name: "order", steps: [charge] }?;
    /// let (store, runner) = { let store = InMemoryBackend::new(); (store.clone(), CheckpointingRunner::new(store)) };
    /// assert!(matches!(runner.run(&order, "order-17", 5).await?, WorkflowStatus::Failed(_)));
    ///
    /// BANK_IS_OPEN.store(true, Ordering::Relaxed);
    /// let client = WorkflowClient::new(store);
    /// client.retry("order-17", Some("the bank is open again".into()), None).await?;
    /// runner.resume(&order, "order-17").await?; // or a worker, in any process
    /// assert_eq!(client.wait_for(&order, "order-17", None).await?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn retry(&self, instance_id: &str, reason: Option<String>, retried_by: Option<String>) -> Result<(), RuntimeError> {
        match self.control(instance_id, ControlAction::Retry, SignalRequest::new(reason, retried_by)).await? {
            ControlOutcome::Applied | ControlOutcome::AlreadySo => Ok(()),
            ControlOutcome::Finished(status) => Err(BackendError::CannotRetry(ended(instance_id, &status).into()).into()),
            ControlOutcome::NotFound => Err(not_found(instance_id)),
        }
    }

    async fn control(&self, instance_id: &str, action: ControlAction, request: SignalRequest) -> Result<ControlOutcome, RuntimeError> {
        Ok(self.backend.control(ControlCommand { instance_id: Arc::from(instance_id), action, request }).await?)
    }
}

fn ended(instance_id: &str, status: &WorkflowStatus) -> String {
    format!("instance {instance_id:?} is {}", status.as_str())
}
