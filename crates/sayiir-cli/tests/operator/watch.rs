//! `--watch`: lines of JSON for programs, a page in place for a terminal, and nothing else.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use sayiir::prelude::*;
use serde_json::{Value, json};

use super::fixture::{Fixture, import_flow};

fn spawn(fixture: &Fixture, line: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = fixture.command(&format!("exec {line}")).stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// Reads lines until one is as it is to be; how often the others were printed again is in nobody's hands, but none twice in a row.
fn until(out: &mut BufReader<ChildStdout>, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut before = Value::Null;
    loop {
        let mut line = String::new();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "it ended before: {before}");
        let value: Value = serde_json::from_str(&line).unwrap();
        let but_for_the_time = |value: &Value| {
            let mut value = value.clone();
            if let Some(fields) = value.as_object_mut() {
                fields.remove("now");
            }
            value
        };
        assert_ne!(but_for_the_time(&value), but_for_the_time(&before), "a line is a change");
        if is_so(&value) {
            return value;
        }
        before = value;
    }
}

#[test]
fn an_instance_is_watched_to_its_end() {
    let fixture = Fixture::full();
    fixture.catch_up();
    let (mut child, mut out) = spawn(&fixture, "sayiir show import-2 --watch --json");
    until(&mut out, |line| line["status"] == "awaiting_signal");
    let imports = WorkflowSet::new().with(Arc::new(import_flow()));
    let worker = fixture.block_on(LocalWorker::builder(fixture.store.clone()).spawn(imports)).unwrap();
    fixture.good("sayiir signal import-2 gate 1");
    let last = until(&mut out, |line| line["status"] == "completed");
    assert_eq!(last["branches"], json!([]));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "an end is the last that is told");
    assert!(child.wait().unwrap().success());
    worker.shutdown();
    fixture.block_on(worker.join()).unwrap();
}

#[test]
fn counts_are_watched_until_it_is_interrupted() {
    let fixture = Fixture::empty();
    fixture.catch_up();
    let (mut child, mut out) = spawn(&fixture, "sayiir stats --watch --json");
    until(&mut out, |line| line["workflows"] == json!([]));
    fixture.block_on(WorkflowClient::new(fixture.store.clone()).submit(&import_flow(), "import-1", 1)).unwrap();
    until(&mut out, |line| line["workflows"][0]["running"] == 1 && line["branches"]["due"] == 1);
    // As Ctrl-C does by INT; but who starts tests in the background may have them ignore that one.
    assert!(Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn to_draw_needs_a_terminal() {
    let fixture = Fixture::full();
    for verb in ["show order-1 --watch", "stats --watch"] {
        assert!(fixture.bad(2, &format!("sayiir {verb}")).contains("terminal"));
    }
    assert!(fixture.bad(1, "sayiir show nobody --watch --json").contains("no instance"));
    // One that has ended is told once.
    assert_eq!(fixture.good("sayiir show order-1 --watch --json").lines().count(), 1);
}
