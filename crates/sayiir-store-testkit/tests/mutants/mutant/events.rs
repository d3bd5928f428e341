//! Events and control that a mutant gets wrong.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_persistence::{ControlAction, ControlCommand, ControlOutcome, NewEvent, SendOutcome, Store, StoreError};

use super::{Bug, Mutant};

impl Mutant {
    pub(super) async fn mis_put_event(&self, mut event: NewEvent) -> Result<SendOutcome, StoreError> {
        if let Some(key) = event.key.clone() {
            let seen = !self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
            if seen && self.has(Bug::KeysOfAllInstances) {
                return Ok(SendOutcome::Duplicate);
            }
        }
        match self.bug {
            Bug::KeysIgnored => event.key = None,
            Bug::EventNameIgnored => event.name = Arc::from("go"),
            _ => {}
        }
        let again = event.clone();
        Ok(match self.inner.put_event(event).await? {
            SendOutcome::Finished(_) if self.has(Bug::EventsForTheFinished) => SendOutcome::Stored(1),
            SendOutcome::Duplicate if self.has(Bug::DuplicatesStored) => {
                self.inner.put_event(NewEvent { key: None, ..again }).await?;
                SendOutcome::Duplicate
            }
            other => other,
        })
    }

    pub(super) async fn mis_take_event(&self, id: String, name: String) -> Result<Option<Bytes>, StoreError> {
        match self.bug {
            Bug::SecondEventFirst => drop(self.inner.take_event(&id, &name).await?),
            Bug::EventsNotTaken => return self.inner.read_event(&id, &name, 1).await,
            _ => {}
        }
        self.inner.take_event(&id, &name).await
    }

    pub(super) async fn mis_control(&self, mut command: ControlCommand) -> Result<ControlOutcome, StoreError> {
        if self.has(Bug::ReasonForgotten) {
            command.request = SignalRequest::default();
        }
        let ignored = match command.action {
            ControlAction::Pause => Bug::PauseIgnored,
            ControlAction::Unpause => Bug::UnpauseIgnored,
            ControlAction::Cancel => Bug::CancelIgnored,
            ControlAction::Retry => Bug::RetryIgnored,
        };
        if self.has(ignored) {
            return Ok(ControlOutcome::Applied);
        }
        let asked = self.inner.requested_control(&command.instance_id, SignalKind::Cancel).await?;
        let (id, action) = (Arc::clone(&command.instance_id), command.action);
        let outcome = self.inner.control(command).await?;
        if let (Some(request), ControlAction::Retry, true) = (asked, action, self.has(Bug::RetryKeepsRequests)) {
            self.inner.request_control(&id, SignalKind::Cancel, request).await?;
        }
        Ok(match outcome {
            ControlOutcome::AlreadySo if self.has(Bug::PauseTwice) => ControlOutcome::Applied,
            ControlOutcome::NotFound if self.has(Bug::UnknownFinished) => ControlOutcome::AlreadySo,
            other => other,
        })
    }
}
