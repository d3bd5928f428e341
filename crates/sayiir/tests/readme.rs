//! The README's first program is the example `order`, has at most 25 lines, and runs.
#![allow(missing_docs, reason = "the example's main stands here")]

include!("../examples/order.rs");

#[test]
fn the_first_program_runs_and_runs_again() {
    let directory = tempfile::tempdir().unwrap();
    std::env::set_current_dir(directory.path()).unwrap();
    main().unwrap();
    main().unwrap();
}

#[test]
fn the_readme_shows_it() {
    let program = include_str!("../examples/order.rs");
    assert!(program.lines().count() <= 25);
    assert!(include_str!("../../../README.md").contains(program), "the README's program differs from examples/order.rs");
}
