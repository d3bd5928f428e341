//! Claims of single tasks over a [`Store`]: leases under a worker's name, for tools that run tasks outside a worker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::TaskId;
use sayiir_core::branch::{LeaseId, Phase, RunNumber};
use sayiir_core::journal::EntryKind;
use sayiir_core::task_claim::{AvailableTask, TaskClaim};
use sayiir_core::time::Timestamp;
use sayiir_core::transition::{Entry, EventGuard, Next, Output, Transition, Wake};

use crate::backend_error::BackendError;
use crate::store::{
    BranchSummary, BranchView, ClaimRequest, ClaimScope, CommitOutcome, InstanceFilter, InstanceRecord, Process, RunState, Store,
};
use crate::traits::BackendResult;
use crate::vocabulary::not_found;

/// The "host" of sessions that hold claims: no process of any host is behind them.
const HOST: &str = "task claims";

/// How long a claim lasts if its worker does not say.
const DEFAULT_TTL: Duration = Duration::from_mins(5);

const PAGE: usize = 1000;

fn positive(duration: chrono::Duration) -> Duration {
    duration.to_std().unwrap_or_default()
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_micros() / 1_000_000).unwrap_or(0)
}

fn is_of(branch: &BranchSummary, task: &TaskId) -> bool {
    let node = &branch.head.node;
    TaskId::of_label(node) == *task || TaskId::of_name_in(node) == *task
}

/// Whether a worker that holds the branch would run a task now.
fn is_at_task(branch: &BranchSummary) -> bool {
    match branch.head.phase {
        Phase::Start | Phase::At => true,
        Phase::Delaying | Phase::Awaiting | Phase::Joining => false,
    }
}

async fn record<S: Store + ?Sized>(store: &S, instance_id: &str) -> BackendResult<InstanceRecord> {
    store.instance(instance_id).await?.ok_or_else(|| not_found(instance_id))
}

/// The leases of claims, with their workers.
async fn claims<S: Store + ?Sized>(store: &S) -> BackendResult<Vec<(LeaseId, String)>> {
    Ok(store.sessions(HOST).await?.into_iter().map(|(lease, process)| (lease, process.worker_id)).collect())
}

/// The lease under which a worker claims: the one that it has claims under, or a new one.
async fn lease_of<S: Store + ?Sized>(store: &S, worker_id: &str) -> BackendResult<LeaseId> {
    if let Some((lease, _)) = claims(store).await?.into_iter().rfind(|(_, worker)| worker == worker_id) {
        return Ok(lease);
    }
    let process = Process { host: HOST.to_owned(), pid: 0, started: 0, worker_id: worker_id.to_owned() };
    Ok(store.open_session(process).await?)
}

pub(crate) async fn claim_task<S: Store + ?Sized>(
    store: &S,
    instance_id: &str,
    task: &TaskId,
    worker_id: &str,
    ttl: Option<chrono::Duration>,
) -> BackendResult<Option<TaskClaim>> {
    let record = record(store, instance_id).await?;
    let can_be_taken =
        |branch: &&BranchSummary| is_of(branch, task) && is_at_task(branch) && branch.run_at.is_some_and(|at| at <= record.now);
    let Some(branch) = record.branches.iter().find(can_be_taken) else { return Ok(None) };
    let (lease, ttl) = (lease_of(store, worker_id).await?, ttl.map_or(DEFAULT_TTL, positive));
    let scope = ClaimScope::Branch { run: record.summary.run, branch: branch.branch.clone() };
    let Some(view) = store.claim(ClaimRequest { lease, ttl, limit: 1, scope }).await?.pop() else { return Ok(None) };
    if view.head != branch.head || view.paused || view.requested.is_some() {
        // It went on since it was looked at, or a worker has to apply a request first.
        hand_back(store, lease, &view, branch).await?;
        return Ok(None);
    }
    Ok(Some(TaskClaim {
        instance_id: instance_id.to_owned(),
        task_id: *task,
        worker_id: worker_id.to_owned(),
        claimed_at: seconds(view.now),
        expires_at: Some(seconds(view.now + ttl)),
    }))
}

async fn hand_back<S: Store + ?Sized>(store: &S, lease: LeaseId, view: &BranchView, stood: &BranchSummary) -> BackendResult<()> {
    let next = Next::Release { head: view.head.clone(), wake: Wake::AsStored, placement: stood.placement.clone() };
    let transition = transition(view, None, next);
    // Refused means that it is not held any more, which is as good.
    store.commit(lease, vec![transition]).await?;
    Ok(())
}

fn transition(view: &BranchView, entry: Option<Entry>, next: Next) -> Transition {
    Transition {
        instance_id: Arc::clone(&view.instance_id),
        run: view.run,
        branch: view.branch.clone(),
        revision: view.revision,
        entry,
        guard: EventGuard::None,
        held: view.paused,
        next,
    }
}

/// Who holds the branch that stands at a task.
enum Holder<'a> {
    Nobody,
    /// This worker, by a claim.
    Claim(LeaseId, &'a BranchSummary),
    Another,
}

async fn holder<'a, S: Store + ?Sized>(
    store: &S,
    record: &'a InstanceRecord,
    task: &TaskId,
    worker_id: Option<&str>,
) -> BackendResult<Holder<'a>> {
    let leased = record.branches.iter().filter(|branch| is_of(branch, task)).find_map(|branch| Some((branch.lease?, branch)));
    let Some((lease, branch)) = leased else { return Ok(Holder::Nobody) };
    let its = |(of, worker): &(LeaseId, String)| *of == lease && worker_id.is_none_or(|id| id == worker);
    Ok(if claims(store).await?.iter().any(its) { Holder::Claim(lease, branch) } else { Holder::Another })
}

fn lost(instance_id: &str, task: &TaskId, worker_id: &str) -> BackendError {
    BackendError::ClaimLost(format!("worker {worker_id:?} does not hold task {task} of instance {instance_id:?}").into())
}

pub(crate) async fn release_task_claim<S: Store + ?Sized>(
    store: &S,
    instance_id: &str,
    task: &TaskId,
    worker_id: &str,
) -> BackendResult<()> {
    let record = record(store, instance_id).await?;
    match holder(store, &record, task, Some(worker_id)).await? {
        Holder::Nobody => Ok(()),
        Holder::Another => Err(lost(instance_id, task, worker_id)),
        Holder::Claim(lease, branch) => match view(store, lease, record.summary.run, branch).await? {
            Some(view) => hand_back(store, lease, &view, branch).await,
            None => Err(lost(instance_id, task, worker_id)),
        },
    }
}

async fn view<S: Store + ?Sized>(store: &S, lease: LeaseId, run: RunNumber, branch: &BranchSummary) -> BackendResult<Option<BranchView>> {
    Ok(store.load(lease, run, vec![branch.branch.clone()]).await?.pop())
}

pub(crate) async fn extend_task_claim<S: Store + ?Sized>(
    store: &S,
    instance_id: &str,
    task: &TaskId,
    worker_id: &str,
    ttl: chrono::Duration,
) -> BackendResult<()> {
    let record = record(store, instance_id).await?;
    let Holder::Claim(lease, branch) = holder(store, &record, task, Some(worker_id)).await? else {
        return Err(lost(instance_id, task, worker_id));
    };
    let renewed = store.renew(lease, positive(ttl), vec![(record.summary.run, branch.branch.clone())]).await?;
    match renewed.first() {
        Some(Some(_)) => Ok(()),
        Some(None) | None => Err(lost(instance_id, task, worker_id)),
    }
}

/// Stores a task's result under the claim that somebody holds on it; whether there is one.
pub(crate) async fn save_claimed<S: Store + ?Sized>(
    store: &S,
    record: &InstanceRecord,
    task: &TaskId,
    output: &Bytes,
) -> BackendResult<bool> {
    let Holder::Claim(lease, branch) = holder(store, record, task, None).await? else { return Ok(false) };
    let instance_id = &record.summary.instance_id;
    let gone = || BackendError::ClaimLost(format!("the claim on task {task} of instance {instance_id:?} has ended").into());
    let view = view(store, lease, record.summary.run, branch).await?.ok_or_else(gone)?;
    let entry = Entry {
        kind: EntryKind::TaskCompleted,
        node: Arc::clone(&view.head.node),
        attempt: view.head.attempt + 1,
        output: Output::Value(output.clone()),
        error: None,
    };
    let kept = transition(&view, Some(entry), Next::Run { head: view.head.clone() });
    match store.commit(lease, vec![kept]).await?.pop() {
        Some(CommitOutcome::Accepted { .. } | CommitOutcome::AlreadyAccepted) => Ok(true),
        Some(CommitOutcome::Refused(_)) | None => Err(gone()),
    }
}

/// A task that could be claimed, and when its turn is.
struct Candidate {
    turn: Timestamp,
    record: Arc<InstanceRecord>,
    branch: usize,
}

pub(crate) async fn find_available_tasks<S: Store + ?Sized>(
    store: &S,
    limit: usize,
    ageing: Duration,
    tags: &[String],
) -> BackendResult<Vec<AvailableTask>> {
    let (mut found, mut after): (Vec<Candidate>, Option<Arc<str>>) = (Vec::new(), None);
    loop {
        let filter = InstanceFilter { states: vec![RunState::Running], after, limit: Some(PAGE), ..InstanceFilter::default() };
        let page = store.list(filter).await?;
        let full = page.len() == PAGE;
        after = page.last().map(|summary| Arc::clone(&summary.instance_id));
        for summary in page {
            if let Some(record) = store.instance(&summary.instance_id).await? {
                found.extend(candidates(&Arc::new(record), ageing, tags));
            }
        }
        found.sort_by(|a, b| (a.turn, &a.record.summary.instance_id).cmp(&(b.turn, &b.record.summary.instance_id)));
        found.truncate(limit);
        if !full {
            break;
        }
    }
    let mut tasks = Vec::with_capacity(found.len());
    for Candidate { turn: _, record, branch } in found {
        let Some(branch) = record.branches.get(branch) else { continue };
        let values = store.read_values(record.summary.run, vec![branch.head.input.clone()]).await;
        // A run that was replaced since has nothing to offer.
        let Ok(Some(input)) = values.map(|mut values| values.pop()) else { continue };
        tasks.push(AvailableTask {
            instance_id: record.summary.instance_id.to_string(),
            task_id: TaskId::of_label(&branch.head.node),
            input,
            workflow_definition_hash: record.summary.definition.hash,
        });
    }
    Ok(tasks)
}

fn candidates(record: &Arc<InstanceRecord>, ageing: Duration, tags: &[String]) -> Vec<Candidate> {
    if record.cancel_request.is_some() || record.pause_request.is_some() {
        return Vec::new();
    }
    let served = |branch: &BranchSummary| tags.is_empty() || branch.placement.tags.iter().all(|tag| tags.contains(tag));
    let each = record.branches.iter().enumerate().filter(|(_, branch)| is_at_task(branch) && served(branch));
    each.filter_map(|(number, branch)| {
        let run_at = branch.run_at.filter(|at| *at <= record.now)?;
        let turn = run_at + ageing.saturating_mul(u32::from(branch.placement.priority.as_u8() - 1));
        Some(Candidate { turn, record: Arc::clone(record), branch: number })
    })
    .collect()
}
