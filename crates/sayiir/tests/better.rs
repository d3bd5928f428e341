//! Where the public vocabulary marks something **[better]**, the published system has it wrong. Each mark has its test here, by name.
//!
//! | Mark | Test |
//! |---|---|
//! | `prepare_run` is atomic | `prepare_run_is_atomic`, `prepare_run_takes_turns_when_it_terminates`, `prepare_run_fences_off_the_old_run` |
//! | both codecs work with every store and every node kind | `both_codecs_work_with_every_store_and_node_kind` (at length: `tests/codecs`) |
//! | the task context is set by every runner | `the_task_context_is_set_by_every_runner` |
//! | `with_metadata` applies to the step just added, whatever its kind | `with_metadata_applies_to_the_step_just_added_whatever_its_kind` |
//! | a step that cannot take `None` fails with the signal's name | `a_step_that_cannot_take_none_fails_with_the_name_of_the_signal` |
//! | `then_flow` hands on the child's output type | `then_flow_hands_on_the_childs_output_type` |
//! | a sub-builder takes every step kind, nested | `a_sub_builder_takes_every_step_kind_nested` |
//! | the same task used twice is two nodes | `the_same_task_used_twice_is_two_nodes` |
//! | runners and workers take both kinds of workflow | `runners_and_workers_take_both_kinds_of_workflow` |
//! | the runners' futures are `Send` | `the_futures_of_runners_are_send` |
//! | one worker serves workflows of different input types | `one_worker_serves_workflows_of_different_input_types` |
//! | control is applied at once when parked or queued | `control_is_applied_at_once_when_parked_or_queued` |
//! | cancelling a paused instance works | `a_paused_instance_can_be_cancelled` |
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sayiir::core::snapshot::TaskHint;
use sayiir::persistence::{PrepareRunOutcome, RunConflict, Store, prepare_run};
use sayiir::prelude::*;
use sayiir::serialization::RkyvCodec;
use sayiir::testing::TestRun;

#[task]
async fn double(x: u32) -> u32 {
    2 * x
}

#[task]
async fn countdown(x: u32) -> LoopResult<u32> {
    if x > 1 { LoopResult::Again(x - 1) } else { LoopResult::Done(x) }
}

#[task]
async fn parity(x: u32) -> String {
    if x.is_multiple_of(2) { "even" } else { "odd" }.to_owned()
}

async fn sqlite() -> (tempfile::TempDir, SqliteBackend) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteBackend::open(dir.path().join("store.db")).await.unwrap();
    (dir, store)
}

const WAIT: Option<Duration> = Some(Duration::from_secs(30));

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn prepare_run_is_atomic() {
    async fn race(store: impl Store + Clone) {
        for policy in [ConflictPolicy::Fail, ConflictPolicy::UseExisting] {
            for round in 0..20 {
                let id = format!("{policy:?}-{round}");
                let starts: Vec<_> = (0..8)
                    .map(|_| {
                        let (store, id) = (store.clone(), id.clone());
                        let hint = TaskHint::new("first", None, &[]);
                        tokio::spawn(async move { prepare_run(id, "definition", "1".into(), hint, &store, policy).await })
                    })
                    .collect();
                let mut fresh = 0;
                for start in starts {
                    match (start.await.unwrap(), policy) {
                        (Ok(PrepareRunOutcome::Fresh(_)), _) => fresh += 1,
                        (Ok(PrepareRunOutcome::ExistingStatus(..)), ConflictPolicy::UseExisting)
                        | (Err(RunConflict::AlreadyExists(_)), ConflictPolicy::Fail) => {}
                        (other, _) => panic!("{policy:?}: {other:?}"),
                    }
                }
                assert_eq!(fresh, 1, "{id}");
            }
        }
    }
    race(InMemoryBackend::new()).await;
    let (_dir, store) = sqlite().await;
    race(store).await;
}

/// Each of the concurrent calls starts a run of its own, one after the other, and the last of them lives: at any time there is
/// one run, and it is the latest.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn prepare_run_takes_turns_when_it_terminates() {
    async fn race(store: impl Store + Clone) {
        const CALLS: usize = 8;
        let prepare = |store, input: String| async move {
            let hint = TaskHint::new("first", None, &[]);
            prepare_run("id", "definition", input.into(), hint, &store, ConflictPolicy::TerminateExisting).await
        };
        store.send_event("id", "stale", "1".into()).await.unwrap();
        let starts: Vec<_> = (0..CALLS).map(|call| tokio::spawn(prepare(store.clone(), call.to_string()))).collect();
        let mut inputs = Vec::new();
        for start in starts {
            let PrepareRunOutcome::Fresh(snapshot) = start.await.unwrap().unwrap() else { panic!("not fresh") };
            inputs.push(snapshot.initial_input_bytes());
        }
        inputs.sort();
        inputs.dedup();
        assert_eq!(inputs.len(), CALLS, "each call has the run that it asked for");
        let stored = store.load_snapshot("id").await.unwrap();
        assert!(stored.state.is_in_progress() && inputs.contains(&stored.initial_input_bytes()), "{stored:?}");
        assert_eq!(store.consume_event("id", "stale").await.unwrap(), None, "buffered events went with the first run");
    }
    race(InMemoryBackend::new()).await;
    let (_dir, store) = sqlite().await;
    race(store).await;
}

/// Whoever is at work on the old run is refused from then on, though the step was taken before.
#[tokio::test]
async fn prepare_run_fences_off_the_old_run() {
    async fn fenced(store: impl Store + Clone + 'static) {
        let (entered, taken) = tokio::sync::oneshot::channel();
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let gates = Arc::new(Mutex::new(Some((entered, released))));
        let flow = WorkflowBuilder::new(WorkflowContext::new("held", Arc::new(JsonCodec), Arc::new(())))
            .then("held", move |x: u32| {
                let gates = gates.lock().unwrap().take();
                async move {
                    if let Some((entered, released)) = gates {
                        let _: (Result<(), ()>, Result<(), _>) = (entered.send(()), released.await);
                    }
                    Ok(x)
                }
            })
            .build()
            .unwrap();
        let runner = CheckpointingRunner::new(store.clone());
        let (other, id) = (flow.clone(), "id");
        let old = tokio::spawn(async move { runner.run(&other, id, 1).await });
        taken.await.unwrap();
        let hint = TaskHint::new("held", None, &[]);
        let hash = *flow.definition_hash();
        let started = prepare_run(id, hash, "2".into(), hint, &store, ConflictPolicy::TerminateExisting).await.unwrap();
        assert!(matches!(started, PrepareRunOutcome::Fresh(_)));
        // The runner may have given the task up already.
        let _ = release.send(());
        let _ = old.await.unwrap();
        let client = WorkflowClient::new(store.clone());
        assert!(!client.status(id).await.unwrap().is_completed(), "the old run's result is not the new one's");
        CheckpointingRunner::new(store).resume(&flow, id).await.unwrap();
        assert_eq!(client.wait_for(&flow, id, WAIT).await.unwrap(), 2);
    }
    fenced(InMemoryBackend::new()).await;
    let (_dir, store) = sqlite().await;
    fenced(store).await;
}

#[tokio::test]
async fn both_codecs_work_with_every_store_and_node_kind() {
    macro_rules! every_kind {
        ($codec:expr) => {{
            let child = workflow! { name: "child", codec: $codec, steps: [double] }.unwrap();
            workflow! {
                name: "kinds",
                codec: $codec,
                steps: [
                    double,
                    delay "1ms",
                    signal "never" timeout "1ms",
                    took(came: Option<u32>) { came.unwrap_or(6) },
                    double || both: (double, loop countdown 99),
                    sum(outputs: BranchOutputs<_>) { Ok(outputs.get_by_id::<u32>("double")? + outputs.get_by_id::<u32>("both")?) },
                    route parity { "even" => [double], _ => [double, flow child] },
                    told(arm: BranchEnvelope<u32>) { format!("{} {}", arm.branch, arm.result) },
                ],
            }
            .unwrap()
        }};
    }
    let (_dir, store) = sqlite().await;
    let (json, rkyv) = (every_kind!(JsonCodec), every_kind!(RkyvCodec));
    assert_eq!(json.run_durable(InMemoryBackend::new(), "json", 1).await.unwrap(), "odd 52");
    assert_eq!(json.run_durable(store.clone(), "json", 1).await.unwrap(), "odd 52");
    assert_eq!(rkyv.run_durable(InMemoryBackend::new(), "rkyv", 1).await.unwrap(), "odd 52");
    assert_eq!(rkyv.run_durable(store, "rkyv", 1).await.unwrap(), "odd 52");
}

#[task]
async fn whoami(_x: u32) -> Result<(String, String, String), BoxError> {
    let context = task_context!().ok_or("no context")?;
    Ok((context.workflow_id.to_string(), context.instance_id.to_string(), context.task_id.to_string()))
}

#[tokio::test]
async fn the_task_context_is_set_by_every_runner() {
    let flow = workflow! { name: "who", steps: [whoami] }.unwrap();
    let said = |id: &str| ("who".to_owned(), id.to_owned(), "whoami".to_owned());
    assert_eq!(flow.run_once(1).await.unwrap().0, "who");
    assert_eq!(flow.run_durable(InMemoryBackend::new(), "a", 1).await.unwrap(), said("a"));
    let test = TestRun::of(&flow).instance_id("b").start(1).await.unwrap();
    assert_eq!(test.output().await.unwrap(), said("b"));
    let (_dir, store) = sqlite().await;
    let worker = LocalWorker::builder(store.clone()).spawn(WorkflowSet::new().with(Arc::new(flow.clone()))).await.unwrap();
    let client = WorkflowClient::new(store.clone());
    client.submit(&flow, "c", 1).await.unwrap();
    assert_eq!(client.wait_for(&flow, "c", WAIT).await.unwrap(), said("c"));
    worker.shutdown();
    worker.join().await.unwrap();
    let workflows = vec![(*flow.definition_hash(), Arc::new(flow.clone()))];
    let worker = PooledWorker::new("w", store, TaskRegistry::new()).spawn(Duration::from_secs(1), workflows);
    client.submit(&flow, "d", 1).await.unwrap();
    assert_eq!(client.wait_for(&flow, "d", WAIT).await.unwrap(), said("d"));
    worker.shutdown();
    worker.join().await.unwrap();
}

#[test]
fn with_metadata_applies_to_the_step_just_added_whatever_its_kind() {
    let named = |name: &str| TaskMetadata { display_name: Some(name.to_owned()), ..TaskMetadata::default() };
    let context = WorkflowContext::new("named", Arc::new(JsonCodec), Arc::new(()));
    let child = workflow! { name: "child", steps: [double] }.unwrap();
    let flow = WorkflowBuilder::new(context)
        .then("task", |x: u32| async move { Ok(x) })
        .with_metadata(named("a task"))
        .delay("delay", Duration::from_secs(1))
        .with_metadata(named("a delay"))
        .fork()
        .branch("one", |x: u32| async move { Ok(x) })
        .join("join", |outputs| async move { outputs.get_by_id::<u32>("one") })
        .with_metadata(named("a join"))
        .loop_task("loop", |x: u32| async move { Ok(LoopResult::Done(x)) }, 3)
        .with_metadata(named("a loop"))
        .then_flow(child)
        .with_metadata(named("a child"))
        .wait_for_signal_opt::<u32>("signal", "go", None)
        .with_metadata(named("a signal"))
        .route_str::<u32, _, _>(|x: Option<u32>| async move { Ok(x.unwrap_or(0).to_string()) })
        .default_branch(|arm| arm.then("inside", |_: Option<u32>| async move { Ok(1) }).with_metadata(named("a step inside")))
        .done()
        .with_metadata(named("a route"))
        .build()
        .unwrap();
    let shown: Vec<_> = flow.iter_nodes().filter_map(|node| Some((node.id.clone(), node.display_name.clone()?))).collect();
    let expected = [
        ("task", "a task"),
        ("delay", "a delay"),
        ("join", "a join"),
        ("loop", "a loop"),
        ("child", "a child"),
        ("signal", "a signal"),
        ("inside", "a step inside"),
        ("route", "a route"),
    ];
    for (id, name) in expected {
        assert!(shown.contains(&(id.to_owned(), name.to_owned())), "{id}: {shown:?}");
    }
}

#[tokio::test]
async fn a_step_that_cannot_take_none_fails_with_the_name_of_the_signal() {
    let flow = workflow! { name: "strict", input: u32, steps: [double, signal "approval" timeout "1h", took(x: u32) { x }] }.unwrap();
    let mut test = TestRun::of(&flow).start(1).await.unwrap();
    test.advance(Duration::from_hours(1)).await;
    let WorkflowStatus::Failed(error) = test.status().await.unwrap() else { panic!("{}", test.timeline().await) };
    assert!(error.contains("\"approval\"") && error.contains("timed out"), "{error}");
}

#[tokio::test]
async fn then_flow_hands_on_the_childs_output_type() {
    let child = workflow! { name: "child", steps: [text(x: u32) { format!("<{x}>") }] }.unwrap();
    let context = WorkflowContext::new("parent", Arc::new(JsonCodec), Arc::new(()));
    // The closure's parameter has no type: it is the child's output.
    let flow = WorkflowBuilder::new(context)
        .then("one", |x: u32| async move { Ok(x + 1) })
        .then_flow(child)
        .then("length", |text| async move { Ok(text.len()) })
        .build()
        .unwrap();
    assert_eq!(flow.run_once(9).await.unwrap(), 4);
}

#[tokio::test]
async fn a_sub_builder_takes_every_step_kind_nested() {
    let child = workflow! { name: "child", steps: [double] }.unwrap();
    let flow = workflow! {
        name: "nested",
        steps: [
            route parity {
                "even" => [
                    delay "1d",
                    loop "often" [
                        deep: (
                            signal "go" timeout "1d",
                            took(came: Option<u32>) { came.unwrap_or(3) },
                            route parity { "odd" => [flow &child, double || same(x: u32) { x }, sum(o: BranchOutputs<_>) { o.get_by_id::<u32>("same") }], _ => [double] },
                            opened(arm: BranchEnvelope<u32>) { arm.result },
                        ) || double,
                        joined(o: BranchOutputs<_>) { Ok(o.get_by_id::<u32>("deep")? + o.get_by_id::<u32>("double")?) },
                        done(x: u32) { LoopResult::Done(x) },
                    ] 5,
                ],
                _ => [double],
            },
            told(arm: BranchEnvelope<u32>) { arm.result },
        ],
    }
    .unwrap();
    let mut test = TestRun::of(&flow).start(4).await.unwrap();
    test.advance(Duration::from_hours(48)).await;
    assert_eq!(test.output().await.unwrap(), 14);
}

#[tokio::test]
async fn the_same_task_used_twice_is_two_nodes() {
    let flow = workflow! { name: "twice", steps: [double, double, double] }.unwrap();
    let test = TestRun::of(&flow).start(1).await.unwrap();
    assert_eq!(test.output().await.unwrap(), 8);
    test.timeline().await.ran(&["double", "double#2", "double#3"]);
    let context = WorkflowContext::new("two", Arc::new(JsonCodec), Arc::new(()));
    let errors = WorkflowBuilder::new(context)
        .with_registry()
        .then("same", |x: u32| async move { Ok(x + 1) })
        .then("same", |x: u32| async move { Ok(x + 2) })
        .build()
        .unwrap_err();
    assert_eq!(errors.into_vec(), [BuildError::DuplicateTaskId("same".to_owned())]);
}

#[tokio::test]
async fn runners_and_workers_take_both_kinds_of_workflow() {
    let plain = workflow! { name: "plain", steps: [double] }.unwrap();
    let stored: SerializableWorkflow<JsonCodec, u32, (), u32> =
        workflow! { name: "stored", registry: TaskRegistry::new(), steps: [double] }.unwrap();
    let runner = CheckpointingRunner::new(InMemoryBackend::new());
    assert!(runner.run(&plain, "plain", 1).await.unwrap().is_completed());
    assert!(runner.run(&stored, "stored", 1).await.unwrap().is_completed());
    assert!(InProcessRunner.run(&plain, 1).await.unwrap().is_completed());
    assert!(InProcessRunner.run(&stored, 1).await.unwrap().is_completed());
    assert_eq!((plain.run_once(1).await.unwrap(), stored.run_once(1).await.unwrap()), (2, 2));
    let store = InMemoryBackend::new();
    let set = WorkflowSet::new().with(Arc::new(plain.clone())).with(Arc::new(stored.clone()));
    let worker = LocalWorker::builder(store.clone()).spawn(set).await.unwrap();
    let client = WorkflowClient::new(store);
    client.submit(&plain, "plain", 1).await.unwrap();
    client.submit(&stored, "stored", 1).await.unwrap();
    assert_eq!(client.wait_for(&plain, "plain", WAIT).await.unwrap(), 2);
    assert_eq!(client.wait_for(&stored, "stored", WAIT).await.unwrap(), 2);
    worker.shutdown();
    worker.join().await.unwrap();
}

#[tokio::test]
async fn the_futures_of_runners_are_send() {
    const fn is_send<T: Send>(future: T) -> T {
        future
    }
    let flow = workflow! { name: "send", steps: [double] }.unwrap();
    let runner = CheckpointingRunner::new(InMemoryBackend::new());
    assert!(is_send(runner.run(&flow, "i", 1)).await.unwrap().is_completed());
    assert!(is_send(runner.resume(&flow, "i")).await.unwrap().is_completed());
    assert_eq!(is_send(flow.run_once(1)).await.unwrap(), 2);
    assert_eq!(is_send(flow.run_durable(InMemoryBackend::new(), "i", 1)).await.unwrap(), 2);
}

#[tokio::test]
async fn one_worker_serves_workflows_of_different_input_types() {
    let numbers = workflow! { name: "numbers", steps: [double] }.unwrap();
    let texts = workflow! { name: "texts", steps: [shout(text: String) { text.to_uppercase() }] }.unwrap();
    let binary =
        workflow! { name: "binary", codec: RkyvCodec, steps: [length(bytes: Vec<u8>) { u32::try_from(bytes.len()).unwrap_or(0) }] }
            .unwrap();
    let store = InMemoryBackend::new();
    let set = WorkflowSet::new().with(Arc::new(numbers.clone())).with(Arc::new(texts.clone())).with(Arc::new(binary.clone()));
    let worker = PooledWorker::new("w", store.clone(), TaskRegistry::new()).spawn(Duration::from_secs(1), set);
    let client = WorkflowClient::new(store);
    client.submit(&numbers, "n", 4).await.unwrap();
    client.submit(&texts, "t", "a".to_owned()).await.unwrap();
    client.submit(&binary, "b", vec![0xff, 0]).await.unwrap();
    assert_eq!(client.wait_for(&numbers, "n", WAIT).await.unwrap(), 8);
    assert_eq!(client.wait_for(&texts, "t", WAIT).await.unwrap(), "A");
    assert_eq!(client.wait_for(&binary, "b", WAIT).await.unwrap(), 2);
    worker.shutdown();
    worker.join().await.unwrap();
}

#[tokio::test]
async fn control_is_applied_at_once_when_parked_or_queued() {
    let flow = workflow! { name: "parked", steps: [double, delay "30d", double] }.unwrap();
    // Parked in a delay. No worker looks, no time passes.
    let mut test = TestRun::of(&flow).start(1).await.unwrap();
    test.pause().await.unwrap();
    assert!(matches!(test.status().await.unwrap(), WorkflowStatus::Paused { .. }));
    test.unpause().await.unwrap();
    test.cancel().await.unwrap();
    assert!(matches!(test.status().await.unwrap(), WorkflowStatus::Cancelled { .. }));
    // Queued: nobody has taken it yet, and nobody is there to.
    let client = WorkflowClient::new(InMemoryBackend::new());
    for (id, cancels) in [("paused", false), ("cancelled", true)] {
        client.submit(&flow, id, 1).await.unwrap();
        if cancels {
            client.cancel(id, Some("changed my mind".to_owned()), None).await.unwrap();
            let WorkflowStatus::Cancelled { reason, .. } = client.status(id).await.unwrap() else { panic!("not cancelled") };
            assert_eq!(reason.as_deref(), Some("changed my mind"));
        } else {
            client.pause(id, None, None).await.unwrap();
            assert!(matches!(client.status(id).await.unwrap(), WorkflowStatus::Paused { .. }));
        }
    }
}

#[tokio::test]
async fn a_paused_instance_can_be_cancelled() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let flow = workflow! { name: "held", steps: [double, delay "1d", last(x: u32) { x }] }.unwrap();
    let noted = Arc::clone(&log);
    let stub = move |x: u32| {
        noted.lock().unwrap().push(x);
        std::future::ready(Ok(x))
    };
    let mut test = TestRun::of(&flow).stub("last", stub).start(1).await.unwrap();
    test.pause().await.unwrap();
    test.cancel().await.unwrap();
    assert!(matches!(test.status().await.unwrap(), WorkflowStatus::Cancelled { .. }));
    test.advance(Duration::from_hours(48)).await;
    assert!(log.lock().unwrap().is_empty(), "it does not come back to life");
}
