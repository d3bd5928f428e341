//! Where a run begins anew, read from journals as stores tell them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use sayiir_core::branch::{BranchId, Head, JournalRef, Phase, RunNumber};
use sayiir_core::journal::EntryKind::{self, *};
use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;
use sayiir_engine::{RewindError, RewindPoint, rewind_point};

fn row(branch: &BranchId, revision: u64, kind: EntryKind, node: &str) -> JournalRow {
    JournalRow {
        run: RunNumber(1),
        branch: branch.clone(),
        revision,
        lease: None,
        kind,
        node: Arc::from(node),
        attempt: 1,
        output: None,
        handed_on: None,
        same_as: None,
        error: None,
        at: Timestamp::from_micros(0),
    }
}

/// The root branch's rows, from revision 1 on.
fn root(rows: &[(EntryKind, &str)]) -> Vec<JournalRow> {
    (1..).zip(rows).map(|(revision, (kind, node))| row(&BranchId::root(), revision, *kind, node)).collect()
}

fn standing(node: &str, phase: Phase) -> Head {
    Head { node: Arc::from(node), phase, attempt: 0, input: JournalRef::instance_input(), fork_revision: 0 }
}

/// The node, the last row that is kept, and the revision of the row that holds the input.
fn point(journal: &[JournalRow], root: Option<&Head>, to: &str) -> Result<(String, u64, u64), RewindError> {
    rewind_point(journal, root, to).map(|RewindPoint { node, keep, input }| {
        assert_eq!(input.branch, BranchId::root());
        (node.to_string(), keep, input.revision)
    })
}

#[allow(clippy::unnecessary_wraps, reason = "it is what is compared with")]
fn ok(node: &str, keep: u64, input: u64) -> Result<(String, u64, u64), RewindError> {
    Ok((node.to_owned(), keep, input))
}

#[test]
fn a_run_begins_anew_behind_the_row_that_came_to_the_node() {
    let journal = root(&[(Started, "a"), (TaskCompleted, "a"), (AttemptFailed, "b"), (TaskCompleted, "b"), (TaskCompleted, "c")]);
    assert_eq!(point(&journal, None, "a"), ok("a", 1, 1));
    assert_eq!(point(&journal, None, "b"), ok("b", 2, 2));
    assert_eq!(point(&journal, None, "c"), ok("c", 4, 4));
    let never = Err(RewindError::NotReached { node: "d".to_owned() });
    assert_eq!(point(&journal, None, "d"), never);
    assert_eq!(point(&journal, None, ""), Err(RewindError::NotReached { node: String::new() }));
}

#[test]
fn what_stores_nothing_is_found_by_where_the_root_branch_stands() {
    let journal = root(&[(Started, "a"), (TaskCompleted, "a")]);
    assert_eq!(point(&journal, None, "b"), Err(RewindError::NotReached { node: "b".to_owned() }));
    assert_eq!(point(&journal, Some(&standing("b", Phase::At)), "b"), ok("b", 2, 2));
    let begun = root(&[(Started, "a")]);
    assert_eq!(point(&begun, Some(&standing("a", Phase::Start)), "a"), ok("a", 1, 1));
    assert_eq!(point(&begun, None, "a"), ok("a", 1, 1), "cancelled before anything was stored");
}

#[test]
fn waits_failures_and_control_move_no_branch() {
    let waits =
        [(Started, "a"), (TaskCompleted, "a"), (SignalAwaited, "w"), (SignalTimedOut, "w"), (DelayStarted, "n"), (DelayElapsed, "n")];
    let mut journal = root(&waits);
    journal.push(row(&BranchId::control(), 1, Paused, ""));
    journal.push(row(&BranchId::control(), 2, Unpaused, ""));
    journal.push(row(&BranchId::root(), 7, Failed, "c"));
    journal.push(row(&BranchId::root(), 8, Retried, "c"));
    journal.push(row(&BranchId::root(), 9, SubStepCompleted, "c/part"));
    assert_eq!(point(&journal, None, "w"), ok("w", 2, 2));
    assert_eq!(point(&journal, None, "n"), ok("n", 4, 4));
    assert_eq!(point(&journal, None, "c"), ok("c", 6, 6));
    assert_eq!(point(&journal, None, "c/part"), Err(RewindError::NotReached { node: "c/part".to_owned() }), "a part of a task is no node");
}

#[test]
fn a_loop_begins_at_its_first_round_and_a_named_one_at_that() {
    let journal =
        root(&[(Started, "l[0]/x"), (TaskCompleted, "l[0]/x"), (TaskCompleted, "l[1]/x"), (TaskCompleted, "l[2]/x"), (TaskCompleted, "z")]);
    for whole in ["l", "l/x", "l[0]/x"] {
        assert_eq!(point(&journal, None, whole), ok("l[0]/x", 1, 1), "{whole}");
    }
    assert_eq!(point(&journal, None, "l[2]/x"), ok("l[2]/x", 3, 3));
    assert_eq!(point(&journal, None, "l[9]/x"), Err(RewindError::NotReached { node: "l[9]/x".to_owned() }));
    assert_eq!(point(&journal, None, "z"), ok("z", 4, 4));
}

#[test]
fn a_node_is_not_another_whose_name_begins_alike() {
    let journal = root(&[(Started, "pay"), (TaskCompleted, "pay"), (TaskCompleted, "payout"), (TaskCompleted, "pay2/deep")]);
    assert_eq!(point(&journal, None, "payout"), ok("payout", 2, 2));
    assert_eq!(point(&journal, None, "pay2"), ok("pay2/deep", 3, 3), "an inlined workflow begins at its first node");
    assert_eq!(point(&journal, None, "payo"), Err(RewindError::NotReached { node: "payo".to_owned() }));
}

#[test]
fn a_route_hands_on_its_own_input() {
    let journal = root(&[(Started, "a"), (TaskCompleted, "a"), (RouteTaken, "r"), (RouteTaken, "r/x/q"), (TaskCompleted, "r/x/q/y/t")]);
    assert_eq!(point(&journal, None, "r"), ok("r", 2, 2));
    assert_eq!(point(&journal, None, "r/x/q/y/t"), ok("r/x/q/y/t", 4, 2), "both choices are kept; the input is from before them");
}

#[test]
fn a_fork_is_a_node_and_what_stands_inside_it_is_none() {
    let child = BranchId::root().child(3, 0);
    let mut journal = root(&[(Started, "a"), (TaskCompleted, "a"), (Forked, "f")]);
    journal.push(row(&child, 2, TaskCompleted, "f/left"));
    let inside = |fork: Option<&str>| Err(RewindError::InsideFork { node: "f/left".to_owned(), fork: fork.map(Arc::from) });
    let joining = standing("f", Phase::Joining);
    assert_eq!(point(&journal, Some(&joining), "f"), ok("f", 2, 2));
    assert_eq!(point(&journal, Some(&joining), "f/left"), inside(Some("f")));
    journal.push(row(&BranchId::root(), 5, JoinCompleted, "f"));
    assert_eq!(point(&journal, None, "f"), ok("f", 2, 2));
    assert_eq!(point(&journal, None, "f/left"), inside(Some("f")));
    // In a loop the fork is told without its round.
    let mut looped = root(&[(Started, "l[0]/f"), (Forked, "l[0]/f")]);
    looped.push(row(&BranchId::root().child(2, 0), 2, TaskCompleted, "l[0]/f/left"));
    let told = RewindError::InsideFork { node: "l/f/left".to_owned(), fork: Some(Arc::from("l/f")) };
    assert_eq!(point(&looped, None, "l/f/left"), Err(told));
}

#[test]
fn a_rewound_or_imported_run_is_rewound_again_from_the_row_that_put_it_there() {
    let mut journal = root(&[(Started, "a"), (TaskCompleted, "a"), (Rewound, "b")]);
    assert_eq!(point(&journal, Some(&standing("b", Phase::At)), "b"), ok("b", 3, 3));
    journal.push(row(&BranchId::root(), 4, TaskCompleted, "b"));
    assert_eq!(point(&journal, None, "b"), ok("b", 3, 3));
    assert_eq!(point(&journal, None, "a"), ok("a", 1, 1));
    let imported = root(&[(Started, "a"), (TaskCompleted, "a"), (TaskCompleted, "b"), (Imported, "c")]);
    assert_eq!(point(&imported, None, "c"), ok("c", 4, 4));
    assert_eq!(point(&imported, None, "b"), ok("b", 2, 2));
}

#[test]
fn the_order_in_which_a_store_tells_rows_of_one_branch_does_not_matter() {
    let mut journal = root(&[(Started, "a"), (TaskCompleted, "a"), (TaskCompleted, "b")]);
    journal.reverse();
    assert_eq!(point(&journal, None, "b"), ok("b", 2, 2));
}
