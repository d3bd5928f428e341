//! How the branches of an instance make one status: written once, for every store.

use sayiir_core::branch::Phase;
use sayiir_core::control::SignalRequest;
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::WorkflowStatus;

use crate::store::{BranchSummary, RunState, RunningStatus};

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

/// What of [`status_of`] a list in SQL needs: the condition that the running instance `i` has one of these statuses. The store's time, in
/// microseconds, goes between the two texts; `branch` is the table of live branches.
pub fn running_sql(wanted: &[RunningStatus], branch: &str) -> (String, String) {
    let [start, at, delaying, awaiting, joining] =
        [Phase::Start, Phase::At, Phase::Delaying, Phase::Awaiting, Phase::Joining].map(Phase::as_u8);
    let ranks = wanted.iter().map(|status| match status {
        // Without any branch that says otherwise it is in progress, too.
        RunningStatus::InProgress => "0, 3",
        RunningStatus::Waiting => "2",
        RunningStatus::AwaitingSignal => "1",
    });
    let before = format!(
        "coalesce((SELECT max(CASE WHEN s.lease IS NOT NULL OR s.phase IN ({start}, {at}) OR (s.pending = 0 AND (s.phase = {joining} OR s.run_at <= "
    );
    let after = format!(
        ")) THEN 3 WHEN s.phase = {delaying} THEN 2 WHEN s.phase = {awaiting} THEN 1 ELSE 0 END) FROM {branch} s WHERE s.run = i.run), 0) IN ({})",
        ranks.collect::<Vec<_>>().join(", ")
    );
    (before, after)
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
