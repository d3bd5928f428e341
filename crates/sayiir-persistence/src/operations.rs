//! What operators ask of a store: which instances to list, what to purge or rewind, and how the store is.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::attribute::{AttributeValue, SearchAttributes};
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, Placement, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::WorkflowStatus;

use crate::store::{Definition, Process, RunState};

/// Which instances to list: those that all parts of the filter admit.
///
/// ```
/// use sayiir_persistence::{AttributeFilter, InstanceFilter, ListOrder, RunState};
///
/// // The 50 orders of one customer that failed last.
/// let failed = InstanceFilter {
///     workflow: Some("order".into()),
///     states: vec![RunState::Failed],
///     attributes: vec![AttributeFilter::is("customer", "acme")],
///     order: ListOrder::NewestFirst { before: None },
///     limit: Some(50),
///     ..Default::default()
/// };
/// assert_eq!(failed.error_contains, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstanceFilter {
    /// Only of workflows with this name.
    pub workflow: Option<String>,
    /// Only in one of these states; empty means all.
    pub states: Vec<RunState>,
    /// Of the running ones, only with one of these statuses; empty means all. Others are not touched by it.
    pub running: Vec<RunningStatus>,
    /// Only with these search attributes.
    pub attributes: Vec<AttributeFilter>,
    /// Only failed ones whose error has this text in it, letter by letter.
    pub error_contains: Option<String>,
    /// Only whose present run started so long ago.
    pub created: AgeRange,
    /// Only whose status changed so long ago (see [`InstanceSummary::updated_at`](crate::InstanceSummary::updated_at)).
    pub updated: AgeRange,
    /// Only ids after this one (for the next page, where the order is by id).
    pub after: Option<Arc<str>>,
    /// In which order, and for the order by run, where the page begins.
    pub order: ListOrder,
    /// At most so many; `None` means 1,000.
    pub limit: Option<usize>,
}

/// A status of a running instance: which of them it has, its branches say ([`status_of`](crate::status_of)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunningStatus {
    /// `InProgress`: a branch is at work, or could be.
    InProgress,
    /// `Waiting`: a branch waits for a time, and none is in progress.
    Waiting,
    /// `AwaitingSignal`: a branch awaits an event, and none is in progress or waits for a time.
    AwaitingSignal,
}

impl RunningStatus {
    /// The one that this status is; `None` if it is not a running instance's.
    pub const fn of(status: &WorkflowStatus) -> Option<Self> {
        match status {
            WorkflowStatus::InProgress => Some(Self::InProgress),
            WorkflowStatus::Waiting { .. } => Some(Self::Waiting),
            WorkflowStatus::AwaitingSignal { .. } => Some(Self::AwaitingSignal),
            WorkflowStatus::Completed | WorkflowStatus::Failed(_) | WorkflowStatus::Cancelled { .. } | WorkflowStatus::Paused { .. } => {
                None
            }
        }
    }
}

/// In which order instances are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ListOrder {
    /// By id. The next page is behind [`InstanceFilter::after`].
    #[default]
    ById,
    /// By run number, falling: the run that was started last comes first. (An id that events came for before its first run
    /// may stand where the first of them came.)
    NewestFirst {
        /// Only runs before this one (for the next page: the last one's of this).
        before: Option<RunNumber>,
    },
}

/// How long ago something happened, by the store's clock. Both bounds belong to the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AgeRange {
    /// At least so long ago.
    pub at_least: Option<Duration>,
    /// At most so long ago.
    pub at_most: Option<Duration>,
}

impl AgeRange {
    /// Whether `at` is in the range, at `now`.
    pub fn admits(&self, at: Timestamp, now: Timestamp) -> bool {
        let Self { at_least, at_most } = *self;
        at_least.is_none_or(|age| at + age <= now) && at_most.is_none_or(|age| at + age >= now)
    }
}

/// What a search attribute must be.
///
/// ```
/// use sayiir_persistence::AttributeFilter;
/// use sayiir_core::attribute::SearchAttributes;
///
/// let attributes = SearchAttributes::from([("euros".into(), 120.into())]);
/// assert!(AttributeFilter::at_least("euros", 100).admits(&attributes));
/// assert!(!AttributeFilter::is("euros", "120").admits(&attributes), "a text is no integer");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeFilter {
    /// Its name. An instance without the attribute is not listed.
    pub name: Arc<str>,
    /// What is required of its value; a value of another type never meets it.
    pub test: AttributeTest,
}

/// What is required of an attribute's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeTest {
    /// It is this.
    Is(AttributeValue),
    /// It is this or more. Of integers and times.
    AtLeast(AttributeValue),
    /// It is this or less. Of integers and times.
    AtMost(AttributeValue),
}

impl AttributeFilter {
    /// The attribute has this value.
    pub fn is(name: impl Into<Arc<str>>, value: impl Into<AttributeValue>) -> Self {
        Self { name: name.into(), test: AttributeTest::Is(value.into()) }
    }

    /// The attribute, an integer or time, is this or more.
    pub fn at_least(name: impl Into<Arc<str>>, value: impl Into<AttributeValue>) -> Self {
        Self { name: name.into(), test: AttributeTest::AtLeast(value.into()) }
    }

    /// The attribute, an integer or time, is this or less.
    pub fn at_most(name: impl Into<Arc<str>>, value: impl Into<AttributeValue>) -> Self {
        Self { name: name.into(), test: AttributeTest::AtMost(value.into()) }
    }

    /// Whether an instance with these attributes is listed.
    pub fn admits(&self, attributes: &SearchAttributes) -> bool {
        let Self { name, test } = self;
        let Some(found) = attributes.get(name) else { return false };
        let numbers = |bound: &AttributeValue| {
            let same_type = found.type_number() == bound.type_number();
            found.as_number().zip(bound.as_number()).filter(|_| same_type)
        };
        match test {
            AttributeTest::Is(value) => found == value,
            AttributeTest::AtLeast(bound) => numbers(bound).is_some_and(|(found, bound)| found >= bound),
            AttributeTest::AtMost(bound) => numbers(bound).is_some_and(|(found, bound)| found <= bound),
        }
    }
}

/// Which ended instances to remove, with all they have. A failed instance is ended, too, although a retry could still set it
/// going: its age decides. What is live or paused is never removed, nor are events for an id that never began.
///
/// ```
/// use std::time::Duration;
/// use sayiir_persistence::PurgeRequest;
///
/// let month = PurgeRequest { workflow: None, ended_for: Duration::from_hours(30 * 24), limit: 500 };
/// assert_eq!(month.limit, 500);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeRequest {
    /// Only of workflows with this name.
    pub workflow: Option<String>,
    /// Only what ended at least so long ago.
    pub ended_for: Duration,
    /// At most so many.
    pub limit: usize,
}

/// A request to begin a run anew at a node of its root branch, with the results before it.
///
/// The new run begins with copies, under the revisions they have, of the root branch's journal rows up to `keep`, and of all rows of
/// branches whose root's child came from a fork before revision `keep`. Then comes the root's row of kind
/// [`Rewound`](sayiir_core::journal::EntryKind::Rewound) at revision `keep + 1`, which refers to `input`, and at that revision the root stands at the
/// node, in phase `At`, with `input` as its input, free and due. The run is running, whatever the old one was, and forgets all control
/// requests. Waiting events, their keys, the mail count, search attributes and the trace context stay. The old run is
/// replaced as by a start under `TerminateExisting`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewind {
    /// The instance.
    pub instance_id: Arc<str>,
    /// The run whose journal was read: refused if another took its place.
    pub expected: RunNumber,
    /// A number the caller makes up, the same when it asks again after a lost reply: the run that carries it is its own.
    pub nonce: u128,
    /// The revision of the root branch's last row that is kept.
    pub keep: u64,
    /// The node at which the root branch goes on, with its iterations.
    pub node: Arc<str>,
    /// The kept row of the root branch that holds the node's input.
    pub input: JournalRef,
    /// Who may take the root branch.
    pub placement: Placement,
    /// Why and by whom; it is journaled ([`SignalRequest::in_words`]).
    pub request: SignalRequest,
}

/// What became of a rewind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewindOutcome {
    /// There is a new run (also if it was asked for before, with the same nonce).
    Rewound {
        /// The new run.
        run: RunNumber,
    },
    /// The instance has another run than was expected; nothing was done.
    Moved {
        /// Its present run.
        run: RunNumber,
    },
    /// The id is unknown.
    NotFound,
}

/// How much there is of what, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// The instances by the name of their workflow, in order of names.
    pub workflows: Vec<WorkflowStats>,
    /// The live branches by what they do.
    pub branches: BranchStats,
    /// Events that were sent and not used yet.
    pub events: u64,
    /// The size of the store, if that is cheap to know.
    pub bytes: Option<u64>,
    /// The store's time.
    pub now: Timestamp,
}

/// The instances of workflows of one name, by state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkflowStats {
    /// The workflow's name; empty for runs that were started without a plan.
    pub workflow: Arc<str>,
    /// Going on, perhaps waiting.
    pub running: u64,
    /// Held by a pause.
    pub paused: u64,
    /// Ended with an output.
    pub completed: u64,
    /// Ended with an error.
    pub failed: u64,
    /// Ended by a cancel.
    pub cancelled: u64,
}

impl WorkflowStats {
    /// The count of one state.
    pub const fn of(&mut self, state: RunState) -> &mut u64 {
        match state {
            RunState::Running => &mut self.running,
            RunState::Paused => &mut self.paused,
            RunState::Completed => &mut self.completed,
            RunState::Failed => &mut self.failed,
            RunState::Cancelled => &mut self.cancelled,
        }
    }
}

/// Live branches, each counted once, by what they do. A branch's `run_at` is looked at first, then its run's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BranchStats {
    /// Can be taken now (`run_at` has passed, that of a lapsed lease too).
    pub due: u64,
    /// Leased to a worker, and the lease has not ended.
    pub leased: u64,
    /// Free, with a time ahead: a delay, a backoff, a wait that times out.
    pub waiting: u64,
    /// Without a time, in a running run, waiting for children.
    pub joining: u64,
    /// Without a time, in a running run, waiting for an event.
    pub parked: u64,
    /// Without a time, in a run that is paused or failed.
    pub held: u64,
    /// None of these: set aside, because it cannot be read.
    pub set_aside: u64,
}

/// What of a branch decides how [`BranchStats`] counts it.
#[derive(Debug, Clone, Copy)]
pub struct Countable {
    /// Whether a worker has its lease.
    pub leased: bool,
    /// When it can be taken.
    pub run_at: Option<Timestamp>,
    /// Whether it waits for children.
    pub joining: bool,
    /// Whether it awaits an event.
    pub awaiting: bool,
    /// The state of its run.
    pub state: RunState,
}

impl BranchStats {
    /// The count that a branch belongs to: written once, for every store.
    pub fn of(&mut self, branch: Countable, now: Timestamp) -> &mut u64 {
        let Countable { leased, run_at, joining, awaiting, state } = branch;
        match (run_at, state) {
            (Some(at), _) if at <= now => &mut self.due,
            (Some(_), _) if leased => &mut self.leased,
            (Some(_), _) => &mut self.waiting,
            (None, RunState::Running) if joining => &mut self.joining,
            (None, RunState::Running) if awaiting => &mut self.parked,
            (None, RunState::Running) => &mut self.set_aside,
            (None, RunState::Paused | RunState::Completed | RunState::Failed | RunState::Cancelled) => &mut self.held,
        }
    }
}

/// So many rows at most has each list of [`StoreHealth`].
pub const HEALTH_ROWS: usize = 100;

/// What may be wrong, at one moment. Each list has at most [`HEALTH_ROWS`] rows, the worst first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHealth {
    /// The kind of store and the version of its schema, in words.
    pub schema: Arc<str>,
    /// The store's time.
    pub now: Timestamp,
    /// The worker sessions that the store knows, the one that was seen last first.
    pub sessions: Vec<SessionHealth>,
    /// The lanes with due work, the one that has waited longest first.
    pub lanes: Vec<LaneHealth>,
    /// Branches whose lease has ended, and that nobody took over yet; the longest first.
    pub lapsed: Vec<BranchHealth>,
    /// Branches that lost their owners, most crashes first.
    pub crashed: Vec<BranchHealth>,
    /// Branches that are set aside, because they cannot be read, in order of run and branch.
    pub set_aside: Vec<BranchHealth>,
}

/// A worker session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionHealth {
    /// Its lease number.
    pub lease: LeaseId,
    /// Its process.
    pub process: Process,
    /// How many branches it holds.
    pub branches: u64,
    /// When it was opened or asked for work, to within ten minutes.
    pub seen_at: Timestamp,
    /// When the latest of its leases ends, if it holds any.
    pub leased_until: Option<Timestamp>,
    /// How long it takes leases for, as it last said.
    pub ttl: Option<Duration>,
}

impl SessionHealth {
    /// When it last took or renewed a lease, if it holds any: never after the store's now.
    pub fn renewed_at(&self, now: Timestamp) -> Option<Timestamp> {
        let ttl = i64::try_from(self.ttl?.as_micros()).ok()?;
        Some(Timestamp::from_micros(self.leased_until?.as_micros().saturating_sub(ttl)).min(now))
    }
}

/// Due work of one definition and tag set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneHealth {
    /// The definition.
    pub definition: Definition,
    /// The tags that a worker must serve.
    pub tags: Arc<[String]>,
    /// How many branches are due.
    pub due: u64,
    /// How long the first of them has been due.
    pub oldest: Duration,
    /// How many others of this lane workers hold, under leases that have not ended.
    pub leased: u64,
    /// So many sessions hold them: workers that serve this lane.
    pub holders: u64,
}

/// A branch that something may be wrong with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchHealth {
    /// The instance.
    pub instance_id: Arc<str>,
    /// Its run.
    pub run: RunNumber,
    /// The branch.
    pub branch: BranchId,
    /// The node path where it stands.
    pub node: Arc<str>,
    /// Who holds it.
    pub lease: Option<LeaseId>,
    /// When it can be, or could have been, taken.
    pub run_at: Option<Timestamp>,
    /// Owners lost in a row.
    pub crashes: u32,
}

/// A session that holds no lease is forgotten when it was not seen for so long.
pub const SESSION_IDLE: Duration = Duration::from_hours(24);
/// A session without a process of its own (process id 0) that holds no lease is forgotten when it was not seen for so long.
pub const CALL_IDLE: Duration = Duration::from_mins(30);
/// A session is marked as seen at most so often.
pub const SEEN_EVERY: Duration = Duration::from_mins(10);
/// So many sessions at most are forgotten when one is opened.
pub const FORGOTTEN_AT_ONCE: usize = 16;
