//! The store interface on SQLite: each operation is checked at the door, then handed to the writer or to a reader.

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

use crate::backend::SqliteBackend;
use crate::ops::{
    attributes, claim, commit, control, events, health, import, journal, lanes, list, purge, queries, rewind, sessions, start, views,
};

/// What a request costs beside its payloads.
const ROW: usize = 256;

fn refused<'a, T: Send + 'a>(error: StoreError) -> StoreFuture<'a, T> {
    Box::pin(ready(Err(error)))
}

fn cost_of(transitions: &[Transition]) -> usize {
    let of = |transition: &Transition| {
        let output = transition.entry.as_ref().map_or(0, |entry| match &entry.output {
            Output::Nothing | Output::SameAs(_) => 0,
            Output::Value(own) => own.len(),
            Output::Wrapped { own, handed_on } => own.len() + handed_on.len(),
        });
        output + ROW
    };
    transitions.iter().map(of).sum()
}

impl Store for SqliteBackend {
    fn limits(&self) -> Limits {
        *self.limits_of()
    }

    fn wakeups(&self) -> &Wakeups {
        self.wakeups_of()
    }

    fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId> {
        self.write(ROW, move |tx| sessions::open(tx, &process))
    }

    fn sessions(&self, host: &str) -> StoreFuture<'_, Vec<(LeaseId, Process)>> {
        let host = host.to_owned();
        self.read(move |look| sessions::on_host(look, &host))
    }

    fn expire_leases(&self, lease: LeaseId) -> StoreFuture<'_, u64> {
        self.write(ROW, move |tx| claim::expire(tx, lease))
    }

    fn start(&self, request: StartRun) -> StoreFuture<'_, StartOutcome> {
        match door::check_start(self.limits_of(), &request) {
            Ok(()) => self.write(ROW + request.input.len(), move |tx| start::start(tx, &request)),
            Err(error) => refused(error),
        }
    }

    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
        match door::check_commit(self.limits_of(), &transitions) {
            Ok(()) => self.write(cost_of(&transitions), move |tx| commit::all(tx, lease, &transitions)),
            Err(error) => refused(error),
        }
    }

    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        self.write(ROW, move |tx| claim::claim(tx, &request))
    }

    fn next_due(&self, scope: ClaimScope) -> StoreFuture<'_, Option<Duration>> {
        self.read(move |look| claim::next_due(look, &scope))
    }

    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
        self.read(move |look| views::load(look, lease, run, &branches))
    }

    fn leased(&self, lease: LeaseId) -> StoreFuture<'_, Vec<(RunNumber, BranchId, u64)>> {
        self.read(move |look| claim::leased(look, lease))
    }

    fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>> {
        self.write(ROW, move |tx| claim::renew(tx, lease, ttl, &branches))
    }

    fn report_progress(&self, lease: LeaseId, run: RunNumber, branch: BranchId, progress: Bytes) -> StoreFuture<'_, bool> {
        match door::check_progress(self.limits_of(), run, &branch, &progress) {
            Ok(()) => self.write(ROW + progress.len(), move |tx| claim::report_progress(tx, lease, run, &branch, &progress)),
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
            Ok(()) => self.write(ROW, move |tx| attributes::set(tx, &limits, lease, run, &branch, &attributes)),
            Err(error) => refused(error),
        }
    }

    fn sub_steps(&self, run: RunNumber, branch: BranchId, node: Arc<str>) -> StoreFuture<'_, Vec<(Arc<str>, Bytes)>> {
        self.read(move |look| journal::sub_steps(look, run, &branch, &node))
    }

    fn definition_document(&self, hash: DefinitionHash) -> StoreFuture<'_, Option<Arc<str>>> {
        self.read(move |look| lanes::document(look, hash))
    }

    fn read_values(&self, run: RunNumber, rows: Vec<JournalRef>) -> StoreFuture<'_, Vec<Bytes>> {
        self.read(move |look| journal::values(look, run, &rows))
    }

    fn read_branch_outputs(&self, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<Bytes>> {
        self.read(move |look| journal::branch_outputs(look, run, &branches))
    }

    fn read_event(&self, instance_id: &str, name: &str, seq: u64) -> StoreFuture<'_, Option<Bytes>> {
        let (id, name) = (instance_id.to_owned(), name.to_owned());
        self.read(move |look| events::read(look, &id, &name, seq))
    }

    fn put_event(&self, event: NewEvent) -> StoreFuture<'_, SendOutcome> {
        match door::check_event(self.limits_of(), &event) {
            Ok(()) => self.write(ROW + event.payload.len(), move |tx| events::send(tx, &event)),
            Err(error) => refused(error),
        }
    }

    fn take_event(&self, instance_id: &str, name: &str) -> StoreFuture<'_, Option<Bytes>> {
        let (id, name) = (instance_id.to_owned(), name.to_owned());
        self.write(ROW, move |tx| events::take(tx, &id, &name))
    }

    fn control(&self, command: ControlCommand) -> StoreFuture<'_, ControlOutcome> {
        self.write(ROW, move |tx| control::control(tx, &command))
    }

    fn request_control(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> StoreFuture<'_, ControlOutcome> {
        let id = instance_id.to_owned();
        self.write(ROW, move |tx| control::request(tx, &id, kind, &request))
    }

    fn apply_requested(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, bool> {
        let id = instance_id.to_owned();
        self.write(ROW, move |tx| control::apply_requested(tx, &id, kind))
    }

    fn requested_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, Option<SignalRequest>> {
        let id = instance_id.to_owned();
        self.read(move |look| control::requested(look, &id, kind))
    }

    fn clear_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, ()> {
        let id = instance_id.to_owned();
        self.write(ROW, move |tx| control::clear(tx, &id, kind))
    }

    fn instance(&self, instance_id: &str) -> StoreFuture<'_, Option<InstanceRecord>> {
        let id = instance_id.to_owned();
        self.read(move |look| queries::instance(look, &id))
    }

    fn journal(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        self.read(move |look| journal::page(look, run, after.as_ref(), limit))
    }

    fn timeline(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        self.read(move |look| journal::timeline(look, run, after.as_ref(), limit))
    }

    fn list(&self, filter: InstanceFilter) -> StoreFuture<'_, Vec<InstanceSummary>> {
        match door::check_filter(&filter) {
            Ok(()) => self.read(move |look| list::list(look, &filter)),
            Err(error) => refused(error),
        }
    }

    fn stats(&self) -> StoreFuture<'_, StoreStats> {
        self.read(health::stats)
    }

    fn health(&self) -> StoreFuture<'_, StoreHealth> {
        self.read(health::health)
    }

    fn delete(&self, instance_id: &str) -> StoreFuture<'_, bool> {
        let id = instance_id.to_owned();
        self.write(ROW, move |tx| start::delete(tx, &id))
    }

    fn purge(&self, request: PurgeRequest) -> StoreFuture<'_, u64> {
        self.write(ROW, move |tx| purge::purge(tx, &request))
    }

    fn rewind(&self, rewind: Rewind) -> StoreFuture<'_, RewindOutcome> {
        match door::check_rewind(self.limits_of(), &rewind) {
            Ok(()) => self.write(ROW, move |tx| rewind::rewind(tx, &rewind)),
            Err(error) => refused(error),
        }
    }

    fn import(&self, import: Import) -> StoreFuture<'_, ImportOutcome> {
        match door::check_import(self.limits_of(), &import) {
            Ok(()) => {
                let cost = ROW + import.input.len() + import.results.iter().map(|(_, output)| output.len()).sum::<usize>();
                self.write(cost, move |tx| import::import(tx, &import))
            }
            Err(error) => refused(error),
        }
    }
}
