//! A story's world: the real engine over the real memory store, one worker, a clock that a story moves.
//! A task runs until the story says how it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_executor::block_on;
use sayiir_core::branch::{BranchId, BranchView, JournalRef, LeaseId, Placement, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::journal::EntryKind;
use sayiir_core::plan::{NodeSpec, Place, Plan};
use sayiir_core::time::{Clock, Timestamp};
use sayiir_core::transition::{Next, Output, Transition};
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_engine::{Decision, Definition, Effect, Input, RetryAdvice, RunTask, TaskFailure, decide};
use sayiir_persistence::{
    ClaimRequest, ClaimScope, CommitOutcome, ControlAction, ControlCommand, ControlOutcome, InMemoryBackend, NewEvent, Process, Refusal,
    StartOutcome, StartRun, Store,
};

use super::plans::Text;

const ID: &str = "i";
const TTL: Duration = Duration::from_secs(10);

struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

pub struct World {
    store: InMemoryBackend,
    clock: Arc<HandClock>,
    plan: Plan,
    lease: LeaseId,
    running: BTreeMap<String, (BranchView, RunTask)>,
    pub log: Vec<String>,
    run: RunNumber,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let clock = Arc::new(HandClock(AtomicI64::new(1_000_000_000)));
        let store = InMemoryBackend::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
        let lease = open(&store);
        Self { store, clock, plan, lease, running: BTreeMap::new(), log: Vec::new(), run: RunNumber(0) }
    }

    /// Carries out one command of a story, then lets the worker do all it can.
    pub fn tell(&mut self, command: &str) {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        let (target, value) = rest.split_once('=').map_or((rest, None), |(target, value)| (target.trim(), Some(value.trim())));
        match verb {
            "start" => self.start(rest),
            "ok" => self.end(target, Input::TaskReturned(value.unwrap_or(target).to_owned().into())),
            "fail" => self.end(target, Input::TaskFailed(TaskFailure::by_policy(value.unwrap_or("broke")))),
            "fatal" => self.end(target, Input::TaskFailed(TaskFailure::for_good(value.unwrap_or("broke")))),
            "later" => {
                let wait = seconds(value.expect("later TASK=TIME"));
                self.end(target, Input::TaskFailed(TaskFailure { error: "busy".to_owned(), retry: RetryAdvice::After(wait) }));
            }
            "part" => {
                let (task, name) = target.rsplit_once(':').expect("part TASK:NAME=VALUE");
                let output = value.unwrap_or(name).to_owned().into();
                self.end(task, Input::SubStepReturned { name: name.into(), output });
            }
            "tick" => self.tick(seconds(rest)),
            "event" => self.event(target, value.unwrap_or("x")),
            "cancel" => self.control(ControlAction::Cancel),
            "pause" => self.control(ControlAction::Pause),
            "unpause" => self.control(ControlAction::Unpause),
            "retry" => self.control(ControlAction::Retry),
            "crash" => self.crash(),
            other => panic!("no such command: {other}"),
        }
        self.pump();
    }

    /// What runs now.
    pub fn running(&self) -> Vec<String> {
        self.running.keys().cloned().collect()
    }

    pub fn status(&self) -> WorkflowStatus {
        let record = block_on(self.store.instance(ID)).unwrap().expect("a started story");
        record.summary.status
    }

    /// How many branches live.
    pub fn branches(&self) -> usize {
        block_on(self.store.instance(ID)).unwrap().map_or(0, |record| record.branches.len())
    }

    fn start(&mut self, input: &str) {
        let first = Place::start(&self.plan).path(&self.plan);
        let definition =
            sayiir_persistence::Definition { hash: *self.plan.hash(), name: "story".into(), version: "".into(), document: None };
        let request = StartRun {
            instance_id: ID.into(),
            definition,
            policy: ConflictPolicy::TerminateExisting,
            input: input.to_owned().into(),
            first_node: first,
            placement: Placement::default(),
            nonce: u128::from(self.run.0),
            lease: None,
            trace: None,
            attributes: sayiir_core::attribute::SearchAttributes::new(),
        };
        match block_on(self.store.start(request)).unwrap() {
            StartOutcome::Fresh { run, .. } => self.run = run,
            refused @ (StartOutcome::Existing { .. } | StartOutcome::AlreadyExists | StartOutcome::DefinitionMismatch { .. }) => {
                panic!("not started: {refused:?}")
            }
        }
    }

    fn tick(&mut self, time: Duration) {
        // In small steps, as time passes, so that timers go off in their order; a live worker renews.
        let step = Duration::from_millis(500).max(time / 64);
        let mut left = time;
        while !left.is_zero() {
            let now = left.min(step);
            self.clock.0.fetch_add(i64::try_from(now.as_micros()).unwrap(), Ordering::SeqCst);
            left -= now;
            let held: Vec<_> = self.running.values().map(|(view, _)| (view.run, view.branch.clone())).collect();
            block_on(self.store.renew(self.lease, TTL, held)).unwrap();
            self.pump();
        }
    }

    fn event(&mut self, name: &str, payload: &str) {
        let event = NewEvent { instance_id: ID.into(), name: name.into(), payload: payload.to_owned().into(), key: None };
        block_on(self.store.put_event(event)).unwrap();
    }

    fn control(&mut self, action: ControlAction) {
        let command = ControlCommand { instance_id: ID.into(), action, request: SignalRequest::default() };
        let outcome = block_on(self.store.control(command)).unwrap();
        let outcome = match outcome {
            ControlOutcome::Applied => "",
            ControlOutcome::AlreadySo => " already",
            ControlOutcome::Finished(_) => " too late",
            ControlOutcome::NotFound => " of nobody",
        };
        self.log.push(format!("{action:?}{outcome}").to_lowercase());
    }

    /// The worker dies with all it holds, and another takes over.
    fn crash(&mut self) {
        self.running.clear();
        block_on(self.store.expire_leases(self.lease)).unwrap();
        self.lease = open(&self.store);
    }

    fn end(&mut self, path: &str, input: Input) {
        let (view, _) = self.running.remove(path).unwrap_or_else(|| panic!("{path} does not run; running: {:?}", self.running()));
        self.drive(view, input);
    }

    /// Claims what is due until nothing is.
    fn pump(&mut self) {
        for _ in 0..10_000 {
            let scope = ClaimScope::Definitions { hashes: [*self.plan.hash()].into(), tags: [].into(), ageing: Duration::from_secs(300) };
            let due = block_on(self.store.claim(ClaimRequest { lease: self.lease, ttl: TTL, limit: 16, scope })).unwrap();
            if due.is_empty() {
                return;
            }
            for view in due {
                self.drive(view, Input::Taken);
            }
        }
        panic!("the worker spins; the log ends with {:?}", self.log.iter().rev().take(6).collect::<Vec<_>>());
    }

    fn drive(&mut self, view: BranchView, input: Input) {
        let mut todo = vec![(view, input)];
        while let Some((view, input)) = todo.pop() {
            let definition = Definition { plan: &self.plan, payloads: &Text };
            match decide(definition, &view, input.clone()) {
                Decision::Do(Effect::RunTask(run)) => drop(self.running.insert(run.path.to_string(), (view, run))),
                Decision::Do(Effect::ReadEvent { name, seq }) => match block_on(self.store.read_event(ID, &name, seq)).unwrap() {
                    Some(payload) => todo.push((view, Input::EventRead { seq, payload })),
                    None => todo.extend(self.reload(&view, Input::Taken)),
                },
                Decision::Do(Effect::ApplyControl(kind)) => panic!("no story records a request: {kind}"),
                Decision::Commit(transition) => {
                    let outcome = block_on(self.store.commit(self.lease, vec![(*transition).clone()])).unwrap().remove(0);
                    match outcome {
                        CommitOutcome::Accepted { .. } => {
                            self.note(&view, &transition);
                            let held = self.load(&view, &[]);
                            let idle =
                                held.into_iter().filter(|held| !self.running.values().any(|(running, _)| running.branch == held.branch));
                            let fresh: Vec<_> = idle.filter(|held| !todo.iter().any(|(queued, _)| queued.branch == held.branch)).collect();
                            todo.extend(fresh.into_iter().rev().map(|view| (view, Input::Taken)));
                        }
                        CommitOutcome::Refused(Refusal::Moved) => todo.extend(self.reload(&view, input)),
                        CommitOutcome::Refused(refusal) => self.log.push(format!("{} refused: {refusal:?}", view.head.node)),
                        CommitOutcome::AlreadyAccepted => panic!("no reply was lost"),
                    }
                }
            }
        }
    }

    fn load(&self, view: &BranchView, branches: &[BranchId]) -> Vec<BranchView> {
        block_on(self.store.load(self.lease, view.run, branches.to_vec())).unwrap()
    }

    fn reload(&self, view: &BranchView, input: Input) -> Option<(BranchView, Input)> {
        let fresh = self.load(view, std::slice::from_ref(&view.branch)).pop()?;
        let same = fresh.head.node == view.head.node && fresh.head.attempt == view.head.attempt;
        Some((fresh, if same { input } else { Input::Taken }))
    }

    fn note(&mut self, view: &BranchView, transition: &Transition) {
        let Transition { entry, next, .. } = transition;
        if let Some(entry) = entry {
            let (node, attempt) = (&entry.node, entry.attempt);
            let value = || self.value(view.run, &transition.branch, transition.revision + 1, &entry.output);
            let what = match entry.kind {
                EntryKind::TaskCompleted => Some(format!("{node}#{attempt} ok")),
                EntryKind::SubStepCompleted => Some(format!("{node}#{attempt} stored")),
                EntryKind::JoinCompleted => Some(format!("{node}#{attempt} joined")),
                EntryKind::RouteTaken => Some(format!("{node} -> {}", value())),
                EntryKind::AttemptFailed => Some(format!("{node}#{attempt} failed")),
                EntryKind::DelayElapsed => Some(format!("{node} over")),
                EntryKind::EventReceived => Some(format!("{node} got {}", own(&entry.output))),
                EntryKind::SignalTimedOut => Some(format!("{node} timed out")),
                EntryKind::Failed => Some(format!("failed: {}", entry.error.as_deref().unwrap_or_default())),
                EntryKind::DelayStarted | EntryKind::SignalAwaited | EntryKind::Forked => None,
                EntryKind::Started
                | EntryKind::Cancelled
                | EntryKind::Paused
                | EntryKind::Unpaused
                | EntryKind::Imported
                | EntryKind::Retried
                | EntryKind::Rewound => None,
            };
            self.log.extend(what);
            if matches!(next, Next::Finish) {
                self.log.push(format!("completed {}", self.value(view.run, &transition.branch, transition.revision + 1, &entry.output)));
            }
        }
    }

    fn value(&self, run: RunNumber, branch: &BranchId, revision: u64, output: &Output) -> String {
        let bytes = match output {
            Output::Nothing => Bytes::new(),
            Output::Value(value) | Output::Wrapped { own: _, handed_on: value } => value.clone(),
            Output::SameAs(_) => {
                let row = JournalRef { branch: branch.clone(), revision };
                block_on(self.store.read_values(run, vec![row])).unwrap().remove(0)
            }
        };
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// The input of what runs at `path`: a join's as `name:value`, in order.
    pub fn input_of(&self, path: &str) -> String {
        let (view, run) = self.running.get(path).unwrap_or_else(|| panic!("{path} does not run; running: {:?}", self.running()));
        if !matches!(self.plan.node(run.node).spec, NodeSpec::Fork { .. }) {
            return String::from_utf8(view.input.to_vec()).unwrap();
        }
        let ids = run.children.iter().map(|(_, id)| id.clone()).collect();
        let outputs = block_on(self.store.read_branch_outputs(view.run, ids)).unwrap();
        let text = |(name, output): (&Arc<str>, &Bytes)| format!("{name}:{}", std::str::from_utf8(output).unwrap());
        run.children.iter().map(|(name, _)| name).zip(&outputs).map(text).collect::<Vec<_>>().join(" ")
    }
}

fn own(output: &Output) -> String {
    match output {
        Output::Value(own) | Output::Wrapped { own, handed_on: _ } => String::from_utf8(own.to_vec()).unwrap(),
        Output::Nothing | Output::SameAs(_) => String::new(),
    }
}

fn open(store: &InMemoryBackend) -> LeaseId {
    block_on(store.open_session(Process { host: "story".into(), pid: 1, started: 1, worker_id: "w".into() })).unwrap()
}

fn seconds(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
    let number: f64 = number.parse().unwrap_or_else(|_| panic!("no time: {text}"));
    Duration::from_secs_f64(
        number
            * match unit {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86400.0,
                other => panic!("no unit of time: {other}"),
            },
    )
}
