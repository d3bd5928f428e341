//! The store interface: each operation is checked at the door, then handed to its module.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;
use sayiir_core::transition::{Output, Transition};
use sayiir_persistence::{
    BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlCommand, ControlOutcome, Import, ImportOutcome, InstanceFilter,
    InstanceRecord, InstanceSummary, Limits, NewEvent, Process, PurgeRequest, Rewind, RewindOutcome, SendOutcome, StartOutcome, StartRun,
    Store, StoreError, StoreFuture, StoreHealth, StoreStats, Wakeups, door,
};

use super::{SqlStore, attributes};

fn refused<'a, T: sayiir_core::future::MaybeSend + 'a>(error: StoreError) -> StoreFuture<'a, T> {
    Box::pin(ready(Err(error)))
}

/// What a database of rows adds to the door: both values of a wrapped output stand in one row.
fn check_rows(limits: &Limits, transitions: &[Transition]) -> Result<(), StoreError> {
    for transition in transitions {
        if let Some(entry) = &transition.entry
            && let Output::Wrapped { own, handed_on } = &entry.output
            && own.len() + handed_on.len() > limits.payload_bytes
        {
            let what = format!("the output of {:?} of instance {:?}, with what is handed on of it,", entry.node, transition.instance_id);
            return Err(StoreError::Limit { what, actual: own.len() + handed_on.len(), limit: limits.payload_bytes });
        }
    }
    Ok(())
}

impl Store for SqlStore {
    fn limits(&self) -> Limits {
        *self.limits()
    }

    fn wakeups(&self) -> &Wakeups {
        self.wakeups()
    }

    fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId> {
        self.operation(|store| store.open_a_session(process))
    }

    fn sessions(&self, host: &str) -> StoreFuture<'_, Vec<(LeaseId, Process)>> {
        let host = host.to_owned();
        self.operation(|store| store.sessions_on(host))
    }

    fn expire_leases(&self, lease: LeaseId) -> StoreFuture<'_, u64> {
        self.operation(|store| store.expire(lease))
    }

    fn start(&self, request: StartRun) -> StoreFuture<'_, StartOutcome> {
        match door::check_start(self.limits(), &request).and_then(|()| attributes::check(&request.attributes)) {
            Ok(()) => self.operation(|store| store.start_run(request)),
            Err(error) => refused(error),
        }
    }

    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
        let checked = door::check_commit(self.limits(), &transitions);
        match checked.and_then(|()| check_rows(self.limits(), &transitions)) {
            Ok(()) => self.operation(|store| store.commit_all(lease, transitions)),
            Err(error) => refused(error),
        }
    }

    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        self.operation(|store| store.claim_due(request))
    }

    fn next_due(&self, scope: ClaimScope) -> StoreFuture<'_, Option<Duration>> {
        self.operation(|store| store.due_next(scope))
    }

    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
        self.operation(|store| store.load_held(lease, run, branches))
    }

    fn leased(&self, lease: LeaseId) -> StoreFuture<'_, Vec<(RunNumber, BranchId, u64)>> {
        self.operation(|store| store.all_leased(lease))
    }

    fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>> {
        self.operation(|store| store.renew_leases(lease, ttl, branches))
    }

    fn report_progress(&self, lease: LeaseId, run: RunNumber, branch: BranchId, progress: Bytes) -> StoreFuture<'_, bool> {
        match door::check_progress(self.limits(), run, &branch, &progress) {
            Ok(()) => self.operation(|store| store.keep_progress(lease, run, branch, progress)),
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
        let checked = door::check_attributes(self.limits(), run, &branch, &attributes);
        match checked.and_then(|()| attributes::check(&attributes)) {
            Ok(()) => self.operation(|store| store.set_attributes(lease, run, branch, attributes)),
            Err(error) => refused(error),
        }
    }

    fn sub_steps(&self, run: RunNumber, branch: BranchId, node: Arc<str>) -> StoreFuture<'_, Vec<(Arc<str>, Bytes)>> {
        self.operation(|store| store.sub_steps_of(run, branch, node))
    }

    fn definition_document(&self, hash: DefinitionHash) -> StoreFuture<'_, Option<Arc<str>>> {
        self.operation(|store| store.document(hash))
    }

    fn read_values(&self, run: RunNumber, rows: Vec<JournalRef>) -> StoreFuture<'_, Vec<Bytes>> {
        self.operation(|store| async move { store.values(run, &rows).await })
    }

    fn read_branch_outputs(&self, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<Bytes>> {
        self.operation(|store| async move { store.branch_outputs(run, &branches).await })
    }

    fn read_event(&self, instance_id: &str, name: &str, seq: u64) -> StoreFuture<'_, Option<Bytes>> {
        let (id, name) = (Arc::from(instance_id), Arc::from(name));
        self.operation(|store| store.event(id, name, seq))
    }

    fn put_event(&self, event: NewEvent) -> StoreFuture<'_, SendOutcome> {
        match door::check_event(self.limits(), &event) {
            Ok(()) => self.operation(|store| store.send(event)),
            Err(error) => refused(error),
        }
    }

    fn take_event(&self, instance_id: &str, name: &str) -> StoreFuture<'_, Option<Bytes>> {
        let (id, name) = (Arc::from(instance_id), Arc::from(name));
        self.operation(|store| store.take(id, name))
    }

    fn control(&self, command: ControlCommand) -> StoreFuture<'_, ControlOutcome> {
        self.operation(|store| store.apply_control(command))
    }

    fn request_control(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> StoreFuture<'_, ControlOutcome> {
        let id = Arc::from(instance_id);
        self.operation(|store| store.record_control(id, kind, request))
    }

    fn apply_requested(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, bool> {
        let id = Arc::from(instance_id);
        self.operation(|store| store.apply_recorded(id, kind))
    }

    fn requested_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, Option<SignalRequest>> {
        let id = Arc::from(instance_id);
        self.operation(|store| store.recorded_control(id, kind))
    }

    fn clear_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, ()> {
        let id = Arc::from(instance_id);
        self.operation(|store| store.forget_control(id, kind))
    }

    fn instance(&self, instance_id: &str) -> StoreFuture<'_, Option<InstanceRecord>> {
        let id = Arc::from(instance_id);
        self.operation(|store| store.record(id))
    }

    fn journal(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        self.operation(|store| store.page(run, after, limit))
    }

    fn timeline(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        self.operation(|store| store.outline(run, after, limit))
    }

    fn list(&self, filter: InstanceFilter) -> StoreFuture<'_, Vec<InstanceSummary>> {
        match door::check_filter(&filter) {
            Ok(()) => self.operation(|store| store.list_instances(filter)),
            Err(error) => refused(error),
        }
    }

    fn stats(&self) -> StoreFuture<'_, StoreStats> {
        self.operation(Self::counts)
    }

    fn health(&self) -> StoreFuture<'_, StoreHealth> {
        self.operation(Self::look_after)
    }

    fn delete(&self, instance_id: &str) -> StoreFuture<'_, bool> {
        let id = Arc::from(instance_id);
        self.operation(|store| store.delete_instance(id))
    }

    fn purge(&self, request: PurgeRequest) -> StoreFuture<'_, u64> {
        self.operation(|store| store.purge_old(request))
    }

    fn rewind(&self, rewind: Rewind) -> StoreFuture<'_, RewindOutcome> {
        match door::check_rewind(self.limits(), &rewind) {
            Ok(()) => self.operation(|store| store.rewind_run(rewind)),
            Err(error) => refused(error),
        }
    }

    fn import(&self, import: Import) -> StoreFuture<'_, ImportOutcome> {
        match door::check_import(self.limits(), &import) {
            Ok(()) => self.operation(|store| store.import_snapshot(import)),
            Err(error) => refused(error),
        }
    }
}
