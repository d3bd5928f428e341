//! Stories: what is told to a workflow, and what its journal then says.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod story {
    pub mod plans;
    pub mod world;
}

use sayiir_core::workflow::WorkflowStatus;
use story::plans::{N, child, delay, fork, plan, repeat, repeat_or_exit, retried, route, signal, t};
use story::world::World;

/// Tells the commands one after the other; the log must read as expected. Then again with a crash, and
/// again with a pause and its end, after each of the commands in turn: it must read the same.
#[track_caller]
fn story(nodes: &[N], commands: &str, expected: &str) -> World {
    let commands: Vec<_> = commands.split(';').map(str::trim).filter(|command| !command.is_empty()).collect();
    let started = commands.iter().position(|command| command.starts_with("start")).map_or(commands.len(), |at| at + 1);
    for disturbance in [&["crash"][..], &["pause", "unpause"]] {
        for at in started..=commands.len() {
            let disturbed: Vec<_> = commands[..at].iter().chain(disturbance).chain(&commands[at..]).copied().collect();
            let world = tell(nodes, &disturbed);
            assert_eq!(without_pauses(&world.log), without_pauses(&[expected.to_owned()]), "after: {}", disturbed.join("; "));
        }
    }
    tell_once(nodes, &commands, expected)
}

/// The same without the disturbances, for what depends on them.
#[track_caller]
fn story_once(nodes: &[N], commands: &str, expected: &str) -> World {
    let commands: Vec<_> = commands.split(';').map(str::trim).filter(|command| !command.is_empty()).collect();
    tell_once(nodes, &commands, expected)
}

#[track_caller]
fn tell_once(nodes: &[N], commands: &[&str], expected: &str) -> World {
    let world = tell(nodes, commands);
    assert_eq!(world.log.join(", "), expected, "after: {}", commands.join("; "));
    world
}

fn tell(nodes: &[N], commands: &[&str]) -> World {
    let mut world = World::new(plan(nodes));
    for command in commands {
        world.tell(command);
    }
    world
}

fn without_pauses(log: &[String]) -> String {
    let log = log.join(", ");
    log.split(", ").filter(|line| !line.starts_with("pause") && !line.starts_with("unpause")).collect::<Vec<_>>().join(", ")
}

#[test]
fn tasks_run_in_order_and_hand_on_their_values() {
    story(&[t("a")], "start 1; ok a=2", "a#1 ok, completed 2");
    story(&[t("a"), t("b"), t("c")], "start 1; ok a=2; ok b=3; ok c=4", "a#1 ok, b#1 ok, c#1 ok, completed 4");
    let world = story(&[t("a"), t("b")], "start 1; ok a=2", "a#1 ok");
    assert_eq!(world.input_of("b"), "2");
    let world = story(&[t("a")], "start 7", "");
    assert_eq!(world.input_of("a"), "7");
}

#[test]
fn one_task_stands_at_many_nodes() {
    story(&[t("a"), t("a"), t("a")], "start; ok a=1; ok a#2=2; ok a#3=3", "a#1 ok, a#2#1 ok, a#3#1 ok, completed 3");
}

#[test]
fn failures_are_retried_as_the_policy_says() {
    let nodes = [retried("a", 2), t("b")];
    story(&nodes, "start; fail a; tick 1s; ok a=2; ok b=3", "a#1 failed, a#2 ok, b#1 ok, completed 3");
    story(&nodes, "start; fail a; tick 1s; fail a; tick 2s; ok a=2; ok b=3", "a#1 failed, a#2 failed, a#3 ok, b#1 ok, completed 3");
    story(&nodes, "start; fail a; tick 1s; fail a; tick 2s; fail a=gone", "a#1 failed, a#2 failed, failed: a: attempt 3 failed: gone");
    // Before the backoff is over nothing runs, also after a crash.
    let world = story(&nodes, "start; fail a; tick 500ms", "a#1 failed");
    assert!(world.running().is_empty());
    assert_eq!(world.status(), WorkflowStatus::InProgress);
    let world = story(&nodes, "start; fail a; crash; tick 500ms", "a#1 failed");
    assert!(world.running().is_empty());
    story(&nodes, "start; fail a; crash; tick 1s; ok a; ok b", "a#1 failed, a#2 ok, b#1 ok, completed b");
}

#[test]
fn attempts_begin_anew_at_the_next_node() {
    let nodes = [retried("a", 1), retried("b", 1)];
    story(&nodes, "start; fail a; tick 1s; ok a; fail b; tick 1s; ok b", "a#1 failed, a#2 ok, b#1 failed, b#2 ok, completed b");
}

#[test]
fn some_errors_are_not_worth_retrying_and_some_say_when() {
    story(&[retried("a", 5)], "start; fatal a=no card", "failed: a: attempt 1 failed: no card");
    story(&[t("a")], "start; fail a=x", "failed: a: attempt 1 failed: x");
    let nodes = [retried("a", 1)];
    let world = story(&nodes, "start; later a=1h; tick 59m", "a#1 failed");
    assert!(world.running().is_empty());
    story(&nodes, "start; later a=1h; tick 1h; ok a", "a#1 failed, a#2 ok, completed a");
    story(&nodes, "start; later a=1h; tick 1h; later a=1h", "a#1 failed, failed: a: attempt 2 failed: busy");
}

#[test]
fn a_crash_repeats_only_what_was_not_stored() {
    story(&[t("a"), t("b")], "start; crash; ok a; crash; crash; ok b", "a#1 ok, b#1 ok, completed b");
}

#[test]
fn a_task_that_kills_its_workers_fails_its_instance() {
    let crashes = "crash; ".repeat(5);
    let world = story_once(&[t("a")], &format!("start; {crashes}"), "");
    assert_eq!(world.running(), ["a"]);
    story_once(&[t("a")], &format!("start; {crashes} crash"), "failed: a: its worker was lost 6 times in a row; it is not started again");
    // A stored step ends the count.
    let crashes = "crash; ".repeat(4);
    story_once(&[t("a"), t("b")], &format!("start; {crashes} ok a; {crashes} ok b"), "a#1 ok, b#1 ok, completed b");
}

#[test]
fn a_task_stores_parts_of_itself_and_runs_on() {
    let nodes = [retried("a", 1), t("b")];
    let told = "a/x#1 stored, a/y%2Fz#1 stored, a#1 ok, b#1 ok, completed 3";
    let world = story(&nodes, "start 1; part a:x=7; part a:y/z=8; ok a=2; ok b=3", told);
    assert!(world.running().is_empty());
    let world = story(&nodes, "start 1; part a:x=7", "a/x#1 stored");
    assert_eq!((world.running(), world.input_of("a")), (vec!["a".to_owned()], "1".to_owned()), "the task still has its own input");
    // A part belongs to its attempt, and ends the count of lost owners.
    story(
        &nodes,
        "start; part a:x; fail a; tick 1s; part a:y; ok a; ok b",
        "a/x#1 stored, a#1 failed, a/y#2 stored, a#2 ok, b#1 ok, completed b",
    );
    let crashes = "crash; ".repeat(4);
    story_once(&nodes, &format!("start; {crashes} part a:x; {crashes} ok a"), "a/x#1 stored, a#1 ok");
    // Also where there is more than a task: joins, key tasks, loops.
    let nodes = [fork("j", vec![("x", vec![t("p")]), ("y", vec![t("q")])])];
    story(
        &nodes,
        "start; ok j/x/p; part j/y/q:s; ok j/y/q; part j:s; ok j=1",
        "j/x/p#1 ok, j/y/q/s#1 stored, j/y/q#1 ok, j/s#1 stored, j#1 joined, completed 1",
    );
}

#[test]
fn forks_run_side_by_side_and_join() {
    let nodes = [t("a"), fork("j", vec![("x", vec![t("p")]), ("y", vec![t("q"), t("r")])]), t("z")];
    let world = story(&nodes, "start; ok a=1", "a#1 ok");
    assert_eq!(world.running(), ["j/x/p", "j/y/q"]);
    assert_eq!((world.input_of("j/x/p"), world.input_of("j/y/q")), ("1".to_owned(), "1".to_owned()));
    let world = story(&nodes, "start; ok a=1; ok j/y/q=2; ok j/y/r=3; ok j/x/p=4", "a#1 ok, j/y/q#1 ok, j/y/r#1 ok, j/x/p#1 ok");
    assert_eq!(world.input_of("j"), "x:4 y:3");
    story(
        &nodes,
        "start; ok a; ok j/x/p; ok j/y/q; ok j/y/r; ok j=5; ok z=6",
        "a#1 ok, j/x/p#1 ok, j/y/q#1 ok, j/y/r#1 ok, j#1 joined, z#1 ok, completed 6",
    );
}

#[test]
fn a_fork_may_be_first_last_single_and_nested() {
    story(&[fork("j", vec![("x", vec![t("p")])])], "start; ok j/x/p; ok j=1", "j/x/p#1 ok, j#1 joined, completed 1");
    let inner = fork("in", vec![("u", vec![t("p")]), ("v", vec![t("p")])]);
    let nodes = [fork("out", vec![("x", vec![inner.clone(), t("q")]), ("y", vec![inner])])];
    let world = story(&nodes, "start", "");
    assert_eq!(world.running(), ["out/x/in/u/p", "out/x/in/v/p", "out/y/in/u/p", "out/y/in/v/p"]);
    let world = story(
        &nodes,
        "start; ok out/x/in/u/p=1; ok out/x/in/v/p=2; ok out/x/in=3; ok out/x/q=4; ok out/y/in/u/p=5; ok out/y/in/v/p=6; ok out/y/in=7",
        "out/x/in/u/p#1 ok, out/x/in/v/p#1 ok, out/x/in#1 joined, out/x/q#1 ok, out/y/in/u/p#1 ok, out/y/in/v/p#1 ok, out/y/in#1 joined",
    );
    assert_eq!(world.input_of("out"), "x:4 y:7");
}

#[test]
fn a_branch_that_fails_for_good_ends_the_run() {
    let nodes = [fork("j", vec![("x", vec![t("p")]), ("y", vec![t("q")])])];
    story_once(&nodes, "start; fatal j/x/p=no; ok j/y/q", "failed: j/x/p: attempt 1 failed: no, j/y/q refused: Ended");
}

#[test]
fn branches_survive_crashes_one_by_one() {
    let nodes = [fork("j", vec![("x", vec![t("p")]), ("y", vec![t("q")])])];
    let world = story(&nodes, "start; ok j/x/p=1; crash", "j/x/p#1 ok");
    assert_eq!(world.running(), ["j/y/q"]);
    story(&nodes, "start; ok j/x/p=1; crash; ok j/y/q=2; crash; ok j=3", "j/x/p#1 ok, j/y/q#1 ok, j#1 joined, completed 3");
}

#[test]
fn joins_and_branches_are_retried_like_any_task() {
    let nodes = [fork("j", vec![("x", vec![retried("p", 1)])])];
    story(&nodes, "start; fail j/x/p; tick 1s; ok j/x/p; fatal j=no", "j/x/p#1 failed, j/x/p#2 ok, failed: j: attempt 1 failed: no");
}

#[test]
fn routes_take_the_arm_of_their_key() {
    let nodes = [t("a"), route("r", vec![("k", vec![t("p")]), ("l", vec![t("q")])], Some(vec![t("d")])), t("z")];
    let world = story(&nodes, "start; ok a=1; ok r=k", "a#1 ok, r -> k");
    assert_eq!(world.input_of("r/k/p"), "1");
    let world = story(&nodes, "start; ok a=1; ok r=l; ok r/l/q=2", "a#1 ok, r -> l, r/l/q#1 ok");
    assert_eq!(world.input_of("z"), "l(2)");
    let world =
        story(&nodes, "start; ok a=1; ok r=else/[x]; ok r/*[else%2F%5Bx%5D]/d=2", "a#1 ok, r -> else/[x], r/*[else%2F%5Bx%5D]/d#1 ok");
    assert_eq!(world.input_of("z"), "else/[x](2)");
    story(&nodes, "start; ok a; ok r=k; crash; ok r/k/p=3; ok z=4", "a#1 ok, r -> k, r/k/p#1 ok, z#1 ok, completed 4");
}

#[test]
fn a_route_without_an_arm_for_its_key_fails_with_its_name() {
    let nodes = [route("r", vec![("k", vec![t("p")])], None)];
    story(&nodes, "start; ok r=m", "failed: the route at \"r\" has no branch for the key \"m\", and no default branch");
    let long = "m".repeat(300);
    let nodes = [route("r", vec![("k", vec![t("p")])], Some(vec![t("d")]))];
    story(&nodes, &format!("start; ok r={long}"), "failed: r: a route's key has at most 256 bytes, this one has 300");
}

#[test]
fn loops_run_until_done() {
    let nodes = [repeat("l", vec![t("p")], 3), t("z")];
    let world = story(&nodes, "start 0; ok l[0]/p=again 1; ok l[1]/p=done 2", "l[0]/p#1 ok, l[1]/p#1 ok");
    assert_eq!(world.input_of("z"), "2");
    let world = story(&nodes, "start 0; ok l[0]/p=again 1", "l[0]/p#1 ok");
    assert_eq!(world.input_of("l[1]/p"), "1");
    story(
        &nodes,
        "start; ok l[0]/p=again 1; crash; ok l[1]/p=again 2; ok l[2]/p=again 3",
        "l[0]/p#1 ok, l[1]/p#1 ok, failed: the loop \"l\" was not done after 3 iterations",
    );
    let nodes = [repeat_or_exit("l", vec![t("p")], 2)];
    story(&nodes, "start; ok l[0]/p=again 1; ok l[1]/p=again 2", "l[0]/p#1 ok, l[1]/p#1 ok, completed 2");
    story(&nodes, "start; ok l[0]/p=what", "failed: l: what the loop's body gave is no loop result: \"what\" is neither again nor done");
}

#[test]
fn loops_nest_and_hold_any_node() {
    let nodes = [repeat("o", vec![repeat("i", vec![t("p")], 9), t("q")], 9)];
    story(
        &nodes,
        "start; ok o[0]/i[0]/p=again 1; ok o[0]/i[1]/p=done 2; ok o[0]/q=again 3; ok o[1]/i[0]/p=done 4; ok o[1]/q=done 5",
        "o[0]/i[0]/p#1 ok, o[0]/i[1]/p#1 ok, o[0]/q#1 ok, o[1]/i[0]/p#1 ok, o[1]/q#1 ok, completed 5",
    );
    // The inner loop ends the outer one's body: what it hands on is the outer one's loop result.
    let nodes = [repeat("o", vec![repeat("i", vec![t("p")], 9)], 9)];
    story(&nodes, "start; ok o[0]/i[0]/p=done again 1; ok o[1]/i[0]/p=done done 2", "o[0]/i[0]/p#1 ok, o[1]/i[0]/p#1 ok, completed 2");
    let nodes = [repeat("l", vec![fork("j", vec![("x", vec![t("p")]), ("y", vec![delay("d", 60)])])], 3)];
    story(
        &nodes,
        "start; ok l[0]/j/x/p; tick 1m; ok l[0]/j=again 1; tick 30s; ok l[1]/j/x/p; crash; tick 30s; ok l[1]/j=done 2",
        "l[0]/j/x/p#1 ok, l[0]/j/y/d over, l[0]/j#1 joined, l[1]/j/x/p#1 ok, l[1]/j/y/d over, l[1]/j#1 joined, completed 2",
    );
}

#[test]
fn delays_wait_their_time_and_hand_on_what_came() {
    let world = story(&[t("a"), delay("d", 3600), t("z")], "start; ok a=1; tick 59m", "a#1 ok");
    assert!(matches!(world.status(), WorkflowStatus::Waiting { delay_id, .. } if delay_id == "d"));
    let world = story(&[t("a"), delay("d", 3600), t("z")], "start; ok a=1; tick 59m; crash; tick 1m", "a#1 ok, d over");
    assert_eq!(world.input_of("z"), "1");
    story(&[delay("d", 1)], "start 5; tick 1s", "d over, completed 5");
    story(&[delay("d", 0)], "start 5", "d over, completed 5");
    story(&[delay("d", 1), delay("e", 1)], "start 5; tick 1s; tick 1s", "d over, e over, completed 5");
    story(&[delay("d", 31_622_400_000)], "start 5; tick 100000d", "");
}

#[test]
fn events_come_before_or_after_the_wait() {
    let nodes = [t("a"), signal("s", "go", None), t("z")];
    let world = story(&nodes, "start; ok a; event go=yes", "a#1 ok, s got yes");
    assert_eq!(world.input_of("z"), "yes");
    story(&nodes, "start; event go=yes; ok a", "a#1 ok, s got yes");
    story(&nodes, "event go=early; start; ok a; ok z", "a#1 ok, s got early, z#1 ok, completed z");
}

#[test]
fn events_are_used_once_and_in_order() {
    let nodes = [signal("s", "go", None), signal("u", "go", None), signal("v", "other", None)];
    story(&nodes, "start; event go=1; event go=2; event other=3", "s got 1, u got 2, v got 3, completed 3");
    story(&nodes, "start; event other=3; event go=1; crash; event go=2", "s got 1, u got 2, v got 3, completed 3");
    let nodes = [fork("j", vec![("x", vec![signal("s", "go", None)]), ("y", vec![signal("s", "go", None)])])];
    let world = story(&nodes, "start; event go=1", "j/x/s got 1");
    assert!(matches!(world.status(), WorkflowStatus::AwaitingSignal { signal_id, .. } if signal_id == "j/y/s"));
    story(&nodes, "start; event go=1; event go=2; ok j", "j/x/s got 1, j/y/s got 2, j#1 joined, completed j");
}

#[test]
fn waits_for_events_time_out() {
    let nodes = [signal("s", "go", Some(60)), t("z")];
    let world = story(&nodes, "start; tick 1m", "s timed out");
    assert_eq!(world.input_of("z"), "none");
    story(&nodes, "start; tick 30s; crash; tick 30s; ok z", "s timed out, z#1 ok, completed z");
    story(&nodes, "start; tick 59s; event go=1; ok z", "s got 1, z#1 ok, completed z");
    // What comes after the timeout stays for a later wait.
    let nodes = [signal("s", "go", Some(60)), signal("u", "go", None)];
    story(&nodes, "start; tick 2m; event go=1", "s timed out, u got 1, completed 1");
    story(&[signal("s", "go", Some(0))], "start", "s timed out, completed none");
}

#[test]
fn a_bad_event_fails_the_run_with_the_name_of_the_signal() {
    story(&[signal("s", "go", None)], "start; event go=!", "failed: s: the payload of signal \"go\" cannot be read: a bad payload");
}

#[test]
fn pausing_holds_and_unpausing_goes_on() {
    let nodes = [t("a"), t("b")];
    let world = story_once(&nodes, "start; pause; ok a=1", "pause, a#1 ok");
    assert!(world.running().is_empty());
    assert!(matches!(world.status(), WorkflowStatus::Paused { .. }));
    story_once(&nodes, "start; pause; ok a=1; tick 1h; unpause; ok b=2", "pause, a#1 ok, unpause, b#1 ok, completed 2");
    story_once(&nodes, "start; pause; unpause; ok a; ok b", "pause, unpause, a#1 ok, b#1 ok, completed b");
    story_once(&nodes, "start; pause; crash; tick 1h; unpause; ok a; ok b", "pause, unpause, a#1 ok, b#1 ok, completed b");
    story_once(&[t("a")], "start; pause; ok a=1", "pause, a#1 ok, completed 1");
}

#[test]
fn a_pause_holds_delays_events_backoffs_forks_and_joins() {
    story_once(&[delay("d", 60)], "start 1; pause; tick 2m; unpause", "pause, unpause, d over, completed 1");
    story_once(&[delay("d", 60)], "start 1; pause; unpause; tick 59s", "pause, unpause");
    story_once(&[signal("s", "go", None)], "start; pause; event go=1; tick 1m; unpause", "pause, unpause, s got 1, completed 1");
    story_once(&[signal("s", "go", Some(60))], "start; pause; tick 2m; unpause", "pause, unpause, s timed out, completed none");
    // An event that arrived by the deadline beats the timeout, however late it is looked at.
    story_once(
        &[signal("s", "go", Some(60))],
        "start; pause; tick 30s; event go=1; tick 2m; unpause",
        "pause, unpause, s got 1, completed 1",
    );
    story_once(&[retried("a", 1)], "start; fail a; pause; tick 1m; unpause; ok a", "a#1 failed, pause, unpause, a#2 ok, completed a");
    let nodes = [t("a"), fork("j", vec![("x", vec![t("p")]), ("y", vec![t("q")])])];
    story_once(
        &nodes,
        "start; pause; ok a; unpause; ok j/x/p; pause; ok j/y/q; tick 1m; unpause; ok j",
        "pause, a#1 ok, unpause, j/x/p#1 ok, pause, j/y/q#1 ok, unpause, j#1 joined, completed j",
    );
}

#[test]
fn a_cancel_works_everywhere_and_ends_the_run_at_once() {
    let world = story_once(&[t("a")], "start; cancel; ok a", "cancel, a refused: Ended");
    assert!(matches!(world.status(), WorkflowStatus::Cancelled { .. }));
    assert_eq!(world.branches(), 0);
    for (node, name) in
        [(delay("d", 60), "delay"), (signal("s", "go", None), "signal"), (fork("j", vec![("x", vec![delay("d", 9)])]), "fork")]
    {
        let world = story_once(&[node], "start; cancel; tick 2m", "cancel");
        assert!(matches!(world.status(), WorkflowStatus::Cancelled { .. }), "{name}");
    }
    story_once(&[t("a")], "start; pause; cancel", "pause, cancel");
    story_once(&[retried("a", 3)], "start; fail a; cancel; tick 1h", "a#1 failed, cancel");
    story_once(&[t("a")], "start; cancel; cancel", "cancel, cancel already");
}

#[test]
fn a_replaced_run_writes_nothing_more() {
    story(&[t("a")], "start 1; start 2; tick 11s", "");
    let world = story(&[t("a"), t("b")], "start 1; ok a=1; start 2", "a#1 ok");
    assert!(world.running().contains(&"a".to_owned()));
}

#[test]
fn children_are_inlined_under_their_name() {
    let nodes = [t("a"), child("c", vec![t("a"), t("b")]), t("b")];
    story(&nodes, "start; ok a=1; ok c/a=2; ok c/b=3; ok b=4", "a#1 ok, c/a#1 ok, c/b#1 ok, b#1 ok, completed 4");
    let nodes = [child("c", vec![child("d", vec![repeat("l", vec![t("p")], 2)])])];
    story(&nodes, "start; ok c/d/l[0]/p=done 1", "c/d/l[0]/p#1 ok, completed 1");
}

#[test]
fn a_signal_in_an_arm_in_a_loop() {
    let nodes = [repeat("l", vec![t("a"), route("r", vec![("w", vec![signal("s", "go", None)]), ("n", vec![t("n")])], None), t("z")], 5)];
    story(
        &nodes,
        "start; ok l[0]/a; ok l[0]/r=w; crash; event go=1; ok l[0]/z=again 1; ok l[1]/a; event go=2; ok l[1]/r=w; ok l[1]/z=done 3",
        "l[0]/a#1 ok, l[0]/r -> w, l[0]/r/w/s got 1, l[0]/z#1 ok, l[1]/a#1 ok, l[1]/r -> w, l[1]/r/w/s got 2, l[1]/z#1 ok, completed 3",
    );
    let world = story(&nodes, "start; event go=7; ok l[0]/a; ok l[0]/r=w", "l[0]/a#1 ok, l[0]/r -> w, l[0]/r/w/s got 7");
    assert_eq!(world.input_of("l[0]/z"), "w(7)");
}

#[test]
fn a_delay_after_a_join_and_at_the_end_of_a_branch() {
    let nodes = [fork("j", vec![("x", vec![t("p"), delay("d", 5)]), ("y", vec![t("q")])]), delay("e", 5)];
    let world = story(&nodes, "start; ok j/x/p=1; ok j/y/q=2; tick 5s", "j/x/p#1 ok, j/y/q#1 ok, j/x/d over");
    assert_eq!(world.input_of("j"), "x:1 y:2");
    story(
        &nodes,
        "start; ok j/x/p; ok j/y/q; crash; tick 5s; crash; ok j=9; crash; tick 5s",
        "j/x/p#1 ok, j/y/q#1 ok, j/x/d over, j#1 joined, e over, completed 9",
    );
}
