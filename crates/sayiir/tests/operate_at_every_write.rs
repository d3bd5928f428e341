//! An operator's errand (attributes, retry, rewind, purge) whose world ends before and after every write in turn, and whose requests
//! and replies are lost in turn: done over from where it stands, it comes to the same, and no stored step runs twice in one run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "tests")]

mod faulty;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use faulty::{Kind, World, world};
use sayiir::core::branch::RunNumber;
use sayiir::persistence::{AttributeFilter, InstanceFilter, InstanceRecord};
use sayiir::prelude::*;
use sayiir_store_testkit::{Fault, FaultStore};

const ID: &str = "errand";

/// What ran: the run and the node.
type Ran = Arc<Mutex<Vec<(RunNumber, String)>>>;

/// The second task fails until that is mended; the first sets what the instance is found by.
fn flow(ran: &Ran, mended: &Arc<AtomicBool>) -> Workflow<JsonCodec, u32, (), u32> {
    let note = |ran: &Ran| {
        let ran = Arc::clone(ran);
        move || {
            let context = task_context!().expect("every runner sets the context");
            ran.lock().unwrap().push((context.run, context.node_path.to_string()));
            context
        }
    };
    let (first, second, third) = (note(ran), note(ran), note(ran));
    let charge = move |x: u32| {
        let context = first();
        async move {
            context.set_search_attribute("stage", "charged").await?;
            Ok(x + 1)
        }
    };
    let mended = Arc::clone(mended);
    let ship = move |x: u32| {
        second();
        std::future::ready(if mended.load(Ordering::SeqCst) { Ok(x + 1) } else { Err("not mended".into()) })
    };
    let tell = move |x: u32| {
        third();
        std::future::ready(Ok(x + 1))
    };
    let builder = WorkflowBuilder::new(WorkflowContext::new("errand", Arc::new(JsonCodec), Arc::new(())));
    builder.then("charge", charge).then("ship", ship).then("tell", tell).build().unwrap()
}

struct Errand {
    world: World,
    ran: Ran,
    mended: Arc<AtomicBool>,
    flow: Workflow<JsonCodec, u32, (), u32>,
}

impl Errand {
    async fn new(kind: Kind) -> Self {
        let (ran, mended) = (Ran::default(), Arc::default());
        Self { world: world(kind).await, flow: flow(&ran, &mended), ran, mended }
    }

    fn client(&self) -> WorkflowClient<FaultStore> {
        WorkflowClient::from_shared(Arc::clone(&self.world.store)).with_conflict_policy(ConflictPolicy::UseExisting)
    }

    fn runner(&self) -> CheckpointingRunner<FaultStore> {
        CheckpointingRunner::from_shared(Arc::clone(&self.world.store)).with_patience(Duration::ZERO)
    }

    /// What there is, whatever befalls those who ask through the faults.
    async fn record(&self) -> Option<InstanceRecord> {
        self.world.store.inner().instance(ID).await.unwrap()
    }

    /// Does what is next, until all is done. `done` is what the operator wrote down.
    async fn go_on(&self, done: &mut BTreeSet<&'static str>) -> Result<(), RuntimeError> {
        let (client, runner) = (self.client(), self.runner());
        if !done.contains("submitted") {
            let submission = client.submission(&self.flow, ID, 1).attribute("stage", "new").attribute("customer", "acme");
            submission.send().await?;
            done.insert("submitted");
        }
        if !done.contains("retried") {
            match runner.resume(&self.flow, ID).await? {
                // Held still by a runner whose world has ended; or retried, though the operator was not told.
                WorkflowStatus::Failed(_) | WorkflowStatus::InProgress | WorkflowStatus::Completed => {}
                other => panic!("before the retry: {other:?}"),
            }
            if let WorkflowStatus::Failed(error) = client.status(ID).await? {
                if error.contains("could not store its search attributes") {
                    // This runner asks once, and the task made that its own failure.
                    client.retry(ID, None, None).await?;
                    return Ok(());
                }
                assert!(error.contains("not mended"), "{error}");
                self.mended.store(true, Ordering::SeqCst);
                client.retry(ID, None, None).await?;
                done.insert("retried");
            } else if client.status(ID).await? == WorkflowStatus::Completed {
                done.insert("retried");
            } else {
                return Ok(());
            }
        }
        if !done.contains("rewound") {
            if runner.resume(&self.flow, ID).await? != WorkflowStatus::Completed {
                return Ok(());
            }
            assert_eq!(client.wait_for(&self.flow, ID, None).await?, 4);
            client.rewind(ID, "tell").of(&self.flow).send().await?;
            done.insert("rewound");
        }
        if self.record().await.is_none() {
            // Purged, though the operator was not told.
            done.insert("purged");
        }
        if !done.contains("purged") {
            if runner.resume(&self.flow, ID).await? != WorkflowStatus::Completed {
                return Ok(());
            }
            assert_eq!(client.wait_for(&self.flow, ID, None).await?, 4);
            self.check_complete().await;
            client.purge(Some("errand"), Duration::ZERO).await?;
            done.insert("purged");
        }
        Ok(())
    }

    /// It is found by the attributes of its start and of its task, by those alone.
    async fn check_complete(&self) {
        let client = WorkflowClient::new(Arc::clone(self.world.store.inner()));
        for (value, expected) in [("charged", 1), ("new", 0)] {
            let by_stage = vec![AttributeFilter::is("stage", value), AttributeFilter::is("customer", "acme")];
            let found = client.list(InstanceFilter { attributes: by_stage, ..InstanceFilter::default() }).await.unwrap();
            assert_eq!(found.len(), expected, "{value}");
        }
    }

    fn ran(&self) -> Vec<(RunNumber, String)> {
        self.ran.lock().unwrap().clone()
    }
}

/// The results of the run that stands.
async fn stored(errand: &Errand) -> BTreeSet<(RunNumber, String)> {
    let Some(record) = errand.record().await else { return BTreeSet::new() };
    let rows = errand.world.store.inner().journal(record.summary.run, None, 1000).await.unwrap();
    rows.into_iter().filter(|row| row.kind.is_result()).map(|row| (row.run, row.node.to_string())).collect()
}

async fn every_fault(kind: Kind) {
    let calm = Errand::new(kind).await;
    let mut done = BTreeSet::new();
    calm.go_on(&mut done).await.unwrap();
    assert_eq!((done.len(), calm.record().await), (4, None));
    assert_eq!(calm.ran().len(), 5, "charge, ship twice, tell in two runs");
    let writes = calm.world.store.writes();
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::ReplyLost, Fault::RequestLost] {
        for nth in 1..=writes {
            let place = format!("{fault:?} at write {nth} of {writes}");
            let (errand, mut done) = (Errand::new(kind).await, BTreeSet::new());
            errand.world.store.fail_write(nth, fault);
            for round in 0.. {
                assert!(round < 8, "{place}: it comes to no end: {done:?}");
                let (before, kept) = (errand.ran().len(), stored(&errand).await);
                let end = errand.go_on(&mut done).await;
                for (run, node) in errand.ran().into_iter().skip(before) {
                    assert!(!kept.contains(&(run, node.clone())), "{place}: {node} ran again in run {run}, though its result was stored");
                }
                if end.is_ok() && done.contains("purged") {
                    break;
                }
                // The world has ended: what was driven stays dropped, and its leases end.
                tokio::task::yield_now().await;
                errand.world.store.revive();
                errand.world.clock.0.fetch_add(11_000_000, Ordering::SeqCst);
            }
            assert_eq!(errand.record().await, None, "{place}: nothing is left of it");
            // How many writes it takes is not the same each time: the fault may not have come yet.
            errand.world.store.revive();
            let again = errand.client().submit(&errand.flow, ID, 1).await;
            assert!(again.is_ok(), "{place}: {:?}", again.err());
            let attributes = errand.record().await.expect("it is new").summary.attributes;
            assert!(attributes.is_empty(), "{place}: {attributes:?}");
        }
    }
}

#[tokio::test]
async fn in_memory() {
    every_fault(Kind::Memory).await;
}

#[tokio::test]
async fn on_sqlite() {
    every_fault(Kind::Sqlite).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn on_postgres() {
    every_fault(Kind::Postgres).await;
}
