//! What the cases are written in: short words for starting, claiming, and each kind of transition.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::branch::{BranchId, Head, JournalRef, LeaseId, Phase, Placement, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::transition::{Child, Entry, EventGuard, Next, Output, Transition, Wake};
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{
    BranchView, ClaimRequest, ClaimScope, CommitOutcome, ControlAction, ControlCommand, ControlOutcome, Definition, InstanceRecord,
    NewEvent, Process, Refusal, SendOutcome, StartOutcome, StartRun, Store,
};

use crate::clock::TestClock;
use crate::wait;

/// Makes a fresh, empty store that goes by this clock.
pub type Factory<'a> = &'a dyn Fn(Arc<TestClock>) -> Arc<dyn Store>;

/// How long a lease is in the cases.
pub const TTL: Duration = Duration::from_secs(30);

/// A fresh store and its clock.
pub struct Bench {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its clock.
    pub clock: Arc<TestClock>,
    nonce: AtomicU64,
}

/// A head at this node, whose input is the instance's.
pub fn head_at(node: &str, phase: Phase) -> Head {
    Head { node: Arc::from(node), phase, attempt: 0, input: JournalRef::instance_input(), fork_revision: 0 }
}

#[doc(hidden)]
impl Bench {
    pub fn new(make: Factory<'_>) -> Self {
        let clock = Arc::new(TestClock::new());
        Self { store: make(Arc::clone(&clock)), clock, nonce: AtomicU64::new(1) }
    }

    /// Words over a store that is there already, on its clock.
    pub fn over(store: Arc<dyn Store>, clock: Arc<TestClock>) -> Self {
        Self { store, clock, nonce: AtomicU64::new(1 << 32) }
    }

    /// The store's time now.
    pub fn clock_now(&self) -> sayiir_core::time::Timestamp {
        sayiir_core::time::Clock::now(&*self.clock)
    }

    pub fn tick(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub fn lease(&self) -> LeaseId {
        let process = Process { host: "host".into(), pid: 1, started: 1, worker_id: "worker".into() };
        wait(self.store.open_session(process)).unwrap()
    }

    pub fn request(&self, id: &str) -> StartRun {
        StartRun {
            instance_id: Arc::from(id),
            definition: Definition {
                hash: DefinitionHash::from("workflow"),
                name: Arc::from("workflow"),
                version: Arc::from("1"),
                document: None,
            },
            policy: ConflictPolicy::Fail,
            input: Bytes::from_static(b"input"),
            first_node: Arc::from("first"),
            placement: Placement::default(),
            nonce: self.nonce.fetch_add(1, Ordering::SeqCst).into(),
            lease: None,
            trace: None,
            attributes: sayiir_core::attribute::SearchAttributes::new(),
        }
    }

    pub fn start_with(&self, request: StartRun) -> StartOutcome {
        wait(self.store.start(request)).unwrap()
    }

    /// A started instance that nobody holds.
    pub fn start(&self, id: &str) -> RunNumber {
        fresh(self.start_with(self.request(id))).0
    }

    /// A started instance whose root branch this lease holds.
    pub fn start_held(&self, id: &str, lease: LeaseId) -> BranchView {
        *fresh(self.start_with(StartRun { lease: Some((lease, TTL)), ..self.request(id) })).1.expect("the lease was asked for")
    }

    pub fn scope(&self) -> ClaimScope {
        let hashes = Arc::from([DefinitionHash::from("workflow")]);
        ClaimScope::Definitions { hashes, tags: Arc::from([]), ageing: Duration::from_mins(5) }
    }

    pub fn claim_in(&self, lease: LeaseId, limit: usize, scope: ClaimScope) -> Vec<BranchView> {
        wait(self.store.claim(ClaimRequest { lease, ttl: TTL, limit, scope })).unwrap()
    }

    pub fn claim(&self, lease: LeaseId) -> Vec<BranchView> {
        self.claim_in(lease, 100, self.scope())
    }

    /// Claims exactly one branch.
    pub fn claim_one(&self, lease: LeaseId) -> BranchView {
        let mut views = self.claim(lease);
        assert_eq!(views.len(), 1, "one branch is due: {views:?}");
        views.pop().unwrap()
    }

    pub fn commit(&self, lease: LeaseId, transition: Transition) -> CommitOutcome {
        wait(self.store.commit(lease, vec![transition])).unwrap().pop().expect("an outcome for the transition")
    }

    /// Commits what must be accepted; the parent it readied.
    pub fn ok(&self, lease: LeaseId, transition: Transition) -> Option<BranchView> {
        match self.commit(lease, transition) {
            CommitOutcome::Accepted { at: _, readied_parent } => readied_parent.map(|parent| *parent),
            other => panic!("accepted is expected, not {other:?}"),
        }
    }

    pub fn refused(&self, lease: LeaseId, transition: Transition, why: Refusal) {
        assert_eq!(self.commit(lease, transition), CommitOutcome::Refused(why));
    }

    /// The branch as it is stored for its owner.
    pub fn reload(&self, lease: LeaseId, view: &BranchView) -> BranchView {
        let mut views = wait(self.store.load(lease, view.run, vec![view.branch.clone()])).unwrap();
        views.pop().expect("the lease still holds the branch")
    }

    pub fn control(&self, id: &str, action: ControlAction) -> ControlOutcome {
        let request = SignalRequest::new(Some("because".into()), Some("somebody".into()));
        wait(self.store.control(ControlCommand { instance_id: Arc::from(id), action, request })).unwrap()
    }

    /// Applies a control command that must apply.
    pub fn apply(&self, id: &str, action: ControlAction) {
        assert_eq!(self.control(id, action), ControlOutcome::Applied);
    }

    pub fn send(&self, id: &str, name: &str, payload: &'static str) -> u64 {
        match self.send_keyed(id, name, payload, None) {
            SendOutcome::Stored(seq) => seq,
            other => panic!("stored is expected, not {other:?}"),
        }
    }

    pub fn send_keyed(&self, id: &str, name: &str, payload: &'static str, key: Option<&str>) -> SendOutcome {
        let (instance_id, name, key) = (Arc::from(id), Arc::from(name), key.map(Arc::from));
        wait(self.store.put_event(NewEvent { instance_id, name, payload: Bytes::from_static(payload.as_bytes()), key })).unwrap()
    }

    pub fn record(&self, id: &str) -> InstanceRecord {
        wait(self.store.instance(id)).unwrap().expect("the instance is known")
    }

    pub fn status(&self, id: &str) -> WorkflowStatus {
        self.record(id).summary.status
    }

    pub fn journal(&self, run: RunNumber) -> Vec<JournalRow> {
        wait(self.store.journal(run, None, 10_000)).unwrap()
    }

    /// The sub-steps of the task at a branch's head, as text.
    pub fn sub_steps(&self, view: &BranchView) -> Vec<(String, String)> {
        let found = wait(self.store.sub_steps(view.run, view.branch.clone(), Arc::clone(&view.head.node))).unwrap();
        found.into_iter().map(|(path, output)| (path.to_string(), String::from_utf8_lossy(&output).into_owned())).collect()
    }

    pub fn report(&self, lease: LeaseId, view: &BranchView, progress: &'static str) -> bool {
        wait(self.store.report_progress(lease, view.run, view.branch.clone(), Bytes::from_static(progress.as_bytes()))).unwrap()
    }

    pub fn kinds(&self, run: RunNumber) -> Vec<EntryKind> {
        self.journal(run).into_iter().map(|row| row.kind).collect()
    }
}

pub(crate) fn fresh(outcome: StartOutcome) -> (RunNumber, Option<Box<BranchView>>) {
    match outcome {
        StartOutcome::Fresh { run, created_at: _, root } => (run, root),
        other => panic!("a fresh run is expected, not {other:?}"),
    }
}

fn entry(kind: EntryKind, node: &str, output: Output) -> Entry {
    Entry { kind, node: Arc::from(node), attempt: 1, output, error: None }
}

fn value(text: &str) -> Output {
    Output::Value(Bytes::from(text.to_owned()))
}

/// A transition of a branch from where the view saw it.
pub fn transition(view: &BranchView, entry: impl Into<Option<Entry>>, guard: EventGuard, next: Next) -> Transition {
    let BranchView { instance_id, run, branch, revision, paused, .. } = view.clone();
    Transition { instance_id, run, branch, revision, entry: entry.into(), guard, held: paused, next }
}

/// The place of the row that this view's next transition writes.
fn own_row(view: &BranchView) -> JournalRef {
    JournalRef { branch: view.branch.clone(), revision: view.revision + 1 }
}

/// A task at the head's node returned `output`; its owner goes on at `to`.
pub(crate) fn advance(view: &BranchView, output: &str, to: &str) -> Transition {
    let head = Head { input: own_row(view), ..head_at(to, Phase::At) };
    transition(view, entry(EntryKind::TaskCompleted, &view.head.node, value(output)), EventGuard::None, Next::Run { head })
}

/// The task at the head's node stored a sub-step; its owner stays where it is.
pub(crate) fn sub_step(view: &BranchView, name: &str, output: &str) -> Transition {
    let path = format!("{}/{name}", view.head.node);
    let next = Next::Run { head: view.head.clone() };
    transition(view, entry(EntryKind::SubStepCompleted, &path, value(output)), EventGuard::None, next)
}

pub(crate) fn finish(view: &BranchView, output: &str) -> Transition {
    transition(view, entry(EntryKind::TaskCompleted, &view.head.node, value(output)), EventGuard::None, Next::Finish)
}

pub(crate) fn end(view: &BranchView, output: &str) -> Transition {
    transition(view, entry(EntryKind::TaskCompleted, &view.head.node, value(output)), EventGuard::None, Next::EndBranch)
}

pub(crate) fn fail(view: &BranchView, error: &str) -> Transition {
    let failed = Entry {
        kind: EntryKind::Failed,
        node: Arc::clone(&view.head.node),
        attempt: 1,
        output: Output::Nothing,
        error: Some(error.to_owned()),
    };
    transition(view, Some(failed), EventGuard::None, Next::Fail { head: view.head.clone() })
}

pub(crate) fn delay(view: &BranchView, node: &str, by: Duration) -> Transition {
    let head = Head { input: view.head.input.clone(), ..head_at(node, Phase::Delaying) };
    let next = Next::Release { head, wake: Wake::After(by), placement: Placement::default() };
    transition(view, entry(EntryKind::DelayStarted, node, Output::Nothing), EventGuard::None, next)
}

/// The branch is handed back as it is, without a journal row.
pub(crate) fn hand_back(view: &BranchView, wake: Wake) -> Transition {
    let next = Next::Release { head: view.head.clone(), wake, placement: Placement::default() };
    transition(view, None, EventGuard::None, next)
}

/// An attempt failed and is repeated later.
pub(crate) fn retry(view: &BranchView, after: Duration) -> Transition {
    let head = Head { attempt: view.head.attempt + 1, ..view.head.clone() };
    let next = Next::Release { head, wake: Wake::After(after), placement: Placement::default() };
    transition(view, entry(EntryKind::AttemptFailed, &view.head.node, Output::Nothing), EventGuard::None, next)
}

pub(crate) fn park(view: &BranchView, node: &str, signal: &str, timeout: Option<Duration>) -> Transition {
    let head = Head { input: view.head.input.clone(), ..head_at(node, Phase::Awaiting) };
    let (signal, wake) = (Arc::from(signal), timeout.map(Wake::After));
    let next = Next::Await { head, signal, wake, placement: Placement::default() };
    transition(view, entry(EntryKind::SignalAwaited, node, Output::Nothing), EventGuard::NoneSince { mail: view.mail }, next)
}

pub(crate) fn time_out(view: &BranchView, to: &str) -> Transition {
    let next = Next::Run { head: head_at(to, Phase::At) };
    let row = entry(EntryKind::SignalTimedOut, &view.head.node, Output::Nothing);
    transition(view, row, EventGuard::NoneSince { mail: view.mail }, next)
}

/// The first waiting event of this name is used; its owner goes on at `to`.
pub(crate) fn receive(view: &BranchView, name: &str, payload: &str, to: &str) -> Transition {
    let event = view.events.iter().find(|event| &*event.name == name).expect("the event is in the view");
    let guard = EventGuard::Use { name: Arc::from(name), seq: event.seq };
    let head = Head { input: own_row(view), ..head_at(to, Phase::At) };
    transition(view, entry(EntryKind::EventReceived, &view.head.node, value(payload)), guard, Next::Run { head })
}

pub(crate) fn fork(view: &BranchView, node: &str, children: usize, keep: usize) -> Transition {
    let fork_revision = view.revision + 1;
    let head = Head { fork_revision, ..head_at(node, Phase::Joining) };
    let child = |index| Child { head: head_at(&format!("{node}/child{index}"), Phase::At), placement: Placement::default() };
    let next = Next::Fork { head, children: (0..children).map(child).collect(), keep };
    transition(view, entry(EntryKind::Forked, node, Output::Nothing), EventGuard::None, next)
}

/// The ids of the children that [`fork`] of this view makes.
pub(crate) fn children(view: &BranchView, count: usize) -> Vec<BranchId> {
    (0..count).map(|index| view.branch.child(view.revision + 1, index)).collect()
}
