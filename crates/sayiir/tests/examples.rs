//! The examples run, end by themselves, and say what they should.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

/// What an example prints. Cargo builds the examples beside the tests.
fn printed(name: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let directory = test.parent().and_then(Path::parent).unwrap();
    let program = directory.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(program).output().expect("`cargo test -p sayiir` builds the examples, `--test examples` alone does not");
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn hello() {
    assert_eq!(printed("hello"), "HELLO WORLD\n");
}

#[test]
fn saga() {
    let told = "book is on its way\nno piano: ship: too heavy\n\
                reserve, charge, ship, reserve, charge, ship, undo charge, undo reserve\n";
    assert_eq!(printed("saga"), told);
}

#[test]
fn approval() {
    let told = printed("approval");
    // The mails and the answers are of two instances, and may come in any order.
    for line in ["mail: Ada asks for 5 days", "mail: Grace asks for 5 days", "Ada: approved by Charles", "Grace: nobody looked in time"] {
        assert!(told.lines().any(|said| said == line), "{line}: {told}");
    }
}

#[test]
fn etl() {
    // Six pages, and the one that broke once: no finished page was downloaded again.
    assert_eq!(printed("etl"), "600 rows loaded\n7 downloads for 6 pages\n");
}

#[test]
fn agent() {
    assert_eq!(printed("agent"), "the model has Paris (21.5), and asks for Oslo\nParis is 12 degrees warmer than Oslo\n");
}
