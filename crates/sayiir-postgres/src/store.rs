//! The store interface on PostgreSQL: each operation is checked at the door, then run on the store's runtime.

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
use sayiir_core::transition::Transition;
use sayiir_persistence::{
    BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlCommand, ControlOutcome, Import, ImportOutcome, InstanceFilter,
    InstanceRecord, InstanceSummary, Limits, NewEvent, Process, PurgeRequest, Rewind, RewindOutcome, SendOutcome, StartOutcome, StartRun,
    Store, StoreError, StoreFuture, StoreHealth, StoreStats, Wakeups, door,
};

use crate::backend::PostgresBackend;
use crate::core::Mode;
use crate::ops::{
    attributes, claim, control, events, health, import, journal, lanes, list, purge, queries, rewind, sessions, start, views,
};

fn refused<'a, T: Send + 'a>(error: StoreError) -> StoreFuture<'a, T> {
    Box::pin(ready(Err(error)))
}

/// An operation as a function that can be called again: what it needs is shared by its calls.
macro_rules! operation {
    ($tx:ident, $($name:ident),* => $call:expr) => {{
        $(let $name = Arc::new($name);)*
        move |$tx| {
            $(let $name = Arc::clone(&$name);)*
            Box::pin(async move { $call.await })
        }
    }};
}

impl<C: 'static> Store for PostgresBackend<C> {
    fn limits(&self) -> Limits {
        *self.limits_of()
    }

    fn wakeups(&self) -> &Wakeups {
        self.wakeups_of()
    }

    fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId> {
        self.run(Mode::Single, operation!(tx, process => sessions::open(tx, &process)))
    }

    fn sessions(&self, host: &str) -> StoreFuture<'_, Vec<(LeaseId, Process)>> {
        let host = host.to_owned();
        self.run(Mode::Single, operation!(tx, host => sessions::on_host(tx, &host)))
    }

    fn expire_leases(&self, lease: LeaseId) -> StoreFuture<'_, u64> {
        self.run(Mode::Single, move |tx| Box::pin(claim::expire(tx, lease)))
    }

    fn start(&self, request: StartRun) -> StoreFuture<'_, StartOutcome> {
        match door::check_start(self.limits_of(), &request) {
            Ok(()) => self.starts().ask(request),
            Err(error) => refused(error),
        }
    }

    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
        match door::check_commit(self.limits_of(), &transitions) {
            Ok(()) => Box::pin(self.committers().commit(lease, transitions)),
            Err(error) => refused(error),
        }
    }

    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        self.run(Mode::Single, operation!(tx, request => claim::claim(tx, &request)))
    }

    fn next_due(&self, scope: ClaimScope) -> StoreFuture<'_, Option<Duration>> {
        self.run(Mode::Single, operation!(tx, scope => claim::next_due(tx, &scope)))
    }

    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
        self.run(Mode::Single, operation!(tx, branches => views::load(tx, lease, run, &branches)))
    }

    fn leased(&self, lease: LeaseId) -> StoreFuture<'_, Vec<(RunNumber, BranchId, u64)>> {
        self.run_apart(Mode::Single, move |tx| Box::pin(claim::leased(tx, lease)))
    }

    fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>> {
        self.run_apart(Mode::Single, operation!(tx, branches => claim::renew(tx, lease, ttl, &branches)))
    }

    fn report_progress(&self, lease: LeaseId, run: RunNumber, branch: BranchId, progress: Bytes) -> StoreFuture<'_, bool> {
        match door::check_progress(self.limits_of(), run, &branch, &progress) {
            Ok(()) => {
                self.run(Mode::Single, operation!(tx, branch, progress => claim::report_progress(tx, lease, run, &branch, &progress)))
            }
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
        let limits = *self.limits_of();
        match door::check_attributes(&limits, run, &branch, &attributes) {
            Ok(()) => {
                self.run(Mode::Write, operation!(tx, branch, attributes => attributes::set(tx, &limits, lease, run, &branch, &attributes)))
            }
            Err(error) => refused(error),
        }
    }

    fn sub_steps(&self, run: RunNumber, branch: BranchId, node: Arc<str>) -> StoreFuture<'_, Vec<(Arc<str>, Bytes)>> {
        self.run(Mode::Single, operation!(tx, branch, node => journal::sub_steps(tx, run, &branch, &node)))
    }

    fn definition_document(&self, hash: DefinitionHash) -> StoreFuture<'_, Option<Arc<str>>> {
        self.run(Mode::Single, move |tx| Box::pin(lanes::document(tx, hash)))
    }

    fn read_values(&self, run: RunNumber, rows: Vec<JournalRef>) -> StoreFuture<'_, Vec<Bytes>> {
        self.run(Mode::Single, operation!(tx, rows => journal::values(tx, run, &rows)))
    }

    fn read_branch_outputs(&self, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<Bytes>> {
        self.run(Mode::Single, operation!(tx, branches => journal::branch_outputs(tx, run, &branches)))
    }

    fn read_event(&self, instance_id: &str, name: &str, seq: u64) -> StoreFuture<'_, Option<Bytes>> {
        let (id, name) = (instance_id.to_owned(), name.to_owned());
        self.run(Mode::Single, operation!(tx, id, name => events::read(tx, &id, &name, seq)))
    }

    fn put_event(&self, event: NewEvent) -> StoreFuture<'_, SendOutcome> {
        match door::check_event(self.limits_of(), &event) {
            Ok(()) => self.mail().ask(event),
            Err(error) => refused(error),
        }
    }

    fn take_event(&self, instance_id: &str, name: &str) -> StoreFuture<'_, Option<Bytes>> {
        let (id, name) = (instance_id.to_owned(), name.to_owned());
        self.run(Mode::Write, operation!(tx, id, name => events::take(tx, &id, &name)))
    }

    fn control(&self, command: ControlCommand) -> StoreFuture<'_, ControlOutcome> {
        self.run(Mode::Write, operation!(tx, command => control::control(tx, &command)))
    }

    fn request_control(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> StoreFuture<'_, ControlOutcome> {
        let id = instance_id.to_owned();
        self.run(Mode::Write, operation!(tx, id, request => control::request(tx, &id, kind, &request)))
    }

    fn apply_requested(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, bool> {
        let id = instance_id.to_owned();
        self.run(Mode::Write, operation!(tx, id => control::apply_requested(tx, &id, kind)))
    }

    fn requested_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, Option<SignalRequest>> {
        let id = instance_id.to_owned();
        self.run(Mode::Single, operation!(tx, id => control::requested(tx, &id, kind)))
    }

    fn clear_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, ()> {
        let id = instance_id.to_owned();
        self.run(Mode::Write, operation!(tx, id => control::clear(tx, &id, kind)))
    }

    fn instance(&self, instance_id: &str) -> StoreFuture<'_, Option<InstanceRecord>> {
        let id = instance_id.to_owned();
        self.run(Mode::Snapshot, operation!(tx, id => queries::instance(tx, &id)))
    }

    fn journal(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        self.run(Mode::Single, operation!(tx, after => journal::page(tx, run, (*after).as_ref(), limit)))
    }

    fn timeline(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        self.run(Mode::Single, operation!(tx, after => journal::timeline(tx, run, (*after).as_ref(), limit)))
    }

    fn list(&self, filter: InstanceFilter) -> StoreFuture<'_, Vec<InstanceSummary>> {
        match door::check_filter(&filter) {
            Ok(()) => self.run(Mode::Snapshot, operation!(tx, filter => list::list(tx, &filter))),
            Err(error) => refused(error),
        }
    }

    fn stats(&self) -> StoreFuture<'_, StoreStats> {
        self.run(Mode::Snapshot, |tx| Box::pin(health::stats(tx)))
    }

    fn health(&self) -> StoreFuture<'_, StoreHealth> {
        self.run(Mode::Snapshot, |tx| Box::pin(health::health(tx)))
    }

    fn delete(&self, instance_id: &str) -> StoreFuture<'_, bool> {
        let id = instance_id.to_owned();
        self.run(Mode::Write, operation!(tx, id => start::delete(tx, &id)))
    }

    fn purge(&self, request: PurgeRequest) -> StoreFuture<'_, u64> {
        self.run(Mode::Write, operation!(tx, request => purge::purge(tx, &request)))
    }

    fn rewind(&self, rewind: Rewind) -> StoreFuture<'_, RewindOutcome> {
        match door::check_rewind(self.limits_of(), &rewind) {
            Ok(()) => self.run(Mode::Single, operation!(tx, rewind => rewind::rewind(tx, &rewind))),
            Err(error) => refused(error),
        }
    }

    fn import(&self, import: Import) -> StoreFuture<'_, ImportOutcome> {
        match door::check_import(self.limits_of(), &import) {
            Ok(()) => self.run(Mode::Single, operation!(tx, import => import::import(tx, &import))),
            Err(error) => refused(error),
        }
    }
}
