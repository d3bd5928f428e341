//! The network between a process and the store: requests and replies are lost, late or doubled.
//!
//! What is under way does not die with its sender.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;
use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::future::BoxFuture;
use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;
use sayiir_core::transition::Transition;
use sayiir_persistence::{
    BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlCommand, ControlOutcome, Import, ImportOutcome, InstanceFilter,
    InstanceRecord, InstanceSummary, Limits, NewEvent, Process, PurgeRequest, Rewind, RewindOutcome, SendOutcome, StartOutcome, StartRun,
    Store, StoreError, StoreFuture, StoreHealth, StoreStats, Wakeups,
};

use crate::watched::Watched;
use crate::world::{ProcessId, World};

/// The network around a watched store.
pub(crate) struct Link {
    pub(crate) world: Arc<World>,
    pub(crate) store: Arc<Watched>,
    pub(crate) process: ProcessId,
}

type Operation<T> = Box<dyn Fn(Arc<Watched>) -> BoxFuture<'static, Result<T, StoreError>> + Send + Sync>;

impl Link {
    fn ask<T: Send + 'static>(
        &self,
        name: &'static str,
        operation: impl Fn(Arc<Watched>) -> BoxFuture<'static, Result<T, StoreError>> + Send + Sync + 'static,
    ) -> StoreFuture<'static, T> {
        let (world, store, process) = (Arc::clone(&self.world), Arc::clone(&self.store), self.process);
        let operation: Operation<T> = Box::new(operation);
        Box::pin(async move {
            if !world.is_hostile() {
                return operation(store).await;
            }
            if world.one_in(60) {
                world.count("lost_request");
                world.trace(|| format!("p{process} {name}: the request is lost"));
                world.sleep(Duration::from_millis(10 + world.below(50))).await;
                return Err(unavailable());
            }
            let (reply, answer) = oneshot::channel();
            let under_way = deliver(Arc::clone(&world), store, process, name, operation, reply);
            world.spawn(0, Box::pin(under_way));
            if let Ok(answer) = answer.await {
                return answer;
            }
            world.sleep(Duration::from_millis(10 + world.below(50))).await;
            Err(unavailable())
        })
    }
}

async fn deliver<T: Send + 'static>(
    world: Arc<World>,
    store: Arc<Watched>,
    process: ProcessId,
    name: &'static str,
    operation: Operation<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
) {
    late(&world).await;
    let answer = operation(Arc::clone(&store)).await;
    if world.one_in(60) {
        world.count("doubled");
        world.trace(|| format!("p{process} {name}: the request is doubled"));
        late(&world).await;
        drop(operation(store).await);
    }
    if world.one_in(60) {
        world.count("lost_reply");
        world.trace(|| format!("p{process} {name}: the reply is lost"));
        return;
    }
    late(&world).await;
    // The process may be gone.
    let _ = reply.send(answer);
}

/// Most messages take no time to speak of; some take longer than a lease.
async fn late(world: &Arc<World>) {
    if world.is_hostile() && world.one_in(8) {
        let most = if world.one_in(5) { 400 } else { 4 };
        if most > 4 {
            world.count("late");
        }
        world.sleep(Duration::from_micros(world.below(most * 1000))).await;
    }
}

fn unavailable() -> StoreError {
    StoreError::unavailable("no answer came")
}

macro_rules! ask {
    ($self:ident . $name:ident ( $($argument:ident),* )) => {
        $self.ask(stringify!($name), move |store| {
            $(let $argument = $argument.clone();)*
            Box::pin(async move { store.$name($($argument),*).await })
        })
    };
    ($self:ident . $name:ident of $id:ident ( $($argument:ident),* )) => {{
        let $id = $id.to_owned();
        $self.ask(stringify!($name), move |store| {
            let $id = $id.clone();
            $(let $argument = $argument.clone();)*
            Box::pin(async move { store.$name(&$id, $($argument),*).await })
        })
    }};
}

impl Store for Link {
    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn wakeups(&self) -> &Wakeups {
        self.store.wakeups()
    }

    fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId> {
        ask!(self.open_session(process))
    }

    fn sessions(&self, host: &str) -> StoreFuture<'_, Vec<(LeaseId, Process)>> {
        ask!(self.sessions of host())
    }

    fn expire_leases(&self, lease: LeaseId) -> StoreFuture<'_, u64> {
        ask!(self.expire_leases(lease))
    }

    fn start(&self, request: StartRun) -> StoreFuture<'_, StartOutcome> {
        ask!(self.start(request))
    }

    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
        ask!(self.commit(lease, transitions))
    }

    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        ask!(self.claim(request))
    }

    fn next_due(&self, scope: ClaimScope) -> StoreFuture<'_, Option<Duration>> {
        ask!(self.next_due(scope))
    }

    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
        ask!(self.load(lease, run, branches))
    }

    fn leased(&self, lease: LeaseId) -> StoreFuture<'_, Vec<(RunNumber, BranchId, u64)>> {
        ask!(self.leased(lease))
    }

    fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>> {
        ask!(self.renew(lease, ttl, branches))
    }

    fn report_progress(&self, lease: LeaseId, run: RunNumber, branch: BranchId, progress: Bytes) -> StoreFuture<'_, bool> {
        ask!(self.report_progress(lease, run, branch, progress))
    }

    fn set_search_attributes(
        &self,
        lease: LeaseId,
        run: RunNumber,
        branch: BranchId,
        attributes: SearchAttributes,
    ) -> StoreFuture<'_, bool> {
        ask!(self.set_search_attributes(lease, run, branch, attributes))
    }

    fn sub_steps(&self, run: RunNumber, branch: BranchId, node: Arc<str>) -> StoreFuture<'_, Vec<(Arc<str>, Bytes)>> {
        ask!(self.sub_steps(run, branch, node))
    }

    fn definition_document(&self, hash: DefinitionHash) -> StoreFuture<'_, Option<Arc<str>>> {
        ask!(self.definition_document(hash))
    }

    fn read_values(&self, run: RunNumber, rows: Vec<JournalRef>) -> StoreFuture<'_, Vec<Bytes>> {
        ask!(self.read_values(run, rows))
    }

    fn read_branch_outputs(&self, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<Bytes>> {
        ask!(self.read_branch_outputs(run, branches))
    }

    fn read_event(&self, instance_id: &str, name: &str, seq: u64) -> StoreFuture<'_, Option<Bytes>> {
        let name = name.to_owned();
        let instance_id = instance_id.to_owned();
        self.ask("read_event", move |store| {
            let (instance_id, name) = (instance_id.clone(), name.clone());
            Box::pin(async move { store.read_event(&instance_id, &name, seq).await })
        })
    }

    fn put_event(&self, event: NewEvent) -> StoreFuture<'_, SendOutcome> {
        ask!(self.put_event(event))
    }

    fn take_event(&self, instance_id: &str, name: &str) -> StoreFuture<'_, Option<Bytes>> {
        let (instance_id, name) = (instance_id.to_owned(), name.to_owned());
        self.ask("take_event", move |store| {
            let (instance_id, name) = (instance_id.clone(), name.clone());
            Box::pin(async move { store.take_event(&instance_id, &name).await })
        })
    }

    fn control(&self, command: ControlCommand) -> StoreFuture<'_, ControlOutcome> {
        ask!(self.control(command))
    }

    fn request_control(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> StoreFuture<'_, ControlOutcome> {
        ask!(self.request_control of instance_id(kind, request))
    }

    fn apply_requested(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, bool> {
        ask!(self.apply_requested of instance_id(kind))
    }

    fn requested_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, Option<SignalRequest>> {
        ask!(self.requested_control of instance_id(kind))
    }

    fn clear_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, ()> {
        ask!(self.clear_control of instance_id(kind))
    }

    fn instance(&self, instance_id: &str) -> StoreFuture<'_, Option<InstanceRecord>> {
        ask!(self.instance of instance_id())
    }

    fn journal(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        ask!(self.journal(run, after, limit))
    }

    fn timeline(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        ask!(self.timeline(run, after, limit))
    }

    fn list(&self, filter: InstanceFilter) -> StoreFuture<'_, Vec<InstanceSummary>> {
        ask!(self.list(filter))
    }

    fn stats(&self) -> StoreFuture<'_, StoreStats> {
        ask!(self.stats())
    }

    fn health(&self) -> StoreFuture<'_, StoreHealth> {
        ask!(self.health())
    }

    fn delete(&self, instance_id: &str) -> StoreFuture<'_, bool> {
        ask!(self.delete of instance_id())
    }

    fn purge(&self, request: PurgeRequest) -> StoreFuture<'_, u64> {
        ask!(self.purge(request))
    }

    fn rewind(&self, rewind: Rewind) -> StoreFuture<'_, RewindOutcome> {
        ask!(self.rewind(rewind))
    }

    fn import(&self, import: Import) -> StoreFuture<'_, ImportOutcome> {
        ask!(self.import(import))
    }
}
