//! The in-memory store: the protocol's reference, for tests and for work that may die with its process.
//!
//! Invariant: one lock holds everything; an operation checks everything, then writes everything, then
//! lets go of the lock, then announces. An error or a refusal has written nothing.

mod claim;
mod commit;
mod control;
mod data;
mod events;
mod import;
mod index;
mod journal;
mod operate;
mod queries;
mod start;

use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::JournalRow;
use sayiir_core::time::{Clock, Timestamp};
use sayiir_core::transition::Transition;

use self::data::Data;
use crate::door;
use crate::error::StoreError;
use crate::store::{
    BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlCommand, ControlOutcome, Import, ImportOutcome, InstanceFilter,
    InstanceRecord, InstanceSummary, Limits, NewEvent, Process, PurgeRequest, Rewind, RewindOutcome, SendOutcome, StartOutcome, StartRun,
    Store, StoreFuture, StoreHealth, StoreStats,
};
use crate::wakeups::News;
use crate::wakeups::Wakeups;

/// A store in this process's memory. Clones share the same data.
///
/// ```
/// use sayiir_persistence::{InMemoryBackend, SnapshotStore};
///
/// let store = InMemoryBackend::new();
/// let same = store.clone();
/// assert!(same.transactional().is_some());
/// ```
#[derive(Clone)]
pub struct InMemoryBackend {
    shared: Arc<Shared>,
}

struct Shared {
    data: Mutex<Data>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    wakeups: Wakeups,
}

impl InMemoryBackend {
    /// An empty store that goes by the system's time.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(crate::clock::SystemClock))
    }

    /// An empty store that goes by this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self::with_clock_and_limits(clock, Limits::default())
    }

    /// An empty store with these limits that goes by the system's time.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn with_limits(limits: Limits) -> Self {
        Self::with_clock_and_limits(Arc::new(crate::clock::SystemClock), limits)
    }

    /// An empty store with these limits that goes by this clock.
    pub fn with_clock_and_limits(clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self { shared: Arc::new(Shared { data: Mutex::default(), clock, limits, wakeups: Wakeups::new() }) }
    }

    /// The data, at a time that never goes back.
    fn lock(&self) -> MutexGuard<'_, Data> {
        let mut data = self.shared.data.lock().unwrap_or_else(PoisonError::into_inner);
        data.now = data.now.max(self.shared.clock.now());
        data
    }

    fn read<'a, T: Send + 'a>(&self, read: impl FnOnce(&Data) -> T) -> StoreFuture<'a, T> {
        let value = read(&self.lock());
        Box::pin(ready(Ok(value)))
    }

    /// Writes and then announces what the write brought.
    fn write<'a, T: Send + 'a>(&self, write: impl FnOnce(&mut Data, &mut News) -> T) -> StoreFuture<'a, T> {
        let mut news = News::default();
        let value = write(&mut self.lock(), &mut news);
        news.announce(&self.shared.wakeups);
        Box::pin(ready(Ok(value)))
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Default for InMemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for InMemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemoryBackend").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

fn refused<'a, T: Send + 'a>(error: StoreError) -> StoreFuture<'a, T> {
    Box::pin(ready(Err(error)))
}

impl Store for InMemoryBackend {
    fn limits(&self) -> Limits {
        self.shared.limits
    }

    fn wakeups(&self) -> &Wakeups {
        &self.shared.wakeups
    }

    fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId> {
        self.write(|data, _| data.open_session(process))
    }

    fn sessions(&self, host: &str) -> StoreFuture<'_, Vec<(LeaseId, Process)>> {
        self.read(|data| data.sessions_on(host))
    }

    fn expire_leases(&self, lease: LeaseId) -> StoreFuture<'_, u64> {
        self.write(|data, news| data.expire_leases(lease, news))
    }

    fn start(&self, request: StartRun) -> StoreFuture<'_, StartOutcome> {
        match door::check_start(&self.shared.limits, &request) {
            Ok(()) => self.write(|data, news| data.start(request, news)),
            Err(error) => refused(error),
        }
    }

    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
        match door::check_commit(&self.shared.limits, &transitions) {
            Ok(()) => self.write(|data, news| transitions.into_iter().map(|each| data.commit(lease, each, news)).collect()),
            Err(error) => refused(error),
        }
    }

    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        Box::pin(ready(self.lock().claim(&request)))
    }

    fn next_due(&self, scope: ClaimScope) -> StoreFuture<'_, Option<Duration>> {
        self.read(|data| data.next_due(&scope))
    }

    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
        Box::pin(ready(self.lock().load(lease, run, branches)))
    }

    fn leased(&self, lease: LeaseId) -> StoreFuture<'_, Vec<(RunNumber, BranchId, u64)>> {
        self.read(|data| data.leased(lease))
    }

    fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>> {
        self.write(|data, _| data.renew(lease, ttl, &branches))
    }

    fn report_progress(&self, lease: LeaseId, run: RunNumber, branch: BranchId, progress: Bytes) -> StoreFuture<'_, bool> {
        match door::check_progress(&self.shared.limits, run, &branch, &progress) {
            Ok(()) => self.write(|data, _| data.report_progress(lease, run, &branch, progress)),
            Err(error) => refused(error),
        }
    }

    fn set_search_attributes(
        &self,
        lease: LeaseId,
        run: RunNumber,
        branch: BranchId,
        attributes: SearchAttributes,
    ) -> StoreFuture<'_, bool> {
        let limits = &self.shared.limits;
        let set = door::check_attributes(limits, run, &branch, &attributes)
            .and_then(|()| self.lock().set_search_attributes(limits, lease, run, &branch, attributes));
        Box::pin(ready(set))
    }

    fn sub_steps(&self, run: RunNumber, branch: BranchId, node: Arc<str>) -> StoreFuture<'_, Vec<(Arc<str>, Bytes)>> {
        self.read(|data| data.runs.get(&run).map(|run| run.journal.sub_steps(&branch, &node)).unwrap_or_default())
    }

    fn definition_document(&self, hash: DefinitionHash) -> StoreFuture<'_, Option<Arc<str>>> {
        self.read(|data| data.documents.get(&hash).cloned())
    }

    fn read_values(&self, run: RunNumber, rows: Vec<JournalRef>) -> StoreFuture<'_, Vec<Bytes>> {
        Box::pin(ready(self.lock().read_values(run, &rows)))
    }

    fn read_branch_outputs(&self, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<Bytes>> {
        Box::pin(ready(self.lock().read_branch_outputs(run, &branches)))
    }

    fn read_event(&self, instance_id: &str, name: &str, seq: u64) -> StoreFuture<'_, Option<Bytes>> {
        self.read(|data| data.read_event(instance_id, name, seq))
    }

    fn put_event(&self, event: NewEvent) -> StoreFuture<'_, SendOutcome> {
        match door::check_event(&self.shared.limits, &event) {
            Ok(()) => self.write(|data, news| data.send_event(event, news)),
            Err(error) => refused(error),
        }
    }

    fn take_event(&self, instance_id: &str, name: &str) -> StoreFuture<'_, Option<Bytes>> {
        self.write(|data, _| data.take_event(instance_id, name))
    }

    fn control(&self, command: ControlCommand) -> StoreFuture<'_, ControlOutcome> {
        self.write(|data, news| data.control(command, news))
    }

    fn request_control(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> StoreFuture<'_, ControlOutcome> {
        self.write(|data, news| data.request_control(instance_id, kind, request, news))
    }

    fn apply_requested(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, bool> {
        self.write(|data, news| data.apply_requested(instance_id, kind, news))
    }

    fn requested_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, Option<SignalRequest>> {
        self.read(|data| data.requested_control(instance_id, kind))
    }

    fn clear_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, ()> {
        self.write(|data, news| data.clear_control(instance_id, kind, news))
    }

    fn instance(&self, instance_id: &str) -> StoreFuture<'_, Option<InstanceRecord>> {
        self.read(|data| data.instance(instance_id))
    }

    fn journal(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        self.read(|data| data.journal_page(run, after.as_ref(), limit))
    }

    fn timeline(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        self.read(|data| data.timeline(run, after.as_ref(), limit))
    }

    fn list(&self, filter: InstanceFilter) -> StoreFuture<'_, Vec<InstanceSummary>> {
        match door::check_filter(&filter) {
            Ok(()) => self.read(|data| data.list(&filter)),
            Err(error) => refused(error),
        }
    }

    fn stats(&self) -> StoreFuture<'_, StoreStats> {
        self.read(Data::stats)
    }

    fn health(&self) -> StoreFuture<'_, StoreHealth> {
        self.read(Data::health)
    }

    fn delete(&self, instance_id: &str) -> StoreFuture<'_, bool> {
        self.write(|data, news| data.delete(instance_id, news))
    }

    fn purge(&self, request: PurgeRequest) -> StoreFuture<'_, u64> {
        self.write(|data, news| data.purge(&request, news))
    }

    fn rewind(&self, rewind: Rewind) -> StoreFuture<'_, RewindOutcome> {
        if let Err(error) = door::check_rewind(&self.shared.limits, &rewind) {
            return refused(error);
        }
        let mut news = News::default();
        let outcome = self.lock().rewind(rewind, &mut news);
        news.announce(&self.shared.wakeups);
        Box::pin(ready(outcome))
    }

    fn import(&self, import: Import) -> StoreFuture<'_, ImportOutcome> {
        match door::check_import(&self.shared.limits, &import) {
            Ok(()) => self.write(|data, news| data.import(import, news)),
            Err(error) => refused(error),
        }
    }
}
