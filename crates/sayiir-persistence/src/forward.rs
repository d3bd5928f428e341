//! A shared store is a store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;
use sayiir_core::transition::Transition;

use crate::store::{
    BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlCommand, ControlOutcome, Import, ImportOutcome, InstanceFilter,
    InstanceRecord, InstanceSummary, Limits, NewEvent, Process, SendOutcome, StartOutcome, StartRun, Store, StoreFuture,
};
use crate::wakeups::Wakeups;

macro_rules! forward {
    ($($type:ty),*) => {$(
        impl<S: Store + ?Sized> Store for $type {
            fn limits(&self) -> Limits {
                (**self).limits()
            }

            fn wakeups(&self) -> &Wakeups {
                (**self).wakeups()
            }

            fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId> {
                (**self).open_session(process)
            }

            fn sessions(&self, host: &str) -> StoreFuture<'_, Vec<(LeaseId, Process)>> {
                (**self).sessions(host)
            }

            fn expire_leases(&self, lease: LeaseId) -> StoreFuture<'_, u64> {
                (**self).expire_leases(lease)
            }

            fn start(&self, request: StartRun) -> StoreFuture<'_, StartOutcome> {
                (**self).start(request)
            }

            fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
                (**self).commit(lease, transitions)
            }

            fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
                (**self).claim(request)
            }

            fn next_due(&self, scope: ClaimScope) -> StoreFuture<'_, Option<Duration>> {
                (**self).next_due(scope)
            }

            fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
                (**self).load(lease, run, branches)
            }

            fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>> {
                (**self).renew(lease, ttl, branches)
            }

            fn read_values(&self, run: RunNumber, rows: Vec<JournalRef>) -> StoreFuture<'_, Vec<Bytes>> {
                (**self).read_values(run, rows)
            }

            fn read_branch_outputs(&self, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<Bytes>> {
                (**self).read_branch_outputs(run, branches)
            }

            fn read_event(&self, instance_id: &str, name: &str, seq: u64) -> StoreFuture<'_, Option<Bytes>> {
                (**self).read_event(instance_id, name, seq)
            }

            fn send_event(&self, event: NewEvent) -> StoreFuture<'_, SendOutcome> {
                (**self).send_event(event)
            }

            fn take_event(&self, instance_id: &str, name: &str) -> StoreFuture<'_, Option<Bytes>> {
                (**self).take_event(instance_id, name)
            }

            fn control(&self, command: ControlCommand) -> StoreFuture<'_, ControlOutcome> {
                (**self).control(command)
            }

            fn request_control(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> StoreFuture<'_, ControlOutcome> {
                (**self).request_control(instance_id, kind, request)
            }

            fn requested_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, Option<SignalRequest>> {
                (**self).requested_control(instance_id, kind)
            }

            fn clear_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, ()> {
                (**self).clear_control(instance_id, kind)
            }

            fn instance(&self, instance_id: &str) -> StoreFuture<'_, Option<InstanceRecord>> {
                (**self).instance(instance_id)
            }

            fn journal(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
                (**self).journal(run, after, limit)
            }

            fn list(&self, filter: InstanceFilter) -> StoreFuture<'_, Vec<InstanceSummary>> {
                (**self).list(filter)
            }

            fn delete(&self, instance_id: &str) -> StoreFuture<'_, bool> {
                (**self).delete(instance_id)
            }

            fn import(&self, import: Import) -> StoreFuture<'_, ImportOutcome> {
                (**self).import(import)
            }
        }
    )*};
}

forward!(&'static S, Arc<S>, Box<S>);
