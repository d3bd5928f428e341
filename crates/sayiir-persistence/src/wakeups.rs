//! How a store tells the drivers and clients of its process that something changed.
//!
//! A store announces after its commit. Announcements are hints: whoever listens looks at the store again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use event_listener::{Event, EventListener};

/// The announcements of one store.
#[derive(Debug, Default)]
pub struct Wakeups {
    due: Event,
    control: Event,
    instances: Mutex<HashMap<Arc<str>, Arc<Event>>>,
}

impl Wakeups {
    /// No listeners yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Announces that something is due now, or sooner than it was.
    pub fn announce_due(&self) {
        self.due.notify(usize::MAX);
    }

    /// Announces that runs were cancelled, paused, unpaused, replaced or ended under their owners.
    pub fn announce_control(&self) {
        self.control.notify(usize::MAX);
    }

    /// Announces that the status of an instance changed.
    pub fn announce_instance(&self, instance_id: &str) {
        let event = self.instances().get(instance_id).cloned();
        if let Some(event) = event {
            event.notify(usize::MAX);
        }
    }

    /// Announces that another process wrote, and nobody knows what.
    pub fn announce_everything(&self) {
        self.announce_due();
        self.announce_control();
        let events: Vec<_> = self.instances().values().cloned().collect();
        for event in events {
            event.notify(usize::MAX);
        }
    }

    /// Listens for due work. Listen first, then look at the store, then wait.
    pub fn listen_due(&self) -> EventListener {
        self.due.listen()
    }

    /// Listens for control of runs.
    pub fn listen_control(&self) -> EventListener {
        self.control.listen()
    }

    /// Listens for changes of one instance.
    pub fn listen_instance(&self, instance_id: &str) -> InstanceListener<'_> {
        let mut instances = self.instances();
        let known = instances.get_key_value(instance_id).map(|(id, event)| (Arc::clone(id), Arc::clone(event)));
        let (id, event) = known.unwrap_or_else(|| {
            let (id, event): (Arc<str>, _) = (Arc::from(instance_id), Arc::new(Event::new()));
            instances.insert(Arc::clone(&id), Arc::clone(&event));
            (id, event)
        });
        InstanceListener { wakeups: self, id, event }
    }

    fn instances(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Arc<Event>>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registration for the changes of one instance; dropping it forgets it.
#[derive(Debug)]
pub struct InstanceListener<'a> {
    wakeups: &'a Wakeups,
    id: Arc<str>,
    event: Arc<Event>,
}

impl InstanceListener<'_> {
    /// The next change after this call. Listen first, then look at the store, then wait.
    pub fn listen(&self) -> EventListener {
        self.event.listen()
    }
}

impl Drop for InstanceListener<'_> {
    fn drop(&mut self) {
        let mut instances = self.wakeups.instances();
        // The map and this listener hold it: nobody else listens.
        if Arc::strong_count(&self.event) <= 2 {
            instances.remove(&self.id);
        }
    }
}
