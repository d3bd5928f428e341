//! A memory store that misreads, forgets or misanswers one thing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, Placement, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::time::Timestamp;
use sayiir_core::transition::{EventGuard, Next, Transition};
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{
    AgeRange, BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlAction, ControlCommand, ControlOutcome, Import, ImportOutcome,
    InMemoryBackend, InstanceFilter, InstanceRecord, InstanceSummary, Limits, ListOrder, NewEvent, Process, Progress, PurgeRequest,
    Refusal, Rewind, RewindOutcome, RunState, SendOutcome, SessionHealth, StartOutcome, StartRun, Store, StoreFuture, StoreHealth,
    StoreStats, Wakeups, forward_store,
};
use sayiir_store_testkit::TestClock;

macro_rules! bugs {
    ($($bug:ident,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Bug { $($bug,)* }

        pub(crate) const BUGS: &[Bug] = &[$(Bug::$bug,)*];
    };
}

bugs! {
    // Commits.
    NoMailGuard, AnyRevision, AnyRun, AnyLease, EventUnguarded, EventUsedFirst, NoIdempotence, IdempotenceForAll, LeaseLostAsMoved,
    EndedAsLeaseLost, ReplacedAsEnded, MovedAsLeaseLost, BatchOneByOne, BatchReversed, ParentForgotten, PlacementForgotten, NothingKept,
    AllKept, ChildrenReversed, OneChildLost, HeldIgnored, WakesAtOnce, DueForgotten, RowForgotten, ErrorForgotten, WrappedForgotten,
    // Claims and leases.
    ClaimKeepsRevision, LimitIgnored, TagsIgnored, PrioritiesIgnored, AgeingIgnored, CrashesForgotten, LeaseTooLong, InstanceScopeTooWide,
    RenewalMoves, RenewalTellsAll, RenewalForgotten, NextDueLate, NextDueEarly, LoadForAll, LoadNothing, ExpiryIgnored, SessionsForgotten,
    SessionsOfAll, LeaseUsedAgain, LeasedForgotten, LeasedUntilItLapses, LeasedOfOneRun,
    // Attempts.
    SubStepsForgotten, SubStepsOfAllNodes, SubStepsOfTheRoot, SubStepsOfOneAttempt, ProgressForgotten, ProgressUnfenced, ProgressKept,
    DocumentForgotten, TraceForgotten,
    // Events.
    SecondEventFirst, KeysOfAllInstances, KeysIgnored, DuplicatesStored, EventsForTheFinished, EventNameIgnored, EventsNotTaken,
    // Control.
    PauseTwice, PauseIgnored, UnpauseIgnored, CancelIgnored, RequestIgnored, RequestApplied, RequestKept, RequestOfOtherKind,
    AppliesUnasked, AppliesOtherKind, ReasonForgotten, UnknownFinished, RetryIgnored,
    // The lifecycle.
    NonceIgnored, PolicyFirst, TerminateIsFail, TerminateKeepsEvents, TerminateIsDelete, RootNotLeased, UseExistingForgetsOutput,
    // Queries.
    ListIgnoresAfter, ListIgnoresLimit, ListIgnoresStates, ListIgnoresRunning, ListIgnoresWorkflow, ListReversed, JournalReversed, JournalUnlimited,
    JournalSkips, ValuesReversed, OutputsReversed, DeleteAlwaysTrue, DeleteIgnored, InputForgotten, ImportUnfenced,
    ImportUndoesForks, ImportIgnoresLeases,
    // Search attributes.
    AttributesForgotten, AttributesOfTasksForgotten, AttributesUnfenced, AttributesOneByOne, AttributesKept, ListIgnoresAttributes,
    ListSeesOneAttribute, ListIgnoresAges, ListIgnoresErrors, ListIgnoresOrder, ListIgnoresBefore,
    // Operations.
    RetryKeepsRequests, PurgeIgnored, PurgeIgnoresAge, PurgeIgnoresLimit, PurgeIgnoresWorkflow, PurgesThePaused, PurgesMail,
    RewindIgnoresNonce, RewindIgnoresRun, RewindKeepsLess, RewindIsStart, RewindUsesEvents, RewindForgetsPlacement, RewindForgetsWhy,
    RewindStaysPaused, TimelineTellsValues, StatsForgetWaiting, StatsForgetStates, HealthForgetsLapsed,
    HealthForgetsLanes, SessionsKept,
    // The rest.
    Silent, LimitsTooSmall,
}

/// A store with a bug.
pub(crate) struct Mutant {
    inner: InMemoryBackend,
    bug: Bug,
    silent: Wakeups,
    keys: Mutex<BTreeSet<Arc<str>>>,
    numbers: AtomicU64,
    progress: Mutex<Option<Progress>>,
    sessions: Mutex<Vec<SessionHealth>>,
}

impl Mutant {
    pub(crate) fn new(clock: Arc<TestClock>, bug: Bug) -> Self {
        let inner = InMemoryBackend::with_clock(clock);
        Self {
            inner,
            bug,
            silent: Wakeups::new(),
            keys: Mutex::default(),
            numbers: AtomicU64::new(1 << 40),
            progress: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    async fn record(&self, id: &str) -> Option<InstanceRecord> {
        self.inner.instance(id).await.unwrap()
    }

    /// What the store makes of a transition that it misreads.
    async fn misread(&self, lease: LeaseId, mut t: Transition) -> (LeaseId, Transition) {
        let record = self.record(&t.instance_id).await;
        let stored = record.iter().flat_map(|record| &record.branches).find(|branch| branch.branch == t.branch);
        let mut writer = lease;
        match self.bug {
            Bug::AnyRevision => t.revision = stored.map_or(t.revision, |branch| branch.revision),
            Bug::AnyRun => t.run = record.as_ref().map_or(t.run, |record| record.summary.run),
            Bug::AnyLease => writer = stored.and_then(|branch| branch.lease).unwrap_or(lease),
            Bug::NoMailGuard => {
                let views = self.inner.load(lease, t.run, vec![t.branch.clone()]).await.unwrap();
                if let (EventGuard::NoneSince { mail }, Some(view)) = (&mut t.guard, views.first()) {
                    *mail = view.mail;
                }
            }
            Bug::EventUnguarded => {
                if let EventGuard::Use { name, seq } = &t.guard
                    && self.inner.read_event(&t.instance_id, name, *seq).await.unwrap().is_none()
                {
                    t.guard = EventGuard::None;
                }
            }
            Bug::EventUsedFirst => {
                if let EventGuard::Use { name, .. } = &t.guard {
                    self.inner.take_event(&t.instance_id, name).await.unwrap();
                    t.guard = EventGuard::None;
                }
            }
            Bug::HeldIgnored => t.held = false,
            Bug::ErrorForgotten => t.entry.iter_mut().for_each(|entry| entry.error = None),
            Bug::WrappedForgotten => t.entry.iter_mut().for_each(|entry| {
                if let sayiir_core::transition::Output::Wrapped { own, handed_on: _ } = &entry.output {
                    entry.output = sayiir_core::transition::Output::Value(own.clone());
                }
            }),
            Bug::RowForgotten => {
                if let Next::Release { .. } = t.next {
                    t.entry = None;
                }
            }
            _ => {}
        }
        match &mut t.next {
            Next::Release { placement, wake, .. } => match self.bug {
                Bug::PlacementForgotten => *placement = Placement::default(),
                Bug::WakesAtOnce => *wake = sayiir_core::transition::Wake::Now,
                _ => {}
            },
            Next::Await { wake, .. } if self.has(Bug::DueForgotten) => *wake = None,
            Next::Fork { children, keep, .. } => match self.bug {
                Bug::NothingKept => *keep = 0,
                Bug::AllKept => *keep = children.len(),
                Bug::ChildrenReversed => children.reverse(),
                Bug::OneChildLost if children.len() > 1 => {
                    children.pop();
                    *keep = (*keep).min(children.len());
                }
                _ => {}
            },
            _ => {}
        }
        (writer, t)
    }

    async fn misanswer(&self, t: &Transition, answer: CommitOutcome) -> CommitOutcome {
        match (self.bug, answer) {
            (Bug::MovedAsLeaseLost, CommitOutcome::Refused(Refusal::Moved))
            | (Bug::EndedAsLeaseLost, CommitOutcome::Refused(Refusal::Ended)) => CommitOutcome::Refused(Refusal::LeaseLost),
            (Bug::NoIdempotence, CommitOutcome::AlreadyAccepted) | (Bug::LeaseLostAsMoved, CommitOutcome::Refused(Refusal::LeaseLost)) => {
                CommitOutcome::Refused(Refusal::Moved)
            }
            (Bug::ReplacedAsEnded, CommitOutcome::Refused(Refusal::Replaced)) => CommitOutcome::Refused(Refusal::Ended),
            (Bug::ParentForgotten, CommitOutcome::Accepted { at, readied_parent: _ }) => {
                CommitOutcome::Accepted { at, readied_parent: None }
            }
            (Bug::IdempotenceForAll, CommitOutcome::Refused(why)) => {
                let rows = self.inner.journal(t.run, None, usize::MAX).await.unwrap();
                let written = rows.iter().any(|row| row.branch == t.branch && row.revision == t.revision + 1);
                if written { CommitOutcome::AlreadyAccepted } else { CommitOutcome::Refused(why) }
            }
            (_, answer) => answer,
        }
    }
}

impl Store for Mutant {
    forward_store!(|me| me.inner,
        except report_progress, sub_steps, definition_document, limits, wakeups, open_session, sessions, expire_leases, start, commit, claim, next_due, load, leased, renew, read_values,
        read_branch_outputs, put_event, take_event, control, request_control, apply_requested, requested_control, clear_control, instance, journal, list,
        delete, import, set_search_attributes, timeline, stats, health, purge, rewind);

    fn limits(&self) -> Limits {
        let limits = self.inner.limits();
        if self.has(Bug::LimitsTooSmall) { Limits { payload_bytes: 10, ..limits } } else { limits }
    }

    fn wakeups(&self) -> &Wakeups {
        if self.has(Bug::Silent) { &self.silent } else { self.inner.wakeups() }
    }

    fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId> {
        Box::pin(async move {
            let lease = self.inner.open_session(process.clone()).await?;
            let (branches, seen_at, leased_until, ttl) = (0, Timestamp::default(), None, None);
            let session = SessionHealth { lease, process, branches, seen_at, leased_until, ttl };
            self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
            Ok(if self.has(Bug::LeaseUsedAgain) { LeaseId(1) } else { lease })
        })
    }

    fn sessions(&self, host: &str) -> StoreFuture<'_, Vec<(LeaseId, Process)>> {
        match self.bug {
            Bug::SessionsForgotten => self.inner.sessions("nowhere"),
            Bug::SessionsOfAll => self.inner.sessions("here"),
            _ => self.inner.sessions(host),
        }
    }

    fn expire_leases(&self, lease: LeaseId) -> StoreFuture<'_, u64> {
        self.inner.expire_leases(if self.has(Bug::ExpiryIgnored) { LeaseId(0) } else { lease })
    }

    fn start(&self, mut request: StartRun) -> StoreFuture<'_, StartOutcome> {
        Box::pin(async move {
            let terminates = request.policy == ConflictPolicy::TerminateExisting;
            let mut buffered = None;
            match self.bug {
                Bug::NonceIgnored => request.nonce = self.numbers.fetch_add(1, Ordering::SeqCst).into(),
                Bug::PolicyFirst if request.policy == ConflictPolicy::Fail && self.record(&request.instance_id).await.is_some() => {
                    return Ok(StartOutcome::AlreadyExists);
                }
                Bug::TerminateIsFail if terminates => request.policy = ConflictPolicy::Fail,
                Bug::TerminateIsDelete if terminates => {
                    self.inner.delete(&request.instance_id).await?;
                }
                Bug::TerminateKeepsEvents if terminates => buffered = self.inner.take_event(&request.instance_id, "go").await?,
                Bug::RootNotLeased => request.lease = None,
                Bug::TraceForgotten => request.trace = None,
                Bug::AttributesForgotten => request.attributes = SearchAttributes::new(),
                Bug::AttributesKept if terminates => {
                    let old = self.record(&request.instance_id).await.map(|record| record.summary.attributes);
                    request.attributes.extend(old.unwrap_or_default());
                }
                _ => {}
            }
            let id = Arc::clone(&request.instance_id);
            let outcome = self.inner.start(request).await?;
            if let Some(payload) = buffered {
                self.inner.put_event(NewEvent { instance_id: id, name: Arc::from("go"), payload, key: None }).await?;
            }
            Ok(match outcome {
                StartOutcome::Existing { status, .. } if self.has(Bug::UseExistingForgetsOutput) => {
                    StartOutcome::Existing { status, output: None }
                }
                other => other,
            })
        })
    }

    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
        Box::pin(async move {
            if self.has(Bug::BatchReversed) {
                let mut outcomes = self.inner.commit(lease, transitions.into_iter().rev().collect()).await?;
                outcomes.reverse();
                return Ok(outcomes);
            }
            if self.has(Bug::BatchOneByOne) {
                let mut outcomes = Vec::new();
                for each in transitions {
                    outcomes.extend(self.inner.commit(lease, vec![each]).await?);
                }
                return Ok(outcomes);
            }
            let (mut misread, mut writer) = (Vec::new(), lease);
            for each in transitions.clone() {
                let (lease, each) = self.misread(lease, each).await;
                writer = lease;
                misread.push(each);
            }
            let mut answers = Vec::new();
            for (each, answer) in transitions.iter().zip(self.inner.commit(writer, misread).await?) {
                answers.push(self.misanswer(each, answer).await);
            }
            Ok(answers)
        })
    }

    fn claim(&self, mut request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        match (self.bug, &mut request.scope) {
            (Bug::LimitIgnored, _) => request.limit = 1000,
            (Bug::LeaseTooLong, _) => request.ttl *= 2,
            (Bug::TagsIgnored, ClaimScope::Definitions { tags, .. }) => *tags = Arc::from([]),
            (Bug::PrioritiesIgnored, ClaimScope::Definitions { ageing, .. }) => *ageing = Duration::ZERO,
            (Bug::AgeingIgnored, ClaimScope::Definitions { ageing, .. }) => *ageing = Duration::from_hours(1000),
            (Bug::InstanceScopeTooWide, ClaimScope::Instance(_)) => {
                let hashes = Arc::from([sayiir_core::DefinitionHash::from("workflow")]);
                request.scope = ClaimScope::Definitions { hashes, tags: Arc::from([]), ageing: Duration::from_mins(5) };
            }
            _ => {}
        }
        Box::pin(async move {
            let mut views = self.inner.claim(request).await?;
            for view in &mut views {
                match self.bug {
                    Bug::ClaimKeepsRevision => view.revision -= 1,
                    Bug::CrashesForgotten => view.crashes = 0,
                    _ => {}
                }
            }
            Ok(views)
        })
    }

    fn next_due(&self, scope: ClaimScope) -> StoreFuture<'_, Option<Duration>> {
        Box::pin(async move {
            let next = self.inner.next_due(scope).await?;
            Ok(match self.bug {
                Bug::NextDueLate => next.map(|next| next + Duration::from_secs(1)),
                Bug::NextDueEarly => next.map(|_| Duration::ZERO),
                _ => next,
            })
        })
    }

    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
        Box::pin(async move {
            match self.bug {
                Bug::LoadNothing if branches.is_empty() => return Ok(Vec::new()),
                Bug::LoadForAll => {
                    let mut views = Vec::new();
                    for lease in (1..20).map(LeaseId) {
                        views.extend(self.inner.load(lease, run, branches.clone()).await?);
                    }
                    return Ok(views);
                }
                _ => {}
            }
            self.inner.load(lease, run, branches).await
        })
    }

    fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>> {
        let ttl = if self.has(Bug::RenewalForgotten) { Duration::ZERO } else { ttl };
        Box::pin(async move {
            let mut answers = self.inner.renew(lease, ttl, branches).await?;
            for answer in &mut answers {
                match self.bug {
                    Bug::RenewalMoves => *answer = answer.map(|revision| revision + 1),
                    Bug::RenewalTellsAll => *answer = Some(answer.unwrap_or(1)),
                    _ => {}
                }
            }
            Ok(answers)
        })
    }

    fn read_values(&self, run: RunNumber, mut rows: Vec<JournalRef>) -> StoreFuture<'_, Vec<Bytes>> {
        if self.has(Bug::ValuesReversed) {
            rows.reverse();
        }
        self.inner.read_values(run, rows)
    }

    fn read_branch_outputs(&self, run: RunNumber, mut branches: Vec<BranchId>) -> StoreFuture<'_, Vec<Bytes>> {
        if self.has(Bug::OutputsReversed) {
            branches.reverse();
        }
        self.inner.read_branch_outputs(run, branches)
    }

    fn put_event(&self, mut event: NewEvent) -> StoreFuture<'_, SendOutcome> {
        if let Some(key) = event.key.clone() {
            let seen = !self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
            if seen && self.has(Bug::KeysOfAllInstances) {
                return Box::pin(async { Ok(SendOutcome::Duplicate) });
            }
        }
        match self.bug {
            Bug::KeysIgnored => event.key = None,
            Bug::EventNameIgnored => event.name = Arc::from("go"),
            _ => {}
        }
        Box::pin(async move {
            let again = event.clone();
            Ok(match self.inner.put_event(event).await? {
                SendOutcome::Finished(_) if self.has(Bug::EventsForTheFinished) => SendOutcome::Stored(1),
                SendOutcome::Duplicate if self.has(Bug::DuplicatesStored) => {
                    self.inner.put_event(NewEvent { key: None, ..again }).await?;
                    SendOutcome::Duplicate
                }
                other => other,
            })
        })
    }

    fn take_event(&self, instance_id: &str, name: &str) -> StoreFuture<'_, Option<Bytes>> {
        let (id, name) = (instance_id.to_owned(), name.to_owned());
        Box::pin(async move {
            match self.bug {
                Bug::SecondEventFirst => drop(self.inner.take_event(&id, &name).await?),
                Bug::EventsNotTaken => return self.inner.read_event(&id, &name, 1).await,
                _ => {}
            }
            self.inner.take_event(&id, &name).await
        })
    }

    fn control(&self, mut command: ControlCommand) -> StoreFuture<'_, ControlOutcome> {
        if self.has(Bug::ReasonForgotten) {
            command.request = SignalRequest::default();
        }
        let ignored = match command.action {
            ControlAction::Pause => Bug::PauseIgnored,
            ControlAction::Unpause => Bug::UnpauseIgnored,
            ControlAction::Cancel => Bug::CancelIgnored,
            ControlAction::Retry => Bug::RetryIgnored,
        };
        if self.has(ignored) {
            return Box::pin(async { Ok(ControlOutcome::Applied) });
        }
        Box::pin(async move {
            let asked = self.inner.requested_control(&command.instance_id, SignalKind::Cancel).await?;
            let (id, action) = (Arc::clone(&command.instance_id), command.action);
            let outcome = self.inner.control(command).await?;
            if let (Some(request), ControlAction::Retry, true) = (asked, action, self.has(Bug::RetryKeepsRequests)) {
                self.inner.request_control(&id, SignalKind::Cancel, request).await?;
            }
            Ok(match outcome {
                ControlOutcome::AlreadySo if self.has(Bug::PauseTwice) => ControlOutcome::Applied,
                ControlOutcome::NotFound if self.has(Bug::UnknownFinished) => ControlOutcome::AlreadySo,
                other => other,
            })
        })
    }

    fn request_control(&self, instance_id: &str, kind: SignalKind, request: SignalRequest) -> StoreFuture<'_, ControlOutcome> {
        match self.bug {
            Bug::RequestIgnored => Box::pin(async { Ok(ControlOutcome::Applied) }),
            Bug::RequestApplied => {
                let action = if kind == SignalKind::Cancel { ControlAction::Cancel } else { ControlAction::Pause };
                self.inner.control(ControlCommand { instance_id: Arc::from(instance_id), action, request })
            }
            _ => self.inner.request_control(instance_id, kind, request),
        }
    }

    fn requested_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, Option<SignalRequest>> {
        let other = if kind == SignalKind::Cancel { SignalKind::Pause } else { SignalKind::Cancel };
        self.inner.requested_control(instance_id, if self.has(Bug::RequestOfOtherKind) { other } else { kind })
    }

    fn apply_requested(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, bool> {
        if !self.has(Bug::AppliesUnasked) {
            let kind = if self.has(Bug::AppliesOtherKind) { SignalKind::Pause } else { kind };
            return self.inner.apply_requested(instance_id, kind);
        }
        let command = ControlCommand { instance_id: Arc::from(instance_id), action: kind.into(), request: SignalRequest::default() };
        Box::pin(async move { Ok(self.inner.control(command).await? == ControlOutcome::Applied) })
    }

    fn clear_control(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, ()> {
        self.inner.clear_control(if self.has(Bug::RequestKept) { "nobody" } else { instance_id }, kind)
    }

    fn instance(&self, instance_id: &str) -> StoreFuture<'_, Option<InstanceRecord>> {
        let id = instance_id.to_owned();
        Box::pin(async move {
            let mut record = self.inner.instance(&id).await?;
            if self.has(Bug::ProgressKept)
                && let Some(branch) = record.as_mut().and_then(|record| record.branches.first_mut())
            {
                let mut last = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
                branch.progress = branch.progress.take().or_else(|| last.clone());
                (*last).clone_from(&branch.progress);
            }
            if self.has(Bug::InputForgotten) {
                record = record.map(|record| InstanceRecord { input: Bytes::new(), ..record });
            }
            Ok(record)
        })
    }

    fn journal(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        Box::pin(async move {
            let limit = if self.has(Bug::JournalUnlimited) { usize::MAX } else { limit };
            let paging = after.is_some();
            let mut rows = self.inner.journal(run, after, limit).await?;
            match self.bug {
                Bug::JournalReversed => rows.reverse(),
                Bug::JournalSkips if paging && !rows.is_empty() => drop(rows.remove(0)),
                _ => {}
            }
            Ok(rows)
        })
    }

    fn list(&self, mut filter: InstanceFilter) -> StoreFuture<'_, Vec<InstanceSummary>> {
        match self.bug {
            Bug::ListIgnoresAfter => filter.after = None,
            Bug::ListIgnoresLimit => filter.limit = None,
            Bug::ListIgnoresStates => filter.states.clear(),
            Bug::ListIgnoresRunning => filter.running.clear(),
            Bug::ListIgnoresWorkflow => filter.workflow = None,
            Bug::ListIgnoresAttributes => filter.attributes.clear(),
            Bug::ListSeesOneAttribute => filter.attributes.truncate(1),
            Bug::ListIgnoresAges => (filter.created, filter.updated) = (AgeRange::default(), AgeRange::default()),
            Bug::ListIgnoresErrors => filter.error_contains = None,
            Bug::ListIgnoresOrder => filter.order = ListOrder::ById,
            Bug::ListIgnoresBefore if filter.order != ListOrder::ById => filter.order = ListOrder::NewestFirst { before: None },
            _ => {}
        }
        Box::pin(async move {
            let mut all = self.inner.list(filter).await?;
            if self.has(Bug::ListReversed) {
                all.reverse();
            }
            Ok(all)
        })
    }

    fn leased(&self, lease: LeaseId) -> StoreFuture<'_, Vec<(RunNumber, BranchId, u64)>> {
        Box::pin(async move {
            let mut held = self.inner.leased(lease).await?;
            match self.bug {
                Bug::LeasedForgotten => held.clear(),
                Bug::LeasedOfOneRun => held.retain({
                    let first = held.first().map(|(run, ..)| *run);
                    move |(run, ..)| Some(*run) == first
                }),
                Bug::LeasedUntilItLapses => {
                    let mut lapsed = BTreeSet::new();
                    for summary in self.inner.list(InstanceFilter::default()).await? {
                        if let Some(record) = self.record(&summary.instance_id).await {
                            let ended = record.branches.into_iter().filter(|branch| branch.run_at.is_some_and(|at| at <= record.now));
                            lapsed.extend(ended.map(|branch| (summary.run, branch.branch)));
                        }
                    }
                    held.retain(|(run, branch, _)| !lapsed.contains(&(*run, branch.clone())));
                }
                _ => {}
            }
            Ok(held)
        })
    }

    fn report_progress(&self, lease: LeaseId, run: RunNumber, branch: BranchId, progress: Bytes) -> StoreFuture<'_, bool> {
        match self.bug {
            Bug::ProgressForgotten => Box::pin(async { Ok(true) }),
            Bug::ProgressUnfenced => Box::pin(async move { self.inner.report_progress(lease, run, branch, progress).await.map(|_| true) }),
            _ => self.inner.report_progress(lease, run, branch, progress),
        }
    }

    fn sub_steps(&self, run: RunNumber, mut branch: BranchId, node: Arc<str>) -> StoreFuture<'_, Vec<(Arc<str>, Bytes)>> {
        Box::pin(async move {
            match self.bug {
                Bug::SubStepsForgotten => return Ok(Vec::new()),
                Bug::SubStepsOfTheRoot => branch = BranchId::root(),
                Bug::SubStepsOfAllNodes => {
                    let rows = self.inner.journal(run, None, usize::MAX).await?.into_iter().filter(|row| row.branch == branch);
                    let found = rows.filter(|row| row.kind == EntryKind::SubStepCompleted);
                    return Ok(found.map(|row| (row.node, row.output.unwrap_or_default())).collect());
                }
                Bug::SubStepsOfOneAttempt => {
                    let rows = self.inner.journal(run, None, usize::MAX).await?.into_iter().filter(|row| row.branch == branch);
                    if rows.clone().any(|row| row.kind == EntryKind::AttemptFailed) {
                        return Ok(Vec::new());
                    }
                }
                _ => {}
            }
            self.inner.sub_steps(run, branch, node).await
        })
    }

    fn definition_document(&self, hash: DefinitionHash) -> StoreFuture<'_, Option<Arc<str>>> {
        if self.has(Bug::DocumentForgotten) { Box::pin(async { Ok(None) }) } else { self.inner.definition_document(hash) }
    }

    fn delete(&self, instance_id: &str) -> StoreFuture<'_, bool> {
        let id = if self.has(Bug::DeleteIgnored) { "nobody" } else { instance_id }.to_owned();
        Box::pin(async move {
            let deleted = self.inner.delete(&id).await?;
            Ok(deleted || self.has(Bug::DeleteAlwaysTrue) || self.has(Bug::DeleteIgnored))
        })
    }

    fn set_search_attributes(
        &self,
        lease: LeaseId,
        run: RunNumber,
        branch: BranchId,
        attributes: SearchAttributes,
    ) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            match self.bug {
                Bug::AttributesOfTasksForgotten => return Ok(true),
                Bug::AttributesOneByOne => {
                    let mut set = true;
                    for (name, value) in attributes {
                        let one = SearchAttributes::from([(name, value)]);
                        set = self.inner.set_search_attributes(lease, run, branch.clone(), one).await?;
                    }
                    return Ok(set);
                }
                _ => {}
            }
            let set = self.inner.set_search_attributes(lease, run, branch, attributes).await?;
            Ok(set || self.has(Bug::AttributesUnfenced))
        })
    }

    fn timeline(&self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> StoreFuture<'_, Vec<JournalRow>> {
        if self.has(Bug::TimelineTellsValues) { self.inner.journal(run, after, limit) } else { self.inner.timeline(run, after, limit) }
    }

    fn stats(&self) -> StoreFuture<'_, StoreStats> {
        Box::pin(async move {
            let mut stats = self.inner.stats().await?;
            match self.bug {
                Bug::StatsForgetWaiting => stats.branches.waiting = 0,
                Bug::StatsForgetStates => stats.workflows.truncate(1),
                _ => {}
            }
            Ok(stats)
        })
    }

    fn health(&self) -> StoreFuture<'_, StoreHealth> {
        Box::pin(async move {
            let mut health = self.inner.health().await?;
            match self.bug {
                Bug::HealthForgetsLapsed => health.lapsed.clear(),
                Bug::HealthForgetsLanes => health.lanes.truncate(1),
                Bug::SessionsKept => health.sessions.clone_from(&self.sessions.lock().unwrap_or_else(PoisonError::into_inner)),
                _ => {}
            }
            Ok(health)
        })
    }

    fn purge(&self, mut request: PurgeRequest) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            match self.bug {
                Bug::PurgeIgnored => return Ok(0),
                Bug::PurgeIgnoresAge => request.ended_for = Duration::ZERO,
                Bug::PurgeIgnoresLimit => request.limit = usize::MAX,
                Bug::PurgeIgnoresWorkflow => request.workflow = None,
                Bug::PurgesThePaused => {
                    let paused = InstanceFilter { states: vec![RunState::Paused], ..InstanceFilter::default() };
                    for old in self.inner.list(paused).await? {
                        self.inner.delete(&old.instance_id).await?;
                    }
                }
                Bug::PurgesMail => drop(self.inner.delete("mail only").await?),
                _ => {}
            }
            self.inner.purge(request).await
        })
    }

    fn rewind(&self, mut rewind: Rewind) -> StoreFuture<'_, RewindOutcome> {
        Box::pin(async move {
            let id = Arc::clone(&rewind.instance_id);
            let before = self.record(&id).await;
            match self.bug {
                Bug::RewindIgnoresNonce => rewind.nonce = self.numbers.fetch_add(1, Ordering::SeqCst).into(),
                Bug::RewindIgnoresRun => rewind.expected = before.as_ref().map_or(rewind.expected, |record| record.summary.run),
                Bug::RewindKeepsLess => {
                    rewind.keep = rewind.keep.min(2);
                    rewind.input.revision = rewind.input.revision.min(2);
                }
                Bug::RewindForgetsPlacement => rewind.placement = Placement::default(),
                Bug::RewindForgetsWhy => rewind.request = SignalRequest::default(),
                Bug::RewindUsesEvents => drop(self.inner.take_event(&id, "go").await?),
                Bug::RewindIsStart => {
                    let Some(record) = before else { return Ok(RewindOutcome::NotFound) };
                    let InstanceRecord { summary, input, first_node, placement, .. } = record;
                    let (definition, attributes, nonce) = (summary.definition, summary.attributes, rewind.nonce);
                    let (policy, lease, trace) = (ConflictPolicy::TerminateExisting, None, None);
                    let request =
                        StartRun { instance_id: id, definition, policy, input, first_node, placement, nonce, lease, trace, attributes };
                    return Ok(match self.inner.start(request).await? {
                        StartOutcome::Fresh { run, .. } => RewindOutcome::Rewound { run },
                        _ => RewindOutcome::NotFound,
                    });
                }
                _ => {}
            }
            let outcome = self.inner.rewind(rewind).await?;
            let paused = before.is_some_and(|before| matches!(before.summary.status, WorkflowStatus::Paused { .. }));
            if paused && self.has(Bug::RewindStaysPaused) {
                let (action, request) = (ControlAction::Pause, SignalRequest::default());
                self.inner.control(ControlCommand { instance_id: Arc::clone(&id), action, request }).await?;
            }
            Ok(outcome)
        })
    }

    fn import(&self, mut import: Import) -> StoreFuture<'_, ImportOutcome> {
        Box::pin(async move {
            if self.has(Bug::ImportUnfenced) {
                import.expected = None;
            }
            Ok(match self.inner.import(import).await? {
                ImportOutcome::Forked { .. } if self.has(Bug::ImportUndoesForks) => ImportOutcome::Imported,
                ImportOutcome::Leased if self.has(Bug::ImportIgnoresLeases) => ImportOutcome::Imported,
                other => other,
            })
        })
    }
}
