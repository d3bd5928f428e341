//! Leaving a part of a fork's children to other workers, so that one that has room for all does not run them all beside idle ones.
//!
//! Invariant: an offer delays what is offered by a bounded moment, and names nobody: whoever claims first is welcome, this session
//! included. A worker whose offers nobody takes, or that is behind with its own work, offers ever more rarely.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::held::Key;

/// After so many offers in vain it offers a part of one fork in 16.
const MOST_IN_VAIN: u32 = 4;

/// The children that one session offers.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Forks on their way to the store, of which a part is offered.
    on_their_way: usize,
    /// Something was offered since the last look.
    fresh: bool,
    /// What was offered before the look that is to come.
    offered: BTreeSet<Key>,
    /// What was offered before the present look, and was not claimed back in it.
    looked_for: BTreeSet<Key>,
    /// Whether it claimed anything of that back.
    came_back: bool,
    /// How many offers in a row nobody took.
    in_vain: u32,
    /// How many forks are kept whole, since nobody seems to be there.
    skip: u32,
    /// There is more work than this session has places: others will be as busy.
    behind: bool,
}

impl Spread {
    /// Whether a part of a fork is to be offered. Announcing may be quicker than the store's answer: the offer begins here.
    pub(crate) fn offer(&self) -> Option<Offer<'_>> {
        let mut state = self.state();
        if state.behind {
            return None;
        }
        if state.skip > 0 {
            state.skip -= 1;
            return None;
        }
        state.on_their_way += 1;
        Some(Offer(self))
    }

    /// Whether others are to have a moment before this session looks for work.
    pub(crate) fn gives_way(&self) -> bool {
        let mut state = self.state();
        std::mem::take(&mut state.fresh) || state.on_their_way > 0
    }

    /// A look for work begins.
    pub(crate) fn looks(&self) {
        let mut state = self.state();
        (state.looked_for, state.came_back) = (std::mem::take(&mut state.offered), false);
    }

    /// It was handed this branch.
    pub(crate) fn took(&self, branch: &Key) {
        let mut state = self.state();
        if !state.looked_for.is_empty() && state.looked_for.remove(branch) {
            state.came_back = true;
        }
    }

    /// The look has ended: full, if there may be more. What was offered and was not handed back, others took.
    pub(crate) fn looked(&self, full: bool) {
        let mut state = self.state();
        state.behind = full;
        let left = std::mem::take(&mut state.looked_for);
        if full {
            // It did not look at all of them.
        } else if !left.is_empty() {
            (state.in_vain, state.skip) = (0, 0);
        } else if state.came_back {
            state.in_vain = (state.in_vain + 1).min(MOST_IN_VAIN);
            state.skip = (1 << state.in_vain) - 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of a fork that is to be left to whoever claims it, until the store has answered.
pub(crate) struct Offer<'a>(&'a Spread);

impl Offer<'_> {
    /// The store made these children, and nobody holds them.
    pub(crate) fn made(self, children: impl Iterator<Item = Key>) {
        let mut state = self.0.state();
        state.offered.extend(children);
        state.fresh = true;
    }
}

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        self.0.state().on_their_way -= 1;
    }
}

#[cfg(test)]
mod tests {
    use sayiir_core::branch::{BranchId, RunNumber};

    use super::{MOST_IN_VAIN, Spread};
    use crate::held::Key;

    fn child(index: usize) -> Key {
        (RunNumber(1), BranchId::root().child(1, index))
    }

    /// Offers two children; in the look after that it is handed so many of them. Whether it offered anything.
    fn fork(spread: &Spread, handed: usize) -> bool {
        let Some(offer) = spread.offer() else { return false };
        assert!(spread.gives_way(), "on their way");
        offer.made((0..2).map(child));
        assert!(spread.gives_way());
        assert!(!spread.gives_way(), "once");
        spread.looks();
        (0..handed).for_each(|index| spread.took(&child(index)));
        spread.looked(false);
        true
    }

    #[test]
    fn a_worker_alone_offers_ever_more_rarely_and_one_that_is_not_each_time() {
        let spread = Spread::default();
        let offers = (0..160).filter(|_| fork(&spread, 2)).count();
        assert!((10..=14).contains(&offers), "{offers}");
        let until_heard = (0..100).take_while(|_| !fork(&spread, 1)).count();
        assert!(until_heard < 1 << MOST_IN_VAIN, "{until_heard}");
        assert!((0..20).all(|number| fork(&spread, number % 2)), "others take them");
    }

    #[test]
    fn nothing_is_offered_while_there_is_more_work_than_room() {
        let spread = Spread::default();
        spread.looked(true);
        assert!(!fork(&spread, 2));
        spread.looked(false);
        assert!(fork(&spread, 0));
    }

    #[test]
    fn an_offer_that_came_to_nothing_is_over() {
        let spread = Spread::default();
        drop(spread.offer());
        assert!(!spread.gives_way());
    }
}
