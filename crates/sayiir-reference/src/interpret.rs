//! The reference: what a case comes to, as a recursive function over values. It stores nothing, waits for
//! nothing, and knows nothing of plans, paths, leases or retries beyond their meaning.

use std::collections::{BTreeMap, BTreeSet};

use crate::spec::{Arrival, How, Node, Trouble, mix, payload};

/// One stored result: the name of a task, and the iterations of the loops around it, from the outside in.
pub type Step = (String, Vec<u32>);

/// What a case comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// The output; `None` if it fails.
    pub output: Option<u64>,
    /// Where it can fail: which of several branches fails first, the schedule decides.
    pub failures: BTreeSet<String>,
    /// The steps that are stored; of a case that fails, those that can be.
    pub steps: BTreeSet<Step>,
    /// How often each event is used.
    pub events: BTreeMap<u32, usize>,
}

/// What `nodes` come to with `input`.
pub fn interpret(nodes: &[Node], input: u64) -> Reference {
    let mut reference = Reference::default();
    reference.output = reference.sequence(nodes, input, &[]);
    reference
}

impl Reference {
    fn sequence(&mut self, nodes: &[Node], input: u64, at: &[u32]) -> Option<u64> {
        nodes.iter().try_fold(input, |value, node| self.node(node, value, at))
    }

    fn node(&mut self, node: &Node, value: u64, at: &[u32]) -> Option<u64> {
        match node {
            Node::Task { id, trouble } if has_parts(*id, *trouble) => {
                let first = self.task(&part_name(*id, "first"), Trouble::NONE, mix(*id, value), at)?;
                self.task(&format!("t{id}"), *trouble, 0, at)?;
                self.task(&part_name(*id, "second"), Trouble::NONE, mix(*id, first), at)
            }
            Node::Task { id, trouble } => self.task(&format!("t{id}"), *trouble, mix(*id, value), at),
            Node::Fork { id, branches, trouble } => {
                let outputs: Vec<_> = branches.iter().map(|branch| self.sequence(branch, value, at)).collect();
                let outputs: Option<Vec<u64>> = outputs.into_iter().collect();
                self.task(&format!("j{id}"), *trouble, outputs?.into_iter().fold(0, |sum, output| mix(*id, sum ^ output)), at)
            }
            Node::Route { id, arms, default } => {
                let key = chosen(*id, value, arms.len());
                let (name, arm) = match (arms.get(key), default) {
                    (Some(arm), _) => (format!("k{key}"), arm),
                    (None, Some(default)) => (format!("k{key}"), default),
                    (None, None) => return self.failed(&format!("\"k{key}\"")),
                };
                self.task(&format!("r{id}"), Trouble::NONE, 0, at)?;
                let result = self.sequence(arm, value, at)?;
                self.task(&format!("u{id}"), Trouble::NONE, opened(*id, &name, result), at)
            }
            Node::Loop { id, body, rounds, most, exit_with_last } => {
                let (mut value, mut round) = (value, 0);
                loop {
                    let inside: Vec<_> = at.iter().copied().chain([round]).collect();
                    value = self.sequence(body, value, &inside)?;
                    let again = round + 1 < *rounds;
                    if again && round + 1 >= *most && !exit_with_last {
                        return self.failed(&format!("l{id}"));
                    }
                    value = self.task(&format!("g{id}"), Trouble::NONE, mix(*id, value), &inside)?;
                    if !again || round + 1 >= *most {
                        return Some(value);
                    }
                    round += 1;
                }
            }
            Node::Delay { id: _ } => Some(value),
            Node::Signal { id, event, arrival } => {
                let came = match arrival {
                    Arrival::Before | Arrival::Waiting => Some(payload(*event)),
                    Arrival::Never => None,
                };
                *self.events.entry(*event).or_default() += usize::from(came.is_some());
                self.task(&format!("s{id}"), Trouble::NONE, taken(*id, came), at)
            }
            Node::Child { id: _, nodes } => self.sequence(nodes, value, at),
        }
    }

    fn task(&mut self, name: &str, trouble: Trouble, output: u64, at: &[u32]) -> Option<u64> {
        if trouble.is_fatal() {
            return self.failed(name);
        }
        self.steps.insert((name.to_owned(), at.to_vec()));
        Some(output)
    }

    fn failed(&mut self, name: &str) -> Option<u64> {
        self.failures.insert(name.to_owned());
        None
    }
}

/// Whether a task stores parts of itself while it runs: one before its trouble, one after it. Not where its time is short.
pub(crate) fn has_parts(task: u32, trouble: Trouble) -> bool {
    task % 3 == 1 && (trouble.attempts == 0 || trouble.how != How::Hang)
}

/// The step that a part of a task is.
pub(crate) fn part_name(task: u32, part: &str) -> String {
    format!("t{task}.{part}")
}

/// The number of the key that a route's task gives: one more than there are arms.
pub(crate) fn chosen(route: u32, value: u64, arms: usize) -> usize {
    usize::try_from(mix(route, value) % (arms as u64 + 1)).unwrap_or(0)
}

/// What the task behind a route makes of its envelope.
pub(crate) fn opened(route: u32, key: &str, result: u64) -> u64 {
    mix(route + u32::try_from(key.len()).unwrap_or(0), result)
}

/// What the task behind a signal makes of what came.
pub(crate) fn taken(signal: u32, came: Option<u64>) -> u64 {
    mix(signal, came.unwrap_or(3))
}
