//! Many instances wait, for times and for events. When they are due they all wake, in the order in which they were: a worker that drives
//! one at a time shows it. (One that drives several begins them in that order too, as far as tasks that run at once have one.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sayiir::PooledWorker;
use sayiir::core::workflow::Typed;
use sayiir::persistence::{BranchStats, InMemoryBackend, Store};
use sayiir::prelude::*;
use sayiir_store_testkit::TestClock;

const MANY: u64 = 60;
const SECOND: Duration = Duration::from_secs(1);
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

type Flow = Workflow<JsonCodec, u64, (), u64>;
type Woken = Arc<Mutex<Vec<u64>>>;

fn flow(name: &str) -> WorkflowBuilder<JsonCodec, u64, Typed<u64>> {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

fn noting(woken: &Woken) -> impl Fn(u64) -> std::future::Ready<Result<u64, BoxError>> + Clone + Send + Sync + 'static {
    let woken = Arc::clone(woken);
    move |number| {
        woken.lock().unwrap().push(number);
        std::future::ready(Ok(number))
    }
}

/// Those of even numbers nap long, half of the others nap shortly, and the rest wait for an event.
struct Flows {
    long: Flow,
    short: Flow,
    event: Flow,
}

impl Flows {
    fn new(woken: &Woken) -> Self {
        let nap = |name: &str, seconds: u32| flow(name).delay("nap", SECOND * seconds).then("after", noting(woken)).build().unwrap();
        let event = flow("event").then("before", |n: u64| async move { Ok(n) }).wait_for_signal("wait", "go", None);
        Self { long: nap("long", 1000), short: nap("short", 400), event: event.then("after", noting(woken)).build().unwrap() }
    }

    fn of(&self, number: u64) -> &Flow {
        match number % 4 {
            0 | 2 => &self.long,
            1 => &self.short,
            _ => &self.event,
        }
    }

    fn all(&self) -> WorkflowSet {
        let Self { long, short, event } = self;
        [long, short, event].into_iter().fold(WorkflowSet::new(), |set, flow| set.with(Arc::new(flow.clone())))
    }
}

async fn until(store: &Arc<dyn Store>, what: &str, enough: impl Fn(BranchStats) -> bool) {
    let begun = Instant::now();
    loop {
        let branches = store.stats().await.unwrap().branches;
        if enough(branches) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {branches:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn all_wake_in_order(store: Arc<dyn Store>, clock: Arc<TestClock>) {
    let woken = Woken::default();
    let flows = Flows::new(&woken);
    let client = WorkflowClient::new(Arc::clone(&store));
    let worker = |many: usize| {
        let many = NonZeroUsize::new(many).unwrap();
        let worker = PooledWorker::builder(Arc::clone(&store), TaskRegistry::new()).max_concurrent_tasks(many).batch_size(many).build();
        worker.spawn(Duration::from_mins(1), flows.all())
    };
    let parks = worker(16);
    for number in 0..MANY {
        client.submit(flows.of(number), number.to_string(), number).await.unwrap();
        until(&store, "not parked", |branches| branches.parked + branches.waiting == number + 1).await;
        // Each is due at a time of its own.
        clock.advance(SECOND);
    }
    parks.shutdown();
    parks.join().await.unwrap();
    assert_eq!(*woken.lock().unwrap(), [0; 0]);
    // The short naps end first; events come, the last first, while the long ones last.
    clock.advance(SECOND * 500);
    let mut in_order: Vec<u64> = (0..MANY).filter(|number| number % 4 == 1).collect();
    for number in (0..MANY).rev().filter(|number| number % 4 == 3) {
        client.send_event(&number.to_string(), "go", number.to_string()).await.unwrap();
        in_order.push(number);
        clock.advance(SECOND);
    }
    clock.advance(SECOND * 1000);
    in_order.extend((0..MANY).filter(|number| number % 2 == 0));
    until(&store, "not due", |branches| branches.due == MANY).await;
    let wakes = worker(1);
    for number in 0..MANY {
        assert_eq!(client.wait_for(flows.of(number), &number.to_string(), Some(PATIENCE)).await.unwrap(), number);
    }
    wakes.shutdown();
    wakes.join().await.unwrap();
    assert_eq!(*woken.lock().unwrap(), in_order);
}

#[tokio::test]
async fn all_wake_in_order_in_memory() {
    let clock = Arc::new(TestClock::new());
    all_wake_in_order(Arc::new(InMemoryBackend::with_clock(Arc::<TestClock>::clone(&clock))), clock).await;
}

#[tokio::test]
async fn all_wake_in_order_on_sqlite() {
    let (clock, folder) = (Arc::new(TestClock::new()), tempfile::tempdir().unwrap());
    let options = sayiir::SqliteOptions::default().with_clock(Arc::<TestClock>::clone(&clock));
    let store: SqliteBackend = SqliteBackend::open_with(folder.path().join("parked.db"), options).await.unwrap();
    all_wake_in_order(Arc::new(store), clock).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn all_wake_in_order_on_postgresql() {
    let clock = Arc::new(TestClock::new());
    let server = sayiir_pg_testserver::PgServer::start(&sayiir_pg_testserver::Settings::fast()).unwrap();
    let options = sayiir::PostgresOptions::default().with_clock(Arc::<TestClock>::clone(&clock));
    let store: sayiir::PostgresBackend = sayiir::PostgresBackend::open_with(&server.url(), options).await.unwrap();
    all_wake_in_order(Arc::new(store), clock).await;
}
