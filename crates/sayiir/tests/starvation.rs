//! What cannot go on now does not delay what can: counted in calls, in branches handed out and in SQL statements, not in time.
//! One test a file: the count of statements is the whole process's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sayiir::core::future::MaybeSend;
use sayiir::core::workflow::Typed;
use sayiir::persistence::{AroundStore, BranchView, ClaimRequest, Operation, Store, StoreFuture, forward_store};
use sayiir::prelude::*;
use sayiir::sqlite_statements;

const MANY: usize = 1000;
const HOUR: Duration = Duration::from_hours(1);
const PATIENCE: Option<Duration> = Some(Duration::from_mins(1));

fn flow(name: &str) -> WorkflowBuilder<JsonCodec, u64, Typed<u64>> {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

/// Counts what is asked of a store, and what its claims hand out.
struct Counted {
    inner: Arc<dyn Store>,
    calls: Mutex<BTreeMap<Operation, u64>>,
    handed_out: Mutex<Vec<String>>,
}

impl AroundStore for Counted {
    fn around<'a, T: MaybeSend + 'a>(
        &'a self,
        operation: Operation,
        ask: impl FnOnce() -> StoreFuture<'a, T> + MaybeSend + 'a,
    ) -> StoreFuture<'a, T> {
        *self.calls.lock().unwrap().entry(operation).or_default() += 1;
        ask()
    }
}

impl Store for Counted {
    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        *self.calls.lock().unwrap().entry(Operation::Claim).or_default() += 1;
        Box::pin(async move {
            let views = self.inner.claim(request).await?;
            self.handed_out.lock().unwrap().extend(views.iter().map(|view| view.instance_id.to_string()));
            Ok(views)
        })
    }

    forward_store!(around |me| me.inner, except claim);
}

/// What it takes to run a fresh instance.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cost {
    calls: BTreeMap<Operation, u64>,
    handed_out: Vec<String>,
    statements: u64,
}

struct Flows {
    fresh: Workflow<JsonCodec, u64, (), u64>,
    backs_off: Workflow<JsonCodec, u64, (), u64>,
    unknown: Workflow<JsonCodec, u64, (), u64>,
    tagged: Workflow<JsonCodec, u64, (), u64>,
}

impl Flows {
    fn new() -> Self {
        let retries = RetryPolicy { initial_delay: HOUR, ..RetryPolicy::with_max_retries(3) };
        let tagged = TaskMetadata { tags: vec!["gpu".to_owned()], priority: Some(Priority::Critical), ..Default::default() };
        Self {
            fresh: flow("fresh").then("a", |x| async move { Ok(x) }).build().unwrap(),
            backs_off: flow("backs off")
                .then("a", |_| async move { Err::<u64, _>("not now".into()) })
                .with_metadata(TaskMetadata { retries: Some(retries), priority: Some(Priority::Critical), ..Default::default() })
                .build()
                .unwrap(),
            unknown: flow("unknown").then("a", |x| async move { Ok(x) }).build().unwrap(),
            tagged: flow("tagged").then("a", |x| async move { Ok(x) }).with_metadata(tagged).build().unwrap(),
        }
    }

    fn work<B: Store>(&self, store: B) -> WorkerHandle<B> {
        let worker = PooledWorker::builder(store, TaskRegistry::new()).tags(["cpu"]).build();
        let known = [&self.fresh, &self.backs_off, &self.tagged];
        worker.spawn(HOUR, known.into_iter().fold(WorkflowSet::new(), |set, flow| set.with(Arc::new(flow.clone()))))
    }
}

/// Fills a store with what cannot go on, then looks what a fresh instance costs on a worker that has come to rest.
async fn cost(store: Arc<dyn Store>, stuck: usize) -> Cost {
    let (flows, client) = (Flows::new(), WorkflowClient::new(Arc::clone(&store)));
    for number in 0..stuck {
        client.submit(&flows.backs_off, format!("b{number}"), 0).await.unwrap();
        client.submit(&flows.unknown, format!("u{number}"), 0).await.unwrap();
        client.submit(&flows.tagged, format!("t{number}"), 0).await.unwrap();
    }
    let filler = flows.work(Arc::clone(&store));
    for number in 0..stuck {
        let id = format!("b{number}");
        let watch = store.wakeups().listen_instance(&id);
        loop {
            let changed = watch.listen();
            if store.instance(&id).await.unwrap().unwrap().branches.iter().all(|branch| branch.head.attempt == 1 && branch.lease.is_none())
            {
                break;
            }
            // Looked at again in any case: a failed attempt is no change of status.
            let _ = tokio::time::timeout(Duration::from_millis(5), changed).await;
        }
    }
    filler.shutdown();
    filler.join().await.unwrap();

    let counted = Arc::new(Counted { inner: Arc::clone(&store), calls: Mutex::default(), handed_out: Mutex::default() });
    let worker = flows.work(Arc::clone(&counted));
    let asks = |operation| counted.calls.lock().unwrap().get(&operation).copied().unwrap_or(0);
    while asks(Operation::NextDue) < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(*counted.handed_out.lock().unwrap(), [""; 0], "nothing of all that can go on");
    counted.calls.lock().unwrap().clear();
    let before = sqlite_statements();
    client.submit(&flows.fresh, "fresh", 7).await.unwrap();
    assert_eq!(client.wait_for(&flows.fresh, "fresh", PATIENCE).await.unwrap(), 7);
    worker.shutdown();
    worker.join().await.unwrap();
    let statements = sqlite_statements() - before;
    let calls = counted.calls.lock().unwrap().clone();
    let handed_out = counted.handed_out.lock().unwrap().clone();
    for (id, stands) in [("b0", 1), ("u0", 0), ("t0", 0)] {
        if stuck > 0 {
            let record = store.instance(id).await.unwrap().expect("it is there to be seen");
            let attempts: Vec<_> = record.branches.iter().map(|branch| branch.head.attempt).collect();
            assert_eq!((record.summary.status.is_terminal(), attempts), (false, vec![stands]), "{id}");
        }
    }
    Cost { calls, handed_out, statements }
}

/// A new store of each kind; another one is one line more.
async fn stores() -> (Vec<(&'static str, Arc<dyn Store>)>, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    let stores: Vec<(_, Arc<dyn Store>)> = vec![
        ("memory", Arc::new(InMemoryBackend::new())),
        ("sqlite", Arc::new(SqliteBackend::open(place.path().join("starve.db")).await.unwrap())),
        #[cfg(feature = "postgres")]
        ("postgres", postgres().await),
    ];
    (stores, place)
}

#[cfg(feature = "postgres")]
async fn postgres() -> Arc<dyn Store> {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let schema = format!("starve_{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
    let url = sayiir_pg_testserver::shared().unwrap().url();
    Arc::new(sayiir::PostgresBackend::<JsonCodec>::open_with(&url, sayiir::PostgresOptions::default().with_schema(schema)).await.unwrap())
}

#[tokio::test]
async fn a_thousand_instances_that_cannot_go_on_cost_a_fresh_one_nothing() {
    let ((empty, _place), (full, _other_place)) = (stores().await, stores().await);
    for ((name, empty), (_, full)) in empty.into_iter().zip(full) {
        let (alone, among) = (cost(empty, 0).await, cost(full, MANY).await);
        assert_eq!(among.handed_out, ["fresh"], "{name}");
        println!("{name}: alone {alone:?}, among {} {among:?}", 3 * MANY);
        let asked = |cost: &Cost| cost.calls.values().sum::<u64>();
        // Chance decides how the announcements of a submit and an end fall together, not how many others there are.
        assert!(asked(&among) <= asked(&alone) + 4, "{name}: {among:?} instead of {alone:?}");
        assert!(among.statements <= alone.statements + 80, "{name}: {among:?} instead of {alone:?}");
    }
}
