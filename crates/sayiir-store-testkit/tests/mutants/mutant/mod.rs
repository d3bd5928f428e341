//! A memory store that misreads, forgets or misanswers one thing.

mod bugs;
mod claims;
mod commits;
mod events;
mod lifecycle;
mod queries;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;
use sayiir_core::transition::Transition;
use sayiir_persistence::{
    BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlAction, ControlCommand, ControlOutcome, Import, ImportOutcome,
    InMemoryBackend, InstanceFilter, InstanceRecord, InstanceSummary, Limits, NewEvent, Process, Progress, PurgeRequest, Rewind,
    RewindOutcome, SendOutcome, SessionHealth, StartOutcome, StartRun, Store, StoreFuture, StoreHealth, StoreStats, Wakeups, forward_store,
};
use sayiir_store_testkit::TestClock;

pub(crate) use self::bugs::{BUGS, Bug};

/// A store with a bug.
pub(crate) struct Mutant {
    inner: InMemoryBackend,
    bug: Bug,
    silent: Wakeups,
    keys: Mutex<BTreeSet<Arc<str>>>,
    numbers: AtomicU64,
    progress: Mutex<Option<Progress>>,
    sessions: Mutex<Vec<SessionHealth>>,
}

impl Mutant {
    pub(crate) fn new(clock: Arc<TestClock>, bug: Bug) -> Self {
        let inner = InMemoryBackend::with_clock(clock);
        Self {
            inner,
            bug,
            silent: Wakeups::new(),
            keys: Mutex::default(),
            numbers: AtomicU64::new(1 << 40),
            progress: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    async fn record(&self, id: &str) -> Option<InstanceRecord> {
        self.inner.instance(id).await.unwrap()
    }
}

impl Store for Mutant {
    forward_store!(|me| me.inner,
        except report_progress, sub_steps, definition_document, limits, wakeups, open_session, sessions, expire_leases, start, commit, claim, next_due, load, leased, renew, read_values,
        read_branch_outputs, put_event, take_event, control, request_control, apply_requested, requested_control, clear_control, instance, journal, list,
        delete, import, set_search_attributes, timeline, stats, health, purge, rewind);

    fn limits(&self) -> Limits {
        let limits = self.inner.limits();
        if self.has(Bug::LimitsTooSmall) { Limits { payload_bytes: 10, ..limits } } else { limits }
    }

    fn wakeups(&self) -> &Wakeups {
        if self.has(Bug::Silent) { &self.silent } else { self.inner.wakeups() }
    }

    fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId> {
        Box::pin(async move {
            let lease = self.inner.open_session(process.clone()).await?;
            let (branches, seen_at, leased_until, ttl) = (0, Timestamp::default(), None, None);
            let session = SessionHealth { lease, process, branches, seen_at, leased_until, ttl };
            self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
            Ok(if self.has(Bug::LeaseUsedAgain) { LeaseId(1) } else { lease })
        })
    }

    fn sessions(&self, host: &str) -> StoreFuture<'_, Vec<(LeaseId, Process)>> {
        match self.bug {
            Bug::SessionsForgotten => self.inner.sessions("nowhere"),
            Bug::SessionsOfAll => self.inner.sessions("here"),
            _ => self.inner.sessions(host),
        }
    }

    fn expire_leases(&self, lease: LeaseId) -> StoreFuture<'_, u64> {
        self.inner.expire_leases(if self.has(Bug::ExpiryIgnored) { LeaseId(0) } else { lease })
    }

    fn start(&self, request: StartRun) -> StoreFuture<'_, StartOutcome> {
        Box::pin(self.mis_start(request))
    }

    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
        Box::pin(self.mis_commit(lease, transitions))
    }

    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        Box::pin(self.mis_claim(request))
    }

    fn next_due(&self, scope: ClaimScope) -> StoreFuture<'_, Option<Duration>> {
        Box::pin(self.mis_next_due(scope))
    }

    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
        Box::pin(self.mis_load(lease, run, branches))
    }

    fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>> {
        Box::pin(self.mis_renew(lease, ttl, branches))
    }

    fn read_values(&self, run: RunNumber, mut rows: Vec<JournalRef>) -> StoreFuture<'_, Vec<Bytes>> {
        if self.has(Bug::ValuesReversed) {
            rows.reverse();
        }
        self.inner.read_values(run, rows)
    }

    fn read_branch_outputs(&self, run: RunNumber, mut branches: Vec<BranchId>) -> StoreFuture<'_, Vec<Bytes>> {
        if self.has(Bug::OutputsReversed) {
            branches.reverse();
        }
        self.inner.read_branch_outputs(run, branches)
    }

    fn put_event(&self, event: NewEvent) -> StoreFuture<'_, SendOutcome> {
        Box::pin(self.mis_put_event(event))
    }

    fn take_event(&self, instance_id: &str, name: &str) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(self.mis_take_event(instance_id.to_owned(), name.to_owned()))
    }

    fn control(&self, command: ControlCommand) -> StoreFuture<'_, ControlOutcome> {
        Box::pin(self.mis_control(command))
    }

    fn request_control(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> StoreFuture<'_, ControlOutcome> {
        match self.bug {
            Bug::RequestIgnored => Box::pin(async { Ok(ControlOutcome::Applied) }),
            Bug::RequestApplied => {
                let action = if kind == SignalKind::Cancel { ControlAction::Cancel } else { ControlAction::Pause };
                self.inner.control(ControlCommand { instance_id: Arc::from(instance_id), action, request })
            }
            _ => self.inner.request_control(instance_id, kind, request),
        }
    }

    fn requested_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, Option<SignalRequest>> {
        let other = if kind == SignalKind::Cancel { SignalKind::Pause } else { SignalKind::Cancel };
        self.inner.requested_control(instance_id, if self.has(Bug::RequestOfOtherKind) { other } else { kind })
    }

    fn apply_requested(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, bool> {
        if !self.has(Bug::AppliesUnasked) {
            let kind = if self.has(Bug::AppliesOtherKind) { SignalKind::Pause } else { kind };
            return self.inner.apply_requested(instance_id, kind);
        }
        let command = ControlCommand { instance_id: Arc::from(instance_id), action: kind.into(), request: SignalRequest::default() };
        Box::pin(async move { Ok(self.inner.control(command).await? == ControlOutcome::Applied) })
    }

    fn clear_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, ()> {
        self.inner.clear_control(if self.has(Bug::RequestKept) { "nobody" } else { instance_id }, kind)
    }

    fn instance(&self, instance_id: &str) -> StoreFuture<'_, Option<InstanceRecord>> {
        Box::pin(self.mis_instance(instance_id.to_owned()))
    }

    fn journal(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        Box::pin(self.mis_journal(run, after, limit))
    }

    fn list(&self, filter: InstanceFilter) -> StoreFuture<'_, Vec<InstanceSummary>> {
        Box::pin(self.mis_list(filter))
    }

    fn leased(&self, lease: LeaseId) -> StoreFuture<'_, Vec<(RunNumber, BranchId, u64)>> {
        Box::pin(self.mis_leased(lease))
    }

    fn report_progress(&self, lease: LeaseId, run: RunNumber, branch: BranchId, progress: Bytes) -> StoreFuture<'_, bool> {
        match self.bug {
            Bug::ProgressForgotten => Box::pin(async { Ok(true) }),
            Bug::ProgressUnfenced => Box::pin(async move { self.inner.report_progress(lease, run, branch, progress).await.map(|_| true) }),
            _ => self.inner.report_progress(lease, run, branch, progress),
        }
    }

    fn sub_steps(&self, run: RunNumber, branch: BranchId, node: Arc<str>) -> StoreFuture<'_, Vec<(Arc<str>, Bytes)>> {
        Box::pin(self.mis_sub_steps(run, branch, node))
    }

    fn definition_document(&self, hash: DefinitionHash) -> StoreFuture<'_, Option<Arc<str>>> {
        if self.has(Bug::DocumentForgotten) { Box::pin(async { Ok(None) }) } else { self.inner.definition_document(hash) }
    }

    fn delete(&self, instance_id: &str) -> StoreFuture<'_, bool> {
        let id = if self.has(Bug::DeleteIgnored) { "nobody" } else { instance_id }.to_owned();
        Box::pin(async move {
            let deleted = self.inner.delete(&id).await?;
            Ok(deleted || self.has(Bug::DeleteAlwaysTrue) || self.has(Bug::DeleteIgnored))
        })
    }

    fn set_search_attributes(
        &self,
        lease: LeaseId,
        run: RunNumber,
        branch: BranchId,
        attributes: SearchAttributes,
    ) -> StoreFuture<'_, bool> {
        Box::pin(self.mis_set_search_attributes(lease, run, branch, attributes))
    }

    fn timeline(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        if self.has(Bug::TimelineTellsValues) { self.inner.journal(run, after, limit) } else { self.inner.timeline(run, after, limit) }
    }

    fn stats(&self) -> StoreFuture<'_, StoreStats> {
        Box::pin(self.mis_stats())
    }

    fn health(&self) -> StoreFuture<'_, StoreHealth> {
        Box::pin(self.mis_health())
    }

    fn purge(&self, request: PurgeRequest) -> StoreFuture<'_, u64> {
        Box::pin(self.mis_purge(request))
    }

    fn rewind(&self, rewind: Rewind) -> StoreFuture<'_, RewindOutcome> {
        Box::pin(self.mis_rewind(rewind))
    }

    fn import(&self, import: Import) -> StoreFuture<'_, ImportOutcome> {
        Box::pin(self.mis_import(import))
    }
}
