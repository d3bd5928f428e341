//! Workers on PostgreSQL, while the server is killed, and while their connections are cut.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sayiir::core::journal::EntryKind;
use sayiir::prelude::*;
use sayiir::{PoolOptions, PostgresBackend, PostgresOptions};
use sayiir_pg_testserver::{PgServer, Settings};

const INSTANCES: u32 = 40;
const STEPS: usize = 20;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// What really ran: instance and node.
#[derive(Clone, Default)]
struct Ran(Arc<Mutex<Vec<(String, String)>>>);

impl Ran {
    fn note(&self) {
        let context = get_task_context().expect("every runner sets the context");
        self.0.lock().unwrap().push((context.instance_id.to_string(), context.node_path.to_string()));
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Many small steps, one behind the other.
fn counting(ran: &Ran) -> Workflow<JsonCodec, u32, (), u32> {
    let builder = WorkflowBuilder::new(WorkflowContext::new("counting", Arc::new(JsonCodec), Arc::new(())));
    let step = |ran: &Ran| {
        let ran = ran.clone();
        move |x: u32| {
            ran.note();
            async move { Ok(x + 1) }
        }
    };
    let first = builder.then("step-0", step(ran));
    (1..STEPS).fold(first, |flow, n| flow.then(format!("step-{n}"), step(ran))).build().unwrap()
}

async fn store(server: &PgServer) -> PostgresBackend {
    let pool = PoolOptions { acquire_timeout: Some(Duration::from_secs(2)), ..PoolOptions::default() };
    PostgresBackend::open_with(&server.url(), PostgresOptions::default().with_pool(pool)).await.unwrap()
}

/// Asks until the store answers.
async fn insist<T, E: std::fmt::Display>(mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The steps whose results are stored.
async fn stored(client: &WorkflowClient<PostgresBackend>) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for n in 0..INSTANCES {
        let id = format!("i{n}");
        let rows = insist(async || client.history(&id).await).await;
        let done = rows.iter().filter(|row| row.kind == EntryKind::TaskCompleted);
        found.extend(done.map(|row| (id.clone(), row.node.to_string())));
    }
    found
}

/// Runs all instances while `disturb` does its worst, whenever another part of the work is done.
async fn disturbed(server: &PgServer, disturb: impl AsyncFn()) {
    let ran = Ran::default();
    let flow = counting(&ran);
    let worker = PooledWorker::builder(store(server).await, TaskRegistry::new()).claim_ttl(Duration::from_secs(5)).build();
    let worker = worker.spawn(Duration::from_secs(1), WorkflowSet::new().with(Arc::new(flow.clone())));
    let client = WorkflowClient::new(store(server).await);
    for n in 0..INSTANCES {
        insist(async || client.submit(&flow, format!("i{n}"), n).await).await;
    }
    let all = usize::try_from(INSTANCES).unwrap() * STEPS;
    for part in 1..=3 {
        let begun = Instant::now();
        while ran.len() < all * part / 5 {
            assert!(begun.elapsed() < PATIENCE, "the worker does not go on: {} of {all} steps ran", ran.len());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        disturb().await;
        let done = stored(&client).await;
        let later = ran.len();
        tokio::time::sleep(Duration::from_millis(50)).await;
        for step in ran.0.lock().unwrap().iter().skip(later) {
            assert!(!done.contains(step), "{step:?} ran again, though its result was stored");
        }
    }
    for n in 0..INSTANCES {
        let id = format!("i{n}");
        let got = insist(async || client.wait_for(&flow, &id, Some(PATIENCE)).await).await;
        assert_eq!(got, n + u32::try_from(STEPS).unwrap());
    }
    assert_eq!(stored(&client).await.len(), all);
    println!("{} runs of tasks for {all} steps", ran.len());
    worker.shutdown();
    worker.join().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_goes_on_by_itself_when_the_server_was_killed() {
    let server = PgServer::start(&Settings::durable()).unwrap();
    disturbed(&server, async || {
        server.kill().unwrap();
        server.restart().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_goes_on_by_itself_when_its_connections_were_cut() {
    let server = PgServer::start(&Settings::fast()).unwrap();
    disturbed(&server, async || {
        server.shut_down().unwrap();
        server.restart().unwrap();
    })
    .await;
}
