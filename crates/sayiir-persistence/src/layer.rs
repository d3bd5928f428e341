//! Stores around stores: the forwarding that every wrapper needs, written once.

use sayiir_core::future::MaybeSend;

use crate::store::StoreFuture;

/// The operations of a [`Store`](crate::Store) that are asked of it (all but `limits` and `wakeups`, which it knows).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of its name")]
pub enum Operation {
    OpenSession,
    Sessions,
    ExpireLeases,
    Start,
    Commit,
    Claim,
    NextDue,
    Load,
    Leased,
    Renew,
    ReportProgress,
    SetSearchAttributes,
    SubSteps,
    DefinitionDocument,
    ReadValues,
    ReadBranchOutputs,
    ReadEvent,
    SendEvent,
    TakeEvent,
    Control,
    RequestControl,
    ApplyRequested,
    RequestedControl,
    ClearControl,
    Instance,
    Journal,
    Timeline,
    List,
    Stats,
    Health,
    Delete,
    Purge,
    Rewind,
    Import,
}

impl Operation {
    /// Whether the operation changes what is stored.
    pub const fn is_write(self) -> bool {
        match self {
            Self::OpenSession
            | Self::ExpireLeases
            | Self::Start
            | Self::Commit
            | Self::Claim
            | Self::Renew
            | Self::ReportProgress
            | Self::SetSearchAttributes
            | Self::SendEvent
            | Self::TakeEvent
            | Self::Control
            | Self::RequestControl
            | Self::ApplyRequested
            | Self::ClearControl
            | Self::Delete
            | Self::Purge
            | Self::Rewind
            | Self::Import => true,
            Self::Sessions
            | Self::NextDue
            | Self::Load
            | Self::Leased
            | Self::SubSteps
            | Self::DefinitionDocument
            | Self::ReadValues
            | Self::ReadBranchOutputs
            | Self::ReadEvent
            | Self::RequestedControl
            | Self::Instance
            | Self::Journal
            | Self::Timeline
            | Self::List
            | Self::Stats
            | Self::Health => false,
        }
    }
}

/// What a wrapper does around each call of the store inside. See [`forward_store!`](crate::forward_store).
pub trait AroundStore {
    /// Answers a call. `ask` puts it to the store inside; what is asked is done even if the answer is dropped,
    /// so a call that is not to happen must not be asked.
    fn around<'a, T: MaybeSend + 'a>(
        &'a self,
        operation: Operation,
        ask: impl FnOnce() -> StoreFuture<'a, T> + MaybeSend + 'a,
    ) -> StoreFuture<'a, T>;
}

/// Writes the methods of [`Store`](crate::Store) that a wrapper leaves to the store inside it.
///
/// It stands within an `impl Store`. `|me| me.inner` says where the store inside is; after `except` come the
/// methods that the wrapper writes itself. With `around` before it, each call goes through the wrapper's
/// [`AroundStore::around`].
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use sayiir_persistence::{ClaimRequest, BranchView, Store, StoreFuture, forward_store};
///
/// /// Counts the claims.
/// struct Counting<S> {
///     inner: S,
///     claims: AtomicUsize,
/// }
///
/// impl<S: Store> Store for Counting<S> {
///     fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
///         self.claims.fetch_add(1, Ordering::SeqCst);
///         self.inner.claim(request)
///     }
///
///     forward_store!(|me| me.inner, except claim);
/// }
/// ```
#[macro_export]
macro_rules! forward_store {
    (|$me:ident| $inner:expr) => { $crate::forward_store!(@all [] (plain $me $inner)); };
    (|$me:ident| $inner:expr, except $($own:ident),+ $(,)?) => { $crate::forward_store!(@all [$($own)+] (plain $me $inner)); };
    (around |$me:ident| $inner:expr) => { $crate::forward_store!(@all [] (around $me $inner)); };
    (around |$me:ident| $inner:expr, except $($own:ident),+ $(,)?) => { $crate::forward_store!(@all [$($own)+] (around $me $inner)); };

    (@all $except:tt $how:tt) => {
        $crate::forward_store!(@each $except $how
            limits wakeups open_session sessions expire_leases start commit claim next_due load leased renew report_progress set_search_attributes sub_steps definition_document read_values read_branch_outputs read_event put_event take_event control request_control apply_requested requested_control clear_control instance journal timeline list stats health delete purge rewind import
        );
    };
    (@each $except:tt $how:tt $($method:ident)*) => {
        $($crate::forward_store!(@one $method $except $how);)*
    };

    // A method that the wrapper writes itself.
    (@one limits [limits $($rest:tt)*] $how:tt) => {};
    (@one wakeups [wakeups $($rest:tt)*] $how:tt) => {};
    (@one open_session [open_session $($rest:tt)*] $how:tt) => {};
    (@one sessions [sessions $($rest:tt)*] $how:tt) => {};
    (@one expire_leases [expire_leases $($rest:tt)*] $how:tt) => {};
    (@one start [start $($rest:tt)*] $how:tt) => {};
    (@one commit [commit $($rest:tt)*] $how:tt) => {};
    (@one claim [claim $($rest:tt)*] $how:tt) => {};
    (@one next_due [next_due $($rest:tt)*] $how:tt) => {};
    (@one load [load $($rest:tt)*] $how:tt) => {};
    (@one leased [leased $($rest:tt)*] $how:tt) => {};
    (@one renew [renew $($rest:tt)*] $how:tt) => {};
    (@one report_progress [report_progress $($rest:tt)*] $how:tt) => {};
    (@one sub_steps [sub_steps $($rest:tt)*] $how:tt) => {};
    (@one definition_document [definition_document $($rest:tt)*] $how:tt) => {};
    (@one read_values [read_values $($rest:tt)*] $how:tt) => {};
    (@one read_branch_outputs [read_branch_outputs $($rest:tt)*] $how:tt) => {};
    (@one read_event [read_event $($rest:tt)*] $how:tt) => {};
    (@one put_event [put_event $($rest:tt)*] $how:tt) => {};
    (@one take_event [take_event $($rest:tt)*] $how:tt) => {};
    (@one control [control $($rest:tt)*] $how:tt) => {};
    (@one request_control [request_control $($rest:tt)*] $how:tt) => {};
    (@one apply_requested [apply_requested $($rest:tt)*] $how:tt) => {};
    (@one requested_control [requested_control $($rest:tt)*] $how:tt) => {};
    (@one clear_control [clear_control $($rest:tt)*] $how:tt) => {};
    (@one instance [instance $($rest:tt)*] $how:tt) => {};
    (@one journal [journal $($rest:tt)*] $how:tt) => {};
    (@one list [list $($rest:tt)*] $how:tt) => {};
    (@one delete [delete $($rest:tt)*] $how:tt) => {};
    (@one set_search_attributes [set_search_attributes $($rest:tt)*] $how:tt) => {};
    (@one timeline [timeline $($rest:tt)*] $how:tt) => {};
    (@one stats [stats $($rest:tt)*] $how:tt) => {};
    (@one health [health $($rest:tt)*] $how:tt) => {};
    (@one purge [purge $($rest:tt)*] $how:tt) => {};
    (@one rewind [rewind $($rest:tt)*] $how:tt) => {};
    (@one import [import $($rest:tt)*] $how:tt) => {};
    (@one $method:ident [$other:ident $($rest:tt)*] $how:tt) => { $crate::forward_store!(@one $method [$($rest)*] $how); };

    // A call as it is, or through the wrapper.
    (@ask (plain $me:ident $inner:expr) $self:ident $operation:ident $method:ident [$($text:ident),*] [$($value:ident),*]) => {{
        let $me = $self;
        $inner.$method($($text,)* $($value),*)
    }};
    (@ask (around $me:ident $inner:expr) $self:ident $operation:ident $method:ident [$($text:ident),*] [$($value:ident),*]) => {{
        let $me = $self;
        $(let $text = ::std::borrow::ToOwned::to_owned($text);)*
        $crate::AroundStore::around($self, $crate::Operation::$operation, move || $inner.$method($(&$text,)* $($value),*))
    }};

    (@one limits [] ($how:ident $me:ident $inner:expr)) => {
        fn limits(&self) -> $crate::store_types::Limits {
            let $me = self;
            $inner.limits()
        }
    };
    (@one wakeups [] ($how:ident $me:ident $inner:expr)) => {
        fn wakeups(&self) -> &$crate::store_types::Wakeups {
            let $me = self;
            $inner.wakeups()
        }
    };
    (@one open_session [] $how:tt) => {
        fn open_session(&self, process: $crate::store_types::Process) -> $crate::StoreFuture<'_, $crate::store_types::LeaseId> {
            $crate::forward_store!(@ask $how self OpenSession open_session [] [process])
        }
    };
    (@one sessions [] $how:tt) => {
        fn sessions(&self, host: &str) -> $crate::StoreFuture<'_, Vec<($crate::store_types::LeaseId, $crate::store_types::Process)>> {
            $crate::forward_store!(@ask $how self Sessions sessions [host] [])
        }
    };
    (@one expire_leases [] $how:tt) => {
        fn expire_leases(&self, lease: $crate::store_types::LeaseId) -> $crate::StoreFuture<'_, u64> {
            $crate::forward_store!(@ask $how self ExpireLeases expire_leases [] [lease])
        }
    };
    (@one start [] $how:tt) => {
        fn start(&self, request: $crate::store_types::StartRun) -> $crate::StoreFuture<'_, $crate::store_types::StartOutcome> {
            $crate::forward_store!(@ask $how self Start start [] [request])
        }
    };
    (@one commit [] $how:tt) => {
        fn commit(&self, lease: $crate::store_types::LeaseId, transitions: Vec<$crate::store_types::Transition>) -> $crate::StoreFuture<'_, Vec<$crate::store_types::CommitOutcome>> {
            $crate::forward_store!(@ask $how self Commit commit [] [lease, transitions])
        }
    };
    (@one claim [] $how:tt) => {
        fn claim(&self, request: $crate::store_types::ClaimRequest) -> $crate::StoreFuture<'_, Vec<$crate::store_types::BranchView>> {
            $crate::forward_store!(@ask $how self Claim claim [] [request])
        }
    };
    (@one next_due [] $how:tt) => {
        fn next_due(&self, scope: $crate::store_types::ClaimScope) -> $crate::StoreFuture<'_, Option<$crate::store_types::Duration>> {
            $crate::forward_store!(@ask $how self NextDue next_due [] [scope])
        }
    };
    (@one load [] $how:tt) => {
        fn load(&self, lease: $crate::store_types::LeaseId, run: $crate::store_types::RunNumber, branches: Vec<$crate::store_types::BranchId>) -> $crate::StoreFuture<'_, Vec<$crate::store_types::BranchView>> {
            $crate::forward_store!(@ask $how self Load load [] [lease, run, branches])
        }
    };
    (@one leased [] $how:tt) => {
        fn leased(&self, lease: $crate::store_types::LeaseId) -> $crate::StoreFuture<'_, Vec<($crate::store_types::RunNumber, $crate::store_types::BranchId, u64)>> {
            $crate::forward_store!(@ask $how self Leased leased [] [lease])
        }
    };
    (@one renew [] $how:tt) => {
        fn renew(&self, lease: $crate::store_types::LeaseId, ttl: $crate::store_types::Duration, branches: Vec<($crate::store_types::RunNumber, $crate::store_types::BranchId)>) -> $crate::StoreFuture<'_, Vec<Option<u64>>> {
            $crate::forward_store!(@ask $how self Renew renew [] [lease, ttl, branches])
        }
    };
    (@one report_progress [] $how:tt) => {
        fn report_progress(&self, lease: $crate::store_types::LeaseId, run: $crate::store_types::RunNumber, branch: $crate::store_types::BranchId, progress: $crate::store_types::Bytes) -> $crate::StoreFuture<'_, bool> {
            $crate::forward_store!(@ask $how self ReportProgress report_progress [] [lease, run, branch, progress])
        }
    };
    (@one sub_steps [] $how:tt) => {
        fn sub_steps(&self, run: $crate::store_types::RunNumber, branch: $crate::store_types::BranchId, node: ::std::sync::Arc<str>) -> $crate::StoreFuture<'_, Vec<(::std::sync::Arc<str>, $crate::store_types::Bytes)>> {
            $crate::forward_store!(@ask $how self SubSteps sub_steps [] [run, branch, node])
        }
    };
    (@one definition_document [] $how:tt) => {
        fn definition_document(&self, hash: $crate::store_types::DefinitionHash) -> $crate::StoreFuture<'_, Option<::std::sync::Arc<str>>> {
            $crate::forward_store!(@ask $how self DefinitionDocument definition_document [] [hash])
        }
    };
    (@one read_values [] $how:tt) => {
        fn read_values(&self, run: $crate::store_types::RunNumber, rows: Vec<$crate::store_types::JournalRef>) -> $crate::StoreFuture<'_, Vec<$crate::store_types::Bytes>> {
            $crate::forward_store!(@ask $how self ReadValues read_values [] [run, rows])
        }
    };
    (@one read_branch_outputs [] $how:tt) => {
        fn read_branch_outputs(&self, run: $crate::store_types::RunNumber, branches: Vec<$crate::store_types::BranchId>) -> $crate::StoreFuture<'_, Vec<$crate::store_types::Bytes>> {
            $crate::forward_store!(@ask $how self ReadBranchOutputs read_branch_outputs [] [run, branches])
        }
    };
    (@one read_event [] $how:tt) => {
        fn read_event(&self, instance_id: &str, name: &str, seq: u64) -> $crate::StoreFuture<'_, Option<$crate::store_types::Bytes>> {
            $crate::forward_store!(@ask $how self ReadEvent read_event [instance_id, name] [seq])
        }
    };
    (@one put_event [] $how:tt) => {
        fn put_event(&self, event: $crate::store_types::NewEvent) -> $crate::StoreFuture<'_, $crate::store_types::SendOutcome> {
            $crate::forward_store!(@ask $how self SendEvent put_event [] [event])
        }
    };
    (@one take_event [] $how:tt) => {
        fn take_event(&self, instance_id: &str, name: &str) -> $crate::StoreFuture<'_, Option<$crate::store_types::Bytes>> {
            $crate::forward_store!(@ask $how self TakeEvent take_event [instance_id, name] [])
        }
    };
    (@one control [] $how:tt) => {
        fn control(&self, command: $crate::store_types::ControlCommand) -> $crate::StoreFuture<'_, $crate::store_types::ControlOutcome> {
            $crate::forward_store!(@ask $how self Control control [] [command])
        }
    };
    (@one request_control [] $how:tt) => {
        fn request_control(&self, instance_id: &str, kind: $crate::store_types::SignalKind, request: $crate::store_types::SignalRequest) -> $crate::StoreFuture<'_, $crate::store_types::ControlOutcome> {
            $crate::forward_store!(@ask $how self RequestControl request_control [instance_id] [kind, request])
        }
    };
    (@one apply_requested [] $how:tt) => {
        fn apply_requested(&self, instance_id: &str, kind: $crate::store_types::SignalKind) -> $crate::StoreFuture<'_, bool> {
            $crate::forward_store!(@ask $how self ApplyRequested apply_requested [instance_id] [kind])
        }
    };
    (@one requested_control [] $how:tt) => {
        fn requested_control(&self, instance_id: &str, kind: $crate::store_types::SignalKind) -> $crate::StoreFuture<'_, Option<$crate::store_types::SignalRequest>> {
            $crate::forward_store!(@ask $how self RequestedControl requested_control [instance_id] [kind])
        }
    };
    (@one clear_control [] $how:tt) => {
        fn clear_control(&self, instance_id: &str, kind: $crate::store_types::SignalKind) -> $crate::StoreFuture<'_, ()> {
            $crate::forward_store!(@ask $how self ClearControl clear_control [instance_id] [kind])
        }
    };
    (@one instance [] $how:tt) => {
        fn instance(&self, instance_id: &str) -> $crate::StoreFuture<'_, Option<$crate::store_types::InstanceRecord>> {
            $crate::forward_store!(@ask $how self Instance instance [instance_id] [])
        }
    };
    (@one journal [] $how:tt) => {
        fn journal(&self, run: $crate::store_types::RunNumber, after: Option<($crate::store_types::Timestamp, $crate::store_types::JournalRef)>, limit: usize) -> $crate::StoreFuture<'_, Vec<$crate::store_types::JournalRow>> {
            $crate::forward_store!(@ask $how self Journal journal [] [run, after, limit])
        }
    };
    (@one list [] $how:tt) => {
        fn list(&self, filter: $crate::store_types::InstanceFilter) -> $crate::StoreFuture<'_, Vec<$crate::store_types::InstanceSummary>> {
            $crate::forward_store!(@ask $how self List list [] [filter])
        }
    };
    (@one delete [] $how:tt) => {
        fn delete(&self, instance_id: &str) -> $crate::StoreFuture<'_, bool> {
            $crate::forward_store!(@ask $how self Delete delete [instance_id] [])
        }
    };
    (@one set_search_attributes [] $how:tt) => {
        fn set_search_attributes(&self, lease: $crate::store_types::LeaseId, run: $crate::store_types::RunNumber, branch: $crate::store_types::BranchId, attributes: $crate::store_types::SearchAttributes) -> $crate::StoreFuture<'_, bool> {
            $crate::forward_store!(@ask $how self SetSearchAttributes set_search_attributes [] [lease, run, branch, attributes])
        }
    };
    (@one timeline [] $how:tt) => {
        fn timeline(&self, run: $crate::store_types::RunNumber, after: Option<($crate::store_types::Timestamp, $crate::store_types::JournalRef)>, limit: usize) -> $crate::StoreFuture<'_, Vec<$crate::store_types::JournalRow>> {
            $crate::forward_store!(@ask $how self Timeline timeline [] [run, after, limit])
        }
    };
    (@one stats [] $how:tt) => {
        fn stats(&self) -> $crate::StoreFuture<'_, $crate::store_types::StoreStats> {
            $crate::forward_store!(@ask $how self Stats stats [] [])
        }
    };
    (@one health [] $how:tt) => {
        fn health(&self) -> $crate::StoreFuture<'_, $crate::store_types::StoreHealth> {
            $crate::forward_store!(@ask $how self Health health [] [])
        }
    };
    (@one purge [] $how:tt) => {
        fn purge(&self, request: $crate::store_types::PurgeRequest) -> $crate::StoreFuture<'_, u64> {
            $crate::forward_store!(@ask $how self Purge purge [] [request])
        }
    };
    (@one rewind [] $how:tt) => {
        fn rewind(&self, rewind: $crate::store_types::Rewind) -> $crate::StoreFuture<'_, $crate::store_types::RewindOutcome> {
            $crate::forward_store!(@ask $how self Rewind rewind [] [rewind])
        }
    };
    (@one import [] $how:tt) => {
        fn import(&self, import: $crate::store_types::Import) -> $crate::StoreFuture<'_, $crate::store_types::ImportOutcome> {
            $crate::forward_store!(@ask $how self Import import [] [import])
        }
    };
}

/// The types that the macro names.
#[doc(hidden)]
pub mod store_types {
    pub use std::time::Duration;

    pub use bytes::Bytes;
    pub use sayiir_core::DefinitionHash;
    pub use sayiir_core::attribute::SearchAttributes;
    pub use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
    pub use sayiir_core::control::{SignalKind, SignalRequest};
    pub use sayiir_core::journal::JournalRow;
    pub use sayiir_core::time::Timestamp;
    pub use sayiir_core::transition::Transition;

    pub use crate::store::*;
    pub use crate::wakeups::Wakeups;
}
