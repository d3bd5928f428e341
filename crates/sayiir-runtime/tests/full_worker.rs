//! A worker whose only place becomes free at the very moment after it found none.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use sayiir_core::future::BoxFuture;
use sayiir_driver::{AbortTask, Host, Session, SessionOptions, Worker, WorkerOptions};
use sayiir_persistence::{Process, Store};
use sayiir_runtime::prelude::*;

/// A world without threads, whose time does not pass. What was spawned runs when the test says so, and
/// once in the middle of a call: when the worker asks for its first sleep of a second.
#[derive(Default)]
struct StillHost {
    tasks: Mutex<Vec<BoxFuture<'static, ()>>>,
    interrupted: AtomicBool,
}

struct NoAbort;

impl AbortTask for NoAbort {
    fn abort(&self) {}
}

impl StillHost {
    /// Polls everything that was spawned, and what that spawns, a few times.
    fn run(&self) {
        for _ in 0..10 {
            let tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
            for mut task in tasks {
                if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                    self.tasks.lock().unwrap().push(task);
                }
            }
        }
    }
}

impl Host for StillHost {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration == Duration::from_secs(1) && !self.interrupted.swap(true, Ordering::SeqCst) {
            self.run();
        }
        Box::pin(std::future::pending())
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) -> Box<dyn AbortTask> {
        self.tasks.lock().unwrap().push(future);
        Box::new(NoAbort)
    }

    fn process(&self) -> Process {
        Process { host: "still".to_owned(), pid: 1, started: 1, worker_id: "still".to_owned() }
    }

    fn is_alive(&self, _process: &Process) -> Option<bool> {
        None
    }
}

#[test]
fn a_place_that_becomes_free_right_after_the_look_is_taken() {
    let context = WorkflowContext::new("one", Arc::new(JsonCodec), Arc::new(()));
    let one = WorkflowBuilder::new(context).then("one", |x: u32| async move { Ok(x) }).build().unwrap();
    let (store, host) = (InMemoryBackend::new(), Arc::new(StillHost::default()));
    let client = WorkflowClient::new(store.clone());
    for id in ["a", "b"] {
        client.submit(&one, id, 1).now_or_never().unwrap().unwrap();
    }
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let session = Session::open(shared, Arc::clone(&host) as Arc<dyn Host>, SessionOptions::default()).now_or_never().unwrap().unwrap();
    let workflows = WorkflowSet::new().with(Arc::new(one));
    let worker = Worker::new(session, Arc::new(workflows), WorkerOptions { concurrency: 1, ..WorkerOptions::default() });
    let mut work = pin!(worker.work(std::future::pending()));
    for _ in 0..10 {
        assert_eq!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        host.run();
    }
    assert!(host.interrupted.load(Ordering::SeqCst), "the worker asks for its sleep of a second after it looked");
    for id in ["a", "b"] {
        assert!(client.status(id).now_or_never().unwrap().unwrap().is_completed(), "{id}");
    }
}
