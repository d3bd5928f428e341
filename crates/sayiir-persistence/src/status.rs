//! How the branches of an instance make one status: written once, for every store.

use sayiir_core::branch::Phase;
use sayiir_core::control::SignalRequest;
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::WorkflowStatus;

use crate::store::{BranchSummary, RunState};

/// The status of a run in `state` with these live branches.
///
/// `error` is a failed run's; `request` is the control request that cancelled the run or holds it.
/// A going run is `InProgress` if any branch is leased or ready (a retry's backoff counts as ready);
/// else `Waiting` for the earliest delay; else `AwaitingSignal`, the first by node path.
pub fn status_of(
    state: RunState,
    branches: &[BranchSummary],
    error: Option<&str>,
    request: Option<&SignalRequest>,
    now: Timestamp,
) -> WorkflowStatus {
    let (reason, by) = request.map_or((None, None), |request| (request.reason.clone(), request.requested_by.clone()));
    match state {
        RunState::Running => running(branches, now),
        RunState::Paused => WorkflowStatus::Paused { reason, paused_by: by },
        RunState::Completed => WorkflowStatus::Completed,
        RunState::Failed => WorkflowStatus::Failed(error.unwrap_or_default().to_owned()),
        RunState::Cancelled => WorkflowStatus::Cancelled { reason, cancelled_by: by },
    }
}

fn running(branches: &[BranchSummary], now: Timestamp) -> WorkflowStatus {
    let mut delay: Option<(Timestamp, &BranchSummary)> = None;
    let mut signal: Option<&BranchSummary> = None;
    for branch in branches {
        if branch.lease.is_some() || (branch.pending == 0 && branch.run_at.is_some_and(|at| at <= now)) {
            return WorkflowStatus::InProgress;
        }
        match branch.head.phase {
            Phase::Start | Phase::At => return WorkflowStatus::InProgress,
            Phase::Joining if branch.pending == 0 => return WorkflowStatus::InProgress,
            Phase::Joining => {}
            Phase::Delaying => {
                let at = branch.due_at.unwrap_or(now);
                if delay.is_none_or(|(earliest, first)| (at, &branch.head.node) < (earliest, &first.head.node)) {
                    delay = Some((at, branch));
                }
            }
            Phase::Awaiting => {
                if signal.is_none_or(|first| branch.head.node < first.head.node) {
                    signal = Some(branch);
                }
            }
        }
    }
    match (delay, signal) {
        (Some((at, branch)), _) => WorkflowStatus::Waiting { wake_at: at.into(), delay_id: branch.head.node.to_string() },
        (None, Some(branch)) => WorkflowStatus::AwaitingSignal {
            signal_id: branch.head.node.to_string(),
            signal_name: branch.awaits.as_deref().unwrap_or_default().to_owned(),
            wake_at: branch.due_at.map(Into::into),
        },
        (None, None) => WorkflowStatus::InProgress,
    }
}
