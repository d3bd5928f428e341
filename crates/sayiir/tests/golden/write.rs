//! Writes the file: `SAYIIR_GOLDEN=folder cargo test -p sayiir --test golden -- --ignored`. For a new version only: the
//! files of old ones stay as the old builds wrote them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use sayiir::core::branch::LeaseId;
use sayiir::core::control::{SignalKind, SignalRequest};
use sayiir::persistence::{BranchSummary, ClaimRequest, ClaimScope, InstanceRecord, Process, Store};
use sayiir::prelude::*;
use sayiir_store_testkit::TestClock;

use crate::flow::{Flow, HOUR, Ran, flow};
use crate::picture::{picture, text_of};
use crate::{PATIENCE, VERSION, open};

struct Writer {
    store: SqliteBackend,
    clock: Arc<TestClock>,
    flow: Flow,
    client: WorkflowClient<SqliteBackend>,
}

impl Writer {
    fn tick(&self) {
        self.clock.advance(Duration::from_secs(1));
    }

    async fn submit(&self, id: &str) {
        self.tick();
        self.client.submit(&self.flow, id, 3).await.unwrap();
    }

    async fn send(&self, id: &str, name: &str, payload: &'static str) {
        self.tick();
        self.client.send_event(id, name, payload).await.unwrap();
    }

    /// Drives an instance until it stands as it is to, then drops its runner.
    async fn drive(&self, id: &str, stands: impl Fn(&InstanceRecord) -> bool) {
        self.tick();
        let runner = CheckpointingRunner::new(self.store.clone());
        let record = || async { self.store.instance(id).await.unwrap().unwrap() };
        let stood = async {
            while !stands(&record().await) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // What it has begun is on its way.
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        tokio::select! {
            status = async { runner.resume(&self.flow, id).await.unwrap(); std::future::pending::<()>().await } => status,
            () = stood => {}
        }
        drop(runner);
        tokio::time::timeout(PATIENCE, async {
            while record().await.branches.iter().any(|branch| branch.lease.is_some()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
    }

    async fn fork(&self, id: &str) {
        self.submit(id).await;
        self.drive(id, |record| parked(record, "slow/") && parked(record, "signed/") && parked(record, "stamped/")).await;
    }

    /// Through the fork, to the wait in the loop.
    async fn join(&self, id: &str) {
        self.fork(id).await;
        self.send(id, "sign", "100").await;
        self.send(id, "stamp", "1").await;
        self.clock.advance(HOUR);
    }

    async fn lease(&self) -> LeaseId {
        let process = Process { host: "a host that is gone".into(), pid: 7, started: 7, worker_id: "worker".into() };
        self.store.open_session(process).await.unwrap()
    }

    async fn take(&self, id: &str) {
        self.tick();
        let (lease, scope) = (self.lease().await, ClaimScope::Instance(Arc::from(id)));
        let taken = self.store.claim(ClaimRequest { lease, ttl: Duration::from_secs(30), limit: 9, scope }).await.unwrap();
        assert_eq!(taken.len(), 1, "{id}");
    }

    /// In the order of their ages: what needs the clock to go on comes first.
    async fn write(&self) {
        let at = |node: &'static str| move |record: &InstanceRecord| record.branches.iter().any(|branch| &*branch.head.node == node);
        for id in ["completed", "joining", "looping"] {
            self.join(id).await;
        }
        self.drive("joining", |record| record.branches.iter().any(|root| root.branch.is_root() && root.pending == 0)).await;
        self.drive("looping", at("rounds[0]/gate")).await;
        self.send("looping", "go", "2").await;
        self.drive("looping", at("rounds[1]/gate")).await;
        self.send("looping", "noise", "1").await;
        self.client.send_event_once("looping", "noise", "2", "key").await.unwrap();
        self.drive("completed", at("rounds[0]/gate")).await;
        self.send("completed", "go", "1").await;
        self.drive("completed", |record| record.summary.status.is_terminal()).await;
        self.submit("failed").await;
        self.drive("failed", |record| record.summary.status.is_terminal()).await;
        for id in ["cancelled", "replaced", "forked", "forked-paused", "forked-asked", "forked-taken"] {
            self.fork(id).await;
        }
        self.client.cancel("cancelled", Some("no more".into()), Some("ann".into())).await.unwrap();
        self.client.pause("forked-paused", Some("wait".into()), Some("ann".into())).await.unwrap();
        self.send("forked-paused", "stamp", "1").await;
        self.send("forked", "stamp", "1").await;
        let asked = SignalRequest::new(Some("later".into()), Some("bob".into()));
        self.store.request_control("forked-asked", SignalKind::Pause, asked).await.unwrap();
        self.take("forked-taken").await;
        let again = self.client.clone().with_conflict_policy(ConflictPolicy::TerminateExisting);
        again.submit(&self.flow, "replaced", 5).await.unwrap();
        self.drive("replaced", |record| parked(record, "slow/")).await;
        self.submit("deleted").await;
        assert!(self.store.delete("deleted").await.unwrap());
        self.submit("crashed").await;
        self.take("crashed").await;
        self.clock.advance(Duration::from_secs(30));
        self.take("crashed").await;
        self.submit("leased").await;
        self.take("leased").await;
        self.submit("queued").await;
        self.client.send_event_once("later", "stamp", "1", "key").await.unwrap();
    }
}

fn parked(record: &InstanceRecord, under: &str) -> bool {
    let rests = |branch: &BranchSummary| branch.lease.is_none() && (branch.due_at.is_some() || branch.awaits.is_some());
    record.branches.iter().any(|branch| branch.head.node.contains(under) && rests(branch))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes the file of a new version"]
async fn write_the_file() {
    let Some(folder) = std::env::var_os("SAYIIR_GOLDEN") else { return };
    let (db, txt) = (Path::new(&folder).join(format!("version-{VERSION}.db")), Path::new(&folder).join(format!("version-{VERSION}.txt")));
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("store.db");
    let clock = Arc::new(TestClock::new());
    let store = open(&file, &clock).await;
    let writer = Writer {
        client: WorkflowClient::new(store.clone()),
        flow: flow(&Ran::default(), true),
        clock: Arc::clone(&clock),
        store: store.clone(),
    };
    writer.write().await;
    let written = text_of(&picture(&store).await);
    drop((writer, store));
    let conn = Connection::open(&file).unwrap();
    // No file tells where it was written.
    conn.execute("UPDATE session SET host = 'a host that is gone', pid = 7, worker_id = 'worker'", []).unwrap();
    conn.execute_batch("PRAGMA journal_mode = DELETE; VACUUM").unwrap();
    drop(conn);
    std::fs::copy(&file, db).unwrap();
    std::fs::write(txt, written).unwrap();
}
