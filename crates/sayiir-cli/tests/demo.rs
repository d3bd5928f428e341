//! The demo as its users meet it: a command, its output, its exit code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Seven good lines and two bad ones: line 7 fails at first, lines 3 and 8 need an approval, line 2 has 12 items, line 1 none.
const WEBHOOKS: &[&str] = &[
    r#"{"event":"ping","action":null,"payload":{"zen":"Keep it logically awesome."}}"#,
    r#"{"event":"issues","action":"opened","payload":{"action":"opened","issue":{"title":"Help me","labels":[1,2,3,4,5,6,7,8,9,10,11,12]}}}"#,
    r#"{"event":"release","action":"published","payload":{"action":"published","release":{"tag_name":"v1"},"repository":{"full_name":"octo/cat"}}}"#,
    r#"{"event":"issues","action":"#,
    r#"{"event":"push","action":null,"payload":{"commits":[{"message":"Fix it"}],"repository":{"full_name":"octo/cat"}}}"#,
    r"",
    r#"{"event":"star","action":"created","payload":{"action":"created"}}"#,
    r#"{"event":"deployment","action":null,"payload":{"deployment":{"environment":"production"}}}"#,
    r#"["no webhook"]"#,
    r#"{"event":"milestone","action":"closed","payload":{"action":"closed","milestone":{"title":"One"}}}"#,
];

/// A folder to run the demo in.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("webhooks.jsonl"), WEBHOOKS.join("\n")).unwrap();
        Self(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `sayiir demo` with these options, in this folder.
    fn run(&self, options: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sayiir"));
        command.current_dir(self.0.path()).arg("demo").args(options).output().unwrap()
    }

    /// Runs the demo on the webhooks above.
    fn demo(&self, options: &[&str]) -> Output {
        self.run(&[&["--input", "webhooks.jsonl"], options].concat())
    }

    /// Runs the demo on the webhooks above to its good end, and gives what it prints with `--json`.
    fn json(&self, options: &[&str]) -> Value {
        let output = self.demo(&[&["--json"], options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        serde_json::from_str(&out(&output)).unwrap_or_else(|error| panic!("{error}: {}", out(&output)))
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn all_good_lines_complete_and_bad_ones_are_named() {
    let place = Place::new();
    let output = place.demo(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("7 of 7 instances completed, 0 failed"), "{}", out(&output));
    assert!(out(&output).contains("Approved: 2"), "{}", out(&output));
    assert!(err(&output).contains("line 4 is skipped: "), "{}", err(&output));
    assert!(err(&output).contains("line 9 is skipped: "), "{}", err(&output));
    assert!(err(&output).contains("7 of 7 instances done"), "{}", err(&output));
    assert!(!(out(&output) + &err(&output)).contains('\u{1b}'), "no terminal, no colours");
    assert!(place.at("sayiir-demo.db").exists());
}

#[test]
fn the_json_object_holds_what_is_documented() {
    let json = Place::new().json(&[]);
    assert_eq!((&json["instances"], &json["completed"], &json["failed"]), (&7.into(), &7.into(), &0.into()));
    assert_eq!(json["skipped_lines"], serde_json::json!([4, 9]));
    // Parse, two keys, sort, index, summarise, combine, hand over, conclude: 9, and 2 more with an approval (a fork of one task and a
    // join instead of a task); a page each, but three for the twelve items.
    assert_eq!(json["steps"], 7 * 9 + 2 + (6 + 3));
    assert_eq!(json["executed"], json["steps"].as_u64().unwrap() + 1, "line 7 was refused once");
    assert_eq!(json["repeated_steps"], 0);
    assert!(json["seconds"].as_f64().unwrap() > 0.0 && json["steps_per_second"].as_f64().unwrap() > 0.0);
    let report = &json["report"];
    assert_eq!((&report["items"], &report["pages"], &report["approved"]), (&13.into(), &9.into(), &2.into()));
    assert_eq!(report["repositories"], serde_json::json!({"octo/cat": 2}));
    assert_eq!(report["events"]["push"], serde_json::json!({"none": 1}));
}

#[test]
fn a_finished_store_says_so_and_reports_the_same() {
    let place = Place::new();
    let first = place.json(&[]);
    let output = place.demo(&[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(out(&output).starts_with("All 7 instances in sayiir-demo.db were finished before"), "{}", out(&output));
    let again = place.json(&[]);
    for field in ["instances", "completed", "failed", "steps", "executed", "repeated_steps", "report"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    assert_eq!(again["steps_per_second"], 0.0);
}

#[test]
fn copies_are_instances_of_their_own_and_fresh_begins_anew() {
    let place = Place::new();
    let one = place.json(&["--store", "state/demo.db"]);
    let two = place.json(&["--store", "state/demo.db", "--copies", "2"]);
    assert_eq!((&two["instances"], &two["completed"]), (&14.into(), &14.into()));
    assert_eq!(two["steps"].as_u64(), one["steps"].as_u64().map(|steps| 2 * steps));
    assert_eq!(two["report"]["words"].as_u64(), one["report"]["words"].as_u64().map(|words| 2 * words));
    assert!(!place.at("sayiir-demo.db").exists());

    let fresh = place.json(&["--store", "state/demo.db", "--fresh"]);
    assert_eq!((&fresh["instances"], &fresh["executed"], &fresh["report"]), (&one["instances"], &one["executed"], &one["report"]));
}

#[test]
fn a_crashed_demo_goes_on_where_it_was() {
    let place = Place::new();
    let calm = place.json(&["--store", "calm.db"]);
    // While it dies, what was on its way is stored as well: three deaths must not come to all of it.
    for _ in 0..3 {
        let output = place.demo(&["--crash-after", "8"]);
        assert!(!matches!(output.status.code(), Some(0 | 1)), "{}", err(&output));
    }
    let resumed = place.json(&[]);
    for field in ["instances", "completed", "failed", "steps", "repeated_steps", "report"] {
        assert_eq!(resumed[field], calm[field], "{field}");
    }
    assert!(resumed["executed"].as_u64() >= calm["executed"].as_u64());
}

#[test]
fn a_store_that_was_deleted_takes_its_side_file_along() {
    let place = Place::new();
    let first = place.json(&[]);
    for name in ["sayiir-demo.db", "sayiir-demo.db-wal", "sayiir-demo.db-shm"] {
        let _ = std::fs::remove_file(place.at(name));
    }
    let again = place.json(&[]);
    assert_eq!((&again["executed"], &again["repeated_steps"]), (&first["executed"], &0.into()));
}

#[test]
fn a_store_of_other_input_is_refused_with_advice() {
    let place = Place::new();
    place.json(&[]);
    std::fs::write(place.at("webhooks.jsonl"), WEBHOOKS[2]).unwrap();
    let output = place.demo(&[]);
    assert_eq!((output.status.code(), out(&output)), (Some(1), String::new()));
    assert!(err(&output).contains("webhook-1-1") && err(&output).contains("--fresh"), "{}", err(&output));
    assert_eq!(place.json(&["--fresh"])["completed"], 1);
}

#[test]
fn unreadable_input_and_wrong_usage_exit_with_2_and_touch_nothing() {
    let place = Place::new();
    std::fs::write(place.at("empty.jsonl"), "\n\n").unwrap();
    for options in [["--input", "none.jsonl"], ["--input", "empty.jsonl"], ["--copies", "0"], ["--crash-after", "x"]] {
        let output = place.run(&options);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {}", err(&output));
        assert!(err(&output).starts_with("error: "), "{options:?}: {}", err(&output));
    }
    assert!(!place.at("sayiir-demo.db").exists());
}

#[test]
fn a_file_that_is_no_store_is_left_alone() {
    let place = Place::new();
    let before = std::fs::read(place.at("webhooks.jsonl")).unwrap();
    for options in [&["--store", "webhooks.jsonl"][..], &["--store", "webhooks.jsonl", "--fresh"][..]] {
        let output = place.demo(options);
        assert_eq!(output.status.code(), Some(1), "{}", err(&output));
        assert!(err(&output).contains("SQLite"), "{}", err(&output));
    }
    assert_eq!(std::fs::read(place.at("webhooks.jsonl")).unwrap(), before);
}
