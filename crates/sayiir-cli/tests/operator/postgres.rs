//! The same verbs on PostgreSQL, and that its password is seen nowhere.

use std::process::Stdio;

use sayiir::persistence::{InstanceListener, Store as _};
use sayiir::prelude::*;
use sayiir::{PostgresBackend, PostgresOptions};
use sayiir_pg_testserver::shared;

use super::fixture::{Fixture, import_flow};
use super::shell::ran;

#[test]
fn verbs_work_on_postgresql() {
    let fixture = Fixture::empty();
    let url = shared().unwrap().url();
    let store: PostgresBackend = fixture.block_on(PostgresBackend::open_with(&url, PostgresOptions::default().with_schema("cli"))).unwrap();
    let imports = WorkflowSet::new().with(std::sync::Arc::new(import_flow()));
    let worker = fixture.block_on(LocalWorker::builder(store.clone()).spawn(imports)).unwrap();
    fixture.block_on(WorkflowClient::new(store.clone()).submit(&import_flow(), "import-9", 1)).unwrap();

    let on = |verb: &str| format!("SAYIIR_STORE={url} SAYIIR_SCHEMA=cli sayiir {verb}");
    fixture.good(&on("signal import-9 permit '\"ada\"'"));
    let waiting = fixture.command(&on("wait import-9 --timeout 60s")).stdout(Stdio::piped()).spawn().unwrap();
    fixture.good(&on("signal import-9 gate 1"));
    let waited = ran(&waiting.wait_with_output().unwrap());
    assert_eq!((waited.code, waited.out.as_str()), (0, "import-9 completed\n1\n"));

    assert_eq!(fixture.good(&on("list --ids --status completed")), "import-9\n");
    assert!(fixture.good(&on("show import-9 --payloads")).contains("join completed"));
    assert!(fixture.good(&on("graph import-9")).starts_with("flowchart TD"));
    assert!(fixture.bad(1, &on("cancel import-9")).contains("is completed"));
    assert!(fixture.bad(1, &on("show nobody")).contains("there is no instance \"nobody\" in postgres://"));
    // From the start again, as the new run's worker finds it, and to the end.
    let rewound = fixture.json(&on("rewind import-9 --to merged --reason 'once more' --by ada --json"));
    assert_eq!(rewound["node"], "merged", "{rewound}");
    let lines = |out: &str| out.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>();
    fixture.good(&on("signal import-9 permit '\"ada\"'"));
    let watching = fixture.command(&on("show import-9 --watch --json")).stdout(Stdio::piped()).spawn().unwrap();
    fixture.good(&on("signal import-9 gate 1"));
    let watched = ran(&watching.wait_with_output().unwrap());
    assert_eq!((watched.code, &lines(&watched.out).last().unwrap()["status"]), (0, &"completed".into()), "{}", watched.err);
    assert_eq!(fixture.good(&on("list --ids --status waiting,awaiting_signal,in_progress")), "");
    assert_eq!(fixture.json(&on("stats --json"))["workflows"][0]["completed"], 1);
    fixture.good(&on("doctor --deep"));
    assert_eq!(fixture.good(&on("purge --older-than 1h")), "purged 0 instances\n");
    fixture.good(&on("delete import-9 --yes"));
    assert!(fixture.block_on(store.instance("import-9")).unwrap().is_none());
    worker.shutdown();
    fixture.block_on(worker.join()).unwrap();
}

/// The last of several is announced, too, though the process ends right after it.
#[test]
fn workers_elsewhere_hear_of_every_write() {
    let fixture = Fixture::empty();
    let url = shared().unwrap().url();
    let options = PostgresOptions::default().with_schema("heard");
    let store: PostgresBackend = fixture.block_on(PostgresBackend::open_with(&url, options)).unwrap();
    let ids: Vec<String> = (1..=20).map(|number| format!("import-{number}")).collect();
    let client = WorkflowClient::new(store.clone());
    for id in &ids {
        fixture.block_on(client.submit(&import_flow(), id.as_str(), 1)).unwrap();
    }
    // Nothing is polled for here: what is heard was announced.
    let heard: Vec<_> = ids.iter().map(|id| store.wakeups().listen_instance(id)).collect();
    let all = futures_util::future::join_all(heard.iter().map(InstanceListener::listen));
    fixture.good(&format!("SAYIIR_STORE={url} SAYIIR_SCHEMA=heard sayiir pause {}", ids.join(" ")));
    fixture.block_on(async { tokio::time::timeout(std::time::Duration::from_mins(1), all).await }).expect("each was announced");
}

#[test]
fn no_table_is_made_by_looking() {
    let fixture = Fixture::empty();
    let url = shared().unwrap().url();
    for _ in 0..2 {
        let line = fixture.bad(1, &format!("sayiir list --store '{url}' --schema nowhere"));
        assert!(line.contains("missing"), "{line}");
    }
    assert!(fixture.bad(1, &format!("sayiir list --store '{url}' --schema 'x; y'")).contains("schema"));
}

#[test]
fn a_password_is_in_no_message() {
    let fixture = Fixture::empty();
    let url = shared().unwrap().url_as("ada:hunter22", "postgres");
    let closed = "postgres://ada:hunter22@127.0.0.1:1/orders?password=hunter23";
    for store in
        [url.as_str(), closed, "postgres://ada:hunter22@[::1", "postgres://ada:hunter22@/orders?sslmode=never", "postgres:ada:hunter22@h"]
    {
        for verb in ["list", "signal x y"] {
            let ran = fixture.run(&format!("RUST_LOG=trace sayiir {verb} --store '{store}'"));
            assert!(matches!(ran.code, 1 | 2), "{store}: {}", ran.err);
            assert!(ran.err.contains("error: "), "{store}: {}", ran.err);
            let all = format!("{}{}", ran.out, ran.err);
            assert!(!all.contains("hunter22") && !all.contains("hunter23"), "{store}: {all}");
        }
    }
}
