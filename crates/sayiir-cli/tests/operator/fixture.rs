//! A store with instances in every status and at every kind of node, whose clock the tasks move themselves: so all times are known.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sayiir::core::branch::LeaseId;
use sayiir::core::time::{Clock, Timestamp};
use sayiir::persistence::{ClaimRequest, ClaimScope, InstanceRecord, Process, Store, SystemClock};
use sayiir::prelude::*;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// When the first instance starts, as the outputs are shown.
pub(crate) const SHOWN_START: i64 = 1_767_323_045_000_000;

/// So long before now the first instance really starts: at no full hour, so that what is told in hours does not change during a test.
const BEFORE: Duration = Duration::from_secs(2 * 86_400 + 3 * 3_600 + 50 * 60 + 30);

/// The store's clock while it is filled; at the end of time it is the system's.
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        match self.0.load(Ordering::SeqCst) {
            i64::MAX => SystemClock.now(),
            micros => Timestamp::from_micros(micros),
        }
    }
}

impl TestClock {
    fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap();
        // Where it is the system's, nobody moves it.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| (now != i64::MAX).then_some(now.saturating_add(by)));
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    customer: String,
    euros: u32,
}

fn order(customer: &str, euros: u32) -> Order {
    Order { customer: customer.to_owned(), euros }
}

#[derive(BranchKey)]
enum Payment {
    Card,
    Invoice,
}

#[task]
async fn check(order: Order, #[inject] clock: Arc<TestClock>) -> Order {
    clock.advance(Duration::from_millis(120));
    order
}

#[task]
async fn stock(order: Order) -> Order {
    order
}

#[task]
async fn credit(order: Order) -> String {
    order.customer
}

#[task]
async fn payment(order: Order, #[inject] clock: Arc<TestClock>) -> String {
    clock.advance(Duration::from_millis(15));
    if order.euros < 100 { Payment::Card } else { Payment::Invoice }.as_key().to_owned()
}

/// Refuses mallory, is never done with eve, and tells bob to come back tomorrow.
#[task(retries = 2, backoff = "0s")]
async fn charge(order: Order, #[inject] clock: Arc<TestClock>) -> Result<u32, BoxError> {
    clock.advance(Duration::from_millis(1_340));
    match order.customer.as_str() {
        "mallory" => Err("the bank says no".into()),
        "bob" => Err(RetryAfter::new(Duration::from_hours(24), "the bank is closed").into()),
        "eve" => {
            let context = task_context!().ok_or("no context")?;
            context.report_progress(&serde_json::json!({"asked": 3, "of": 4})).await?;
            pending().await
        }
        _ => Ok(order.euros),
    }
}

pub(crate) type OrderFlow = Workflow<JsonCodec, Order, (), String>;
pub(crate) type ImportFlow = Workflow<JsonCodec, u32, (), u32>;

fn label() -> Workflow<JsonCodec, u32, (), u32> {
    workflow! { name: "label", steps: [printed(euros: u32) { euros }] }.unwrap()
}

fn rate(outputs: &BranchOutputs<JsonCodec>) -> Result<Order, BoxError> {
    let order = outputs.get_by_id::<Order>("stock")?;
    Ok(Order { customer: outputs.get_by_id("credit")?, ..order })
}

fn fetched(outputs: &BranchOutputs<JsonCodec>) -> Result<u32, BoxError> {
    outputs.get_by_id("fetch")
}

pub(crate) fn order_flow(clock: &Arc<TestClock>) -> OrderFlow {
    let deps = Deps::builder().insert(Arc::clone(clock)).build();
    let label = label();
    workflow! {
        name: "order",
        version: "2",
        deps: &deps,
        steps: [
            check,
            stock || credit,
            rated(outputs: BranchOutputs<JsonCodec>) { rate(&outputs) },
            route payment -> Payment {
                Card => [charge],
                Invoice => [signal "approval" timeout "7d", billed(euros: Option<u32>) { euros.unwrap_or_default() }],
            },
            packed(taken: BranchEnvelope<u32>) { taken.result },
            delay "cool-off" "1d",
            flow label,
            told(euros: u32) { format!("{euros} euros") },
        ],
    }
    .unwrap()
    .into_parts()
    .0
}

pub(crate) fn import_flow() -> ImportFlow {
    workflow! {
        name: "import",
        steps: [
            fetch(pages: u32) { pages } || [signal "permit", permitted(by: String) { by.len() }],
            merged(outputs: BranchOutputs<JsonCodec>) { fetched(&outputs) },
            loop "pages" [
                load(page: u32) { page },
                signal "gate",
                judge(page: u32) { if page > 1 { LoopResult::Again(page - 1) } else { LoopResult::Done(page) } },
            ] 5,
        ],
    }
    .unwrap()
}

/// A folder with a store in it, whose runtime goes on with what runs.
pub(crate) struct Fixture {
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
    clock: Arc<TestClock>,
    pub(crate) store: SqliteBackend,
    started: i64,
}

impl Fixture {
    /// An empty store.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seconds = (SystemTime::now() - BEFORE).duration_since(UNIX_EPOCH).unwrap().as_secs();
        let started = i64::try_from(seconds).unwrap() * 1_000_000;
        let clock = Arc::new(TestClock(AtomicI64::new(started)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let options = SqliteOptions::default()
            .with_clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .with_synchronous(sayiir_sqlite::Synchronous::MayDestroyFileOnPowerFailure);
        let store = runtime.block_on(SqliteBackend::open_with(folder.path().join("orders.db"), options)).unwrap();
        Self { folder, runtime, clock, store, started }
    }

    /// A store with instances in every status.
    pub(crate) fn full() -> Self {
        let this = Self::empty();
        this.runtime.block_on(this.fill());
        this
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path().join("orders.db")
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn record(&self, id: &str) -> InstanceRecord {
        self.block_on(self.store.instance(id)).unwrap().unwrap()
    }

    pub(crate) fn orders(&self) -> OrderFlow {
        order_flow(&self.clock)
    }

    /// From now on the store's clock here is that of everybody else.
    pub(crate) fn catch_up(&self) {
        self.clock.0.store(i64::MAX, Ordering::SeqCst);
    }

    async fn fill(&self) {
        let (client, runner) = (WorkflowClient::new(self.store.clone()), CheckpointingRunner::new(self.store.clone()));
        let (orders, imports) = (order_flow(&self.clock), import_flow());
        runner.run(&orders, "order-1", order("ada", 42)).await.unwrap();
        self.clock.advance(Duration::from_hours(24));
        assert!(runner.resume(&orders, "order-1").await.unwrap().is_completed());
        self.clock.advance(Duration::from_hours(20));

        for (id, customer, euros) in
            [("order-2", "mallory", 20), ("order-4", "ada", 500), ("order-5", "bea", 700), ("order-6", "cyd", 900), ("order-7", "dan", 10)]
        {
            self.clock.advance(Duration::from_mins(10));
            runner.run(&orders, id, order(customer, euros)).await.unwrap();
        }
        self.clock.advance(Duration::from_mins(20));
        client.cancel("order-5", Some("ordered twice".to_owned()), Some("ada".to_owned())).await.unwrap();
        client.pause("order-6", Some("stocktaking".to_owned()), None).await.unwrap();

        // What is still at work here when it is looked at.
        self.clock.advance(Duration::from_mins(10));
        let worker = CheckpointingRunner::new(self.store.clone()).with_lease(Duration::from_hours(72));
        for (id, customer) in [("order-3", "bob"), ("order-9", "eve")] {
            let (worker, orders, input) = (
                CheckpointingRunner::from_shared(Arc::clone(worker.backend())).with_lease(Duration::from_hours(72)),
                orders.clone(),
                order(customer, 60),
            );
            tokio::spawn(async move { worker.run(&orders, id, input).await });
            self.until(id, |record| record.branches.iter().any(|branch| branch.progress.is_some() || branch.head.attempt == 1)).await;
        }
        self.clock.advance(Duration::from_mins(10));
        let submission = client.submission(&orders, "order-8", order("fay", 5)).attribute("customer", "fay").attribute("euros", 5);
        submission.send().await.unwrap();

        client.send_event("import-2", "permit", "\"ada\"").await.unwrap();
        client.send_event("import-2", "gate", "2").await.unwrap();
        for (id, pages) in [("import-1", 2), ("import-2", 2)] {
            runner.run(&imports, id, pages).await.unwrap();
        }
        client.submit(&orders, "order-10", order("gil", 5)).await.unwrap();
        for pid in [4711, 4712] {
            self.lose("order-10", pid).await;
        }
    }

    /// A worker takes an instance and is never seen again.
    pub(crate) async fn lose(&self, id: &str, pid: u32) {
        let process = Process { host: "elsewhere".to_owned(), pid, started: 1, worker_id: format!("elsewhere-{pid}") };
        let lease: LeaseId = self.store.open_session(process).await.unwrap();
        let request = ClaimRequest { lease, ttl: Duration::from_secs(10), limit: 1, scope: ClaimScope::Instance(id.into()) };
        assert_eq!(self.store.claim(request).await.unwrap().len(), 1);
        self.clock.advance(Duration::from_mins(1));
    }

    /// Waits until an instance is as it is to be. It looks again whenever something is announced; the end is a fact of the store.
    pub(crate) async fn until(&self, id: &str, is_so: impl Fn(&InstanceRecord) -> bool) {
        let watch = self.store.wakeups().listen_instance(id);
        loop {
            let changed = watch.listen();
            if self.store.instance(id).await.unwrap().is_some_and(|record| is_so(&record)) {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_millis(20), changed).await;
        }
    }

    /// The text with all times moved to where the shown start is, and the worker of this process under a name that stays.
    pub(crate) fn shown(&self, text: &str) -> String {
        let this = format!("-{}", std::process::id());
        let words = text
            .split_inclusive([' ', '\n'])
            .map(|word| if word.trim_end().ends_with(&this) { word.replace(word.trim_end(), "shop-1") } else { word.to_owned() });
        let text = words.collect::<String>();
        let shift = chrono::Duration::microseconds(SHOWN_START - self.started);
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            let stamp = rest.get(..19).filter(|_| c.is_ascii_digit()).and_then(|stamp| {
                let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
                formats.into_iter().find_map(|format| Some((chrono::NaiveDateTime::parse_from_str(stamp, format).ok()?, format)))
            });
            if let Some((time, format)) = stamp {
                out.push_str(&(time + shift).format(format).to_string());
                rest = &rest[19..];
            } else {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        out
    }
}
