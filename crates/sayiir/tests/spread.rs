//! The branches of one fork on two pooled workers that each have room for all of them, on every store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sayiir::persistence::Store;
use sayiir::prelude::*;
use sayiir::{PooledWorker, SqliteBackend};

const BRANCHES: usize = 8;
/// Two workers that are idle share one fork at least among so many.
const FORKS: usize = 40;
const PATIENCE: Option<Duration> = Some(Duration::from_mins(1));

/// A fork of eight tasks that each take a moment, and note which worker runs them.
fn fan(worker: u32, ran: &Arc<Mutex<Vec<u32>>>) -> Workflow<JsonCodec, u32, (), usize> {
    let task = || {
        let ran = Arc::clone(ran);
        move |x: u32| {
            ran.lock().unwrap().push(worker);
            async move {
                tokio::time::sleep(Duration::from_millis(60)).await;
                Ok(x)
            }
        }
    };
    let builder = WorkflowBuilder::new(WorkflowContext::new("fan", Arc::new(JsonCodec), Arc::new(())));
    let fork = builder.then("begin", |x: u32| async move { Ok(x) }).fork();
    let fork = (1..BRANCHES).fold(fork.branch("b0", task()), |fork, number| fork.branch(format!("b{number}"), task()));
    fork.join("all", |outputs: BranchOutputs<JsonCodec>| async move { Ok(outputs.len()) }).build().unwrap()
}

/// Each side is a store as a process of its own has it.
async fn shared_by_two_workers(sides: [Arc<dyn Store>; 2]) {
    let ran = Arc::<Mutex<Vec<u32>>>::default();
    let client = WorkflowClient::new(Arc::clone(&sides[0]));
    let mut workers = Vec::new();
    for (number, side) in (0..).zip(sides) {
        let worker = PooledWorker::new(format!("worker-{number}"), side, TaskRegistry::new());
        workers.push(worker.spawn(Duration::from_mins(1), WorkflowSet::new().with(Arc::new(fan(number, &ran)))));
    }
    let flow = fan(0, &ran);
    let mut shared = 0;
    for number in 0..FORKS {
        ran.lock().unwrap().clear();
        let id = format!("f{number}");
        client.submit(&flow, &id, 1).await.unwrap();
        assert_eq!(client.wait_for(&flow, &id, PATIENCE).await.unwrap(), BRANCHES);
        let ran = std::mem::take(&mut *ran.lock().unwrap());
        assert_eq!(ran.len(), BRANCHES, "each branch ran once: {ran:?}");
        shared += usize::from(ran.into_iter().collect::<BTreeSet<_>>().len() == 2);
        if shared == 2 {
            break;
        }
    }
    assert!(shared > 0, "no fork of {FORKS} was shared by two idle workers");
    for worker in workers {
        worker.shutdown();
        worker.join().await.unwrap();
    }
}

#[tokio::test]
async fn two_workers_share_a_fork_in_memory() {
    let store: Arc<dyn Store> = Arc::new(InMemoryBackend::new());
    shared_by_two_workers([Arc::clone(&store), store]).await;
}

#[tokio::test]
async fn two_workers_share_a_fork_on_a_sqlite_file() {
    let directory = tempfile::tempdir().unwrap();
    let side = async || Arc::new(SqliteBackend::open(directory.path().join("spread.db")).await.unwrap()) as Arc<dyn Store>;
    shared_by_two_workers([side().await, side().await]).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_share_a_fork_on_postgres() {
    use sayiir::PostgresBackend;
    use sayiir_pg_testserver::{PgServer, Settings};

    let server = PgServer::start(&Settings::durable()).unwrap();
    let side = async || Arc::new(PostgresBackend::<JsonCodec>::connect(&server.url()).await.unwrap()) as Arc<dyn Store>;
    shared_by_two_workers([side().await, side().await]).await;
}
