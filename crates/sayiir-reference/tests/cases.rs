//! The generator covers what it is to cover, and a wrong answer is noticed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;

use sayiir_reference::{Arrival, Bench, Case, Control, DEPTH, Driver, How, Node, StoreKind, Trouble, case, interpret};

/// What a case has in it.
fn features(nodes: &[Node], depth: usize, found: &mut BTreeSet<String>) {
    let inside = |found: &mut BTreeSet<String>, nodes: &[Node]| features(nodes, depth + 1, found);
    found.insert(format!("depth {depth}"));
    for node in nodes {
        match node {
            Node::Task { id: _, trouble } => troubled(*trouble, "task", found),
            Node::Fork { id: _, branches, trouble } => {
                troubled(*trouble, "join", found);
                for branch in branches {
                    inside(found, branch);
                }
            }
            Node::Route { id: _, arms, default } => {
                found.insert(format!("route, default {}", default.is_some()));
                for arm in arms.iter().chain(default) {
                    inside(found, arm);
                }
            }
            Node::Loop { id: _, body, rounds, most, exit_with_last } => {
                found.insert(format!("loop, over {}, exits {exit_with_last}", rounds > most));
                inside(found, body);
            }
            Node::Delay { id: _ } => drop(found.insert("delay".to_owned())),
            Node::Signal { id: _, event: _, arrival } => drop(found.insert(format!("signal {arrival:?}"))),
            Node::Child { id: _, nodes } => {
                found.insert("child".to_owned());
                inside(found, nodes);
            }
        }
    }
}

fn troubled(trouble: Trouble, what: &str, found: &mut BTreeSet<String>) {
    let how = if trouble.attempts == 0 { "well".to_owned() } else { format!("{:?}, fatal {}", trouble.how, trouble.is_fatal()) };
    found.insert(format!("{what} {how}"));
}

#[test]
fn three_hundred_cases_have_everything_in_them() {
    let mut found = BTreeSet::new();
    for number in 0..300 {
        let Case { nodes, input: _, control } = case(17, number);
        features(&nodes, 0, &mut found);
        found.insert(match control {
            Control::None => "left alone".to_owned(),
            Control::Pause(_) => "paused".to_owned(),
            Control::Cancel(_) => "cancelled".to_owned(),
        });
    }
    let hows = [How::Error, How::Panic, How::Hang];
    let mut expected: BTreeSet<String> =
        hows.iter().flat_map(|how| [true, false].map(|fatal| format!("task {how:?}, fatal {fatal}"))).collect();
    expected.extend(hows.map(|how| format!("join {how:?}, fatal false")));
    expected.extend((0..=DEPTH).map(|depth| format!("depth {depth}")));
    expected.extend([Arrival::Before, Arrival::Waiting, Arrival::Never].map(|arrival| format!("signal {arrival:?}")));
    expected.extend([true, false].map(|default| format!("route, default {default}")));
    expected.extend(["loop, over true, exits true", "loop, over true, exits false", "loop, over false, exits true"].map(str::to_owned));
    expected.extend(["delay", "child", "left alone", "paused", "cancelled", "task ForGood, fatal true"].map(str::to_owned));
    let missing: Vec<_> = expected.difference(&found).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_seed_decides_a_case() {
    assert_eq!(case(3, 5), case(3, 5));
    assert_ne!(case(3, 5), case(3, 6));
    assert_ne!(case(3, 5), case(4, 5));
}

#[test]
fn the_reference_of_a_small_case_is_what_it_is_by_hand() {
    let task = |id| Node::Task { id, trouble: Trouble::NONE };
    let nodes = [Node::Loop { id: 1, body: vec![task(2)], rounds: 2, most: 5, exit_with_last: false }, task(3)];
    let reference = interpret(&nodes, 10);
    let mix = sayiir_reference::mix;
    assert_eq!(reference.output, Some(mix(3, mix(1, mix(2, mix(1, mix(2, 10)))))));
    let steps: Vec<_> = reference.steps.iter().map(|(name, at)| format!("{name}{at:?}")).collect();
    assert_eq!(steps, ["g1[0]", "g1[1]", "t2[0]", "t2[1]", "t3[]"]);
}

/// A bench whose case differs from the workflow's by what `change` does must say so.
async fn is_noticed(nodes: Vec<Node>, change: impl FnOnce(&mut Case)) {
    let case = Case { nodes, input: 1, control: Control::None };
    let mut wrong = case.clone();
    change(&mut wrong);
    for driver in Driver::STORED {
        let bench = Bench::new(&case, StoreKind::Memory).await.unwrap();
        assert!(bench.run(driver, None, 1).await.is_ok());
        let bench = Bench::with_reference_of(&case, &wrong, StoreKind::Memory).await.unwrap();
        assert!(bench.run(driver, None, 1).await.is_err(), "{driver:?} passes for {wrong}");
    }
}

#[tokio::test]
async fn what_differs_from_the_reference_is_noticed() {
    let task = |id| Node::Task { id, trouble: Trouble::NONE };
    is_noticed(vec![task(1), task(2)], |case| case.nodes.truncate(1)).await;
    is_noticed(vec![task(1), task(2)], |case| case.nodes.push(task(3))).await;
    is_noticed(vec![task(1)], |case| case.input = 2).await;
    let fatal = Trouble { attempts: 1, how: How::ForGood, retries: 0 };
    is_noticed(vec![task(1)], |case| case.nodes = vec![Node::Task { id: 1, trouble: fatal }]).await;
    is_noticed(vec![Node::Task { id: 1, trouble: fatal }], |case| case.nodes = vec![task(1)]).await;
}
