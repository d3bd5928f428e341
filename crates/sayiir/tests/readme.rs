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

/// Starts the program and kills it once its charge is stored; whether it was still there to be killed.
async fn killed_behind_the_charge(directory: &Path) -> bool {
    let mut child = Command::new(program()).current_dir(directory).stdout(Stdio::null()).spawn().unwrap();
    let file = directory.join("orders.db");
    while !file.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended without a store");
        tokio::task::yield_now().await;
    }
    let store = SqliteBackend::open(&file).await.unwrap();
    while charges(&store).await == 0 {
        assert!(child.try_wait().unwrap().is_none() || charges(&store).await > 0, "it ended without a charge");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    !WorkflowClient::new(store).status("order-17").await.unwrap().is_completed()
}

async fn charges(store: &SqliteBackend) -> usize {
    let rows = WorkflowClient::new(store.clone()).history("order-17").await.unwrap_or_default();
    rows.iter().filter(|row| row.kind == EntryKind::TaskCompleted && &*row.node == "charge").count()
}

#[tokio::test]
async fn the_first_program_goes_on_after_it_was_killed() {
    // On a busy machine it may have ended before it is killed: then it is begun anew, elsewhere.
    for _ in 0..50 {
        let directory = tempfile::tempdir().unwrap();
        if !killed_behind_the_charge(directory.path()).await {
            continue;
        }
        let output = run(directory.path());
        assert_eq!(String::from_utf8_lossy(&output.stdout), "charged 42 euros, shipped\n");
        let store = SqliteBackend::open(directory.path().join("orders.db")).await.unwrap();
        assert_eq!(charges(&store).await, 1);
        return;
    }
    unreachable!("it always ended before it could be killed");
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
