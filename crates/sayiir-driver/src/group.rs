//! Branches that are driven on behalf of one caller: one run, or one worker.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use event_listener::{Event, EventListener};
use sayiir_core::branch::{BranchId, BranchView, RunNumber};
use sayiir_persistence::StoreError;

use crate::host::AbortTask;

/// Why a branch could not be driven on, though nothing refused it.
#[derive(Debug, thiserror::Error)]
#[error("instance {instance_id:?} cannot go on at {node:?} (branch {branch})")]
pub struct Fault {
    /// The instance.
    pub instance_id: Arc<str>,
    /// The branch.
    pub branch: BranchId,
    /// The node path at which it stands.
    pub node: Arc<str>,
    /// What the store said.
    #[source]
    pub cause: StoreError,
}

impl Fault {
    pub(crate) fn at(branch: &BranchView, cause: StoreError) -> Self {
        let BranchView { instance_id, branch, head, .. } = branch;
        Self { instance_id: Arc::clone(instance_id), branch: branch.clone(), node: Arc::clone(&head.node), cause }
    }
}

/// Counts the futures that drive a caller's branches, keeps them within a limit, and can drop them.
pub struct Group {
    limit: usize,
    of_run: bool,
    active: AtomicUsize,
    changed: Event,
    state: Mutex<State>,
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
struct State {
    draining: bool,
    closed: bool,
    next: u64,
    /// In order of their numbers.
    tasks: Vec<(u64, Option<Box<dyn AbortTask>>)>,
    fault: Option<Fault>,
    due: bool,
    left: bool,
    finished: Option<(RunNumber, Bytes)>,
}

impl Group {
    /// A group that drives at most `limit` branches at a time.
    pub fn new(limit: usize) -> Self {
        Self { limit, of_run: false, active: AtomicUsize::new(0), changed: Event::new(), state: Mutex::default() }
    }

    /// A group for the branches of one run, at most `limit` at a time.
    pub fn of_run(limit: usize) -> Self {
        Self { of_run: true, ..Self::new(limit) }
    }

    /// How many more branches it can drive now.
    pub fn free(&self) -> usize {
        self.limit.saturating_sub(self.active())
    }

    /// How many it drives.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::SeqCst)
    }

    /// The next end of a branch. Listen first, then look, then wait.
    pub fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// The first fault, once.
    pub fn take_fault(&self) -> Option<Fault> {
        self.state().fault.take()
    }

    /// Lets every branch end its step, and gives it back then.
    pub fn drain(&self) {
        self.state().draining = true;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.state().draining
    }

    /// Drops every future of the group; none is begun after that.
    pub fn abort(&self) {
        let tasks = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.tasks)
        };
        for task in tasks.into_iter().filter_map(|(_, task)| task) {
            task.abort();
        }
    }

    /// Notes that a branch was left to be due at some time.
    pub(crate) fn note_due(&self) {
        self.state().due = true;
    }

    /// Whether a branch was left to be due at some time since the last call.
    pub(crate) fn take_due(&self) -> bool {
        std::mem::take(&mut self.state().due)
    }

    /// Notes that something of the run may be in nobody's hands here.
    pub(crate) fn note_left(&self) {
        if self.of_run {
            self.state().left = true;
        }
    }

    /// Whether something of the run may ever have been in nobody's hands here.
    pub(crate) fn has_left(&self) -> bool {
        self.state().left
    }

    /// Notes with what output a run was completed, for who drives that run alone.
    pub(crate) fn note_finished(&self, run: RunNumber, output: Bytes) {
        if self.of_run {
            self.state().finished = Some((run, output));
        }
    }

    /// The output with which the run was completed here, once, if that is known without asking the store.
    pub(crate) fn take_finished(&self, run: RunNumber) -> Option<Bytes> {
        self.state().finished.take().filter(|(finished, _)| *finished == run).map(|(_, output)| output)
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.state().fault.get_or_insert(fault);
    }

    /// Counts one more; `None` once the group was aborted.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Ticket> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.tasks.push((number, None));
        self.active.fetch_add(1, Ordering::SeqCst);
        Some(Ticket { group: Arc::clone(self), number })
    }

    /// Remembers how to drop a future, unless it has ended already.
    pub(crate) fn remember(&self, number: u64, task: Box<dyn AbortTask>) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            task.abort();
        } else if let Some((_, slot)) = state.place_of(number).and_then(|place| state.tasks.get_mut(place)) {
            *slot = Some(task);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn place_of(&self, number: u64) -> Option<usize> {
        self.tasks.binary_search_by_key(&number, |(number, _)| *number).ok()
    }
}

/// One counted future; dropping it counts it out.
pub(crate) struct Ticket {
    group: Arc<Group>,
    pub(crate) number: u64,
}

impl Ticket {
    pub(crate) fn group(&self) -> &Arc<Group> {
        &self.group
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.group.state();
        let task = state.place_of(self.number).map(|place| state.tasks.remove(place));
        drop(state);
        self.group.active.fetch_sub(1, Ordering::SeqCst);
        self.group.changed.notify(usize::MAX);
        drop(task);
    }
}
