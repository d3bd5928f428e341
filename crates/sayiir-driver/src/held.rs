//! The branches that a session holds in memory, each with what runs there.
//!
//! Invariant: a branch stands here from before it is driven until its drive has let go of it, once.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use event_listener::{Event, EventListener};
use futures_channel::oneshot;
use futures_util::task::AtomicWaker;
use sayiir_core::branch::{BranchId, RunNumber};

use crate::group::Group;

/// A branch of a run.
pub(crate) type Key = (RunNumber, BranchId);

/// All that a session holds.
#[derive(Default)]
pub(crate) struct Held {
    state: Mutex<State>,
    /// Something is held, where nothing was.
    filled: Event,
}

#[derive(Default)]
struct State {
    slots: BTreeMap<Key, Slot>,
    last: u64,
    /// Whether somebody waits to be told that something is held.
    awaited: bool,
}

struct Slot {
    number: u64,
    group: Arc<Group>,
    drive: Arc<Drive>,
    /// Dropped with the slot: tells who took the branch again before it was let go.
    next: Option<oneshot::Sender<()>>,
}

/// A branch as it is held once: one that is given up and taken again has another number.
pub(crate) struct HeldOnce {
    pub(crate) key: Key,
    number: u64,
    pub(crate) drive: Arc<Drive>,
}

/// What the keeper of a session's leases and the drive of a branch know of each other.
#[derive(Default)]
pub(crate) struct Drive {
    /// The revision under which a task runs, as its owner knows it; 0 while none does.
    revision: AtomicU64,
    asked: AtomicBool,
    waker: AtomicWaker,
}

impl Drive {
    /// A task begins.
    pub(crate) fn begin(&self, revision: u64) {
        self.revision.store(revision, Ordering::SeqCst);
    }

    /// The running task stored a sub-step.
    pub(crate) fn moved(&self) {
        // Not the revision it moved to: whoever else moved it is still to be looked at.
        self.revision.fetch_add(1, Ordering::SeqCst);
    }

    /// The task has ended.
    pub(crate) fn end(&self) {
        self.revision.store(0, Ordering::SeqCst);
    }

    /// The revision at which a task runs; `None` while none does.
    pub(crate) fn running(&self) -> Option<u64> {
        Some(self.revision.load(Ordering::SeqCst)).filter(|revision| *revision > 0)
    }

    /// The task may run on at another revision than was known.
    pub(crate) fn looked_at(&self, known: u64, revision: u64) {
        // Otherwise it went on meanwhile, and is looked at again.
        let _ = self.revision.compare_exchange(known, revision, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Ends the task.
    pub(crate) fn abort(&self) {
        self.asked.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Held {
    /// Marks a branch as held on behalf of `group`; `None` if it is driven already.
    pub(crate) fn hold(self: &Arc<Self>, group: &Arc<Group>, key: Key) -> Option<Hold> {
        let mut state = self.state();
        if state.slots.contains_key(&key) {
            return None;
        }
        let drive = self.insert(&mut state, group, key.clone());
        drop(state);
        Some(Hold { held: Arc::clone(self), key, group: Arc::clone(group), drive })
    }

    fn insert(&self, state: &mut State, group: &Arc<Group>, key: Key) -> Arc<Drive> {
        state.last += 1;
        let drive = Arc::<Drive>::default();
        state.slots.insert(key, Slot { number: state.last, group: Arc::clone(group), drive: Arc::clone(&drive), next: None });
        if std::mem::take(&mut state.awaited) {
            self.filled.notify(1);
        }
        drive
    }

    /// Resolves when the branch is let go of; `None` if somebody waits for that already.
    pub(crate) fn let_go(&self, key: &Key) -> Option<oneshot::Receiver<()>> {
        let (sender, receiver) = oneshot::channel();
        // Without a slot the sender is dropped here: it has just been let go of.
        if let Some(slot) = self.state().slots.get_mut(key) {
            if slot.next.is_some() {
                return None;
            }
            slot.next = Some(sender);
        }
        Some(receiver)
    }

    /// What is held, in order of runs.
    pub(crate) fn now(&self) -> Vec<HeldOnce> {
        let once = |(key, slot): (&Key, &Slot)| HeldOnce { key: key.clone(), number: slot.number, drive: Arc::clone(&slot.drive) };
        self.state().slots.iter().map(once).collect()
    }

    /// Whether somebody drives the branch.
    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.state().slots.contains_key(key)
    }

    /// Whether another group than this one drives the branch.
    pub(crate) fn is_another_groups(&self, key: &Key, group: &Arc<Group>) -> bool {
        self.state().slots.get(key).is_some_and(|slot| !Arc::ptr_eq(&slot.group, group))
    }

    /// While nothing is held: tells of the next branch that is.
    pub(crate) fn listen_if_empty(&self) -> Option<EventListener> {
        let mut state = self.state();
        if !state.slots.is_empty() {
            return None;
        }
        state.awaited = true;
        Some(self.filled.listen())
    }

    /// Ends the task that runs at a branch which is no longer this session's.
    pub(crate) fn abort(&self, HeldOnce { key, number, drive }: &HeldOnce) {
        if self.state().slots.get(key).is_some_and(|slot| slot.number == *number) {
            drive.abort();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A branch marked as held; dropping it takes the mark away.
pub(crate) struct Hold {
    held: Arc<Held>,
    key: Key,
    group: Arc<Group>,
    drive: Arc<Drive>,
}

impl Hold {
    /// Moves the mark to another branch of the run; false if that one is driven already.
    pub(crate) fn move_to(&mut self, branch: &BranchId) -> bool {
        let key = (self.key.0, branch.clone());
        if key == self.key {
            return true;
        }
        let mut state = self.held.state();
        let free = !state.slots.contains_key(&key);
        let left = if free {
            self.drive = self.held.insert(&mut state, &self.group, key.clone());
            state.slots.remove(&std::mem::replace(&mut self.key, key))
        } else {
            None
        };
        drop(state);
        // Wakes who waits for it.
        drop(left);
        free
    }

    /// What the keeper knows of the drive.
    pub(crate) const fn drive(&self) -> &Arc<Drive> {
        &self.drive
    }

    /// Runs a task of the branch; `None` if it is to be aborted, for the branch is lost.
    pub(crate) async fn unless_aborted<T>(&self, task: impl Future<Output = T>) -> Option<T> {
        let mut task = pin!(task);
        poll_fn(|context| {
            // Registered before the look, so that no call is missed.
            self.drive.waker.register(context.waker());
            if self.drive.asked.load(Ordering::Acquire) {
                return Poll::Ready(None);
            }
            task.as_mut().poll(context).map(Some)
        })
        .await
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let left = self.held.state().slots.remove(&self.key);
        drop(left);
    }
}
