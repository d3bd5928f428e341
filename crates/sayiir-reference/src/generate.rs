//! Random cases, wholly decided by a seed.

use fastrand::Rng;

use crate::interpret::interpret;
use crate::spec::{Arrival, Case, Control, How, Node, Trouble};

/// How deep containers are nested at most.
pub const DEPTH: usize = 4;

/// The most steps of a case: a case is run some hundreds of times.
const MOST_STEPS: usize = 40;

/// The case with this number among those of a seed.
pub fn case(seed: u64, number: u64) -> Case {
    let mut rng = Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    loop {
        let mut maker = Maker { budget: rng.usize(2..14), fatal: rng.u8(..8) == 0, next: 0, events: Vec::new(), rng };
        let nodes = maker.sequence(0);
        let control = match maker.rng.u8(..10) {
            0 | 1 => Control::Pause(maker.rng.u8(..100)),
            2 => Control::Cancel(maker.rng.u8(..100)),
            _ => Control::None,
        };
        let case = Case { input: maker.rng.u64(..1000), nodes, control };
        if interpret(&case.nodes, case.input).steps.len() <= MOST_STEPS {
            return case;
        }
        rng = maker.rng;
    }
}

struct Maker {
    rng: Rng,
    next: u32,
    /// How many more nodes there may be.
    budget: usize,
    /// Whether tasks may fail for good.
    fatal: bool,
    /// The events that are waited for already, and when they come.
    events: Vec<(u32, Arrival)>,
}

impl Maker {
    fn sequence(&mut self, depth: usize) -> Vec<Node> {
        let length = if depth == 0 { self.rng.usize(1..6) } else { self.rng.usize(1..4) };
        (0..length).map(|_| self.node(depth)).collect()
    }

    fn node(&mut self, depth: usize) -> Node {
        self.next += 1;
        let id = self.next;
        if self.budget == 0 || depth >= DEPTH {
            return Node::Task { id, trouble: self.trouble() };
        }
        self.budget -= 1;
        match self.rng.u8(..16) {
            0..=2 => {
                let branches = self.rng.usize(1..4);
                Node::Fork { id, branches: (0..branches).map(|_| self.sequence(depth + 1)).collect(), trouble: self.trouble() }
            }
            3 | 4 => {
                let arms = self.rng.usize(1..4);
                let arms = (0..arms).map(|_| self.sequence(depth + 1)).collect();
                let default = (!self.fatal || self.rng.bool()).then(|| self.sequence(depth + 1));
                Node::Route { id, arms, default }
            }
            5 | 6 => {
                let rounds = self.rng.u32(1..4);
                let exit_with_last = !self.fatal || self.rng.bool();
                let most = self.rng.u32(1..4);
                Node::Loop { id, body: self.sequence(depth + 1), rounds, most, exit_with_last }
            }
            7 => Node::Child { id, nodes: self.sequence(depth + 1) },
            8 => Node::Delay { id },
            9 | 10 => {
                let arrival = *self.rng.choice(&[Arrival::Before, Arrival::Waiting, Arrival::Never]).unwrap_or(&Arrival::Never);
                let known = self.events.get(self.rng.usize(..=2 * self.events.len())).copied();
                let (event, arrival) = known.unwrap_or((id, arrival));
                self.events.push((event, arrival));
                Node::Signal { id, event, arrival }
            }
            _ => Node::Task { id, trouble: self.trouble() },
        }
    }

    fn trouble(&mut self) -> Trouble {
        if self.rng.u8(..5) != 0 {
            return Trouble::NONE;
        }
        let (attempts, how) =
            (self.rng.u32(1..3), self.rng.choice([How::Error, How::Panic, How::Hang, How::ForGood]).unwrap_or(How::Error));
        let trouble = Trouble { attempts, how, retries: self.rng.u32(..4) };
        if !trouble.is_fatal() || self.fatal {
            return trouble;
        }
        let how = if how == How::ForGood { How::Error } else { how };
        Trouble { attempts, how, retries: attempts }
    }
}
