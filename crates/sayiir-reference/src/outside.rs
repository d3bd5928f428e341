//! The world outside an instance: who sends its events, pauses, unpauses and cancels it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::control::SignalRequest;
use sayiir_core::future::BoxFuture;
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{ControlAction, ControlCommand, InstanceRecord, NewEvent, Store, StoreError};

use crate::build::signal_name;
use crate::interpret::Reference;
use crate::spec::{Arrival, Control, Node, payload};

/// What is still to be sent to one instance.
pub struct Outside {
    store: Arc<dyn Store>,
    instance_id: Arc<str>,
    /// The signals whose events come once they are awaited, and how many of each are still to come.
    waiting: BTreeMap<String, (u32, usize)>,
}

impl Outside {
    /// Sends what comes before the start.
    pub async fn begin(store: &Arc<dyn Store>, instance_id: &str, nodes: &[Node], reference: &Reference) -> Result<Self, StoreError> {
        let mut arrivals = BTreeMap::new();
        signals(nodes, &mut arrivals);
        let (store, instance_id) = (Arc::clone(store), Arc::from(instance_id));
        let mut outside = Self { store, instance_id, waiting: BTreeMap::new() };
        for (signal, count) in &reference.events {
            match arrivals.get(signal) {
                Some(Arrival::Before) => {
                    for number in 1..=*count {
                        outside.send(*signal, number).await?;
                    }
                }
                Some(Arrival::Waiting) => drop(outside.waiting.insert(signal_name(*signal), (*signal, *count))),
                Some(Arrival::Never) | None => {}
            }
        }
        Ok(outside)
    }

    /// Looks at the instance, and does what is to be done to it as it stands.
    pub async fn tend(&mut self) -> Result<Option<InstanceRecord>, StoreError> {
        let Some(record) = self.store.instance(&self.instance_id).await? else { return Ok(None) };
        if matches!(record.summary.status, WorkflowStatus::Paused { .. }) {
            control(&*self.store, &self.instance_id, ControlAction::Unpause).await?;
        }
        for awaited in record.branches.iter().filter_map(|branch| branch.awaits.as_ref()) {
            let Some((signal, left)) = self.waiting.get(&**awaited) else { continue };
            if *left > 0 {
                self.send(*signal, *left).await?;
                if let Some((_, left)) = self.waiting.get_mut(&**awaited) {
                    *left -= 1;
                }
            }
        }
        Ok(Some(record))
    }

    /// Sends the next event that is still to come, though nobody may wait for it yet.
    ///
    /// # Errors
    ///
    /// The store's; it is still to come then.
    pub async fn send_early(&mut self) -> Result<(), StoreError> {
        let next = self.waiting.iter().find(|(_, (_, left))| *left > 0);
        let Some((name, signal, left)) = next.map(|(name, (signal, left))| (name.clone(), *signal, *left)) else { return Ok(()) };
        self.send(signal, left).await?;
        if let Some((_, left)) = self.waiting.get_mut(&name) {
            *left -= 1;
        }
        Ok(())
    }

    /// Sends the event of this number among those of its signal: once, however often it is asked for.
    async fn send(&self, signal: u32, number: usize) -> Result<(), StoreError> {
        let event = NewEvent {
            instance_id: Arc::clone(&self.instance_id),
            name: Arc::from(signal_name(signal)),
            payload: Bytes::from(payload(signal).to_string()),
            key: Some(Arc::from(format!("{signal}/{number}"))),
        };
        self.store.put_event(event).await.map(drop)
    }
}

/// When each signal's events come.
fn signals(nodes: &[Node], found: &mut BTreeMap<u32, Arrival>) {
    for node in nodes {
        match node {
            Node::Signal { id: _, event, arrival } => drop(found.insert(*event, *arrival)),
            Node::Task { .. } | Node::Delay { .. } => {}
            Node::Fork { branches, .. } => branches.iter().for_each(|branch| signals(branch, found)),
            Node::Route { arms, default, .. } => arms.iter().chain(default).for_each(|arm| signals(arm, found)),
            Node::Loop { body: inner, .. } | Node::Child { nodes: inner, .. } => signals(inner, found),
        }
    }
}

/// What is done in mid-run, and before which of the instance's `writes`.
pub(crate) fn interference(
    control_of: Control,
    writes: u64,
    store: &Arc<dyn Store>,
    instance_id: &str,
) -> Option<(u64, BoxFuture<'static, ()>)> {
    let (part, action) = match control_of {
        Control::None => return None,
        Control::Pause(part) => (part, ControlAction::Pause),
        Control::Cancel(part) => (part, ControlAction::Cancel),
    };
    let (store, instance_id) = (Arc::clone(store), instance_id.to_owned());
    let act = async move {
        // The instance may not be there yet, or not any more.
        let _ = control(&*store, &instance_id, action).await;
    };
    Some((1 + u64::from(part) * writes / 100, Box::pin(act)))
}

/// Cancels, pauses or unpauses.
pub async fn control(store: &dyn Store, instance_id: &str, action: ControlAction) -> Result<(), StoreError> {
    let command = ControlCommand { instance_id: Arc::from(instance_id), action, request: SignalRequest::default() };
    store.control(command).await.map(drop)
}
