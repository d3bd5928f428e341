//! The queue before a thread: it is drained in batches, and what was accepted is still handed out after it was closed.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::job::Job;

/// What a thread is to do next.
pub(crate) enum Taken<Scope: ?Sized> {
    /// Run these.
    Jobs(Vec<Box<dyn Job<Scope>>>),
    /// Somebody rang, or the time has come.
    Rang {
        /// Whether somebody rang (else the time has come).
        by_somebody: bool,
    },
    /// End: the queue is closed and empty.
    Closed,
}

pub(crate) struct Queue<Scope: ?Sized> {
    state: Mutex<State<Scope>>,
    changed: Condvar,
}

struct State<Scope: ?Sized> {
    jobs: VecDeque<Box<dyn Job<Scope>>>,
    rang: bool,
    closed: bool,
}

impl<Scope: ?Sized> Queue<Scope> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { jobs: VecDeque::new(), rang: false, closed: false }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<Scope>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job. On a closed queue it is dropped, which tells whoever waits for it.
    pub(crate) fn push(&self, job: Box<dyn Job<Scope>>) {
        let mut state = self.lock();
        if !state.closed {
            state.jobs.push_back(job);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Rings; many rings before somebody looks are one.
    pub(crate) fn ring(&self) {
        let mut state = self.lock();
        if !state.rang {
            state.rang = true;
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Takes no more jobs.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Takes no more jobs and forgets those that wait, so that whoever waits for them learns it.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        let forgotten = std::mem::take(&mut state.jobs);
        drop(state);
        drop(forgotten);
        self.changed.notify_all();
    }

    /// Waits for work: at most `most` jobs of at most `bytes` together, but at least one.
    pub(crate) fn take(&self, most: usize, bytes: usize, until: Option<Instant>) -> Taken<Scope> {
        let mut state = self.lock();
        loop {
            if !state.jobs.is_empty() {
                return Taken::Jobs(drain(&mut state.jobs, most, bytes));
            }
            if state.closed {
                return Taken::Closed;
            }
            if std::mem::take(&mut state.rang) {
                return Taken::Rang { by_somebody: true };
            }
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Taken::Rang { by_somebody: false },
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

fn drain<Scope: ?Sized>(jobs: &mut VecDeque<Box<dyn Job<Scope>>>, most: usize, bytes: usize) -> Vec<Box<dyn Job<Scope>>> {
    let mut batch = Vec::with_capacity(jobs.len().min(most));
    let mut total = 0_usize;
    while let Some(job) = jobs.front() {
        total = total.saturating_add(job.cost());
        if !batch.is_empty() && (batch.len() >= most || total > bytes) {
            break;
        }
        batch.extend(jobs.pop_front());
    }
    batch
}
