//! The queue before a thread: it is drained in batches, and what was accepted is still handed out after it was closed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::job::Job;

/// What a thread is to do next.
pub(crate) enum Taken<Scope: ?Sized> {
    /// Run these.
    Jobs {
        jobs: Vec<Box<dyn Job<Scope>>>,
        /// How many wait behind them.
        waiting: usize,
    },
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
    /// Grows with every job, so that a thread can watch without the lock.
    pushed: AtomicU64,
}

struct State<Scope: ?Sized> {
    jobs: VecDeque<Box<dyn Job<Scope>>>,
    rang: bool,
    closed: bool,
    /// Threads that wait to be told.
    sleepers: usize,
    /// When jobs were last taken.
    taken: Option<Instant>,
}

/// A ring is heard once no job was taken for this long: what the store's own work rang is not worth a look, for
/// every transaction looks by itself.
const QUIET: Duration = Duration::from_millis(2);

/// After its last job a thread watches the queue for this long before it sleeps: the next step of what it has just
/// answered comes in this time, and to be woken takes as long.
const WATCH: Duration = Duration::from_micros(60);

impl<Scope: ?Sized> Queue<Scope> {
    pub(crate) fn new() -> Self {
        let state = State { jobs: VecDeque::new(), rang: false, closed: false, sleepers: 0, taken: None };
        Self { state: Mutex::new(state), changed: Condvar::new(), pushed: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State<Scope>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job. On a closed queue it is dropped, which tells whoever waits for it.
    pub(crate) fn push(&self, job: Box<dyn Job<Scope>>) {
        let mut state = self.lock();
        if !state.closed {
            state.jobs.push_back(job);
            self.pushed.fetch_add(1, Ordering::Release);
            let sleeps = state.sleepers > 0;
            drop(state);
            if sleeps {
                self.changed.notify_one();
            }
        }
    }

    /// Rings; many rings before somebody looks are one.
    pub(crate) fn ring(&self) {
        let mut state = self.lock();
        if !state.rang {
            state.rang = true;
            let hears = state.sleepers > 0 && state.taken.is_none_or(|taken| taken.elapsed() > QUIET);
            drop(state);
            if hears {
                self.changed.notify_one();
            }
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

    /// Watches for a job for a moment.
    fn watch(&self, seen: u64) {
        let begun = Instant::now();
        while self.pushed.load(Ordering::Acquire) == seen && begun.elapsed() < WATCH {
            std::thread::yield_now();
        }
    }

    /// Waits for work: at most `most` jobs of at most `bytes` together, but at least one. A thread that `watches` does so
    /// for a moment before it sleeps.
    pub(crate) fn take(&self, most: usize, bytes: usize, until: Option<Instant>, watches: bool) -> Taken<Scope> {
        let mut state = self.lock();
        let mut watches = watches && state.taken.is_some_and(|taken| taken.elapsed() < QUIET);
        loop {
            if !state.jobs.is_empty() {
                state.taken = Some(Instant::now());
                let jobs = drain(&mut state.jobs, most, bytes);
                return Taken::Jobs { jobs, waiting: state.jobs.len() };
            }
            if state.closed {
                return Taken::Closed;
            }
            let now = Instant::now();
            // Jobs come first, and make it wait again.
            let heard_at = state.taken.map_or(now, |taken| taken + QUIET);
            if state.rang && heard_at <= now {
                state.rang = false;
                return Taken::Rang { by_somebody: true };
            }
            if watches {
                watches = false;
                let seen = self.pushed.load(Ordering::Acquire);
                drop(state);
                self.watch(seen);
                state = self.lock();
                continue;
            }
            let until = if state.rang { Some(until.map_or(heard_at, |until| until.min(heard_at))) } else { until };
            state.sleepers += 1;
            state = match until.map(|until| until.saturating_duration_since(now)) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => {
                    state.sleepers -= 1;
                    return Taken::Rang { by_somebody: false };
                }
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            state.sleepers -= 1;
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
