//! A store that counts the steps it has stored for this process, and can abort the process after so many.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};

use sayiir::core::branch::LeaseId;
use sayiir::core::journal::EntryKind;
use sayiir::core::transition::Transition;
use sayiir::persistence::{CommitOutcome, Store, StoreFuture, forward_store};

/// A store around another one.
pub(crate) struct CountingStore<S> {
    inner: S,
    steps: AtomicU64,
    crash_after: Option<u64>,
}

/// Whether a journal row of this kind is a step: the result of a task, of a join, or of a route's key task.
pub(crate) const fn is_step(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::TaskCompleted | EntryKind::JoinCompleted | EntryKind::RouteTaken)
}

impl<S> CountingStore<S> {
    /// Counts from zero, and aborts the process once `crash_after` steps are stored.
    pub(crate) const fn new(inner: S, crash_after: Option<u64>) -> Self {
        Self { inner, steps: AtomicU64::new(0), crash_after }
    }

    /// The steps stored so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }

    fn count(&self, steps: u64) {
        let stored = self.steps.fetch_add(steps, Ordering::SeqCst) + steps;
        let Some(limit) = self.crash_after.filter(|limit| stored >= *limit) else { return };
        if stored - steps >= limit {
            // Another thread has come to the limit before, and aborts.
            loop {
                std::thread::park();
            }
        }
        eprintln!("{}aborts after {limit} stored steps, as was asked: the same command without --crash-after goes on", over_a_bar());
        // No destructor, no flush: as a crash does it.
        std::process::abort();
    }
}

/// Where a bar is drawn, its line is to be left first.
fn over_a_bar() -> &'static str {
    if std::io::stderr().is_terminal() { "\n" } else { "" }
}

impl<S: Store> Store for CountingStore<S> {
    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
        let step = |transition: &Transition| transition.entry.as_ref().is_some_and(|entry| is_step(entry.kind));
        let steps: Vec<bool> = transitions.iter().map(step).collect();
        // Asked for at once, so that it is done even if nobody waits for the answer.
        let committed = self.inner.commit(lease, transitions);
        Box::pin(async move {
            let outcomes = committed.await?;
            let stored = |outcome: &CommitOutcome| match outcome {
                CommitOutcome::Accepted { .. } | CommitOutcome::AlreadyAccepted => true,
                CommitOutcome::Refused(_) => false,
            };
            let accepted = steps.iter().zip(&outcomes).filter(|(step, outcome)| **step && stored(outcome)).count();
            self.count(accepted as u64);
            Ok(outcomes)
        })
    }

    forward_store!(|me| me.inner, except commit);
}
