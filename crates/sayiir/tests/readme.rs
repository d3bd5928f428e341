//! The README's first program is the example `order`, has at most 25 lines, and survives `kill -9`.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sayiir::SqliteBackend;
use sayiir::core::journal::EntryKind;
use sayiir::prelude::*;

/// The example's program, which cargo builds beside the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let directory = test.parent().and_then(Path::parent).unwrap();
    directory.join("examples").join(format!("order{}", std::env::consts::EXE_SUFFIX))
}

fn run(directory: &Path) -> Output {
    Command::new(program()).current_dir(directory).output().unwrap()
}

#[test]
fn the_first_program_runs_and_runs_again() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = run(directory.path());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "charged 42 euros, shipped\n");
    }
}

#[tokio::test]
async fn the_first_program_goes_on_after_it_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(program()).current_dir(directory.path()).stdout(Stdio::null()).spawn().unwrap();
    let file = directory.path().join("orders.db");
    while !file.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended without a store");
        tokio::task::yield_now().await;
    }
    let store = SqliteBackend::open(&file).await.unwrap();
    let client = WorkflowClient::new(store.clone());
    let charged = || async {
        let rows = client.history("order-17").await.unwrap_or_default();
        rows.iter().filter(|row| row.kind == EntryKind::TaskCompleted && &*row.node == "charge").count()
    };
    while charged().await == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended without a charge");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let output = run(directory.path());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "charged 42 euros, shipped\n");
    assert_eq!(charged().await, 1);
}

#[test]
fn the_readme_shows_it() {
    let program = include_str!("../examples/order.rs");
    assert!(program.lines().count() <= 25);
    assert!(include_str!("../../../README.md").contains(program), "the README's program differs from examples/order.rs");
}

/// `docs/first-program.md` compares it with others by the lines that are neither empty nor comment.
#[test]
fn its_lines_are_counted_as_the_page_says() {
    let lines = include_str!("../examples/order.rs").lines().map(str::trim);
    let count = lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count();
    let page = include_str!("../../../docs/first-program.md");
    assert!(page.contains(&format!("| Sayiir | {count} |")), "{count}");
}
