//! How many allocations a plain step makes in the engine and in the memory store. Counted, not timed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use futures_util::FutureExt;
use sayiir::core::branch::{BranchView, Head, JournalRef, LeaseId};
use sayiir::core::plan::Place;
use sayiir::core::transition::{Next, Transition};
use sayiir::core::workflow::{RunnableWorkflow, Typed};
use sayiir::persistence::{CommitOutcome, Definition, Process, StartOutcome, StartRun, Store};
use sayiir::prelude::*;
use sayiir_engine::{Decision, Effect, Input, decide};

const STEPS: u64 = 64;

fn flow() -> Workflow<JsonCodec, u64, (), u64> {
    let builder: WorkflowBuilder<JsonCodec, u64, Typed<u64>> =
        WorkflowBuilder::new(WorkflowContext::new("steps", Arc::new(JsonCodec), Arc::new(())));
    (0..=STEPS).fold(builder, |flow, step| flow.then(format!("step-{step}"), |n: u64| async move { Ok(n) })).build().unwrap()
}

fn now<T>(answer: sayiir::persistence::StoreFuture<'_, T>) -> T {
    answer.now_or_never().unwrap().unwrap()
}

fn start(store: &InMemoryBackend, flow: &dyn RunnableWorkflow) -> (LeaseId, BranchView) {
    let process = Process { host: "here".to_owned(), pid: 1, started: 1, worker_id: "w".to_owned() };
    let lease = now(store.open_session(process));
    let plan = flow.plan();
    let request = StartRun {
        instance_id: Arc::from("a"),
        definition: Definition { hash: *plan.hash(), name: Arc::clone(plan.name()), version: Arc::clone(plan.version()), document: None },
        policy: ConflictPolicy::Fail,
        input: "1".into(),
        first_node: Place::start(plan).path(plan),
        placement: sayiir::core::branch::Placement::default(),
        nonce: 1,
        lease: Some((lease, Duration::from_mins(1))),
        trace: None,
        attributes: sayiir::core::attribute::SearchAttributes::new(),
    };
    match now(store.start(request)) {
        StartOutcome::Fresh { root: Some(root), .. } => (lease, *root),
        other => panic!("{other:?}"),
    }
}

/// What follows from the task's return, and the branch as it stands then.
fn returned(flow: &dyn RunnableWorkflow, branch: &BranchView) -> (Transition, u64) {
    let definition = sayiir_engine::Definition { plan: flow.plan(), payloads: flow.payloads() };
    let mut decisions = None;
    // The output is there already: making it is the task's affair.
    let output = bytes();
    let info = measure(|| {
        let owed = decide(definition, branch, Input::Taken);
        decisions = Some((owed, decide(definition, branch, Input::TaskReturned(output.clone()))));
    });
    match decisions {
        Some((Decision::Do(Effect::RunTask(_)), Decision::Commit(transition))) => (*transition, info.count_total),
        other => panic!("{other:?}"),
    }
}

fn bytes() -> sayiir::bytes::Bytes {
    sayiir::bytes::Bytes::from_static(b"7")
}

fn moved(branch: BranchView, head: Head) -> BranchView {
    assert_eq!(head.input, JournalRef { branch: branch.branch.clone(), revision: branch.revision + 1 });
    BranchView { revision: branch.revision + 1, head, input: bytes(), due_at: None, ..branch }
}

#[test]
fn a_step_makes_so_many_allocations() {
    let (store, flow) = (InMemoryBackend::new(), flow());
    let (lease, mut branch) = start(&store, &flow);
    let (mut engine, mut stored) = (Vec::new(), Vec::new());
    for _ in 0..STEPS {
        let (transition, count) = returned(&flow, &branch);
        engine.push(count);
        let Next::Run { head } = transition.next.clone() else { panic!("{transition:?}") };
        let (batch, mut outcomes) = (vec![transition], Vec::new());
        let info = measure(|| outcomes = now(store.commit(lease, batch)));
        assert!(matches!(outcomes.as_slice(), [CommitOutcome::Accepted { .. }]));
        stored.push(info.count_total);
        branch = moved(branch, head);
    }
    // The decision that is handed over, and nothing else.
    assert_eq!(engine, vec![1; engine.len()]);
    // The outcomes, and the boxed future; now and then the journal grows, ever more rarely.
    let usual = stored.iter().filter(|count| **count <= 2).count() as u64;
    assert!(usual >= STEPS - 14, "{stored:?}");
    assert!(stored.iter().all(|count| *count <= 4), "{stored:?}");
}
