//! Where an instance's branches stand: what each does or waits for, since when, and what of it is told.

use std::collections::BTreeMap;

use console::Style;
use sayiir::core::branch::{LeaseId, Phase};
use sayiir::core::time::Timestamp;
use sayiir::core::workflow::{Standing, WorkflowStatus};
use sayiir::persistence::{BranchSummary, InstanceRecord};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::ending::Failure;
use crate::store::OpenStore;
use crate::text::{both_times, clean, count};

/// What a branch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Doing {
    /// A worker holds it.
    Runs,
    /// Its worker's lease has ended: the next worker takes it over.
    Lapsed,
    /// Any worker may take it.
    Ready,
    /// An attempt failed; the next waits for its time.
    BacksOff,
    /// It waits for a time.
    Waits,
    /// It waits for an event.
    AwaitsSignal,
    /// It waits for its children.
    Joins,
    /// The instance is paused, or has failed.
    Held,
    /// The instance failed at it.
    Failed,
    /// It could not be read by the worker that took it, and is left alone.
    SetAside,
}

impl Doing {
    /// What this branch does.
    pub(crate) fn of(branch: &BranchSummary, record: &InstanceRecord) -> Self {
        let (status, now) = (&record.summary.status, record.now);
        let due = branch.run_at.is_some_and(|at| at <= now);
        match status {
            WorkflowStatus::Failed(error) if is_failure_of(error, branch) => return Self::Failed,
            WorkflowStatus::Failed(_) => return Self::Held,
            WorkflowStatus::InProgress
            | WorkflowStatus::Completed
            | WorkflowStatus::Cancelled { .. }
            | WorkflowStatus::Paused { .. }
            | WorkflowStatus::Waiting { .. }
            | WorkflowStatus::AwaitingSignal { .. } => {}
        }
        match (branch.lease, branch.run_at) {
            (Some(_), _) if due => Self::Lapsed,
            (Some(_), _) => Self::Runs,
            (None, _) if matches!(status, WorkflowStatus::Paused { .. }) => Self::Held,
            (None, _) if branch.head.phase == Phase::Joining && branch.pending > 0 => Self::Joins,
            (None, _) if due => Self::Ready,
            (None, run_at) => match branch.head.phase {
                Phase::Delaying => Self::Waits,
                Phase::Awaiting => Self::AwaitsSignal,
                Phase::Start | Phase::At | Phase::Joining if run_at.is_some() => Self::BacksOff,
                Phase::Start | Phase::At | Phase::Joining => Self::SetAside,
            },
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Lapsed => "lapsed",
            Self::Ready => "ready",
            Self::BacksOff => "backs off",
            Self::Waits => "waits",
            Self::AwaitsSignal => "awaits signal",
            Self::Joins => "joins",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::SetAside => "set aside",
        }
    }

    /// How it is marked in a drawing.
    pub(crate) const fn mark(self) -> Standing {
        match self {
            Self::Runs | Self::Ready | Self::Lapsed => Standing::Runs,
            Self::BacksOff | Self::Waits | Self::AwaitsSignal | Self::Joins => Standing::Waits,
            Self::Held => Standing::Held,
            Self::Failed | Self::SetAside => Standing::Failed,
        }
    }

    pub(crate) const fn style(self) -> Style {
        let style = Style::new();
        match self {
            Self::Runs | Self::Ready => style.blue(),
            Self::BacksOff | Self::Held => style.yellow(),
            Self::Waits | Self::AwaitsSignal | Self::Joins => style.cyan(),
            Self::Lapsed | Self::Failed | Self::SetAside => style.red(),
        }
    }
}

/// Whether this is the branch whose failure ended the run: its error begins with the node's path.
fn is_failure_of(error: &str, branch: &BranchSummary) -> bool {
    error.strip_prefix(&*branch.head.node).is_some_and(|rest| rest.starts_with(':'))
}

/// The workers that hold branches of an instance, by their leases.
pub(crate) struct Workers(BTreeMap<LeaseId, String>);

impl Workers {
    /// Those that the store still knows.
    pub(crate) async fn of(store: &OpenStore, record: &InstanceRecord) -> Result<Self, Failure> {
        if record.branches.iter().all(|branch| branch.lease.is_none()) {
            return Ok(Self(BTreeMap::new()));
        }
        let sessions = store.client.backend().health().await?.sessions;
        Ok(Self(sessions.into_iter().map(|session| (session.lease, session.process.worker_id)).collect()))
    }

    fn name(&self, lease: Option<LeaseId>) -> String {
        let known = |lease| self.0.get(&lease).map_or_else(|| format!("session {lease}"), Clone::clone);
        lease.map_or_else(String::new, known)
    }
}

/// What a branch waits for or does, in words.
pub(crate) fn words(branch: &BranchSummary, record: &InstanceRecord, workers: &Workers) -> String {
    let now = record.now;
    let due = |what: &str, at: Option<Timestamp>| at.map_or_else(String::new, |at| format!("{what} {}", both_times(at, now)));
    let attempt = branch.head.attempt + 1;
    let lost = |text: String| match branch.crashes {
        0 => text,
        crashes => format!("{text}; {} in a row", count(crashes as usize, "worker was lost here", "workers were lost here")),
    };
    let text = match Doing::of(branch, record) {
        Doing::Runs => {
            format!("attempt {attempt}, at worker {}", workers.name(branch.lease))
        }
        Doing::Lapsed => format!("worker {} is gone: {}", workers.name(branch.lease), due("its lease ended", branch.run_at)),
        Doing::Ready => match branch.head.phase {
            Phase::Awaiting if branch.due_at.is_none_or(|at| at > now) => "the event is there; no worker has taken it yet".to_owned(),
            Phase::Delaying | Phase::Awaiting => format!("its time has come; {}", due("no worker has taken it since", branch.run_at)),
            Phase::Start | Phase::At | Phase::Joining => {
                format!("attempt {attempt}, {}", due("no worker has taken it since", branch.run_at))
            }
        },
        Doing::BacksOff => {
            format!("{}; {}", count(branch.head.attempt as usize, "attempt has failed", "attempts have failed"), due("next", branch.run_at))
        }
        Doing::Waits => due("until", branch.due_at),
        Doing::AwaitsSignal => {
            let name = branch.awaits.as_deref().unwrap_or_default();
            let until = branch.due_at.map_or_else(String::new, |at| format!(", at most until {}", both_times(at, now)));
            format!("for {name:?}{until}")
        }
        Doing::Joins => format!("for {}", count(branch.pending as usize, "branch", "branches")),
        Doing::Held => match (branch.head.phase, branch.awaits.as_deref()) {
            (Phase::Awaiting, Some(name)) => format!("while it awaited {name:?}"),
            (Phase::Joining, _) if branch.pending > 0 => {
                format!("while it waited for {}", count(branch.pending as usize, "branch", "branches"))
            }
            (Phase::Delaying, _) => due("while it waited until", branch.due_at),
            (Phase::Start | Phase::At | Phase::Joining | Phase::Awaiting, _) => format!("before attempt {attempt}"),
        },
        Doing::Failed => "`sayiir retry` sets it going again from here".to_owned(),
        Doing::SetAside => "its worker could not read it; the worker's log says why".to_owned(),
    };
    clean(&lost(text))
}

/// A branch as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct BranchJson {
    branch: String,
    node: String,
    doing: Doing,
    phase: Phase,
    /// The attempt that is made or will be made, counted from 1.
    attempt: u32,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    children: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    crashes: u32,
    priority: u8,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressJson>,
}

/// What a task reported about how far it is.
#[derive(Debug, Serialize)]
struct ProgressJson {
    at: String,
    payload: Box<RawValue>,
}

impl BranchJson {
    pub(crate) fn of(branch: &BranchSummary, record: &InstanceRecord) -> Self {
        let time = |at: Timestamp| at.to_string();
        let progress = branch
            .progress
            .as_ref()
            .and_then(|progress| Some(ProgressJson { at: time(progress.at), payload: serde_json::from_slice(&progress.payload).ok()? }));
        Self {
            branch: branch.branch.to_string(),
            node: branch.head.node.to_string(),
            doing: Doing::of(branch, record),
            phase: branch.head.phase,
            attempt: branch.head.attempt + 1,
            since: time(branch.attempt_at),
            until: branch.due_at.map(time),
            signal: branch.awaits.as_deref().map(str::to_owned),
            children: (branch.head.phase == Phase::Joining).then_some(branch.pending),
            run_at: branch.run_at.map(time),
            session: branch.lease.map(|lease| lease.0),
            crashes: branch.crashes,
            priority: branch.placement.priority.as_u8(),
            tags: branch.placement.tags.to_vec(),
            progress,
        }
    }
}
