//! What goes into one statement: at most one transition of a branch, one consumer of an event, and nothing of a run
//! beside what ends it. What does not fit keeps its order and waits for the next statement.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use sayiir_core::branch::{BranchId, RunNumber};
use sayiir_core::transition::{EventGuard, Next, Output, Transition};

use crate::commit::Member;

/// How much goes into one statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caps {
    pub(crate) transitions: usize,
    pub(crate) bytes: usize,
}

/// Full statements compare their members with each other: beyond this they cost more than two.
const MOST_IN_FULL: usize = 100;

/// What a member costs beside its payloads.
const ROW: usize = 256;

/// What the members of a statement touch.
#[derive(Debug, Default)]
struct Touched {
    /// Branches that a member moves.
    branches: FxHashSet<(RunNumber, BranchId)>,
    /// Branches whose children end.
    parents: FxHashSet<(RunNumber, BranchId)>,
    events: FxHashSet<(RunNumber, Arc<str>)>,
    runs: FxHashSet<RunNumber>,
    /// Runs of which something waits, or that end here: nothing more of them may go in.
    closed: FxHashSet<RunNumber>,
}

impl Touched {
    /// Whether the member may go in; if it may, it is noted.
    fn admits(&mut self, transition: &Transition) -> bool {
        let Transition { instance_id: _, run, branch, revision: _, entry: _, guard, held: _, next } = transition;
        let key = (*run, branch.clone());
        let parent = matches!(next, Next::EndBranch).then(|| branch.parent().map(|parent| (*run, parent))).flatten();
        let event = match guard {
            EventGuard::Use { name, seq: _ } => Some((*run, Arc::clone(name))),
            EventGuard::None | EventGuard::NoneSince { .. } => None,
        };
        let ends_run = matches!(next, Next::Finish | Next::Fail { .. });
        let collides = self.closed.contains(run)
            || self.branches.contains(&key)
            || self.parents.contains(&key)
            || parent.as_ref().is_some_and(|parent| self.branches.contains(parent))
            || event.as_ref().is_some_and(|event| self.events.contains(event))
            || (ends_run && self.runs.contains(run));
        if collides || ends_run {
            self.closed.insert(*run);
        }
        if !collides {
            self.branches.insert(key);
            self.parents.extend(parent);
            self.events.extend(event);
            self.runs.insert(*run);
        }
        !collides
    }
}

pub(crate) fn cost(transition: &Transition) -> usize {
    let output = transition.entry.as_ref().map_or(0, |entry| match &entry.output {
        Output::Nothing | Output::SameAs(_) => 0,
        Output::Value(own) => own.len(),
        Output::Wrapped { own, handed_on } => own.len() + handed_on.len(),
    });
    let children = if let Next::Fork { head: _, children, keep: _ } = &transition.next { children.len() } else { 0 };
    output + ROW * (1 + children)
}

/// Takes the members of the next statement off the queue, in order. A failure comes alone.
pub(crate) fn next<T>(queue: &mut VecDeque<T>, caps: Caps, member: impl Fn(&T) -> &Member) -> Vec<T> {
    let (mut taken, mut left) = (Vec::new(), VecDeque::new());
    let (mut touched, mut bytes, mut plain) = (Touched::default(), 0, true);
    while let Some(waiting) = queue.pop_front() {
        let of = member(&waiting);
        let stays_plain = plain && of.is_plain();
        let room = taken.len() < if stays_plain { caps.transitions } else { caps.transitions.min(MOST_IN_FULL) };
        if !taken.is_empty() && (!room || bytes + cost(&of.transition) > caps.bytes) {
            left.push_back(waiting);
            break;
        }
        if of.is_failure() && !taken.is_empty() {
            touched.closed.insert(of.transition.run);
            left.push_back(waiting);
        } else if touched.admits(&of.transition) {
            (plain, bytes) = (stays_plain, bytes + cost(&of.transition));
            let alone = of.is_failure();
            taken.push(waiting);
            if alone {
                break;
            }
        } else {
            left.push_back(waiting);
        }
    }
    left.append(queue);
    *queue = left;
    taken
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use sayiir_core::branch::{Head, JournalRef, LeaseId, Phase};
    use sayiir_core::journal::EntryKind;
    use sayiir_core::transition::{Entry, Wake};

    use super::*;

    const CAPS: Caps = Caps { transitions: 3, bytes: 1 << 20 };

    fn head() -> Head {
        Head { node: Arc::from("n"), phase: Phase::At, attempt: 0, input: JournalRef::instance_input(), fork_revision: 0 }
    }

    fn member(run: u64, branch: &str, next: Next) -> Member {
        let entry = Entry {
            kind: EntryKind::TaskCompleted,
            node: Arc::from("n"),
            attempt: 1,
            output: Output::Value(Bytes::from_static(b"0123456789")),
            error: None,
        };
        let transition = Transition {
            instance_id: Arc::from("i"),
            run: RunNumber(run),
            branch: BranchId::from_stored(branch),
            revision: 1,
            entry: Some(entry),
            guard: EventGuard::None,
            held: false,
            next,
        };
        Member { lease: LeaseId(1), transition }
    }

    fn run(number: u64, branch: &str) -> Member {
        member(number, branch, Next::Run { head: head() })
    }

    /// The batches that a queue becomes, told by run and branch.
    fn batches(caps: Caps, members: Vec<Member>) -> Vec<String> {
        let mut queue = VecDeque::from(members);
        let mut told = Vec::new();
        while !queue.is_empty() {
            let batch = next(&mut queue, caps, |member| member);
            let names: Vec<_> = batch.iter().map(|m| format!("{}:{}", m.transition.run, m.transition.branch)).collect();
            told.push(names.join(" "));
        }
        told
    }

    #[test]
    fn a_branch_goes_once_and_its_run_keeps_its_order() {
        let queue = vec![run(1, "0"), run(1, "0"), run(2, "0"), run(1, "0.1.0")];
        assert_eq!(batches(CAPS, queue), ["1:0 2:0", "1:0 1:0.1.0"]);
    }

    #[test]
    fn ends_of_children_go_together_but_not_with_their_parent() {
        let end = |branch| member(1, branch, Next::EndBranch);
        assert_eq!(batches(CAPS, vec![end("0.1.0"), end("0.1.1"), run(1, "0")]), ["1:0.1.0 1:0.1.1", "1:0"]);
        assert_eq!(batches(CAPS, vec![run(1, "0"), end("0.1.0"), run(2, "0")]), ["1:0 2:0", "1:0.1.0"]);
    }

    #[test]
    fn what_ends_a_run_goes_without_the_rest_of_it() {
        let fail = |number| member(number, "0.1.0", Next::Fail { head: head() });
        assert_eq!(batches(CAPS, vec![run(1, "0.1.1"), fail(1), run(2, "0"), run(1, "0.1.2")]), ["1:0.1.1 2:0", "1:0.1.0", "1:0.1.2"]);
        assert_eq!(batches(CAPS, vec![member(1, "0", Next::Finish), run(1, "0.1.0"), run(2, "0")]), ["1:0 2:0", "1:0.1.0"]);
    }

    #[test]
    fn an_event_name_has_one_consumer() {
        let uses = |branch: &str| {
            let mut member = run(1, branch);
            member.transition.guard = EventGuard::Use { name: Arc::from("go"), seq: 1 };
            member
        };
        assert_eq!(batches(CAPS, vec![uses("0.1.0"), uses("0.1.1")]), ["1:0.1.0", "1:0.1.1"]);
    }

    #[test]
    fn counts_and_bytes_are_capped() {
        let many = (1..=5).map(|number| run(number, "0")).collect();
        assert_eq!(batches(CAPS, many), ["1:0 2:0 3:0", "4:0 5:0"]);
        let small = Caps { transitions: 99, bytes: 600 };
        let many = (1..=3).map(|number| run(number, "0")).collect();
        assert_eq!(batches(small, many), ["1:0 2:0", "3:0"]);
        let wake = Wake::After(Duration::ZERO);
        let released = member(1, "0", Next::Release { head: head(), wake, placement: sayiir_core::branch::Placement::default() });
        assert!(!released.is_plain());
    }
}
