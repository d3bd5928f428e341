//! What a case is made of: a tree of nodes, an input, and what is done to the instance from outside.

use std::fmt;

/// A node. Its number is unique in the case, and its tasks are named after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A task.
    Task {
        /// Its number.
        id: u32,
        /// How its attempts fail.
        trouble: Trouble,
    },
    /// Branches side by side, and their join.
    Fork {
        /// Its number.
        id: u32,
        /// The branches.
        branches: Vec<Vec<Node>>,
        /// How the join's attempts fail.
        trouble: Trouble,
    },
    /// A choice by the value. With the key task and a task behind it that opens the envelope.
    Route {
        /// Its number.
        id: u32,
        /// The arms.
        arms: Vec<Vec<Node>>,
        /// The arm for every other key. Without it one key has no arm.
        default: Option<Vec<Node>>,
    },
    /// A body that is repeated; a task at its end judges whether it goes on.
    Loop {
        /// Its number.
        id: u32,
        /// The body.
        body: Vec<Node>,
        /// How many rounds the judge wants.
        rounds: u32,
        /// How many there may be.
        most: u32,
        /// Whether it ends with the last value when there may be no more, instead of failing.
        exit_with_last: bool,
    },
    /// A short wait.
    Delay {
        /// Its number.
        id: u32,
    },
    /// A wait for an event, and a task that takes what came.
    Signal {
        /// Its number.
        id: u32,
        /// The number of its event: several may wait for events of one name.
        event: u32,
        /// When the event comes.
        arrival: Arrival,
    },
    /// A workflow of its own, inlined.
    Child {
        /// Its number.
        id: u32,
        /// Its nodes.
        nodes: Vec<Node>,
    },
}

/// How a task's attempts fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// So many attempts fail; the next succeeds.
    pub attempts: u32,
    /// In which way.
    pub how: How,
    /// So many retries are allowed.
    pub retries: u32,
}

impl Trouble {
    /// None at all.
    pub const NONE: Self = Self { attempts: 0, how: How::Error, retries: 0 };

    /// Whether the node fails for good.
    pub const fn is_fatal(self) -> bool {
        match self.how {
            How::ForGood => self.attempts > 0,
            How::Error | How::Panic | How::Hang => self.attempts > self.retries,
        }
    }
}

/// In which way an attempt fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// An error that may be retried.
    Error,
    /// An error that says not to retry.
    ForGood,
    /// A panic.
    Panic,
    /// It does not end before its time limit.
    Hang,
}

/// When an event comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is sent before the instance is started.
    Before,
    /// It is sent once the instance waits for it.
    Waiting,
    /// It is never sent; the wait times out.
    Never,
}

/// What is done to the instance in mid-run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Nothing.
    None,
    /// It is paused before this part (of 100) of its store writes, and unpaused once it stands.
    Pause(u8),
    /// It is cancelled before this part (of 100) of its store writes.
    Cancel(u8),
}

/// A case: what is run, with what, and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The workflow.
    pub nodes: Vec<Node>,
    /// Its input.
    pub input: u64,
    /// What is done to it in mid-run.
    pub control: Control,
}

/// The payload of every event of this number.
pub fn payload(event: u32) -> u64 {
    mix(event, 7)
}

/// What a task makes of its input.
pub fn mix(id: u32, value: u64) -> u64 {
    // Below 2^53, so that every language could do the same with its numbers.
    (value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(u64::from(id).wrapping_mul(1_442_695_040_888_963_407)) ^ (value >> 17))
        >> 12
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "input {}, {:?}", self.input, self.control)?;
        show(f, &self.nodes, 1)
    }
}

fn show(f: &mut fmt::Formatter<'_>, nodes: &[Node], depth: usize) -> fmt::Result {
    let indent = "  ".repeat(depth);
    for node in nodes {
        match node {
            Node::Task { id, trouble } => writeln!(f, "{indent}task t{id}{}", Troubled(*trouble))?,
            Node::Delay { id } => writeln!(f, "{indent}delay d{id}")?,
            Node::Signal { id, event, arrival } => writeln!(f, "{indent}signal s{id} of event {event} ({arrival:?})")?,
            Node::Fork { id, branches, trouble } => {
                writeln!(f, "{indent}fork j{id}{}", Troubled(*trouble))?;
                for (number, branch) in branches.iter().enumerate() {
                    writeln!(f, "{indent}  branch b{number}")?;
                    show(f, branch, depth + 2)?;
                }
            }
            Node::Route { id, arms, default } => {
                writeln!(f, "{indent}route r{id}")?;
                for (number, arm) in arms.iter().enumerate() {
                    writeln!(f, "{indent}  arm k{number}")?;
                    show(f, arm, depth + 2)?;
                }
                if let Some(default) = default {
                    writeln!(f, "{indent}  default")?;
                    show(f, default, depth + 2)?;
                }
            }
            Node::Loop { id, body, rounds, most, exit_with_last } => {
                let end = if *exit_with_last { "exits with the last" } else { "fails" };
                writeln!(f, "{indent}loop l{id}: {rounds} rounds of at most {most}, else {end}")?;
                show(f, body, depth + 1)?;
            }
            Node::Child { id, nodes } => {
                writeln!(f, "{indent}child c{id}")?;
                show(f, nodes, depth + 1)?;
            }
        }
    }
    Ok(())
}

struct Troubled(Trouble);

impl fmt::Display for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trouble { attempts, how, retries } = self.0;
        if attempts == 0 { Ok(()) } else { write!(f, " ({how:?} in {attempts} attempts, {retries} retries)") }
    }
}
