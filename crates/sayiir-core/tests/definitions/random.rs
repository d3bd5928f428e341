//! Random definitions, and random changes of them.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use sayiir_core::loop_result::MaxIterationsPolicy;
use sayiir_core::plan::{Draft, NodeSpec, Plan, TaskSpec};
use sayiir_core::prelude::*;
use sayiir_core::workflow::{Verdict, WorkflowDefinition};

use crate::oracle::{is_read, meaning};

/// A node of a definition in the making. Names and versions are few, so that they meet again.
#[derive(Debug, Clone)]
enum Part {
    Task(u8, u8),
    Delay(u8),
    Signal(u8, u8),
    Fork(u8, Vec<Vec<Part>>),
    Route(u8, Vec<Vec<Part>>, bool),
    Loop(u8, Vec<Part>),
    Child(u8, u8, Vec<Part>),
}

fn part() -> impl Strategy<Value = Part> {
    let leaf = prop_oneof![
        4 => (0..4_u8, 0..2_u8).prop_map(|(id, version)| Part::Task(id, version)),
        1 => (0..3_u8).prop_map(Part::Delay),
        1 => (0..3_u8, 0..2_u8).prop_map(|(id, name)| Part::Signal(id, name)),
    ];
    leaf.prop_recursive(3, 24, 3, |inner| {
        let sequence = prop::collection::vec(inner, 1..4);
        let several = prop::collection::vec(sequence.clone(), 1..4);
        prop_oneof![
            (0..3_u8, several.clone()).prop_map(|(id, branches)| Part::Fork(id, branches)),
            (0..3_u8, several, any::<bool>()).prop_map(|(id, arms, default)| Part::Route(id, arms, default)),
            (0..3_u8, sequence.clone()).prop_map(|(id, body)| Part::Loop(id, body)),
            (0..2_u8, 0..2_u8, sequence).prop_map(|(id, version, nodes)| Part::Child(id, version, nodes)),
        ]
    })
}

fn name(prefix: &str, number: u8) -> String {
    format!("{prefix}{number}")
}

fn task(id: &str, version: u8) -> TaskSpec {
    let version = (version > 0).then(|| version.to_string());
    TaskSpec { task: Arc::from(id), metadata: TaskMetadata { version, ..TaskMetadata::default() } }
}

fn draft(parts: &[Part]) -> Draft {
    let mut all = Draft::new();
    let several = |parts: &[Vec<Part>], prefix: &str| -> Vec<(String, Draft)> {
        parts.iter().enumerate().map(|(at, part)| (format!("{prefix}{at}"), draft(part))).collect()
    };
    for part in parts {
        match part {
            Part::Task(id, version) => drop(all.push_task(&name("t", *id), task(&name("t", *id), *version))),
            Part::Delay(id) => drop(all.push_delay(&name("d", *id), Duration::ZERO)),
            Part::Signal(id, event) => drop(all.push_signal(&name("s", *id), &name("e", *event), None)),
            Part::Fork(id, branches) => {
                let branches = several(branches, "b").into_iter().map(|(name, steps)| (name, collapsed(steps))).collect();
                drop(all.push_fork(&name("j", *id), task(&name("j", *id), 0), branches));
            }
            Part::Route(id, arms, default) => {
                let mut arms = several(arms, "k");
                let default = if *default { arms.pop().map(|(_, steps)| steps) } else { None };
                drop(all.push_route(&name("r", *id), task(&name("r", *id), 0), arms, default));
            }
            Part::Loop(id, body) => drop(all.push_loop(&name("l", *id), collapsed(draft(body)), 3, MaxIterationsPolicy::Fail)),
            Part::Child(id, version, nodes) => {
                let child = draft(nodes).compile(&name("c", *id), &version.to_string()).unwrap();
                let _ = all.push_child(&child);
            }
        }
    }
    all
}

/// A single task shares the path of its branch or loop, as the builder has it.
fn collapsed(steps: Draft) -> Draft {
    let single = steps.len() == 1 && steps.last().and_then(|last| steps.spec(last)).is_some_and(|spec| matches!(spec, NodeSpec::Task(_)));
    if single { steps.collapsed() } else { steps }
}

fn plan(parts: &[Part]) -> Plan {
    draft(parts).compile("w", "1").unwrap()
}

/// The sequence to change: the workflow's own, or one somewhere inside.
fn sequence_at<'a>(parts: &'a mut Vec<Part>, choices: &mut impl Iterator<Item = usize>) -> &'a mut Vec<Part> {
    let at = choices.next().unwrap_or(0);
    let inside = at % (parts.len() + 1);
    if inside == parts.len() || !matches!(parts[inside], Part::Fork(..) | Part::Route(..) | Part::Loop(..) | Part::Child(..)) {
        return parts;
    }
    let which = choices.next().unwrap_or(0);
    match &mut parts[inside] {
        Part::Fork(_, all) | Part::Route(_, all, _) => {
            let which = which % all.len();
            sequence_at(&mut all[which], choices)
        }
        Part::Loop(_, body) | Part::Child(_, _, body) => sequence_at(body, choices),
        Part::Task(..) | Part::Delay(_) | Part::Signal(..) => unreachable!("it contains nothing"),
    }
}

/// Changes one thing somewhere.
fn change(parts: &mut Vec<Part>, how: usize, choices: &[usize], new: Part) {
    let mut choices = choices.iter().copied();
    let sequence = sequence_at(parts, &mut choices);
    let at = choices.next().unwrap_or(0) % sequence.len();
    match how % 5 {
        0 => sequence.insert(at, new),
        1 if sequence.len() > 1 => drop(sequence.remove(at)),
        2 => {
            let to = choices.next().unwrap_or(0) % sequence.len();
            let part = sequence.remove(at);
            sequence.insert(to, part);
        }
        3 => sequence.push(new),
        _ => match &mut sequence[at] {
            Part::Task(_, number) | Part::Signal(_, number) | Part::Child(_, number, _) | Part::Delay(number) | Part::Loop(number, _) => {
                *number = (*number + 1) % 3;
            }
            Part::Fork(_, all) => all.reverse(),
            Part::Route(_, all, default) if all.len() > 1 => *default = !*default,
            Part::Route(id, _, _) => *id += 1,
        },
    }
}

/// An older definition, and a newer one that differs a little, much, or not at all.
fn pair() -> impl Strategy<Value = (Vec<Part>, Vec<Part>)> {
    let changes = prop::collection::vec((0..5_usize, prop::collection::vec(0..12_usize, 6), part()), 0..3);
    (prop::collection::vec(part(), 1..6), changes).prop_map(|(older, changes)| {
        let mut newer = older.clone();
        for (how, choices, new) in changes {
            change(&mut newer, how, &choices, new);
        }
        (older, newer)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_difference_is_found_exactly_where_the_hash_differs((older, newer) in pair()) {
        let (older, newer) = (plan(&older), plan(&newer));
        let (from, to) = (WorkflowDefinition::of(&older), WorkflowDefinition::of(&newer));
        let diff = from.diff(&to);
        prop_assert_eq!(diff.is_empty(), older.hash() == newer.hash(), "{}", diff);
        prop_assert_eq!(from == to, older.hash() == newer.hash(), "a definition holds what the hash covers");
        prop_assert!(!diff.to_string().contains("not kept"), "{}", diff);
        let read: WorkflowDefinition = serde_json::from_str(&serde_json::to_string(&from).unwrap()).unwrap();
        prop_assert_eq!(read, from);
    }

    #[test]
    fn who_can_go_on_stands_where_all_that_matters_is_the_same((older, newer) in pair()) {
        let (older, newer) = (plan(&older), plan(&newer));
        let diff = WorkflowDefinition::of(&older).diff(&WorkflowDefinition::of(&newer));
        for (_, node) in older.iter() {
            // Where a loop and its only task share a path, a branch stands at the task.
            let ix = older.find(&node.path).unwrap();
            let verdict = diff.can_go_on_at(&node.path);
            let same = newer.find(&node.path).is_some_and(|now| meaning(&older, ix) == meaning(&newer, now));
            prop_assert_eq!(verdict == Verdict::Yes, same, "{}: {}; {}", node.path, verdict, diff);
            prop_assert!(!same || is_read(&older, &newer, ix), "{}", node.path);
        }
    }
}

/// The properties above would hold of a verdict that is always no: here it is yes, and no, often.
#[test]
fn changes_leave_some_positions_good_and_some_not() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut good, mut bad) = (0, 0);
    for _ in 0..300 {
        let (older, newer) = pair().new_tree(&mut runner).unwrap().current();
        let diff = WorkflowDefinition::of(&plan(&older)).diff(&WorkflowDefinition::of(&plan(&newer)));
        if !diff.is_empty() {
            let verdicts = diff.older().nodes.iter().map(|node| diff.can_go_on_at(&node.path).is_yes());
            let yes = verdicts.filter(|yes| *yes).count();
            good += yes;
            bad += diff.older().nodes.len() - yes;
        }
    }
    assert!(good > 300 && bad > 300, "{good} good, {bad} not");
}
