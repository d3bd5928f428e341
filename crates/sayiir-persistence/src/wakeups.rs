//! How a store tells the drivers and clients of its process that something changed.
//!
//! A store announces after its commit. Announcements are hints: whoever listens looks at the store again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use event_listener::{Event, EventListener};
use rustc_hash::FxHashMap;

/// The announcements of one store.
#[derive(Debug, Default)]
pub struct Wakeups {
    due: Event,
    control: Event,
    instances: Mutex<FxHashMap<Arc<str>, Watched>>,
}

/// An instance that somebody listens to.
#[derive(Debug, Default)]
struct Watched {
    event: Arc<Event>,
    /// Counted under the lock: references to the event come and go without it.
    listeners: usize,
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
        let event = self.instances().get(instance_id).map(|watched| Arc::clone(&watched.event));
        if let Some(event) = event {
            event.notify(usize::MAX);
        }
    }

    /// Announces that another process wrote, and nobody knows what.
    pub fn announce_everything(&self) {
        self.announce_due();
        self.announce_control();
        let events: Vec<_> = self.instances().values().map(|watched| Arc::clone(&watched.event)).collect();
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
        let id = instances.get_key_value(instance_id).map_or_else(|| Arc::from(instance_id), |(id, _)| Arc::clone(id));
        let watched = instances.entry(Arc::clone(&id)).or_default();
        watched.listeners += 1;
        let event = Arc::clone(&watched.event);
        drop(instances);
        InstanceListener { wakeups: self, id, event }
    }

    fn instances(&self) -> std::sync::MutexGuard<'_, FxHashMap<Arc<str>, Watched>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an operation changed, for those who wait: announced after the commit, each instance once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Something is due now, or sooner than it was.
    pub due: bool,
    /// Runs were controlled, replaced or ended under their owners.
    pub control: bool,
    /// Instances that changed their status.
    pub instances: BTreeSet<Arc<str>>,
    /// For the store itself: the journal of a replaced run is to be deleted.
    pub purge: bool,
}

impl News {
    /// An instance changed its status.
    pub fn instance(&mut self, instance_id: &Arc<str>) {
        if !self.instances.contains(instance_id) {
            self.instances.insert(Arc::clone(instance_id));
        }
    }

    /// Adds what another operation changed.
    pub fn add(&mut self, other: Self) {
        let Self { due, control, instances, purge } = other;
        self.due |= due;
        self.control |= control;
        self.purge |= purge;
        self.instances.extend(instances);
    }

    /// Whether nobody who waits has anything to hear.
    pub fn is_empty(&self) -> bool {
        let Self { due, control, instances, purge: _ } = self;
        !due && !control && instances.is_empty()
    }

    /// Tells those who wait in this process.
    pub fn announce(&self, wakeups: &Wakeups) {
        let Self { due, control, instances, purge: _ } = self;
        if *due {
            wakeups.announce_due();
        }
        if *control {
            wakeups.announce_control();
        }
        for instance_id in instances {
            wakeups.announce_instance(instance_id);
        }
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
        if let Some(watched) = instances.get_mut(&self.id) {
            watched.listeners -= 1;
            if watched.listeners == 0 {
                instances.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn nothing_is_left_of_a_listener_that_is_dropped_during_an_announcement() {
        const IDS: usize = 20_000;
        let (wakeups, now) = (Wakeups::new(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while now.load(Ordering::SeqCst) < IDS {
                        wakeups.announce_instance(&now.load(Ordering::SeqCst).to_string());
                    }
                });
            }
            for number in 0..IDS {
                now.store(number, Ordering::SeqCst);
                drop(wakeups.listen_instance(&number.to_string()));
            }
            now.store(IDS, Ordering::SeqCst);
        });
        assert_eq!(wakeups.instances().len(), 0);
    }

    #[test]
    fn one_of_two_listeners_stays() {
        let wakeups = Wakeups::new();
        let (one, other) = (wakeups.listen_instance("a"), wakeups.listen_instance("a"));
        drop(one);
        let changed = other.listen();
        wakeups.announce_instance("a");
        event_listener::Listener::wait(changed);
        drop(other);
        assert_eq!(wakeups.instances().len(), 0);
    }
}
