//! Kills the runner's world before and after every single store write in turn, loses every request and every
//! reply in turn, and goes on: the result is right, and nothing runs twice that was stored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "tests")]

mod faulty;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use faulty::{Kind, World, world};
use sayiir::core::journal::EntryKind;
use sayiir::persistence::Store;
use sayiir::prelude::*;
use sayiir_store_testkit::{Fault, FaultStore};

const ID: &str = "crash";

/// What really ran, by node path.
#[derive(Clone, Default)]
struct Ran(Arc<Mutex<Vec<String>>>);

impl Ran {
    fn note(&self) {
        let context = get_task_context().expect("every runner sets the context");
        assert_eq!(&*context.instance_id, ID);
        self.0.lock().unwrap().push(context.node_path.to_string());
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn since(&self, from: usize) -> Vec<String> {
        self.0.lock().unwrap().iter().skip(from).cloned().collect()
    }
}

type Flow = Workflow<JsonCodec, u32, (), u32>;

fn builder(name: &str) -> WorkflowBuilder<JsonCodec, u32, sayiir::core::workflow::Typed<u32>> {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

/// A task that notes that it ran, and adds.
fn add(ran: &Ran, by: u32) -> impl Fn(u32) -> std::future::Ready<Result<u32, BoxError>> + Send + Sync + 'static {
    let ran = ran.clone();
    move |x| {
        ran.note();
        std::future::ready(Ok(x + by))
    }
}

fn fork_first(ran: &Ran) -> Flow {
    let note = ran.clone();
    builder("fork-first")
        .fork()
        .branch("a", add(ran, 1))
        .branch("b", add(ran, 2))
        .branch("c", add(ran, 3))
        .join("sum", move |outputs: BranchOutputs<JsonCodec>| {
            note.note();
            let sum = ["a", "b", "c"].iter().map(|name| outputs.get_by_id::<u32>(name)).sum();
            async move { sum }
        })
        .build()
        .unwrap()
}

fn loop_first(ran: &Ran) -> Flow {
    let note = ran.clone();
    builder("loop-first")
        .loop_task(
            "count",
            move |x: u32| {
                note.note();
                async move { Ok(if x < 13 { LoopResult::Again(x + 1) } else { LoopResult::Done(x) }) }
            },
            20,
        )
        .then("last", add(ran, 100))
        .build()
        .unwrap()
}

fn signal_in_arm_in_loop(ran: &Ran) -> Flow {
    let (keys, ends, note) = (ran.clone(), ran.clone(), ran.clone());
    builder("signal-in-arm-in-loop")
        .loop_flow(
            "rounds",
            move |body| {
                body.then("step", add(&note, 1))
                    .route_str::<u32, _, _>(move |x: u32| {
                        keys.note();
                        async move { Ok(if x.is_multiple_of(2) { "wait".to_owned() } else { "go".to_owned() }) }
                    })
                    .branch("wait", |arm| arm.wait_for_signal("approval", "approve", None))
                    .branch("go", |arm| arm.then("pass", add(&note, 0)))
                    .done()
                    .then("judge", move |envelope: BranchEnvelope<u32>| {
                        ends.note();
                        let x = envelope.result;
                        async move { Ok(if x < 20 { LoopResult::Again(x) } else { LoopResult::Done(x) }) }
                    })
            },
            20,
        )
        .build()
        .unwrap()
}

fn delay_after_join(ran: &Ran) -> Flow {
    let note = ran.clone();
    builder("delay-after-join")
        .fork()
        .branch_flow("left", |branch| branch.then("one", add(ran, 1)).delay("nap", Duration::from_millis(2)).then("two", add(ran, 1)))
        .branch("right", add(ran, 5))
        .join("sum", move |outputs: BranchOutputs<JsonCodec>| {
            note.note();
            async move { Ok(outputs.get_by_id::<u32>("left")? + outputs.get_by_id::<u32>("right")?) }
        })
        .delay("pause", Duration::from_millis(2))
        .then("after", add(ran, 1))
        .build()
        .unwrap()
}

#[derive(Clone)]
struct Twice(Ran);

impl CoreTask for Twice {
    type Input = u32;
    type Output = u32;
    type Future = std::future::Ready<Result<u32, BoxError>>;

    fn run(&self, x: u32) -> Self::Future {
        self.0.note();
        std::future::ready(Ok(2 * x))
    }
}

impl RegisterableTask for Twice {
    fn task_id() -> &'static str {
        "twice"
    }

    fn metadata() -> TaskMetadata {
        TaskMetadata::default()
    }
}

fn one_task_at_three_nodes(ran: &Ran) -> Flow {
    let twice = Twice(ran.clone());
    builder("three-nodes").then_task_with(twice.clone()).then_task_with(twice.clone()).then_task_with(twice).build().unwrap()
}

impl World {
    fn runner(&self) -> CheckpointingRunner<FaultStore> {
        CheckpointingRunner::from_shared(Arc::clone(&self.store)).with_patience(Duration::ZERO)
    }

    /// The nodes whose results are stored.
    async fn stored(&self) -> BTreeSet<String> {
        if self.store.inner().instance(ID).await.unwrap().is_none() {
            return BTreeSet::new();
        }
        let rows = WorkflowClient::new(Arc::clone(self.store.inner())).history(ID).await.unwrap();
        let results =
            rows.iter().filter(|row| matches!(row.kind, EntryKind::TaskCompleted | EntryKind::JoinCompleted | EntryKind::RouteTaken));
        results.map(|row| row.node.to_string()).collect()
    }

    /// Runs or resumes, and approves what waits, until the end or the crash.
    async fn go_on(&self, flow: &Flow) -> Result<u32, RuntimeError> {
        let (runner, client) = (self.runner(), WorkflowClient::from_shared(Arc::clone(&self.store)));
        let known = self.store.inner().instance(ID).await.unwrap().is_some();
        let mut status = if known { runner.resume(flow, ID).await? } else { runner.run(flow, ID, 10).await? };
        for _ in 0..1000 {
            match &status {
                WorkflowStatus::Completed => return client.wait_for(flow, ID, None).await,
                WorkflowStatus::AwaitingSignal { signal_name, .. } => client.send_event(ID, signal_name, "25").await?,
                WorkflowStatus::Waiting { .. } => tokio::time::sleep(Duration::from_millis(1)).await,
                // What the dead runner had asked for came late, and took a lease once more.
                WorkflowStatus::InProgress => drop(self.clock.0.fetch_add(11_000_000, Ordering::SeqCst)),
                other => panic!("unexpected status {other:?}"),
            }
            status = runner.resume(flow, ID).await?;
        }
        panic!("stuck in {status:?}")
    }
}

async fn every_fault(make: fn(&Ran) -> Flow, expected: u32, kind: Kind) {
    let calm = world(kind).await;
    let calm_ran = Ran::default();
    assert_eq!(calm.go_on(&make(&calm_ran)).await.unwrap(), expected);
    assert_eq!(calm_ran.count(), calm.stored().await.len(), "undisturbed, each step runs once");
    let writes = calm.store.writes();
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::ReplyLost, Fault::RequestLost] {
        for nth in 1..=writes {
            let place = format!("{fault:?} at write {nth} of {writes}");
            let (world, ran) = (world(kind).await, Ran::default());
            let flow = make(&ran);
            world.store.fail_write(nth, fault);
            let mut end = world.go_on(&flow).await;
            let mut tries = 0;
            while end.is_err() {
                tries += 1;
                assert!(tries < 5, "{place}: {end:?}");
                // The world has ended: what was driven stays dropped, and its leases end.
                tokio::task::yield_now().await;
                let (stored, before) = (world.stored().await, ran.count());
                world.store.revive();
                world.clock.0.fetch_add(11_000_000, Ordering::SeqCst);
                end = world.go_on(&flow).await;
                for node in ran.since(before) {
                    assert!(!stored.contains(&node), "{place}: {node} ran again, though its result was stored");
                }
            }
            assert_eq!(end.unwrap(), expected, "{place}");
            assert_eq!(world.stored().await, calm.stored().await, "{place}");
        }
    }
}

macro_rules! shapes {
    ($($shape:ident = $expected:literal),*) => { $(
        mod $shape {
            #[tokio::test]
            async fn memory() {
                super::every_fault(super::$shape, $expected, super::Kind::Memory).await;
            }

            #[tokio::test]
            async fn sqlite() {
                super::every_fault(super::$shape, $expected, super::Kind::Sqlite).await;
            }

            #[cfg(feature = "postgres")]
            #[tokio::test]
            async fn postgres() {
                super::every_fault(super::$shape, $expected, super::Kind::Postgres).await;
            }
        }
    )* };
}

shapes!(fork_first = 36, loop_first = 113, signal_in_arm_in_loop = 25, delay_after_join = 28, one_task_at_three_nodes = 80);
