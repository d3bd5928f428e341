//! A store that loses requests and replies, and dies, at the write it is told to.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::future::BoxFuture;
use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;
use sayiir_core::transition::Transition;
use sayiir_persistence::{
    BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlCommand, ControlOutcome, Import, ImportOutcome, InstanceFilter,
    InstanceRecord, InstanceSummary, Limits, NewEvent, Process, SendOutcome, StartOutcome, StartRun, Store, StoreError, StoreFuture,
    Wakeups,
};

/// What happens to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not reach the store.
    RequestLost,
    /// It is applied; the caller is not told.
    ReplyLost,
    /// The caller's world ends before it: nothing is applied any more, until [`FaultStore::revive`].
    CrashBefore,
    /// The caller's world ends after it was applied.
    CrashAfter,
}

#[derive(Default)]
struct Plan {
    writes: u64,
    faults: BTreeMap<u64, Fault>,
    between: BTreeMap<u64, BoxFuture<'static, ()>>,
    leases: Vec<LeaseId>,
    crashed: bool,
}

/// A store around another one. Its faults all look alike to the caller: [`StoreError::Unavailable`].
pub struct FaultStore {
    inner: Arc<dyn Store>,
    plan: Mutex<Plan>,
}

impl FaultStore {
    /// A store that passes everything on until it is told otherwise.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, plan: Mutex::default() }
    }

    /// Lets the `nth` write from now (1: the next one) meet a fault.
    pub fn fail_write(&self, nth: u64, fault: Fault) {
        let mut plan = self.plan();
        let at = plan.writes + nth;
        plan.faults.insert(at, fault);
    }

    /// Lets somebody else act right before the `nth` write from now (1: the next one), whether that meets a fault or not.
    pub fn act_before_write(&self, nth: u64, act: BoxFuture<'static, ()>) {
        let mut plan = self.plan();
        let at = plan.writes + nth;
        plan.between.insert(at, act);
    }

    /// The leases of the sessions that were opened through this store.
    pub fn leases(&self) -> Vec<LeaseId> {
        self.plan().leases.clone()
    }

    /// How many writes were asked for so far, failed ones too.
    pub fn writes(&self) -> u64 {
        self.plan().writes
    }

    /// Whether a crash has come.
    pub fn is_crashed(&self) -> bool {
        self.plan().crashed
    }

    /// Ends a crash, and forgets faults that have not come yet.
    pub fn revive(&self) {
        let mut plan = self.plan();
        plan.crashed = false;
        plan.faults.clear();
    }

    /// The store inside.
    pub fn inner(&self) -> &Arc<dyn Store> {
        &self.inner
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a write, and gives its number and who acts before it.
    fn next_write(&self) -> (u64, Option<BoxFuture<'static, ()>>) {
        let mut plan = self.plan();
        plan.writes += 1;
        let number = plan.writes;
        (number, plan.between.remove(&number))
    }

    /// What is to happen to a write: whether it is applied, and whether it is answered.
    fn fate(&self, number: u64) -> (bool, bool) {
        let mut plan = self.plan();
        if plan.crashed {
            return (false, false);
        }
        match plan.faults.remove(&number) {
            None => (true, true),
            Some(Fault::RequestLost) => (false, false),
            Some(Fault::ReplyLost) => (true, false),
            Some(Fault::CrashBefore) => {
                plan.crashed = true;
                (false, false)
            }
            Some(Fault::CrashAfter) => {
                plan.crashed = true;
                (true, false)
            }
        }
    }

    async fn write<T>(&self, operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let (number, act) = self.next_write();
        if let Some(act) = act {
            act.await;
        }
        let (applied, answered) = self.fate(number);
        if !applied {
            return Err(unavailable("a fault was asked for before this write"));
        }
        let answer = operation.await;
        if answered { answer } else { Err(unavailable("a fault was asked for after this write")) }
    }

    async fn read<T>(&self, operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        if self.is_crashed() { Err(unavailable("a crash was asked for")) } else { operation.await }
    }
}

fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable { reason: reason.to_owned(), source: None }
}

/// Asks the store inside only once the write is let through.
macro_rules! write {
    ($self:ident, $call:expr) => {
        Box::pin(async move { $self.write(async move { $call.await }).await })
    };
}

macro_rules! read {
    ($self:ident, $call:expr) => {
        Box::pin(async move { $self.read(async move { $call.await }).await })
    };
}

impl Store for FaultStore {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn wakeups(&self) -> &Wakeups {
        self.inner.wakeups()
    }

    fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId> {
        let opened = async move {
            let lease = self.inner.open_session(process).await?;
            self.plan().leases.push(lease);
            Ok(lease)
        };
        Box::pin(self.write(opened))
    }

    fn sessions(&self, host: &str) -> StoreFuture<'_, Vec<(LeaseId, Process)>> {
        let host = host.to_owned();
        read!(self, self.inner.sessions(&host))
    }

    fn expire_leases(&self, lease: LeaseId) -> StoreFuture<'_, u64> {
        write!(self, self.inner.expire_leases(lease))
    }

    fn start(&self, request: StartRun) -> StoreFuture<'_, StartOutcome> {
        write!(self, self.inner.start(request))
    }

    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
        write!(self, self.inner.commit(lease, transitions))
    }

    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        write!(self, self.inner.claim(request))
    }

    fn next_due(&self, scope: ClaimScope) -> StoreFuture<'_, Option<Duration>> {
        read!(self, self.inner.next_due(scope))
    }

    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
        read!(self, self.inner.load(lease, run, branches))
    }

    fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>> {
        write!(self, self.inner.renew(lease, ttl, branches))
    }

    fn read_values(&self, run: RunNumber, rows: Vec<JournalRef>) -> StoreFuture<'_, Vec<Bytes>> {
        read!(self, self.inner.read_values(run, rows))
    }

    fn read_branch_outputs(&self, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<Bytes>> {
        read!(self, self.inner.read_branch_outputs(run, branches))
    }

    fn read_event(&self, instance_id: &str, name: &str, seq: u64) -> StoreFuture<'_, Option<Bytes>> {
        let (instance_id, name) = (instance_id.to_owned(), name.to_owned());
        read!(self, self.inner.read_event(&instance_id, &name, seq))
    }

    fn send_event(&self, event: NewEvent) -> StoreFuture<'_, SendOutcome> {
        write!(self, self.inner.send_event(event))
    }

    fn take_event(&self, instance_id: &str, name: &str) -> StoreFuture<'_, Option<Bytes>> {
        let (instance_id, name) = (instance_id.to_owned(), name.to_owned());
        write!(self, self.inner.take_event(&instance_id, &name))
    }

    fn control(&self, command: ControlCommand) -> StoreFuture<'_, ControlOutcome> {
        write!(self, self.inner.control(command))
    }

    fn request_control(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> StoreFuture<'_, ControlOutcome> {
        let instance_id = instance_id.to_owned();
        write!(self, self.inner.request_control(&instance_id, kind, request))
    }

    fn requested_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, Option<SignalRequest>> {
        let instance_id = instance_id.to_owned();
        read!(self, self.inner.requested_control(&instance_id, kind))
    }

    fn clear_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, ()> {
        let instance_id = instance_id.to_owned();
        write!(self, self.inner.clear_control(&instance_id, kind))
    }

    fn instance(&self, instance_id: &str) -> StoreFuture<'_, Option<InstanceRecord>> {
        let instance_id = instance_id.to_owned();
        read!(self, self.inner.instance(&instance_id))
    }

    fn journal(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        read!(self, self.inner.journal(run, after, limit))
    }

    fn list(&self, filter: InstanceFilter) -> StoreFuture<'_, Vec<InstanceSummary>> {
        read!(self, self.inner.list(filter))
    }

    fn delete(&self, instance_id: &str) -> StoreFuture<'_, bool> {
        let instance_id = instance_id.to_owned();
        write!(self, self.inner.delete(&instance_id))
    }

    fn import(&self, import: Import) -> StoreFuture<'_, ImportOutcome> {
        write!(self, self.inner.import(import))
    }
}
