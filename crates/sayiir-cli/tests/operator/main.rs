//! The operator's command as operators meet it: the real binary, in a shell, on a store that the library filled.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

mod doctor;
mod errors;
mod fixture;
mod json;
#[cfg(feature = "postgres")]
mod postgres;
mod shell;
#[cfg(unix)]
mod watch;

use std::path::Path;
use std::sync::Arc;

use fixture::Fixture;
use sayiir::prelude::*;

#[test]
fn every_table_is_as_it_was() {
    Fixture::full().check_page(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operator/tables.md"));
}

#[test]
fn the_page_of_the_guide_is_true() {
    Fixture::full().check_page(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/command-line.md"));
}

#[test]
fn colours_are_for_terminals_and_those_who_ask() {
    let fixture = Fixture::full();
    assert!(!fixture.good("sayiir list").contains('\u{1b}'));
    assert!(fixture.good("CLICOLOR_FORCE=1 sayiir list").contains("\u{1b}[31mfailed"));
    assert!(!fixture.good("NO_COLOR=1 sayiir show order-2").contains('\u{1b}'));
}

#[test]
fn a_terminal_is_never_overrun() {
    let fixture = Fixture::full();
    for (line, columns) in [("list", 60), ("show order-2", 70), ("show order-1 --payloads", 50), ("show import-1", 80)] {
        let out = fixture.good(&format!("COLUMNS={columns} sayiir {line}"));
        // The head of an instance is for the terminal to wrap, so that all of it can be read.
        let table = out.lines().skip_while(|line| line.starts_with(char::is_lowercase) || line.starts_with("    "));
        for line in table {
            assert!(line.chars().count() <= columns, "{columns}: {line:?}");
        }
    }
}

#[test]
fn control_reaches_what_runs_in_another_process() {
    let fixture = Fixture::full();
    assert_eq!(fixture.good("sayiir cancel order-9 order-8 --reason 'no money' --by ada"), "cancelled order-9\ncancelled order-8\n");
    let by_ada = WorkflowStatus::Cancelled { reason: Some("no money".into()), cancelled_by: Some("ada".into()) };
    assert_eq!(fixture.record("order-9").summary.status, by_ada);
    // Again is fine; what has ended otherwise is told, and does not keep the others from being done.
    fixture.good("sayiir cancel order-9");
    let ran = fixture.run("sayiir cancel order-1 order-10");
    assert_eq!((ran.code, ran.out.as_str()), (1, "cancelled order-10\n"));
    assert!(ran.err.contains("order-1\": it is completed"), "{}", ran.err);

    assert_eq!(fixture.good("sayiir pause order-4 --by ada"), "paused order-4\n");
    assert!(matches!(fixture.record("order-4").summary.status, WorkflowStatus::Paused { .. }));
    assert_eq!(fixture.good("sayiir unpause order-4 order-6"), "unpaused order-4\nunpaused order-6\n");
    assert!(matches!(fixture.record("order-6").summary.status, WorkflowStatus::AwaitingSignal { .. }));
}

#[test]
fn a_wait_ends_as_its_instance_does() {
    let fixture = Fixture::full();
    assert_eq!(fixture.good("sayiir wait order-1"), "order-1 completed\n\"42 euros\"\n");
    for (id, code, words) in
        [("order-2", 1, "the bank says no"), ("order-5", 1, "ordered twice"), ("order-6", 3, "paused"), ("order-4", 3, "approval")]
    {
        let ran = fixture.run(&format!("sayiir wait {id} --timeout 0s"));
        assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{id}");
        assert!(ran.out.contains(words), "{id}: {}", ran.out);
    }
    // Another process ends what is waited for.
    let waiting = fixture.command("exec sayiir wait order-9 --json").stdout(std::process::Stdio::piped()).spawn().unwrap();
    fixture.good("sayiir cancel order-9");
    let ran = shell::ran(&waiting.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (1, "{\"instance_id\":\"order-9\",\"status\":\"cancelled\"}\n"));
}

#[test]
fn an_event_sets_going_what_another_process_drives() {
    let fixture = Fixture::full();
    fixture.catch_up();
    let imports = WorkflowSet::new().with(Arc::new(fixture::import_flow()));
    let worker = fixture.block_on(LocalWorker::builder(fixture.store.clone()).spawn(imports)).unwrap();
    fixture.good("sayiir signal import-2 gate 1");
    assert_eq!(fixture.good("sayiir wait import-2 --timeout 60s"), "import-2 completed\n1\n");
    worker.shutdown();
    fixture.block_on(worker.join()).unwrap();
}

#[test]
fn a_failed_instance_is_retried_or_begun_again_at_a_node() {
    let fixture = Fixture::full();
    assert!(fixture.bad(1, "sayiir retry order-1").contains("it is completed"));
    assert!(fixture.bad(1, "sayiir retry order-4").contains("it has not failed"));
    assert_eq!(fixture.good("sayiir retry order-2 --reason 'the bank is open' --by ada"), "retried order-2\n");
    let retried = fixture.json("sayiir show order-2 --json");
    assert_eq!((&retried["status"], &retried["run"]), (&"in_progress".into(), &2.into()));
    assert_eq!((&retried["branches"][0]["doing"], &retried["branches"][0]["attempt"]), (&"ready".into(), &1.into()));
    assert_eq!(retried["journal"].as_array().unwrap().last().unwrap()["kind"], "retried");

    let rewound = fixture.json("sayiir rewind order-1 --to payment --reason again --json");
    let shown = fixture.json("sayiir show order-1 --json");
    assert_eq!(
        (&rewound["run"], &shown["status"], &shown["branches"][0]["node"]),
        (&shown["run"], &"in_progress".into(), &"payment".into())
    );
    let kinds: Vec<&str> = shown["journal"].as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["started", "task_completed", "task_completed", "task_completed", "join_completed", "rewound"]);
    let inside = fixture.bad(1, "sayiir rewind order-1 --to rated/stock");
    assert!(inside.contains("rated"), "{inside}");
    fixture.bad(1, "sayiir rewind order-1 --to nowhere");
    // It comes to the same end, and the store of another process is where it does.
    fixture.catch_up();
    let runner = CheckpointingRunner::new(fixture.store.clone());
    let orders = fixture.orders();
    fixture.block_on(runner.resume(&orders, "order-1")).unwrap();
    assert!(matches!(fixture.record("order-1").summary.status, WorkflowStatus::Waiting { .. }), "it cools off again");

    // Why and by whom stays in the journal, whatever becomes of the instance.
    fixture.good("sayiir rewind order-1 --to check --reason 'from the start' --by ada");
    let again = fixture.json("sayiir show order-1 --json");
    assert_eq!(again["journal"].as_array().unwrap().last().unwrap()["error"], "from the start (by ada)");
    assert_eq!(retried["journal"].as_array().unwrap().last().unwrap()["error"], "the bank is open (by ada)");
}

/// The command line has no workflow at hand, and so knows no tags: the first worker that takes it puts it where it belongs.
#[test]
fn what_is_rewound_goes_to_the_workers_of_its_node() {
    #[task(tags = "gpu", priority = 1)]
    async fn draw(x: u32) -> u32 {
        x + 1
    }
    let fixture = Fixture::empty();
    fixture.catch_up();
    let render = workflow! { name: "render", steps: [fetch(x: u32) { x }, draw] }.unwrap();
    let client = WorkflowClient::new(fixture.store.clone());
    fixture.block_on(CheckpointingRunner::new(fixture.store.clone()).run(&render, "render-1", 1)).unwrap();
    fixture.good("sayiir rewind render-1 --to draw");
    let flow = Arc::new(render);
    let worker = |tag: &str| {
        let spawned = LocalWorker::builder(fixture.store.clone()).tags([tag]).spawn(WorkflowSet::new().with(flow.clone()));
        fixture.block_on(spawned).unwrap()
    };
    let cpu = worker("cpu");
    fixture.block_on(
        fixture.until("render-1", |record| record.branches.iter().all(|root| *root.placement.tags == ["gpu"] && root.lease.is_none())),
    );
    let record = fixture.record("render-1");
    assert_eq!((record.branches.len(), record.branches[0].placement.priority.as_u8()), (1, 1), "it is where it was placed, and not done");
    let gpu = worker("gpu");
    assert_eq!(fixture.block_on(client.wait_for(&flow, "render-1", None)).unwrap(), 2);
    for worker in [cpu, gpu] {
        worker.shutdown();
        fixture.block_on(worker.join()).unwrap();
    }
}

#[test]
fn what_ended_long_ago_is_purged() {
    let fixture = Fixture::full();
    assert_eq!(fixture.good("sayiir purge --older-than 1d --dry-run"), "would purge 1 instance\n");
    assert_eq!(fixture.json("sayiir purge --older-than 1h --workflow order --dry-run --json"), serde_json::json!({"would_purge": 3}));
    assert_eq!(fixture.good("sayiir purge --older-than 1h --workflow import"), "purged 0 instances\n");
    assert_eq!(fixture.json("sayiir purge --older-than 1d --json"), serde_json::json!({"purged": 1}));
    assert_eq!(fixture.good("sayiir purge --older-than 1h"), "purged 2 instances\n");
    let client = WorkflowClient::new(fixture.store.clone());
    fixture.block_on(client.send_event("never", "go", "1")).unwrap();
    assert_eq!(
        fixture.good("sayiir purge --older-than 0s --unclaimed-events"),
        "purged 0 instances and what was sent to 1 id that never began\n"
    );
    assert_eq!(fixture.json("sayiir purge --older-than 0s --unclaimed-events --json"), serde_json::json!({"purged": 0, "unclaimed": 0}));
    assert_eq!(fixture.good("sayiir list --ids --status completed,failed,cancelled"), "");
    assert_eq!(fixture.good("sayiir list --ids").lines().count(), 9);
    let stats = fixture.json("sayiir stats --json");
    let counts: Vec<_> =
        stats["workflows"].as_array().unwrap().iter().map(|each| (&each["workflow"], &each["running"], &each["paused"])).collect();
    assert_eq!(counts, [(&"import".into(), &2.into(), &0.into()), (&"order".into(), &6.into(), &1.into())]);
    assert_eq!((&stats["branches"]["leased"], &stats["branches"]["set_aside"]), (&1.into(), &0.into()));
}

#[test]
fn what_a_packager_needs_is_printed() {
    let fixture = Fixture::empty();
    for (shell, words) in [("bash", "complete -F _sayiir"), ("zsh", "#compdef sayiir"), ("fish", "complete -c sayiir")] {
        assert!(fixture.good(&format!("sayiir completions {shell}")).contains(words), "{shell}");
    }
    assert!(fixture.good("sayiir man").contains(".TH sayiir 1"));
    assert_eq!(fixture.good("sayiir man --out man"), "");
    for page in ["sayiir.1", "sayiir-list.1", "sayiir-signal.1"] {
        assert!(fixture.path().join("man").join(page).exists(), "{page}");
    }
}
