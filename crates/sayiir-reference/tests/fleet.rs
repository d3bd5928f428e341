//! A small fleet over a SQLite file, with its workers killed and frozen; `cargo xtask reference --workers` runs larger ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::process::Command;

#[test]
fn killed_and_frozen_workers_give_the_answers_of_the_reference() {
    let arguments = ["--store", "sqlite", "--workers", "3", "--cases", "150", "--json"];
    let output = Command::new(env!("CARGO_BIN_EXE_sayiir-reference")).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&findings["cases"], &findings["mismatches"]), (&150.into(), &0.into()), "{told}");
    assert!(findings["kills"].as_u64() > Some(0) || findings["freezes"].as_u64() > Some(0), "nothing befell the fleet: {findings}");
}
