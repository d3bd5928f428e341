//! A store that tells a test of its calls, so that the test can hold a reply back or lose it at an exact moment.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir::core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir::core::control::{SignalKind, SignalRequest};
use sayiir::core::future::BoxFuture;
use sayiir::core::journal::JournalRow;
use sayiir::core::time::Timestamp;
use sayiir::core::transition::Transition;
use sayiir::persistence::{
    BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlCommand, ControlOutcome, Import, ImportOutcome, InstanceFilter,
    InstanceRecord, InstanceSummary, Limits, NewEvent, Process, SendOutcome, StartOutcome, StartRun, Store, StoreError, StoreFuture,
    Wakeups,
};

/// A call of the driver's, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// About to be applied.
    BeforeCommit(Vec<Transition>),
    /// Applied, not yet answered.
    AfterCommit(Vec<Transition>),
    /// Taken, not yet answered.
    AfterClaim(Vec<BranchView>),
    /// About to be read.
    BeforeLoad(Vec<BranchId>),
    /// Read, not yet answered.
    AfterLoad(Vec<BranchView>),
    /// About to be renewed.
    BeforeRenew,
    /// Renewed, not yet answered.
    AfterRenew,
}

/// What a test does at a call; the reply is lost if it answers false.
pub(crate) type Hook = Box<dyn Fn(Call) -> BoxFuture<'static, bool> + Send + Sync>;

/// A store around another.
pub(crate) struct HookedStore {
    inner: Arc<dyn Store>,
    hook: Hook,
}

impl HookedStore {
    pub(crate) fn new(inner: impl Store, hook: impl Fn(Call) -> BoxFuture<'static, bool> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { inner: Arc::new(inner), hook: Box::new(hook) })
    }

    async fn tell(&self, call: Call) -> Result<(), StoreError> {
        if (self.hook)(call).await {
            Ok(())
        } else {
            Err(StoreError::Unavailable { reason: "the reply was lost".to_owned(), source: None })
        }
    }
}

impl Store for HookedStore {
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

    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
        Box::pin(async move {
            self.tell(Call::BeforeCommit(transitions.clone())).await?;
            let outcomes = self.inner.commit(lease, transitions.clone()).await?;
            self.tell(Call::AfterCommit(transitions)).await?;
            Ok(outcomes)
        })
    }

    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        Box::pin(async move {
            let views = self.inner.claim(request).await?;
            self.tell(Call::AfterClaim(views.clone())).await?;
            Ok(views)
        })
    }

    fn next_due(&self, scope: ClaimScope) -> StoreFuture<'_, Option<Duration>> {
        self.inner.next_due(scope)
    }

    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
        Box::pin(async move {
            self.tell(Call::BeforeLoad(branches.clone())).await?;
            let views = self.inner.load(lease, run, branches).await?;
            self.tell(Call::AfterLoad(views.clone())).await?;
            Ok(views)
        })
    }

    fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>> {
        Box::pin(async move {
            self.tell(Call::BeforeRenew).await?;
            let answers = self.inner.renew(lease, ttl, branches).await?;
            self.tell(Call::AfterRenew).await?;
            Ok(answers)
        })
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
