//! A store that counts the steps it has stored for this process, and can abort the process after so many.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sayiir::core::branch::{BranchId, JournalRef, LeaseId, RunNumber};

use sayiir::core::control::{SignalKind, SignalRequest};
use sayiir::core::journal::{EntryKind, JournalRow};
use sayiir::core::time::Timestamp;
use sayiir::core::transition::Transition;
use sayiir::persistence::{
    BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlCommand, ControlOutcome, Import, ImportOutcome, InstanceFilter,
    InstanceRecord, InstanceSummary, Limits, NewEvent, Process, SendOutcome, StartOutcome, StartRun, Store, StoreFuture, Wakeups,
};

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
        if self.crash_after.is_some_and(|limit| stored >= limit) {
            // No destructor, no flush: as a crash does it.
            std::process::abort();
        }
    }
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

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn wakeups(&self) -> &Wakeups {
        self.inner.wakeups()
    }

    fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId> {
        self.inner.open_session(process)
    }

    fn sessions(&self, host: &str) -> StoreFuture<'_, Vec<(LeaseId, Process)>> {
        self.inner.sessions(host)
    }

    fn expire_leases(&self, lease: LeaseId) -> StoreFuture<'_, u64> {
        self.inner.expire_leases(lease)
    }

    fn start(&self, request: StartRun) -> StoreFuture<'_, StartOutcome> {
        self.inner.start(request)
    }

    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        self.inner.claim(request)
    }

    fn next_due(&self, scope: ClaimScope) -> StoreFuture<'_, Option<Duration>> {
        self.inner.next_due(scope)
    }

    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
        self.inner.load(lease, run, branches)
    }

    fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>> {
        self.inner.renew(lease, ttl, branches)
    }

    fn read_values(&self, run: RunNumber, rows: Vec<JournalRef>) -> StoreFuture<'_, Vec<Bytes>> {
        self.inner.read_values(run, rows)
    }

    fn read_branch_outputs(&self, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<Bytes>> {
        self.inner.read_branch_outputs(run, branches)
    }

    fn read_event(&self, instance_id: &str, name: &str, seq: u64) -> StoreFuture<'_, Option<Bytes>> {
        self.inner.read_event(instance_id, name, seq)
    }

    fn send_event(&self, event: NewEvent) -> StoreFuture<'_, SendOutcome> {
        self.inner.send_event(event)
    }

    fn take_event(&self, instance_id: &str, name: &str) -> StoreFuture<'_, Option<Bytes>> {
        self.inner.take_event(instance_id, name)
    }

    fn control(&self, command: ControlCommand) -> StoreFuture<'_, ControlOutcome> {
        self.inner.control(command)
    }

    fn request_control(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> StoreFuture<'_, ControlOutcome> {
        self.inner.request_control(instance_id, kind, request)
    }

    fn requested_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, Option<SignalRequest>> {
        self.inner.requested_control(instance_id, kind)
    }

    fn clear_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, ()> {
        self.inner.clear_control(instance_id, kind)
    }

    fn instance(&self, instance_id: &str) -> StoreFuture<'_, Option<InstanceRecord>> {
        self.inner.instance(instance_id)
    }

    fn journal(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        self.inner.journal(run, after, limit)
    }

    fn list(&self, filter: InstanceFilter) -> StoreFuture<'_, Vec<InstanceSummary>> {
        self.inner.list(filter)
    }

    fn delete(&self, instance_id: &str) -> StoreFuture<'_, bool> {
        self.inner.delete(instance_id)
    }

    fn import(&self, import: Import) -> StoreFuture<'_, ImportOutcome> {
        self.inner.import(import)
    }
}
