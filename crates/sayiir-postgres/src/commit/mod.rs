//! Commits: transitions of a whole process go through a few committers, each of which makes one statement of what came
//! together while its last one was on its way.

mod apply;
mod batch;
mod columns;
mod fail;
mod queue;
mod refusal;

pub(crate) use batch::Caps;
#[cfg(test)]
pub(crate) use columns::{FAST, FULL};
pub(crate) use queue::Committers;
#[cfg(test)]
pub(crate) use refusal::WHY;

use sayiir_core::branch::LeaseId;
use sayiir_core::transition::{EventGuard, Next, Transition};

/// A transition with the lease of its writer.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) lease: LeaseId,
    pub(crate) transition: Transition,
}

impl Member {
    /// Whether its owner goes straight on and nothing else is asked: the short statement will do.
    fn is_plain(&self) -> bool {
        let Transition { instance_id: _, run: _, branch: _, revision: _, entry, guard, held: _, next } = &self.transition;
        entry.is_some() && *guard == EventGuard::None && matches!(next, Next::Run { .. })
    }

    /// Whether it ends the run for all its branches: it searches a set, and so has a transaction of its own.
    const fn is_failure(&self) -> bool {
        matches!(self.transition.next, Next::Fail { .. })
    }
}
