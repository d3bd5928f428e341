//! The made-up world: one thread, a scheduler that takes whatever is ready at random, and a clock that jumps to the
//! next timer when nothing is.
//!
//! Invariant: everything that happens follows from the seed.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use fastrand::Rng;
use sayiir_core::future::BoxFuture;
use sayiir_core::time::{Clock, Timestamp};

/// So many of the last events are told of a violation.
const TRACE: usize = 400;

/// The made-up clock.
#[derive(Debug, Default)]
pub(crate) struct SimClock(AtomicI64);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A process of the world; 0 is the network and the client, which never die.
pub(crate) type ProcessId = u32;

struct Task {
    process: ProcessId,
    /// Absent while it is polled.
    future: Option<BoxFuture<'static, ()>>,
}

#[derive(Default)]
struct Tasks {
    tasks: BTreeMap<u64, Task>,
    last: u64,
}

/// The world.
pub(crate) struct World {
    rng: Mutex<Rng>,
    pub(crate) clock: Arc<SimClock>,
    tasks: Mutex<Tasks>,
    ready: Arc<Mutex<Vec<u64>>>,
    timers: Mutex<BTreeMap<(i64, u64), Waker>>,
    last_timer: Mutex<u64>,
    trace: Mutex<VecDeque<String>>,
    violation: Mutex<Option<String>>,
    pub(crate) faults: Mutex<BTreeMap<&'static str, u64>>,
    /// Whether requests and processes meet faults.
    pub(crate) hostile: std::sync::atomic::AtomicBool,
}

struct TaskWaker {
    task: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = lock(&self.ready);
        if !ready.contains(&self.task) {
            ready.push(self.task);
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            rng: Mutex::new(Rng::with_seed(seed)),
            clock: Arc::default(),
            tasks: Mutex::default(),
            ready: Arc::default(),
            timers: Mutex::default(),
            last_timer: Mutex::default(),
            trace: Mutex::default(),
            violation: Mutex::default(),
            faults: Mutex::default(),
            hostile: std::sync::atomic::AtomicBool::new(true),
        })
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        lock(&self.rng).u64(..end.max(1))
    }

    /// True once in so many times.
    pub(crate) fn one_in(&self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub(crate) fn is_hostile(&self) -> bool {
        self.hostile.load(Ordering::SeqCst)
    }

    pub(crate) fn count(&self, fault: &'static str) {
        *lock(&self.faults).entry(fault).or_default() += 1;
    }

    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        let now = self.clock.now().as_micros();
        let mut trace = lock(&self.trace);
        if trace.len() == TRACE {
            trace.pop_front();
        }
        trace.push_back(format!("{now:>12} {}", line()));
    }

    pub(crate) fn traced(&self) -> Vec<String> {
        lock(&self.trace).iter().cloned().collect()
    }

    /// Notes what must not be; the first counts.
    pub(crate) fn violate(&self, what: impl Into<String>) {
        let what = what.into();
        self.trace(|| format!("VIOLATION {what}"));
        lock(&self.violation).get_or_insert(what);
    }

    pub(crate) fn violation(&self) -> Option<String> {
        lock(&self.violation).clone()
    }

    /// Runs a future in a process.
    pub(crate) fn spawn(&self, process: ProcessId, future: BoxFuture<'static, ()>) -> u64 {
        let mut tasks = lock(&self.tasks);
        tasks.last += 1;
        let id = tasks.last;
        tasks.tasks.insert(id, Task { process, future: Some(future) });
        drop(tasks);
        lock(&self.ready).push(id);
        id
    }

    /// Drops a task's future.
    pub(crate) fn abort(&self, id: u64) {
        let task = lock(&self.tasks).tasks.remove(&id);
        drop(task);
    }

    /// Drops all that a process does, as its death would.
    pub(crate) fn kill(&self, process: ProcessId) {
        let mut tasks = lock(&self.tasks);
        let (dead, rest) = std::mem::take(&mut tasks.tasks).into_iter().partition(|(_, task)| task.process == process);
        tasks.tasks = rest;
        drop(tasks);
        let dead: BTreeMap<u64, Task> = dead;
        drop(dead);
    }

    /// One step: some ready task is polled, or the clock goes to the next timer. False if nothing is left to do.
    pub(crate) fn step(&self) -> bool {
        let next = {
            let mut ready = lock(&self.ready);
            let count = ready.len() as u64;
            if count == 0 { None } else { Some(ready.swap_remove(usize::try_from(self.below(count)).unwrap_or(0))) }
        };
        let Some(id) = next else { return self.next_timer() };
        let future = lock(&self.tasks).tasks.get_mut(&id).and_then(|task| task.future.take());
        let Some(mut future) = future else { return true };
        let waker = Waker::from(Arc::new(TaskWaker { task: id, ready: Arc::clone(&self.ready) }));
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            if let Some(task) = lock(&self.tasks).tasks.get_mut(&id) {
                task.future = Some(future);
                return true;
            }
            // It was killed meanwhile: what it holds is dropped out of the lock.
        } else {
            lock(&self.tasks).tasks.remove(&id);
        }
        true
    }

    fn next_timer(&self) -> bool {
        let first = lock(&self.timers).pop_first();
        let Some(((at, _), waker)) = first else { return false };
        self.clock.0.fetch_max(at, Ordering::SeqCst);
        waker.wake();
        true
    }

    /// Ends after this long.
    pub(crate) fn sleep(self: &Arc<Self>, duration: Duration) -> BoxFuture<'static, ()> {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4);
        let at = self.clock.now().as_micros().saturating_add(micros.min(i64::MAX / 4));
        let mut last = lock(&self.last_timer);
        *last += 1;
        Box::pin(Sleep { world: Arc::clone(self), key: (at, *last) })
    }
}

struct Sleep {
    world: Arc<World>,
    key: (i64, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.world.clock.now().as_micros() >= self.key.0 {
            return Poll::Ready(());
        }
        lock(&self.world.timers).insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = lock(&self.world.timers).remove(&self.key);
        drop(waker);
    }
}
