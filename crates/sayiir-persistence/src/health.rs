//! How much there is in a store, what may be wrong with it, and how long sessions are remembered.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_core::time::Timestamp;

use crate::store::{Definition, Process, RunState};

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
        Some((self.leased_until? - self.ttl?).min(now))
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

/// A lease's length where a session has never named one.
pub const UNNAMED_TTL: Duration = Duration::from_secs(30);
/// A session that holds no lease is forgotten when it was not seen for so long.
pub const SESSION_IDLE: Duration = Duration::from_hours(24);
/// A session without a process of its own (process id 0) that holds no lease is forgotten when it was not seen for so long.
pub const CALL_IDLE: Duration = Duration::from_mins(30);
/// A session is marked as seen at most so often.
pub const SEEN_EVERY: Duration = Duration::from_mins(10);
/// So many sessions at most are forgotten when one is opened.
pub const FORGOTTEN_AT_ONCE: usize = 16;
