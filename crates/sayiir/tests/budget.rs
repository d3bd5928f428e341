//! What a node of each kind costs: statements asked of SQLite, rows and bytes stored. Counted, not timed.
//! One test a file: the count is the whole process's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, clippy::float_cmp, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use sayiir::core::journal::JournalRow;
use sayiir::core::workflow::Typed;
use sayiir::prelude::*;
use sayiir::sqlite_statements;

type Builder = WorkflowBuilder<JsonCodec, u64, Typed<u64>>;

fn builder() -> Builder {
    WorkflowBuilder::new(WorkflowContext::new("budget", Arc::new(JsonCodec), Arc::new(())))
}

fn task(flow: Builder, number: usize) -> Builder {
    flow.then(format!("task-{number:02}"), |n: u64| async move { Ok(n) })
}

fn fork(flow: Builder, number: usize) -> Builder {
    let fork = flow.fork().branch("left", |n: u64| async move { Ok(n) }).branch("right", |n: u64| async move { Ok(n) });
    fork.join(format!("join-{number:02}"), |outputs: BranchOutputs<JsonCodec>| async move { outputs.get_by_id::<u64>("left") })
}

fn route(flow: Builder, number: usize) -> Builder {
    let route = flow.route_str::<u64, _, _>(|_: u64| async move { Ok("only".to_owned()) });
    let route = route.branch("only", |arm| arm.then("inside", |n: u64| async move { Ok(n) }));
    route.done().then(format!("open-{number:02}"), |envelope: BranchEnvelope<u64>| async move { Ok(envelope.result) })
}

/// Two rounds.
fn repeat(flow: Builder, number: usize) -> Builder {
    let body = |n: u64| async move {
        let first = task_context!().is_some_and(|context| context.iterations.iter().all(|at| at.iteration == 0));
        Ok(if first { LoopResult::Again(n) } else { LoopResult::Done(n) })
    };
    flow.loop_task(format!("loop-{number:02}"), body, 5)
}

fn delay(flow: Builder, number: usize) -> Builder {
    flow.delay(format!("delay-{number:02}"), Duration::from_millis(1))
}

fn signal(flow: Builder, number: usize) -> Builder {
    let waits = flow.wait_for_signal_opt::<u64>(format!("wait-{number:02}"), "event", None);
    waits.then(format!("took-{number:02}"), |came: Option<u64>| async move { Ok(came.unwrap_or(0)) })
}

fn child(flow: Builder, number: usize) -> Builder {
    let context = WorkflowContext::new(format!("child-{number:02}"), Arc::new(JsonCodec), Arc::new(()));
    flow.then_flow(WorkflowBuilder::new(context).then("inside", |n: u64| async move { Ok(n) }).build().unwrap())
}

/// What something costs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cost {
    statements: f64,
    rows: f64,
    bytes: f64,
}

fn bytes(row: &JournalRow) -> usize {
    let values = [&row.output, &row.handed_on].into_iter().flatten().map(sayiir::bytes::Bytes::len).sum::<usize>();
    values + row.node.len() + row.branch.as_str().len()
}

/// Runs an instance of so many nodes of a kind, between two tasks.
async fn run(add: fn(Builder, usize) -> Builder, nodes: usize, events: usize) -> Cost {
    let flow = (0..nodes).fold(builder().then("first", |n: u64| async move { Ok(n) }), add);
    let flow = flow.then("last", |n: u64| async move { Ok(n) }).build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let runner = CheckpointingRunner::new(SqliteBackend::open(directory.path().join("budget.db")).await.unwrap());
    let client = WorkflowClient::from_shared(Arc::clone(runner.backend()));
    // The store has done what it does when it is opened.
    client.send_event("warm", "up", "1").await.unwrap();
    for _ in 0..events {
        client.send_event("a", "event", "7").await.unwrap();
    }
    let before = sqlite_statements();
    let mut status = runner.run(&flow, "a", 7).await.unwrap();
    while !status.is_completed() {
        tokio::time::sleep(Duration::from_millis(2)).await;
        status = runner.resume(&flow, "a").await.unwrap();
    }
    let statements = (sqlite_statements() - before) as f64;
    let rows = client.history("a").await.unwrap();
    Cost { statements, rows: rows.len() as f64, bytes: rows.iter().map(bytes).sum::<usize>() as f64 }
}

/// What one more node of a kind costs.
async fn cost(add: fn(Builder, usize) -> Builder, events: bool) -> Cost {
    const MORE: usize = 8;
    let few = run(add, 1, usize::from(events)).await;
    let many = run(add, 1 + MORE, if events { 1 + MORE } else { 0 }).await;
    let each = |of: fn(&Cost) -> f64| (of(&many) - of(&few)) / MORE as f64;
    Cost { statements: each(|cost| cost.statements), rows: each(|cost| cost.rows), bytes: each(|cost| cost.bytes) }
}

#[tokio::test]
async fn a_node_costs_so_many_statements_rows_and_bytes() {
    let costs = |statements: f64, rows: f64, bytes: f64| Cost { statements, rows, bytes };
    // Of these, three are the transaction's: its begin, its look whether others wrote, its commit.
    assert_eq!(cost(task, false).await, costs(5.0, 1.0, 9.0), "task");
    assert_eq!(cost(child, false).await, costs(5.0, 1.0, 17.0), "child");
    assert_eq!(cost(repeat, false).await, costs(10.0, 2.0, 77.0), "loop of two rounds");
    assert_eq!(cost(route, false).await, costs(15.0, 3.0, 70.0), "route, its arm and what opens it");
    assert_eq!(cost(signal, true).await, costs(23.0, 2.0, 18.0), "signal whose event is there, and what takes it");
    // How many of its writes share a transaction, chance decides.
    let fork = cost(fork, false).await;
    assert!(fork.statements <= 32.0 && fork.rows == 3.0, "{fork:?}");
    // With the look for what is due, the claim, and a resume of the runner in between.
    let delay = cost(delay, false).await;
    assert!(delay.statements <= 60.0 && delay.rows == 1.0, "{delay:?}");
}
