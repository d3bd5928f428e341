//! Claims and results of single tasks, as a program that runs tasks outside a worker uses them.

use bytes::Bytes;
use chrono::Duration;
use sayiir::core::snapshot::{ExecutionPosition, TaskHint, WorkflowSnapshot};
use sayiir::core::task_claim::{AvailableTask, TaskClaim};
use sayiir::persistence::prepare_run;
use sayiir::prelude::*;

use crate::support::context;

fn flow() -> Workflow<JsonCodec, u32, (), u32> {
    WorkflowBuilder::new(context("claims"))
        .then("charge", |x: u32| async move { Ok(x + 1) })
        .then("ship", |x: u32| async move { Ok(x + 1) })
        .build()
        .unwrap()
}

async fn one_worker_at_a_time<B: PersistentBackend + Clone>(store: B) {
    let (flow, client) = (flow(), WorkflowClient::new(store.clone()));
    client.submit(&flow, "order-1", 1).await.unwrap();
    let charge = TaskId::from("charge");
    assert_eq!(store.claim_task("order-1", &TaskId::from("ship"), "w1", None).await.unwrap(), None, "it is not there yet");
    let unknown = store.claim_task("nobody", &charge, "w1", None).await;
    assert!(matches!(unknown, Err(BackendError::NotFound(_))), "{unknown:?}");

    let claim: TaskClaim = store.claim_task("order-1", &charge, "w1", Some(Duration::minutes(5))).await.unwrap().unwrap();
    assert_eq!((claim.instance_id.as_str(), claim.task_id, claim.worker_id.as_str()), ("order-1", charge, "w1"));
    assert_eq!(claim.expires_at, Some(claim.claimed_at + 300));
    assert!(!claim.is_expired() && claim.is_expired_at(claim.claimed_at + 300));
    assert_eq!(store.claim_task("order-1", &charge, "w2", None).await.unwrap(), None);
    let status = CheckpointingRunner::new(store.clone()).resume(&flow, "order-1").await.unwrap();
    assert_eq!(status, WorkflowStatus::InProgress, "a runner leaves what is claimed alone");

    for refused in [
        store.release_task_claim("order-1", &charge, "w2").await,
        store.extend_task_claim("order-1", &charge, "w2", Duration::minutes(1)).await,
    ] {
        assert!(matches!(refused, Err(BackendError::ClaimLost(_))), "{refused:?}");
    }
    store.extend_task_claim("order-1", &charge, "w1", Duration::minutes(10)).await.unwrap();
    store.release_task_claim("order-1", &charge, "w1").await.unwrap();
    store.release_task_claim("order-1", &charge, "w1").await.unwrap();
    let lost = store.extend_task_claim("order-1", &charge, "w1", Duration::minutes(1)).await;
    assert!(matches!(lost, Err(BackendError::ClaimLost(_))), "{lost:?}");

    assert!(store.claim_task("order-1", &charge, "w2", None).await.unwrap().is_some(), "released at once");
    store.release_task_claim("order-1", &charge, "w2").await.unwrap();
    assert!(CheckpointingRunner::new(store.clone()).resume(&flow, "order-1").await.unwrap().is_completed());
    assert_eq!(store.load_task_result("order-1", &charge).await.unwrap().unwrap(), "2");
}

async fn a_claim_ends<B: PersistentBackend + Clone>(store: B) {
    WorkflowClient::new(store.clone()).submit(&flow(), "order-1", 1).await.unwrap();
    let charge = TaskId::from("charge");
    assert!(store.claim_task("order-1", &charge, "w1", Some(Duration::zero())).await.unwrap().unwrap().is_expired());
    assert!(store.claim_task("order-1", &charge, "w2", None).await.unwrap().is_some(), "it can be taken over");
    let lost = store.extend_task_claim("order-1", &charge, "w1", Duration::minutes(1)).await;
    assert!(matches!(lost, Err(BackendError::ClaimLost(_))), "{lost:?}");
}

async fn results<B: PersistentBackend + Clone>(store: B) {
    let (flow, client) = (flow(), WorkflowClient::new(store.clone()));
    client.submit(&flow, "order-1", 1).await.unwrap();
    let (charge, ship) = (TaskId::from("charge"), TaskId::from("ship"));
    assert_eq!(store.load_task_result("order-1", &charge).await.unwrap(), None);
    assert!(matches!(store.load_task_result("nobody", &charge).await, Err(BackendError::NotFound(_))));

    store.claim_task("order-1", &charge, "w1", None).await.unwrap().unwrap();
    store.save_task_result("order-1", &charge, Bytes::from_static(b"41")).await.unwrap();
    assert_eq!(store.load_task_result("order-1", &charge).await.unwrap().unwrap(), "41");
    store.release_task_claim("order-1", &charge, "w1").await.unwrap();
    let snapshot = store.load_snapshot("order-1").await.unwrap();
    assert_eq!(snapshot.get_task_result_bytes(&charge).unwrap(), "41");

    let mut snapshot = snapshot;
    snapshot.update_position(ExecutionPosition::AtTask { task_id: ship });
    store.save_snapshot(&mut snapshot).await.unwrap();
    assert!(store.claim_task("order-1", &ship, "w1", None).await.unwrap().is_some(), "the next task can be claimed");
    store.release_task_claim("order-1", &ship, "w1").await.unwrap();
}

async fn what_can_be_claimed<B: PersistentBackend + Clone>(store: B) {
    let prepare = |id: &'static str, priority, tags: &[&str]| {
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        let (hint, store) = (TaskHint::new("charge", Some(priority), &tags), store.clone());
        async move {
            prepare_run(id, "orders", Bytes::from_static(b"7"), hint, &store, ConflictPolicy::Fail).await.unwrap();
        }
    };
    prepare("low", 4, &[]).await;
    prepare("critical", 1, &[]).await;
    prepare("gpu", 3, &["gpu"]).await;
    prepare("paused", 1, &[]).await;
    WorkflowClient::new(store.clone()).pause("paused", None, None).await.unwrap();
    let find = |limit, tags: &[&str]| {
        let (tags, store): (Vec<String>, _) = (tags.iter().map(ToString::to_string).collect(), store.clone());
        async move {
            let found: Vec<AvailableTask> = store.find_available_tasks("w1", limit, Duration::minutes(5), &tags).await.unwrap();
            found
        }
    };
    let ids = |tasks: Vec<AvailableTask>| tasks.into_iter().map(|task| task.instance_id).collect::<Vec<_>>();
    let all = find(10, &[]).await;
    assert_eq!((all[0].task_id, &all[0].input[..], all[0].workflow_definition_hash), (TaskId::from("charge"), &b"7"[..], "orders".into()));
    assert_eq!(ids(all), ["critical", "gpu", "low"]);
    assert_eq!(ids(find(10, &["io"]).await), ["critical", "low"], "a worker with tags takes what asks for no others");
    assert_eq!(ids(find(1, &["gpu"]).await), ["critical"]);
    for id in ["critical", "low"] {
        assert!(store.claim_task(id, &TaskId::from("charge"), "w1", None).await.unwrap().is_some());
    }
    assert_eq!(ids(find(10, &[]).await), ["gpu"], "what is claimed is not offered");
    assert_eq!(store.claim_task("paused", &TaskId::from("charge"), "w1", None).await.unwrap(), None);
}

async fn an_old_snapshot_moves_nothing_back<B: PersistentBackend + Clone>(store: B) {
    let (flow, client) = (flow(), WorkflowClient::new(store.clone()));
    client.submit(&flow, "order-1", 1).await.unwrap();
    let mut old = store.load_snapshot("order-1").await.unwrap();
    let mut newer = old.clone();
    newer.mark_task_completed(TaskId::from("charge"), Bytes::from_static(b"2"));
    newer.update_position(ExecutionPosition::AtTask { task_id: TaskId::from("ship") });
    store.save_snapshot(&mut newer).await.unwrap();

    let refused = store.save_snapshot(&mut old).await.unwrap_err();
    assert!(matches!(refused, BackendError::Stale(_)) && refused.to_string().contains("\"order-1\""), "{refused}");
    let mut from_elsewhere = WorkflowSnapshot::with_initial_input("order-1", *flow.definition_hash(), Bytes::from_static(b"1"));
    let refused = store.save_snapshot(&mut from_elsewhere).await.unwrap_err();
    assert!(matches!(refused, BackendError::Stale(_)), "it lacks a result: {refused}");
    let stored = store.load_snapshot("order-1").await.unwrap();
    assert_eq!(stored, newer, "neither changed anything, and a save stamps what it saved");
    store.save_snapshot(&mut newer).await.unwrap();

    client.pause("order-1", None, None).await.unwrap();
    assert!(matches!(store.save_snapshot(&mut newer).await, Err(BackendError::Stale(_))), "a pause is not undone by accident");
    client.unpause("order-1").await.unwrap();
    let mut gone = store.load_snapshot("order-1").await.unwrap();
    store.delete_snapshot("order-1").await.unwrap();
    assert!(matches!(store.save_snapshot(&mut gone).await, Err(BackendError::Stale(_))), "what was deleted is not made again");
    assert!(store.list_snapshots().await.unwrap().is_empty());
}

async fn a_loop_shows_where_it_is<B: PersistentBackend + Clone>(store: B) {
    let rounds = WorkflowBuilder::new(context("rounds"))
        .loop_flow(
            "rounds",
            |body| {
                body.wait_for_signal("gate", "go", None)
                    .then("judge", |x: u32| async move { Ok(if x < 3 { LoopResult::Again(x) } else { LoopResult::Done(x) }) })
            },
            9,
        )
        .build()
        .unwrap();
    let runner = CheckpointingRunner::new(store.clone());
    runner.run(&rounds, "r", 1).await.unwrap();
    store.send_event("r", "go", Bytes::from_static(b"1")).await.unwrap();
    runner.resume(&rounds, "r").await.unwrap();
    let mut snapshot = store.load_snapshot("r").await.unwrap();
    assert_eq!(snapshot.position_kind(), Some("at_signal"));
    let (rounds_id, judge) = (TaskId::from("rounds"), TaskId::from("rounds/judge"));
    let place = |iteration| ExecutionPosition::InLoop { loop_id: rounds_id, iteration, next_task_id: Some(judge) };
    snapshot.update_position(place(1));
    store.save_snapshot(&mut snapshot).await.unwrap();
    let loaded = store.load_snapshot("r").await.unwrap();
    assert_eq!(loaded.state.position(), Some(&place(1)));
    snapshot.update_position(place(4));
    store.save_snapshot(&mut snapshot).await.unwrap();
    assert_eq!(store.load_snapshot("r").await.unwrap().state.position(), Some(&place(4)));
}

async fn a_snapshot_shows_forks_and_what_follows<B: PersistentBackend + Clone>(store: B) {
    let flow = WorkflowBuilder::new(context("forked"))
        .fork()
        .branch("quick", |x: u32| async move { Ok(x + 1) })
        .branch_flow("slow", |s| s.wait_for_signal("gate", "go", None))
        .join("sum", |o: BranchOutputs<JsonCodec>| async move { Ok(o.get_by_id::<u32>("quick")? + o.get_by_id::<u32>("slow")?) })
        .delay("rest", std::time::Duration::from_hours(1))
        .then("last", |x: u32| async move { Ok(x) })
        .build()
        .unwrap();
    let (runner, client) = (CheckpointingRunner::new(store.clone()), WorkflowClient::new(store.clone()));
    runner.run(&flow, "f", 1).await.unwrap();
    match store.load_snapshot("f").await.unwrap().state.position() {
        Some(ExecutionPosition::AtFork { fork_id, completed_branches, wake_at: None }) => {
            assert_eq!(*fork_id, TaskId::from("sum"));
            let done: Vec<_> = completed_branches.values().map(|result| (result.task_id, &result.output[..])).collect();
            assert_eq!(done, [(TaskId::from("sum/quick"), &b"2"[..])]);
        }
        other => panic!("{other:?}"),
    }
    store.send_event("f", "go", Bytes::from_static(b"5")).await.unwrap();
    runner.resume(&flow, "f").await.unwrap();
    match client.snapshot(&flow, "f").await.unwrap().state.position() {
        Some(ExecutionPosition::AtDelay { delay_id, next_task_id, .. }) => {
            assert_eq!((*delay_id, *next_task_id), (TaskId::from("rest"), Some(TaskId::from("last"))));
        }
        other => panic!("{other:?}"),
    }
    let other = WorkflowBuilder::new(context("other")).then("a", |x: u32| async move { Ok(x) }).build().unwrap();
    assert!(client.snapshot(&other, "f").await.unwrap_err().to_string().contains("mismatch"));
}

macro_rules! on_each_store {
    ($($test:ident)*) => {
        mod memory {
            use super::*;
            $(#[tokio::test]
            async fn $test() {
                super::$test(InMemoryBackend::new()).await;
            })*
        }

        mod sqlite {
            use super::*;
            $(#[tokio::test]
            async fn $test() {
                super::$test(SqliteBackend::in_memory().await.unwrap()).await;
            })*
        }
    };
}

on_each_store! {
    one_worker_at_a_time
    a_claim_ends
    results
    what_can_be_claimed
    an_old_snapshot_moves_nothing_back
    a_loop_shows_where_it_is
    a_snapshot_shows_forks_and_what_follows
}
