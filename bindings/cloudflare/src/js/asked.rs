//! What the engine asks of stores at the edge, and no more: an operation that nobody asks for is not compiled into the package, where each
//! kilobyte is loaded with each isolate.

use std::future::ready;
use std::sync::Arc;

use sayiir_core::future::MaybeSend;
use sayiir_persistence::store_types::{
    Bytes, ControlCommand, ControlOutcome, DefinitionHash, Import, ImportOutcome, InstanceFilter, InstanceSummary, JournalRef, JournalRow,
    LeaseId, NewEvent, Process, PurgeRequest, Rewind, RewindOutcome, RunNumber, SendOutcome, SignalKind, SignalRequest, StoreHealth,
    StoreStats, Timestamp,
};
use sayiir_persistence::{InMemoryBackend, Store, StoreError, StoreFuture, forward_store};

use crate::store::SqlStore;

/// The store of a database.
pub(super) struct Kept(pub(super) SqlStore);

/// The store of a run that nothing is kept of.
pub(super) struct Fleeting(pub(super) InMemoryBackend);

/// An operation of operators, importers or fleets of workers: an engine at the edge has no call that comes to it.
fn nobody_asks<'a, T: MaybeSend + 'a>(operation: &str) -> StoreFuture<'a, T> {
    let reason = format!("the package for Workers has no {operation:?}: use the command line or a Rust program on this store");
    Box::pin(ready(Err(StoreError::misused(reason))))
}

/// Refuses the named operations.
macro_rules! nobody_asks {
    ($($operation:ident)*) => { $(nobody_asks!(@ $operation);)* };
    (@ sessions) => { nobody_asks!(# sessions(_: &str) -> Vec<(LeaseId, Process)>); };
    (@ expire_leases) => { nobody_asks!(# expire_leases(_: LeaseId) -> u64); };
    (@ definition_document) => { nobody_asks!(# definition_document(_: DefinitionHash) -> Option<Arc<str>>); };
    (@ put_event) => { nobody_asks!(# put_event(_: NewEvent) -> SendOutcome); };
    (@ take_event) => { nobody_asks!(# take_event(_: &str, _: &str) -> Option<Bytes>); };
    (@ control) => { nobody_asks!(# control(_: ControlCommand) -> ControlOutcome); };
    (@ request_control) => { nobody_asks!(# request_control(_: &str, _: SignalKind, _: SignalRequest) -> ControlOutcome); };
    (@ apply_requested) => { nobody_asks!(# apply_requested(_: &str, _: SignalKind) -> bool); };
    (@ requested_control) => { nobody_asks!(# requested_control(_: &str, _: SignalKind) -> Option<SignalRequest>); };
    (@ clear_control) => { nobody_asks!(# clear_control(_: &str, _: SignalKind) -> ()); };
    (@ journal) => { nobody_asks!(# journal(_: RunNumber, _: Option<(Timestamp, JournalRef)>, _: usize) -> Vec<JournalRow>); };
    (@ timeline) => { nobody_asks!(# timeline(_: RunNumber, _: Option<(Timestamp, JournalRef)>, _: usize) -> Vec<JournalRow>); };
    (@ list) => { nobody_asks!(# list(_: InstanceFilter) -> Vec<InstanceSummary>); };
    (@ stats) => { nobody_asks!(# stats() -> StoreStats); };
    (@ health) => { nobody_asks!(# health() -> StoreHealth); };
    (@ delete) => { nobody_asks!(# delete(_: &str) -> bool); };
    (@ purge) => { nobody_asks!(# purge(_: PurgeRequest) -> u64); };
    (@ rewind) => { nobody_asks!(# rewind(_: Rewind) -> RewindOutcome); };
    (@ import) => { nobody_asks!(# import(_: Import) -> ImportOutcome); };
    (# $operation:ident($(_: $given:ty),*) -> $answer:ty) => {
        fn $operation(&self, $(_: $given),*) -> StoreFuture<'_, $answer> {
            nobody_asks(stringify!($operation))
        }
    };
}

impl Store for Kept {
    nobody_asks!(sessions expire_leases take_event request_control requested_control clear_control timeline stats health purge rewind import);

    forward_store!(
        |me| me.0,
        except sessions, expire_leases, take_event, request_control, requested_control, clear_control, timeline, stats, health, purge,
        rewind, import
    );
}

impl Store for Fleeting {
    nobody_asks!(sessions expire_leases definition_document put_event take_event control request_control apply_requested);
    nobody_asks!(requested_control clear_control journal timeline list stats health delete purge rewind import);

    forward_store!(
        |me| me.0,
        except sessions, expire_leases, definition_document, put_event, take_event, control, request_control, apply_requested,
        requested_control, clear_control, journal, timeline, list, stats, health, delete, purge, rewind, import
    );
}
