//! The transactional store interface: everything that the engine's drivers and clients write and read.
//!
//! Each operation is atomic and durable once it answers `Ok`. No operation is to be built from smaller
//! ones, and none knows a plan. Refusals are ordinary answers; an `Err` means that the outcome is unknown
//! ([`StoreError::is_transient`]) or that the store cannot do it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, Placement, RunNumber};
pub use sayiir_core::branch::{BranchView, EventHead};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::future::BoxFuture;
use sayiir_core::future::{MaybeSend, MaybeSync};
use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;
use sayiir_core::transition::Transition;
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};

pub use crate::control::*;
use crate::error::StoreError;
pub use crate::filter::*;
pub use crate::health::*;
pub use crate::import::*;
pub use crate::operations::*;
pub use crate::records::*;
use crate::wakeups::Wakeups;

/// What a store operation returns.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A durable (or, for tests, in-memory) home of workflow instances.
///
/// Every method is one atomic operation. Dropping a returned future does not withdraw what was asked.
pub trait Store: MaybeSend + MaybeSync + 'static {
    /// The sizes this store accepts.
    fn limits(&self) -> Limits;

    /// Where this store announces, after the commit, that something changed.
    fn wakeups(&self) -> &Wakeups;

    /// Registers a worker session and hands out its lease number, never used before. Up to [`FORGOTTEN_AT_ONCE`] others are
    /// forgotten that hold no lease and were not seen (opened, or asking for a claim, a renewal or a leased start) for
    /// [`SESSION_IDLE`], or [`CALL_IDLE`] if their process id is 0.
    fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId>;

    /// The sessions on `host` that still hold leases, so that a worker can look which processes are dead.
    fn sessions(&self, host: &str) -> StoreFuture<'_, Vec<(LeaseId, Process)>>;

    /// Makes every branch leased to `lease` due at once (its lease is taken as expired, not cleared).
    /// Returns how many. For a process that is known to be dead, or that has stopped its work.
    fn expire_leases(&self, lease: LeaseId) -> StoreFuture<'_, u64>;

    /// Starts a run, or says what is already there. The nonce is looked at first, under any policy; then the
    /// definition; then the policy. A leased root is at revision 1.
    fn start(&self, request: StartRun) -> StoreFuture<'_, StartOutcome>;

    /// Applies transitions of different branches, each accepted or refused by itself, in order.
    /// A batch holds at most one transition of a branch. What [`crate::door::check_commit`] finds wrong in any
    /// of them is an error of the whole batch, of which nothing is written.
    ///
    /// The ttl of leases given here (kept children, a readied parent) is the one that the lease last named in
    /// a start, claim or renewal. A branch released in phase `Awaiting` goes on awaiting its event; if that
    /// event is there, it is due at once. Each accepted transition sets `crashes` to 0.
    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>>;

    /// Takes up to `limit` branches that are due: revision + 1, leased until now + ttl. Taking one whose
    /// lease has expired counts a crash.
    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>>;

    /// How long until something in this scope is due (zero: now); `None` if nothing ever will be by itself.
    fn next_due(&self, scope: ClaimScope) -> StoreFuture<'_, Option<Duration>>;

    /// Loads those of the given branches (all branches if empty) of `run` that are leased to `lease`.
    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>>;

    /// The branches of all runs that `lease` holds, with their revisions, in order of runs; a lapsed lease that nobody took over
    /// among them. It reads no payload and writes nothing: by it an owner finds what it lost, and what it was given without being told.
    fn leased(&self, lease: LeaseId) -> StoreFuture<'_, Vec<(RunNumber, BranchId, u64)>>;

    /// Extends leases to now + ttl without moving revisions; answers for each whether it is still held,
    /// and at which revision (a moved one has news: a pause, an unpause, a request).
    fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>>;

    /// Keeps the latest progress that the task of a branch reports; false, and nothing is kept, if the branch is not
    /// leased to `lease`. It moves no revision and is no part of the journal. It stays until the branch leaves the
    /// attempt (a transition to another node, phase or attempt takes it away), also when its owner is lost.
    fn report_progress(&self, lease: LeaseId, run: RunNumber, branch: BranchId, progress: Bytes) -> StoreFuture<'_, bool>;

    /// Sets search attributes of the instance, each over what was under its name; false, and nothing is set, if the branch is not
    /// leased to `lease`. It moves no revision and is no part of the journal. More names than [`Limits::attributes`] in
    /// all are refused, and nothing is set.
    fn set_search_attributes(
        &self,
        lease: LeaseId,
        run: RunNumber,
        branch: BranchId,
        attributes: SearchAttributes,
    ) -> StoreFuture<'_, bool>;

    /// The sub-steps that the task at the node path `node` of a branch has stored: the rows of kind
    /// [`SubStepCompleted`](sayiir_core::journal::EntryKind::SubStepCompleted) right under it, by their node paths, in
    /// order of path. It looks at no other row, however long the branch's journal is.
    fn sub_steps(&self, run: RunNumber, branch: BranchId, node: Arc<str>) -> StoreFuture<'_, Vec<(Arc<str>, Bytes)>>;

    /// The document of a definition ([`Definition::document`]), if a start ever gave it.
    fn definition_document(&self, hash: DefinitionHash) -> StoreFuture<'_, Option<Arc<str>>>;

    /// The values that the given rows hold (handed on, else output, else of the row they refer to), in order.
    fn read_values(&self, run: RunNumber, rows: Vec<JournalRef>) -> StoreFuture<'_, Vec<Bytes>>;

    /// The values that ended branches handed to their join: each branch's last row, in order.
    fn read_branch_outputs(&self, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<Bytes>>;

    /// The payload of a waiting event, if it is still there.
    fn read_event(&self, instance_id: &str, name: &str, seq: u64) -> StoreFuture<'_, Option<Bytes>>;

    /// Stores an event and wakes free branches that await it, unless the run is paused. Events may come before
    /// the instance. A key that was seen is a duplicate even after the instance has ended; keys are forgotten
    /// when the run is replaced or deleted.
    fn put_event(&self, event: NewEvent) -> StoreFuture<'_, SendOutcome>;

    /// Takes the first waiting event of that name out of the store (a vocabulary operation; the engine
    /// uses an event only together with a transition).
    fn take_event(&self, instance_id: &str, name: &str) -> StoreFuture<'_, Option<Bytes>>;

    /// Applies cancel, pause, unpause or retry at once.
    fn control(&self, command: ControlCommand) -> StoreFuture<'_, ControlOutcome>;

    /// Records a request without applying it, moves the revision of every live branch, and makes the free ones
    /// that wait for no children due (a cancel even while the run is paused), so that a worker applies it.
    /// A finished or unknown instance refuses as [`Store::control`] does; a pause of a paused run is `AlreadySo`.
    fn request_control(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> StoreFuture<'_, ControlOutcome>;

    /// Applies the recorded request of that kind, for its reason, as [`Store::control`] would now; whether it did. False, and
    /// nothing is done, unless it still waits to be applied, as [`BranchView::requested`] tells. So what several workers met, or
    /// one that asks again after a lost reply, is applied once, and not any more once it was taken back.
    fn apply_requested(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, bool>;

    /// The last request of that kind, recorded or applied, until it is cleared, unpaused, or the run is replaced.
    /// [`BranchView::requested`] tells of those that are not applied yet.
    fn requested_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, Option<SignalRequest>>;

    /// Forgets a request. If it was still to be applied, every live branch moves its revision, and the free ones
    /// are due again as their position says. What was applied stays so.
    fn clear_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, ()>;

    /// An instance with its live branches; `None` if the id is unknown (an id that only has events is unknown).
    fn instance(&self, instance_id: &str) -> StoreFuture<'_, Option<InstanceRecord>>;

    /// The journal of a run: ordered within a branch, and across branches so that a cause comes before
    /// its effect: by time, and rows of one time as they were written (or by branch and revision, where a
    /// store's clock is finer than its writes). `after` continues behind a row; at most `limit` rows.
    fn journal(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>>;

    /// The same without the values: [`JournalRow::output`] and [`JournalRow::handed_on`] are `None`.
    fn timeline(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>>;

    /// Instances, filtered, in pages.
    fn list(&self, filter: InstanceFilter) -> StoreFuture<'_, Vec<InstanceSummary>>;

    /// How much there is of what. Holds up no writer for long.
    fn stats(&self) -> StoreFuture<'_, StoreStats>;

    /// What may be wrong. Holds up no writer for long.
    fn health(&self) -> StoreFuture<'_, StoreHealth>;

    /// Removes an instance with its heads, events, requests, search attributes and journal. False if the id is unknown (what
    /// events it has are removed all the same).
    fn delete(&self, instance_id: &str) -> StoreFuture<'_, bool>;

    /// Removes what is old as [`Store::delete`] does; of instances, the one that ended first before the others. Returns how many; less
    /// than the limit means that there are no more. The old journals may go later.
    fn purge(&self, request: PurgeRequest) -> StoreFuture<'_, u64>;

    /// Begins a run anew at a node: see [`Rewind`]. The nonce is looked at first, then the run. That a row which is to be kept is
    /// not there is an error.
    fn rewind(&self, rewind: Rewind) -> StoreFuture<'_, RewindOutcome>;

    /// Imports a snapshot as one transition of the whole instance: child branches are removed, the root's
    /// revision moves by one for each result journaled and one for the `Imported` row. An expired lease does not
    /// hold it up. A node's result is in the journal if a row of an [`is_result`] kind has its output. It is refused
    /// for the first of these reasons: the definition, an ended run, a lease, [`Import::expected`], a fork.
    ///
    /// [`is_result`]: sayiir_core::journal::EntryKind::is_result
    fn import(&self, import: Import) -> StoreFuture<'_, ImportOutcome>;
}

/// The sizes a store accepts. What is larger is refused at the door with [`StoreError::Limit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest payload of an input, output or event, in bytes.
    pub payload_bytes: usize,
    /// The longest name of a node path, event, workflow or tag, in bytes.
    pub name_bytes: usize,
    /// The longest error text, in bytes; longer text is cut by the driver.
    pub error_bytes: usize,
    /// The most search attributes of an instance.
    pub attributes: usize,
    /// The longest name of a search attribute, in bytes.
    pub attribute_name_bytes: usize,
    /// The longest text of a search attribute, in bytes.
    pub attribute_bytes: usize,
}

impl Default for Limits {
    /// 4 MiB payloads, 2 KiB names, 64 KiB of error text; 32 search attributes with names of 128 bytes and texts of 512.
    fn default() -> Self {
        Self {
            payload_bytes: 4 << 20,
            name_bytes: 2 << 10,
            error_bytes: 64 << 10,
            attributes: 32,
            attribute_name_bytes: 128,
            attribute_bytes: 512,
        }
    }
}

/// The process that a worker session runs in, so that others on its host can see that it is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// What tells this host (and process namespace) from others.
    pub host: String,
    /// The process id.
    pub pid: u32,
    /// When the process started, in whatever unit the system gives; tells it from a later one with its id.
    pub started: u64,
    /// The worker's name, for people.
    pub worker_id: String,
}

/// A definition as stores know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its identity.
    pub hash: DefinitionHash,
    /// The workflow's name; empty if the run was started without a plan.
    pub name: Arc<str>,
    /// The workflow's version; empty if it has none.
    pub version: Arc<str>,
    /// The definition as text, for [`Store::definition_document`]. Kept once for each hash, name and version, by the first start that gives
    /// it; never filled in what a store returns.
    pub document: Option<Arc<str>>,
}

/// A request to start a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRun {
    /// The caller's id.
    pub instance_id: Arc<str>,
    /// The definition.
    pub definition: Definition,
    /// What to do if the id is known.
    pub policy: ConflictPolicy,
    /// The workflow's input.
    pub input: Bytes,
    /// The first task's id, as a label of the head in phase `Start`.
    pub first_node: Arc<str>,
    /// Who may take the root branch.
    pub placement: Placement,
    /// A number the caller makes up, the same when it asks again after a lost reply: the run that carries it is its own.
    pub nonce: u128,
    /// Takes the root branch's lease at once, if given.
    pub lease: Option<(LeaseId, Duration)>,
    /// The trace context that the run belongs to, as a W3C `traceparent`; handed out with each of its branches.
    pub trace: Option<Arc<str>>,
    /// By what the instance can be found.
    pub attributes: SearchAttributes,
}

/// What became of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartOutcome {
    /// A new run; its root branch if the lease was asked for (and, if asked again, is still held at the start).
    Fresh {
        /// The new run.
        run: RunNumber,
        /// When it was created.
        created_at: Timestamp,
        /// The root branch, leased to the caller.
        root: Option<Box<BranchView>>,
    },
    /// `UseExisting`, and the id is known.
    Existing {
        /// Its status.
        status: WorkflowStatus,
        /// Its output, if completed.
        output: Option<Bytes>,
    },
    /// `Fail`, and the id is known.
    AlreadyExists,
    /// The id is known under another definition, under any policy.
    DefinitionMismatch {
        /// The definition that the instance has.
        found: DefinitionHash,
    },
}

/// What became of one transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Applied now.
    Accepted {
        /// When.
        at: Timestamp,
        /// The parent that this child's end readied and leased to the writer.
        readied_parent: Option<Box<BranchView>>,
    },
    /// Applied earlier: the writer's own row is at that revision (a reply was lost). What it holds now is found by [`Store::load`].
    AlreadyAccepted,
    /// Not applied.
    Refused(Refusal),
}

/// Why a transition was not applied, in the order in which the reasons are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Another run took the instance's place, or it was deleted.
    Replaced,
    /// The run is over.
    Ended,
    /// Another worker took the branch, or it ended.
    LeaseLost,
    /// The branch moved under its owner (a pause, an unpause), new mail came, or the event is gone: load it and decide again.
    Moved,
}

/// What a worker asks for when it looks for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Who asks.
    pub lease: LeaseId,
    /// For how long.
    pub ttl: Duration,
    /// At most so many branches.
    pub limit: usize,
    /// Among which.
    pub scope: ClaimScope,
}

/// Which branches a worker can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimScope {
    /// Those of these definitions whose tags the worker serves, by priority; waiting for `ageing` raises one by one priority.
    Definitions {
        /// The definitions that the worker knows.
        hashes: Arc<[DefinitionHash]>,
        /// The tags it serves; empty serves all.
        tags: Arc<[String]>,
        /// How long a branch waits to rise by one priority.
        ageing: Duration,
    },
    /// Those of one instance.
    Instance(Arc<str>),
    /// This one.
    Branch {
        /// Its run.
        run: RunNumber,
        /// Its id.
        branch: BranchId,
    },
}

/// An event to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The instance it is for; need not exist yet.
    pub instance_id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its payload.
    pub payload: Bytes,
    /// The sender's dedup key, unique per instance while the event waits and after it was used.
    pub key: Option<Arc<str>>,
}

/// What became of a sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// Stored under this number.
    Stored(u64),
    /// An event with that key was stored before.
    Duplicate,
    /// The instance has ended; nothing was stored.
    Finished(WorkflowStatus),
}
