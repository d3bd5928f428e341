//! Which tasks of a session run beside each other: all, but for one that its worker's death is put down to, which runs alone.
//!
//! Invariant: whoever waits is woken only when it may have its turn. (The usual lock for readers and writers does not hold
//! this: two readers that wait while a writer has it may wake each other without end.)

use std::sync::{Mutex, MutexGuard, PoisonError};

use event_listener::Event;

/// Counts the tasks that run, and those that are to run alone.
#[derive(Default)]
pub(crate) struct Beside {
    state: Mutex<State>,
    changed: Event,
}

#[derive(Default)]
struct State {
    together: usize,
    /// Those that wait to run alone: while there are any, no other starts.
    waiting: usize,
    alone: bool,
}

/// A task's permit to run, or its place among those that wait to run alone; given up when it is dropped.
pub(crate) struct Permit<'a> {
    beside: &'a Beside,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Together,
    Waiting,
    Alone,
}

impl Beside {
    /// A turn beside others, if one is to be had at once.
    pub(crate) fn try_together(&self) -> Option<Permit<'_>> {
        let mut state = self.state();
        if state.alone || state.waiting > 0 {
            return None;
        }
        state.together += 1;
        Some(Permit { beside: self, kind: Kind::Together })
    }

    /// A turn beside others, once nothing runs alone or waits to.
    pub(crate) async fn together(&self) -> Permit<'_> {
        loop {
            // Before the look, so that nothing is missed.
            let changed = self.changed.listen();
            if let Some(turn) = self.try_together() {
                return turn;
            }
            changed.await;
        }
    }

    /// A turn alone, once what runs has ended. Nothing starts while this waits.
    pub(crate) async fn alone(&self) -> Permit<'_> {
        self.state().waiting += 1;
        let mut turn = Permit { beside: self, kind: Kind::Waiting };
        loop {
            let changed = self.changed.listen();
            if turn.try_alone() {
                return turn;
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    fn try_alone(&mut self) -> bool {
        let mut state = self.beside.state();
        if state.alone || state.together > 0 {
            return false;
        }
        state.waiting -= 1;
        state.alone = true;
        self.kind = Kind::Alone;
        true
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.beside.state();
        match self.kind {
            Kind::Together => state.together -= 1,
            Kind::Waiting => state.waiting -= 1,
            Kind::Alone => state.alone = false,
        }
        let somebody_may_go = !state.alone && (state.together == 0 || state.waiting == 0);
        drop(state);
        if somebody_may_go {
            self.beside.changed.notify(usize::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use futures_util::FutureExt;

    use super::Beside;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>, woken: &Arc<Woken>) -> Poll<T> {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
    }

    #[test]
    fn one_that_waits_to_run_alone_keeps_others_from_starting_until_it_has_had_its_turn() {
        let (beside, woken) = (Beside::default(), Arc::default());
        let (first, second) = (beside.try_together(), beside.try_together());
        assert!(first.is_some() && second.is_some());
        let mut alone = Box::pin(beside.alone());
        assert!(poll(alone.as_mut(), &woken).is_pending());
        assert!(beside.try_together().is_none(), "one waits to run alone");
        drop(first);
        assert!(poll(alone.as_mut(), &woken).is_pending(), "another runs still");
        drop(second);
        assert!(woken.0.load(Ordering::SeqCst) > 0);
        let Poll::Ready(turn) = poll(alone.as_mut(), &woken) else { panic!("nothing runs any more") };
        assert!(beside.try_together().is_none() && beside.alone().now_or_never().is_none());
        drop(turn);
        assert!(beside.together().now_or_never().is_some());
    }

    #[test]
    fn one_that_waits_no_longer_lets_the_others_start() {
        let (beside, woken) = (Beside::default(), Arc::default());
        let running = beside.try_together();
        let mut alone = Box::pin(beside.alone());
        assert!(poll(alone.as_mut(), &woken).is_pending());
        let mut together = Box::pin(beside.together());
        assert!(poll(together.as_mut(), &woken).is_pending());
        drop(alone);
        assert!(woken.0.load(Ordering::SeqCst) > 0);
        assert!(poll(together.as_mut(), &woken).is_ready());
        drop(running);
    }

    #[test]
    fn those_that_wait_do_not_wake_each_other() {
        let (beside, woken) = (Beside::default(), Arc::<Woken>::default());
        let alone = beside.alone().now_or_never();
        let (mut one, mut other) = (pin!(beside.together()), pin!(beside.together()));
        assert!(poll(one.as_mut(), &woken).is_pending() && poll(other.as_mut(), &woken).is_pending());
        drop(alone);
        // Both are woken, but somebody else is there first.
        let next = beside.alone().now_or_never();
        assert!(next.is_some());
        let woken_before = woken.0.load(Ordering::SeqCst);
        for _ in 0..3 {
            assert!(poll(one.as_mut(), &woken).is_pending() && poll(other.as_mut(), &woken).is_pending());
        }
        assert_eq!(woken.0.load(Ordering::SeqCst), woken_before, "nothing has changed for them");
        drop(next);
        assert!(poll(one.as_mut(), &woken).is_ready() && poll(other.as_mut(), &woken).is_ready());
    }
}
