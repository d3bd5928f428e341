//! The doctor finds what was planted, says which instance it is, and finds nothing where nothing is wrong.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir::core::TaskId;
use sayiir::core::snapshot::{ExecutionPosition, WorkflowSnapshot};
use sayiir::persistence::{ClaimRequest, ClaimScope, Process, SnapshotStore as _, Store};
use sayiir::prelude::*;
use serde_json::{Value, json};

use super::fixture::{Fixture, import_flow};

/// What the doctor finds of this kind, and that its exit code is right.
fn found(fixture: &Fixture, options: &str, kind: &str) -> Vec<Value> {
    let ran = fixture.run(&format!("sayiir doctor --json {options}"));
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {} {}", ran.out, ran.err));
    let findings = report["findings"].as_array().unwrap().clone();
    let bad = findings.iter().any(|finding| finding["severity"] == "problem");
    assert_eq!((ran.code, &report["ok"]), (i32::from(bad), &json!(!bad)), "{report}");
    assert!(findings.iter().all(|finding| finding["advice"].as_str().is_some_and(|advice| !advice.is_empty())), "{report}");
    findings.into_iter().filter(|finding| finding["kind"] == kind).collect()
}

fn change(fixture: &Fixture, sql: &str) {
    let conn = rusqlite::Connection::open(fixture.file()).unwrap();
    conn.busy_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(conn.execute(sql, []).unwrap(), 1, "{sql}");
}

#[test]
fn nothing_is_wrong_with_a_store_that_is_well() {
    let fixture = Fixture::empty();
    fixture.catch_up();
    assert!(fixture.good("sayiir doctor --deep").ends_with("nothing is wrong\n"));
    let imports = WorkflowSet::new().with(Arc::new(import_flow()));
    let worker = fixture.block_on(LocalWorker::builder(fixture.store.clone()).worker_id("import-worker").spawn(imports)).unwrap();
    fixture.block_on(WorkflowClient::new(fixture.store.clone()).submit(&import_flow(), "import-1", 1)).unwrap();
    fixture.block_on(fixture.until("import-1", |record| matches!(record.summary.status, WorkflowStatus::AwaitingSignal { .. })));
    let report = fixture.json("sayiir doctor --deep --json");
    assert_eq!((&report["ok"], &report["findings"]), (&json!(true), &json!([])), "{report}");
    assert!(report["schema"].as_str().unwrap().contains("SQLite"));
    assert!(report["clock_skew_seconds"].as_f64().unwrap().abs() < 2.0);
    assert!(report["sessions"].as_array().unwrap().iter().any(|session| session["worker"] == "import-worker"), "{report}");
    worker.shutdown();
    fixture.block_on(worker.join()).unwrap();
}

#[test]
fn work_that_nobody_takes_is_told_with_the_reason() {
    let fixture = Fixture::empty();
    fixture.catch_up();
    let gpu = workflow! { name: "render", version: "7", steps: [draw(x: u32) { x }] }.unwrap();
    fixture.block_on(WorkflowClient::new(fixture.store.clone()).submit(&gpu, "render-1", 1)).unwrap();
    // Not at once: it was only just submitted.
    assert_eq!(found(&fixture, "", "no_worker"), Vec::<Value>::new());
    let nobody = &found(&fixture, "--patience 0s", "no_worker")[0];
    assert!(nobody["text"].as_str().unwrap().contains("1 branch of \"render\" version 7"), "{nobody}");
    assert_eq!((&nobody["severity"], &nobody["count"]), (&json!("problem"), &json!(1)));

    let imports = WorkflowSet::new().with(Arc::new(import_flow()));
    let worker = fixture.block_on(LocalWorker::builder(fixture.store.clone()).spawn(imports)).unwrap();
    let others = &found(&fixture, "--patience 0s", "not_taken")[0];
    assert!(others["text"].as_str().unwrap().contains("1 worker was seen lately"), "{others}");
    assert!(others["advice"].as_str().unwrap().contains("definition"), "{others}");
    worker.shutdown();
    fixture.block_on(worker.join()).unwrap();
}

#[test]
fn too_much_to_do_is_told_from_what_nobody_serves() {
    let fixture = Fixture::empty();
    fixture.catch_up();
    let client = WorkflowClient::new(fixture.store.clone());
    for id in ["import-1", "import-2", "import-3"] {
        fixture.block_on(client.submit(&import_flow(), id, 1)).unwrap();
    }
    let process = Process { host: "busy".to_owned(), pid: 7, started: 1, worker_id: "busy-7".to_owned() };
    let lease = fixture.block_on(fixture.store.open_session(process)).unwrap();
    assert_eq!(found(&fixture, "--patience 0s", "not_taken")[0]["count"], 3, "a worker that holds nothing of it may not serve it");
    let scope = ClaimScope::Instance("import-1".into());
    let request = ClaimRequest { lease, ttl: Duration::from_hours(1), limit: 1, scope };
    assert_eq!(fixture.block_on(fixture.store.claim(request)).unwrap().len(), 1);
    assert_eq!(found(&fixture, "", "overload"), Vec::<Value>::new(), "they have only just come");
    let busy = &found(&fixture, "--patience 0s", "overload")[0];
    assert_eq!((&busy["severity"], &busy["count"]), (&json!("problem"), &json!(2)), "{busy}");
    assert!(busy["text"].as_str().unwrap().ends_with("1 worker that serves them holds 1 other"), "{busy}");
    assert!(busy["advice"].as_str().unwrap().contains("more workers"), "{busy}");
    assert_eq!(found(&fixture, "--patience 0s", "not_taken"), Vec::<Value>::new());
}

#[test]
fn snapshots_that_nobody_takes_on_are_told() {
    let fixture = Fixture::empty();
    fixture.catch_up();
    let mut saved = WorkflowSnapshot::with_initial_input("saved-1", "of another program", Bytes::from_static(b"1"));
    saved.update_position(ExecutionPosition::AtTask { task_id: TaskId::from("load") });
    saved.mark_task_completed(TaskId::from("fetch"), Bytes::from_static(b"1"));
    fixture.block_on(fixture.store.save_snapshot(&mut saved)).unwrap();
    let stuck = &found(&fixture, "--patience 0s", "no_worker")[0];
    assert!(stuck["text"].as_str().unwrap().contains("1 branch of a saved snapshot could be taken"), "{stuck}");
    let hash: String = saved.definition_hash.to_string().chars().take(12).collect();
    assert!(stuck["advice"].as_str().unwrap().contains(&hash), "{stuck}");

    // One that stands at a node which its workflow does not have fails, and says so.
    let mut lost = WorkflowSnapshot::with_initial_input("saved-2", *import_flow().definition_hash(), Bytes::from_static(b"1"));
    lost.update_position(ExecutionPosition::AtTask { task_id: TaskId::from("nowhere") });
    lost.mark_task_completed(TaskId::from("fetch"), Bytes::from_static(b"1"));
    fixture.block_on(fixture.store.save_snapshot(&mut lost)).unwrap();
    let imports = WorkflowSet::new().with(Arc::new(import_flow()));
    let worker = fixture.block_on(LocalWorker::builder(fixture.store.clone()).spawn(imports)).unwrap();
    fixture.block_on(fixture.until("saved-2", |record| matches!(record.summary.status, WorkflowStatus::Failed(_))));
    assert_eq!(found(&fixture, "", "failed")[0]["count"], 1);
    assert_eq!(fixture.good("sayiir list --status failed --error 'no node of workflow' --ids"), "saved-2\n");
    worker.shutdown();
    fixture.block_on(worker.join()).unwrap();
}

#[test]
fn events_that_came_before_their_instance_are_nothing_wrong() {
    let fixture = Fixture::empty();
    fixture.catch_up();
    fixture.good("sayiir signal import-7 gate 1 --force");
    assert!(fixture.good("sayiir doctor --deep --patience 0s").ends_with("nothing is wrong\n"));
    assert_eq!(fixture.json("sayiir stats --json")["events"], 1);
}

#[test]
fn tags_that_nobody_has_are_named() {
    #[task(tags = "gpu")]
    async fn draw(x: u32) -> u32 {
        x
    }
    let fixture = Fixture::empty();
    fixture.catch_up();
    let render = workflow! { name: "render", steps: [draw] }.unwrap();
    fixture.block_on(WorkflowClient::new(fixture.store.clone()).submit(&render, "render-1", 1)).unwrap();
    let served = WorkflowSet::new().with(Arc::new(render));
    let worker = fixture.block_on(LocalWorker::builder(fixture.store.clone()).tags(["cpu"]).spawn(served)).unwrap();
    let found = &found(&fixture, "--patience 0s", "not_taken")[0];
    assert!(found["text"].as_str().unwrap().contains("tags gpu"), "{found}");
    assert!(found["advice"].as_str().unwrap().contains("serves the tags gpu"), "{found}");
    worker.shutdown();
    fixture.block_on(worker.join()).unwrap();
}

#[test]
fn lost_workers_are_found_where_they_were_lost() {
    let fixture = Fixture::full();
    let lapsed = &found(&fixture, "", "lapsed_lease")[0];
    assert_eq!((&lapsed["instance_id"], &lapsed["node"], &lapsed["severity"]), (&json!("order-10"), &json!("check"), &json!("problem")));
    let once = &found(&fixture, "", "crashes")[0];
    assert_eq!((&once["instance_id"], &once["count"], &once["severity"]), (&json!("order-10"), &json!(1), &json!("notice")));
    fixture.block_on(fixture.lose("order-10", 4713));
    let again = &found(&fixture, "", "crashes")[0];
    assert_eq!((&again["count"], &again["severity"]), (&json!(2), &json!("problem")));
    assert_eq!(found(&fixture, "", "failed")[0]["count"], 1);
    let text = fixture.run("sayiir doctor");
    assert_eq!(text.code, 1);
    assert!(
        text.out.contains("PROBLEM  worker elsewhere-4713 is gone for 6h, and nobody took over 1 branch, of order-10 at check first"),
        "{}",
        text.out
    );
}

#[test]
fn a_lost_journal_row_is_found_by_the_deep_look() {
    let fixture = Fixture::full();
    assert_eq!(found(&fixture, "--deep", "lost_row"), Vec::<Value>::new());
    let run = fixture.record("order-7").summary.run;
    let head = fixture.record("order-7").branches[0].head.input.clone();
    change(&fixture, &format!("DELETE FROM journal WHERE run = {run} AND branch = '{}' AND revision = {}", head.branch, head.revision));
    let lost = &found(&fixture, "--deep", "lost_row")[0];
    assert_eq!((&lost["instance_id"], &lost["node"]), (&json!("order-7"), &json!("cool-off")));
    assert!(lost["text"].as_str().unwrap().contains(&format!("{}.{}", head.branch, head.revision)), "{lost}");
}

#[test]
fn what_cannot_be_read_is_found() {
    let fixture = Fixture::full();
    let run = |id: &str| fixture.record(id).summary.run;
    let (aside, broken) = (run("order-8"), run("order-4"));
    change(&fixture, &format!("UPDATE branch SET run_at = NULL WHERE run = {aside}"));
    let found_aside = &found(&fixture, "", "set_aside")[0];
    assert_eq!((&found_aside["instance_id"], &found_aside["severity"]), (&json!("order-8"), &json!("problem")));
    assert_eq!(fixture.json("sayiir show order-8 --json")["branches"][0]["doing"], "set_aside");
    change(&fixture, &format!("UPDATE journal SET kind = 99 WHERE run = {broken} AND revision = 1"));
    let unreadable = &found(&fixture, "--deep", "unreadable")[0];
    assert_eq!(unreadable["instance_id"], "order-4");
}

#[test]
fn workers_that_come_and_go_are_noticed() {
    let fixture = Fixture::empty();
    fixture.catch_up();
    for pid in 1..=30 {
        let process = Process { host: "web-1/boot".to_owned(), pid, started: 1, worker_id: format!("web-1-{pid}") };
        fixture.block_on(fixture.store.open_session(process)).unwrap();
    }
    let churn = &found(&fixture, "", "churn")[0];
    assert_eq!((&churn["severity"], &churn["count"]), (&json!("notice"), &json!(30)));
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_has_a_doctor_too() {
    use sayiir_pg_testserver::shared;
    let fixture = Fixture::empty();
    let url = shared().unwrap().url();
    let options = sayiir::PostgresOptions::default().with_schema("skew");
    let _store: sayiir::PostgresBackend = fixture.block_on(sayiir::PostgresBackend::open_with(&url, options)).unwrap();
    let report = fixture.json(&format!("sayiir doctor --json --store '{url}' --schema skew"));
    assert!(report["clock_skew_seconds"].as_f64().unwrap().abs() < 2.0, "{report}");
    assert!(report["schema"].as_str().unwrap().contains("PostgreSQL"), "{report}");
}
