//! The store of the made-up world: the real one in memory, with somebody beside it who looks at every write.
//!
//! Where a rule that is switched off makes one write two, the gap between them is here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::rules::{self, Rule, holds};
use sayiir_core::time::Timestamp;
use sayiir_core::transition::{Entry, EventGuard, Next, Transition};
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{
    BranchSummary, BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlAction, ControlCommand, ControlOutcome, Import,
    ImportOutcome, InMemoryBackend, InstanceFilter, InstanceRecord, InstanceSummary, Limits, NewEvent, Process, PurgeRequest, Rewind,
    RewindOutcome, SendOutcome, StartOutcome, StartRun, Store, StoreError, StoreHealth, StoreStats, Wakeups,
};

use crate::host::Alive;
use crate::world::{World, lock};

type Answer<T> = Result<T, StoreError>;

/// What is known beside the store.
#[derive(Default)]
struct Known {
    /// Which process has which lease.
    leases: BTreeMap<LeaseId, u32>,
    /// The runs of each instance that were acknowledged or are there.
    runs: BTreeMap<Arc<str>, RunNumber>,
    /// The events that were stored for each instance.
    events: BTreeMap<Arc<str>, BTreeSet<(Arc<str>, u64)>>,
    /// The events that were used.
    used: BTreeSet<(RunNumber, u64)>,
    /// The results that were stored.
    results: BTreeSet<(RunNumber, Arc<str>)>,
}

/// The watched store.
pub(crate) struct Watched {
    pub(crate) inner: InMemoryBackend,
    pub(crate) world: Arc<World>,
    pub(crate) alive: Alive,
    known: Mutex<Known>,
}

macro_rules! forward {
    ($($name:ident($($argument:ident: $of:ty),*) -> $answer:ty;)*) => {
        $(pub(crate) async fn $name(&self, $($argument: $of),*) -> Answer<$answer> {
            self.inner.$name($($argument),*).await
        })*
    };
}

impl Watched {
    pub(crate) fn new(world: &Arc<World>, alive: &Alive) -> Arc<Self> {
        let inner = InMemoryBackend::with_clock(world.clock.clone());
        Arc::new(Self { inner, world: Arc::clone(world), alive: Arc::clone(alive), known: Mutex::default() })
    }

    pub(crate) fn limits(&self) -> Limits {
        self.inner.limits()
    }

    pub(crate) fn wakeups(&self) -> &Wakeups {
        self.inner.wakeups()
    }

    forward! {
        sessions(host: &str) -> Vec<(LeaseId, Process)>;
        next_due(scope: ClaimScope) -> Option<Duration>;
        load(lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> Vec<BranchView>;
        leased(lease: LeaseId) -> Vec<(RunNumber, BranchId, u64)>;
        renew(lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> Vec<Option<u64>>;
        report_progress(lease: LeaseId, run: RunNumber, branch: BranchId, progress: Bytes) -> bool;
        set_search_attributes(lease: LeaseId, run: RunNumber, branch: BranchId, attributes: SearchAttributes) -> bool;
        sub_steps(run: RunNumber, branch: BranchId, node: Arc<str>) -> Vec<(Arc<str>, Bytes)>;
        definition_document(hash: DefinitionHash) -> Option<Arc<str>>;
        read_values(run: RunNumber, rows: Vec<JournalRef>) -> Vec<Bytes>;
        read_branch_outputs(run: RunNumber, branches: Vec<BranchId>) -> Vec<Bytes>;
        read_event(instance_id: &str, name: &str, seq: u64) -> Option<Bytes>;
        take_event(instance_id: &str, name: &str) -> Option<Bytes>;
        requested_control(instance_id: &str, kind: SignalKind) -> Option<SignalRequest>;
        instance(instance_id: &str) -> Option<InstanceRecord>;
        journal(run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> Vec<JournalRow>;
        timeline(run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> Vec<JournalRow>;
        list(filter: InstanceFilter) -> Vec<InstanceSummary>;
        stats() -> StoreStats;
        health() -> StoreHealth;
        purge(request: PurgeRequest) -> u64;
        rewind(rewind: Rewind) -> RewindOutcome;
        delete(instance_id: &str) -> bool;
        import(import: Import) -> ImportOutcome;
    }

    pub(crate) async fn open_session(&self, process: Process) -> Answer<LeaseId> {
        let pid = process.pid;
        let lease = self.inner.open_session(process).await?;
        lock(&self.known).leases.insert(lease, pid);
        Ok(lease)
    }

    pub(crate) async fn expire_leases(&self, lease: LeaseId) -> Answer<u64> {
        let ended = self.inner.expire_leases(lease).await?;
        self.world.trace(|| format!("store: lease {lease} is let end ({ended} branches)"));
        Ok(ended)
    }

    pub(crate) async fn start(&self, request: StartRun) -> Answer<StartOutcome> {
        let (id, policy) = (Arc::clone(&request.instance_id), request.policy);
        let outcome = self.inner.start(request).await?;
        self.world.trace(|| format!("store: start {id} ({policy:?}): {outcome:?}").chars().take(120).collect());
        if let StartOutcome::Fresh { run, .. } = &outcome {
            let mut known = lock(&self.known);
            if known.runs.insert(Arc::clone(&id), *run).is_some_and(|before| before != *run) && policy == ConflictPolicy::TerminateExisting
            {
                known.events.remove(&id);
            }
        }
        self.look();
        Ok(outcome)
    }

    pub(crate) async fn claim(&self, request: ClaimRequest) -> Answer<Vec<BranchView>> {
        let before: BTreeMap<_, _> =
            self.all().into_iter().flat_map(|(run, branches)| branches.into_iter().map(move |b| ((run, b.branch), b.lease))).collect();
        let lease = request.lease;
        let views = self.inner.claim(request).await?;
        for view in &views {
            let owner = before.get(&(view.run, view.branch.clone())).copied().flatten();
            let process = owner.and_then(|owner| lock(&self.known).leases.get(&owner).copied());
            if process.is_some_and(|process| lock(&self.alive).contains(&process)) {
                self.world.count("lease_expired_under_owner");
            }
            let BranchView { instance_id, run, branch, revision, head, .. } = view;
            self.world.trace(|| {
                format!("store: lease {lease} claims {instance_id} run {run} {branch}@{revision} {} {:?}", head.node, head.phase)
            });
        }
        self.look();
        Ok(views)
    }

    pub(crate) async fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> Answer<Vec<CommitOutcome>> {
        let mut outcomes = Vec::new();
        for transition in transitions {
            outcomes.push(self.commit_one(lease, transition).await?);
        }
        Ok(outcomes)
    }

    async fn commit_one(&self, lease: LeaseId, mut transition: Transition) -> Answer<CommitOutcome> {
        if !holds(Rule::EventWithTransition)
            && let EventGuard::Use { name, seq } = transition.guard.clone()
            && self.inner.read_event(&transition.instance_id, &name, seq).await?.is_some()
        {
            self.inner.take_event(&transition.instance_id, &name).await?;
            self.world.sleep(Duration::from_micros(self.world.below(20_000))).await;
            transition.guard = EventGuard::None;
        }
        if !holds(Rule::JoinCounts) && transition.next == Next::EndBranch {
            let parent = transition.branch.parent();
            let read = self.branch(&transition.instance_id, parent.as_ref()).map(|parent| parent.pending);
            self.world.sleep(Duration::from_micros(self.world.below(20_000))).await;
            rules::hand_in_count(read);
        }
        let before = self.record(&transition.instance_id);
        let outcome = self.inner.commit(lease, vec![transition.clone()]).await;
        rules::hand_in_count(None);
        let outcome = outcome?.pop().unwrap_or(CommitOutcome::AlreadyAccepted);
        let Transition { instance_id, run, branch, revision, entry, next, .. } = &transition;
        self.world.trace(|| {
            let (what, where_to) = (entry.as_ref().map(|entry| (entry.kind, Arc::clone(&entry.node))), name_of(next));
            format!("store: lease {lease} commits {instance_id} run {run} {branch}@{revision} {what:?} -> {where_to}: {}", told(&outcome))
        });
        if matches!(outcome, CommitOutcome::Accepted { .. }) {
            self.accepted(lease, &transition, before.as_ref());
        }
        self.look();
        Ok(outcome)
    }

    /// Looks whether a write that was accepted was its owner's to make, from what it knew.
    fn accepted(&self, lease: LeaseId, transition: &Transition, before: Option<&InstanceRecord>) {
        let Transition { instance_id, run, branch, revision, entry, guard, held, next: _ } = transition;
        let place = format!("{instance_id} run {run} {branch}@{revision}");
        let Some(before) = before else { return self.world.violate(format!("a write to an unknown instance was accepted: {place}")) };
        if before.summary.run != *run {
            self.world.violate(format!("a zombie's write was accepted by run {}: {place}", before.summary.run));
        }
        let stored = before.branches.iter().find(|stored| stored.branch == *branch);
        match stored {
            Some(stored) if stored.lease == Some(lease) && stored.revision == *revision => {
                let moved = entry.as_ref().is_some_and(|entry| !is_at(entry, &stored.head.node));
                if moved && stored.head.phase != sayiir_core::branch::Phase::Start {
                    self.world.violate(format!("a write decided at another node was accepted: {place} stands at {}", stored.head.node));
                }
            }
            Some(stored) => self.world.violate(format!("a write was accepted that is not its owner's: {place}, stored {stored:?}")),
            None => self.world.violate(format!("a write to a branch that is not there was accepted: {place}")),
        }
        if *held != matches!(before.summary.status, WorkflowStatus::Paused { .. }) {
            self.world.violate(format!("a write that did not know of a pause or unpause was accepted: {place}"));
        }
        let mut known = lock(&self.known);
        if let EventGuard::Use { name: _, seq } = guard
            && !known.used.insert((*run, *seq))
        {
            self.world.violate(format!("event {seq} was used twice: {place}"));
        }
        if let Some(entry) = entry.as_ref().filter(|entry| entry.kind.is_result() || entry.kind == EntryKind::SubStepCompleted)
            && !known.results.insert((*run, Arc::clone(&entry.node)))
        {
            self.world.violate(format!("the result of {} was stored twice: {place}", entry.node));
        }
    }

    pub(crate) async fn put_event(&self, event: NewEvent) -> Answer<SendOutcome> {
        let (id, name) = (Arc::clone(&event.instance_id), Arc::clone(&event.name));
        let outcome = self.inner.put_event(event).await?;
        self.world.trace(|| format!("store: event {name} for {id}: {outcome:?}"));
        if let SendOutcome::Stored(seq) = outcome {
            lock(&self.known).events.entry(id).or_default().insert((name, seq));
        }
        self.look();
        Ok(outcome)
    }

    pub(crate) async fn control(&self, command: ControlCommand) -> Answer<ControlOutcome> {
        let (id, action) = (Arc::clone(&command.instance_id), command.action);
        if !holds(Rule::CancelIsAtomic) && action == ControlAction::Cancel {
            self.read_long_before_it_is_applied(&id).await;
        }
        let outcome = self.inner.control(command).await;
        rules::hand_in_branches(None);
        let outcome = outcome?;
        self.world.trace(|| format!("store: {action:?} {id}: {outcome:?}"));
        self.look();
        Ok(outcome)
    }

    pub(crate) async fn request_control(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> Answer<ControlOutcome> {
        let outcome = self.inner.request_control(instance_id, kind, request).await?;
        self.world.trace(|| format!("store: {kind:?} of {instance_id} is recorded: {outcome:?}"));
        self.look();
        Ok(outcome)
    }

    pub(crate) async fn apply_requested(&self, instance_id: &str, kind: SignalKind) -> Answer<bool> {
        if !holds(Rule::CancelIsAtomic) && kind == SignalKind::Cancel {
            self.read_long_before_it_is_applied(instance_id).await;
        }
        let applied = self.inner.apply_requested(instance_id, kind).await;
        rules::hand_in_branches(None);
        let applied = applied?;
        self.world.trace(|| format!("store: recorded {kind:?} of {instance_id}: applied {applied}"));
        self.look();
        Ok(applied)
    }

    /// Without the rule, what is cancelled was read some time ago.
    async fn read_long_before_it_is_applied(&self, instance_id: &str) {
        let read = self.record(instance_id).map(|record| record.branches.into_iter().map(|branch| branch.branch).collect());
        self.world.sleep(Duration::from_micros(self.world.below(20_000))).await;
        rules::hand_in_branches(read);
    }

    pub(crate) async fn clear_control(&self, instance_id: &str, kind: SignalKind) -> Answer<()> {
        self.inner.clear_control(instance_id, kind).await?;
        self.look();
        Ok(())
    }

    /// An instance as it is now: the store in memory answers at once.
    pub(crate) fn record(&self, instance_id: &str) -> Option<InstanceRecord> {
        self.inner.instance(instance_id).now_or_never().and_then(Result::ok).flatten()
    }

    fn branch(&self, instance_id: &str, branch: Option<&BranchId>) -> Option<BranchSummary> {
        self.record(instance_id)?.branches.into_iter().find(|found| Some(&found.branch) == branch)
    }

    fn all(&self) -> Vec<(RunNumber, Vec<BranchSummary>)> {
        let ids: Vec<_> = lock(&self.known).runs.keys().cloned().collect();
        ids.iter().filter_map(|id| self.record(id)).map(|record| (record.summary.run, record.branches)).collect()
    }

    /// Looks at everything: nothing is lost, nothing can be stuck.
    fn look(&self) {
        let ids: Vec<_> = lock(&self.known).runs.keys().cloned().collect();
        for id in ids {
            if let Some(record) = self.record(&id) {
                self.look_at(&id, &record);
            } else {
                self.world.violate(format!("instance {id}, which was acknowledged, is gone"));
            }
        }
    }

    fn look_at(&self, id: &Arc<str>, record: &InstanceRecord) {
        let InstanceRecord { summary, branches, .. } = record;
        match &summary.status {
            WorkflowStatus::Completed | WorkflowStatus::Cancelled { .. } => {
                if let Some(live) = branches.first() {
                    self.world.violate(format!("{id} is {:?}, but {live:?} lives", summary.status));
                }
            }
            WorkflowStatus::Failed(_) => {}
            WorkflowStatus::Paused { .. } => self.look_at_branches(id, record, true),
            WorkflowStatus::InProgress | WorkflowStatus::Waiting { .. } | WorkflowStatus::AwaitingSignal { .. } => {
                self.look_at_branches(id, record, false);
            }
        }
        if summary.status.is_terminal() {
            return;
        }
        let known = lock(&self.known);
        for (name, seq) in known.events.get(id).into_iter().flatten() {
            let waits = self.inner.read_event(id, name, *seq).now_or_never().and_then(Result::ok).flatten().is_some();
            if !waits && !known.used.contains(&(summary.run, *seq)) {
                self.world.violate(format!("event {seq} ({name}) for {id} is lost"));
            }
        }
    }

    fn look_at_branches(&self, id: &Arc<str>, record: &InstanceRecord, paused: bool) {
        // A cancel that is recorded makes branches due even in a paused run: a worker is to apply it.
        let cancel = self.inner.requested_control(id, SignalKind::Cancel).now_or_never().and_then(Result::ok).flatten();
        let requested = cancel.is_some();
        for branch in &record.branches {
            let children = record.branches.iter().filter(|child| child.branch.parent().as_ref() == Some(&branch.branch)).count();
            if usize::try_from(branch.pending).ok() != Some(children) {
                self.world.violate(format!("{id}: {} waits for {} children, {children} live", branch.branch, branch.pending));
            }
            if branch.lease.is_some() || branch.pending > 0 {
                continue;
            }
            if paused {
                if branch.run_at.is_some() && !requested {
                    self.world.violate(format!("{id} is paused, but {branch:?} is due"));
                }
                continue;
            }
            match (&branch.awaits, branch.run_at) {
                (_, Some(_)) => {}
                (Some(name), None) if branch.due_at.is_none() && !self.event_waits(id, name) => {}
                (_, None) => self.world.violate(format!("{id}: nothing will ever wake {branch:?}")),
            }
        }
    }

    fn event_waits(&self, id: &Arc<str>, name: &Arc<str>) -> bool {
        let known = lock(&self.known);
        let of_name = known.events.get(id).into_iter().flatten().filter(|(found, _)| found == name);
        of_name.into_iter().any(|(_, seq)| self.inner.read_event(id, name, *seq).now_or_never().and_then(Result::ok).flatten().is_some())
    }
}

/// Whether a row was written by what runs at this node: a sub-step's is right under it.
fn is_at(entry: &Entry, node: &str) -> bool {
    if entry.kind == EntryKind::SubStepCompleted {
        return entry.node.rsplit_once('/').is_some_and(|(task, _)| task == node);
    }
    *entry.node == *node
}

fn told(outcome: &CommitOutcome) -> String {
    match outcome {
        CommitOutcome::Accepted { readied_parent, .. } => {
            format!("accepted{}", if readied_parent.is_some() { ", parent readied" } else { "" })
        }
        CommitOutcome::AlreadyAccepted => "already accepted".to_owned(),
        CommitOutcome::Refused(refusal) => format!("refused ({refusal:?})"),
    }
}

fn name_of(next: &Next) -> String {
    match next {
        Next::Run { head } => format!("run {}", head.node),
        Next::Release { head, wake, .. } => format!("release at {} {wake:?}", head.node),
        Next::Await { signal, .. } => format!("await {signal}"),
        Next::Fork { children, keep, .. } => format!("fork of {}, {keep} kept", children.len()),
        Next::EndBranch => "end of branch".to_owned(),
        Next::Finish => "finish".to_owned(),
        Next::Fail { .. } => "fail".to_owned(),
    }
}
