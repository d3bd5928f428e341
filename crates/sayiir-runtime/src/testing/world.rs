//! A world that stands still: a clock and timers that the test moves, and futures that run when the test lets them.
//!
//! Invariant: nothing here sleeps or spawns for real. What is ready runs until nothing is; then time may move.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::{FuturesUnordered, Stream};
use sayiir_core::future::BoxFuture;
use sayiir_core::time::{Clock, Timestamp};
use sayiir_driver::{AbortTask, Host};
use sayiir_persistence::Process;

/// So often in a row the runtime around is let on without anything happening here before all counts as quiet.
const QUIET_ROUNDS: usize = 16;

/// The clock of a test.
pub(super) struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Timers by when they fire, in the order in which they were set.
type Timers = BTreeMap<(Timestamp, u64), Option<Waker>>;

/// The world of a test.
pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    timers: Arc<Mutex<Timers>>,
    inbox: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
    numbers: Arc<AtomicU64>,
    /// How often anything was polled.
    polls: Arc<AtomicU64>,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(start: Timestamp) -> Self {
        Self {
            clock: Arc::new(ManualClock(AtomicI64::new(start.as_micros()))),
            timers: Arc::default(),
            inbox: Arc::default(),
            numbers: Arc::default(),
            polls: Arc::default(),
            running: FuturesUnordered::new(),
        }
    }

    pub(super) fn host(&self, process: u32) -> TestHost {
        let Self { clock, timers, inbox, numbers, polls, running: _ } = self;
        TestHost {
            process,
            clock: Arc::clone(clock),
            timers: Arc::clone(timers),
            inbox: Arc::clone(inbox),
            numbers: Arc::clone(numbers),
            polls: Arc::clone(polls),
        }
    }

    /// Drops all that runs.
    pub(super) fn kill(&mut self) {
        self.running = FuturesUnordered::new();
        lock(&self.inbox).clear();
    }

    /// Lets everything run that can, until all wait for a time, for the test, or for something outside of it.
    pub(super) async fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < QUIET_ROUNDS {
            let before = self.polls.load(Ordering::SeqCst);
            poll_fn(|context| {
                self.round(context);
                Poll::Ready(())
            })
            .await;
            quiet = if self.polls.load(Ordering::SeqCst) == before { quiet + 1 } else { 0 };
            let_others_run().await;
        }
    }

    fn round(&mut self, context: &mut Context<'_>) {
        loop {
            let new = std::mem::take(&mut *lock(&self.inbox));
            let any = !new.is_empty();
            self.running.extend(new);
            match Pin::new(&mut self.running).poll_next(context) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) | Poll::Pending if any || !lock(&self.inbox).is_empty() => {}
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    /// When the next timer fires.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        lock(&self.timers).keys().next().map(|(at, _)| *at)
    }

    /// Moves the clock, and fires the timers up to there. They stay until whoever waits has seen it.
    pub(super) fn move_to(&self, at: Timestamp) {
        self.clock.0.fetch_max(at.as_micros(), Ordering::SeqCst);
        let due: Vec<Waker> = {
            let mut timers = lock(&self.timers);
            let later = timers.split_off(&(at + Duration::from_micros(1), 0));
            std::mem::replace(&mut *timers, later).into_values().flatten().collect()
        };
        due.into_iter().for_each(Waker::wake);
    }
}

/// Lets the runtime around turn to others once.
async fn let_others_run() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A process of the world.
pub(super) struct TestHost {
    process: u32,
    clock: Arc<ManualClock>,
    timers: Arc<Mutex<Timers>>,
    inbox: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
    numbers: Arc<AtomicU64>,
    polls: Arc<AtomicU64>,
}

impl Host for TestHost {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let at = self.clock.now() + duration;
        let number = self.numbers.fetch_add(1, Ordering::SeqCst);
        Box::pin(Sleep { at, number, clock: Arc::clone(&self.clock), timers: Arc::clone(&self.timers) })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) -> Box<dyn AbortTask> {
        let (handle, registration) = AbortHandle::new_pair();
        let (mut future, polls) = (Box::pin(Abortable::new(future, registration)), Arc::clone(&self.polls));
        let counted = poll_fn(move |context| {
            polls.fetch_add(1, Ordering::SeqCst);
            future.as_mut().poll(context).map(drop)
        });
        lock(&self.inbox).push(Box::pin(counted));
        Box::new(Spawned(handle))
    }

    fn process(&self) -> Process {
        Process { host: "test".to_owned(), pid: self.process, started: 0, worker_id: format!("worker-{}", self.process) }
    }

    fn is_alive(&self, process: &Process) -> Option<bool> {
        // The last one is the only one that lives.
        Some(process.pid == self.process)
    }
}

struct Spawned(AbortHandle);

impl AbortTask for Spawned {
    fn abort(&self) {
        self.0.abort();
    }
}

/// Ends when the test has moved the clock so far.
struct Sleep {
    at: Timestamp,
    number: u64,
    clock: Arc<ManualClock>,
    timers: Arc<Mutex<Timers>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Looked at under the lock, so that no move comes between.
        let mut timers = lock(&self.timers);
        if self.clock.now() >= self.at {
            timers.remove(&(self.at, self.number));
            return Poll::Ready(());
        }
        timers.insert((self.at, self.number), Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        lock(&self.timers).remove(&(self.at, self.number));
    }
}
