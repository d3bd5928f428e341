//! Giving others a head start at what failed here: a task that one worker cannot do may be done by another.
//!
//! Invariant: a failed attempt is given way to at most once. Nobody is ever named: whoever takes the branch is welcome, and if nobody
//! does, this session goes on with it. A worker that finds itself alone stops giving way for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sayiir_core::branch::{BranchView, Head};

use crate::held::Key;

/// So many failed attempts are remembered.
const MOST: usize = 256;
/// After so many offers in vain it gives way once in 64 failures.
const MOST_IN_VAIN: u32 = 6;

/// The failed attempts of one session.
#[derive(Debug, Default)]
pub(crate) struct Shy {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Branches whose task failed here, at which node and attempt.
    failed: BTreeMap<Key, (Arc<str>, u32)>,
    /// Those that this look gives back for others to take.
    offering: BTreeSet<Key>,
    /// Those that the look before gave back.
    offered: BTreeSet<Key>,
    /// How many offers in a row nobody took.
    in_vain: u32,
    /// How many failures are not given way to, since nobody seems to be there.
    skip: u32,
}

impl Shy {
    /// An attempt has failed, and is to be retried from this head.
    pub(crate) fn failed(&self, branch: Key, head: &Head) {
        let mut state = self.state();
        if state.skip > 0 {
            state.skip -= 1;
            return;
        }
        if state.failed.len() == MOST {
            state.failed.pop_first();
        }
        state.failed.insert(branch, (Arc::clone(&head.node), head.attempt));
    }

    /// Whether a branch that was just taken is to be given back, so that others can have it first.
    pub(crate) fn gives_way(&self, branch: &BranchView) -> bool {
        let (mut state, key) = (self.state(), (branch.run, branch.branch.clone()));
        if state.offered.remove(&key) {
            state.in_vain = (state.in_vain + 1).min(MOST_IN_VAIN);
            state.skip = 1 << state.in_vain;
            return false;
        }
        let Head { node, attempt, .. } = &branch.head;
        let failed_here = state.failed.remove(&key).is_some_and(|(at, failed)| at == *node && failed == *attempt);
        // What is asked of it is done at once; a retry that lost its owner has waited enough.
        let gives_way = failed_here && branch.requested.is_none() && !branch.paused && branch.crashes == 0;
        if gives_way {
            state.offering.insert(key);
        }
        gives_way
    }

    /// A look has ended. What the one before offered, and this one was not handed, others took.
    pub(crate) fn looked(&self) {
        let mut state = self.state();
        if !state.offered.is_empty() {
            (state.in_vain, state.skip) = (0, 0);
        }
        state.offered = std::mem::take(&mut state.offering);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
