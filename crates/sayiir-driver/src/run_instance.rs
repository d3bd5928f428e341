//! Driving one instance until it ends, or until only delays and signals are left.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use sayiir_core::branch::{BranchView, Phase, RunNumber};
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{BranchSummary, ClaimRequest, ClaimScope, InstanceListener, InstanceRecord, StoreError};

use crate::ask::ask;
use crate::group::{Fault, Group};
use crate::session::Session;
use crate::workflows::WorkflowSet;

/// So many branches are claimed at once.
const BATCH: usize = 64;
/// How long to wait at most before looking again at an instance that other workers hold.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How an instance stands when its driver stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// Its status.
    pub status: WorkflowStatus,
    /// Its output, if completed.
    pub output: Option<Bytes>,
}

/// What a drive waits for besides tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// Backoffs only: it returns when delays and signals are left.
    Retries,
    /// Also delays, and signals that have a timeout: it returns when nothing will happen by itself.
    Timers,
}

/// What is left of an instance that nobody here drives.
enum Left {
    /// Nothing that this driver is to wait for.
    Stop,
    /// Something is due by itself: a retry, or a lease that another worker holds.
    Wait,
    /// Another worker holds it, and this driver has not had any of it.
    Others,
}

/// Drives the branches of an instance's run that are due, beginning with `root` if the session holds it already.
///
/// Waits out backoffs; returns when the instance has ended, is paused, or waits for delays and signals
/// only. Touches nothing of an instance that a live worker holds.
pub async fn drive_instance(
    session: &Arc<Session>,
    group: &Arc<Group>,
    workflows: &Arc<WorkflowSet>,
    instance_id: &Arc<str>,
    run: RunNumber,
    root: Option<Box<BranchView>>,
    wait_for: WaitFor,
) -> Result<RunEnd, DriveError> {
    let store = Arc::clone(&session.store);
    let whole = root.is_some();
    // What is in the group's hands from the start on is only moved by them: nobody else's news matter yet.
    let mut watch = (!whole).then(|| store.wakeups().listen_instance(instance_id));
    let mut driven = whole;
    let mut look = !whole;
    if let Some(root) = root {
        session.drive(group, workflows, *root);
    }
    // The timer outlives the turns of the loop; it is set anew when what is due next may have changed.
    let (mut timer, mut timer_stale) = (None, false);
    loop {
        let ended = group.listen();
        if watch.is_none() && group.has_left() {
            (watch, look) = (Some(store.wakeups().listen_instance(instance_id)), true);
        }
        let changed = watch.as_ref().map(InstanceListener::listen);
        // Before anything else is asked of the store: its next error would hide which node met the first.
        if let Some(fault) = group.take_fault() {
            return Err(DriveError::Fault(fault));
        }
        if group.active() == 0
            && let Some(output) = group.take_finished(run)
        {
            return Ok(RunEnd { status: WorkflowStatus::Completed, output: Some(output) });
        }
        if look {
            driven |= claim(session, group, workflows, instance_id, run).await?;
        }
        timer_stale |= group.take_due() || look;
        if group.active() == 0 {
            let record = session.instance(instance_id).await?.ok_or_else(|| DriveError::Gone(Arc::clone(instance_id)))?;
            if record.summary.run != run {
                return Err(DriveError::Replaced(Arc::clone(instance_id)));
            }
            match left(&record, driven, wait_for) {
                Left::Stop => return Ok(RunEnd { status: record.summary.status, output: record.output }),
                Left::Others => return Ok(RunEnd { status: WorkflowStatus::InProgress, output: None }),
                Left::Wait => {
                    let wait = next_due(session, instance_id).await?.unwrap_or(LOOK_AGAIN);
                    (timer, timer_stale) = (Some(session.host.sleep(wait.min(LOOK_AGAIN))), false);
                }
            }
        } else if timer_stale && group.free() > 0 {
            let wait = next_due(session, instance_id).await?;
            (timer, timer_stale) = (wait.map(|wait| session.host.sleep(wait)), false);
        }
        let time = async {
            match timer.as_mut() {
                Some(timer) => timer.await,
                None => pending().await,
            }
        };
        let news = async {
            match changed {
                Some(changed) => changed.await,
                None => pending().await,
            }
        };
        look = match select(ended, select(pin!(news), pin!(time))).await {
            Either::Left(_) => group.active() == 0,
            Either::Right((Either::Left(_), _)) => true,
            Either::Right((Either::Right(_), _)) => {
                timer = None;
                true
            }
        };
    }
}

async fn claim(
    session: &Arc<Session>,
    group: &Arc<Group>,
    workflows: &Arc<WorkflowSet>,
    instance_id: &Arc<str>,
    run: RunNumber,
) -> Result<bool, DriveError> {
    let mut any = false;
    loop {
        let request = ClaimRequest {
            lease: session.lease,
            ttl: session.options.ttl,
            limit: BATCH.min(group.free()),
            scope: ClaimScope::Instance(Arc::clone(instance_id)),
        };
        if request.limit == 0 {
            return Ok(any);
        }
        let mut times = 0;
        let asked = ask(&*session.host, session.options.patience, || {
            times += 1;
            session.store.claim(request.clone())
        });
        let branches = asked.await?;
        any |= !branches.is_empty();
        if branches.iter().any(|branch| branch.run != run) {
            // Whoever started the run that took this one's place has it driven as they like.
            for branch in branches {
                if let Some(workflow) = workflows.get(&branch.definition) {
                    session.hand_back(&**workflow, &branch).await?;
                }
            }
            return Err(DriveError::Replaced(Arc::clone(instance_id)));
        }
        let full = branches.len() == BATCH;
        for branch in branches {
            session.drive(group, workflows, branch);
        }
        if times > 1 {
            // What was taken by one that was not answered, the next one did not find.
            any |= session.adopt(group, workflows, Some(run)).await?;
        }
        if !full {
            return Ok(any);
        }
    }
}

async fn next_due(session: &Session, instance_id: &Arc<str>) -> Result<Option<Duration>, DriveError> {
    let scope = ClaimScope::Instance(Arc::clone(instance_id));
    Ok(ask(&*session.host, session.options.patience, || session.store.next_due(scope.clone())).await?)
}

fn left(record: &InstanceRecord, driven: bool, wait_for: WaitFor) -> Left {
    if record.summary.status.is_terminal() || matches!(record.summary.status, WorkflowStatus::Paused { .. }) {
        return Left::Stop;
    }
    let live = |branch: &&BranchSummary| branch.lease.is_some() && branch.run_at.is_some_and(|until| until > record.now);
    if record.branches.iter().any(|branch| live(&branch)) {
        return if driven { Left::Wait } else { Left::Others };
    }
    let goes_on = |branch: &BranchSummary| match branch.head.phase {
        Phase::Start | Phase::At => true,
        Phase::Joining => branch.pending == 0,
        Phase::Delaying | Phase::Awaiting => match wait_for {
            // One that is due now became so since the last claim.
            WaitFor::Retries => branch.run_at.is_some_and(|at| at <= record.now),
            WaitFor::Timers => branch.run_at.is_some(),
        },
    };
    if record.branches.iter().any(goes_on) { Left::Wait } else { Left::Stop }
}

/// Why an instance could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// A branch could not go on.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another start took the instance's place.
    #[error("the run of instance {0:?} was replaced by another start under the policy 'terminate_existing'")]
    Replaced(Arc<str>),
    /// The instance was deleted meanwhile.
    #[error("the instance {0:?} is gone: it was deleted")]
    Gone(Arc<str>),
}

/// A run's drive that is given back when its caller is dropped, or after an error.
pub struct RunGuard {
    session: Arc<Session>,
    group: Arc<Group>,
    workflows: Arc<WorkflowSet>,
    run: Option<RunNumber>,
    ended: bool,
}

impl RunGuard {
    /// Guards the branches that `group` drives.
    pub fn new(session: &Arc<Session>, group: &Arc<Group>, workflows: &Arc<WorkflowSet>, run: Option<RunNumber>) -> Self {
        Self { session: Arc::clone(session), group: Arc::clone(group), workflows: Arc::clone(workflows), run, ended: false }
    }

    /// The drive has come to its end, and holds nothing any more.
    pub fn ended(&mut self) {
        self.ended = true;
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        // A branch that met an error is still leased, though nobody drives it.
        if self.ended {
            return;
        }
        self.group.abort();
        if let Some(run) = self.run {
            let (session, group, workflows) = (Arc::clone(&self.session), Arc::clone(&self.group), Arc::clone(&self.workflows));
            let back = async move {
                if let Err(error) = session.give_back(&group, &workflows, run).await {
                    tracing::warn!(%run, %error, "could not give a run back; its leases will expire");
                }
            };
            drop(self.session.host.spawn(Box::pin(back)));
        }
    }
}
