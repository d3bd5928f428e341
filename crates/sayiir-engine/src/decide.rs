//! The one function that decides.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::TaskId;
use sayiir_core::branch::{BranchView, Head, JournalRef, Phase, Placement};
use sayiir_core::error::WorkflowError;
use sayiir_core::journal::EntryKind;
use sayiir_core::plan::{NodeIx, NodeSpec, Place, sub_step_path};
use sayiir_core::transition::{Child, Entry, EventGuard, Next, Output, Transition, Wake};

use crate::advance::Destination;
use crate::retry::backoff;
use crate::value::Value;
use crate::words::{Decision, Definition, Effect, Input, MAX_CRASHES, RetryAdvice, RunTask, TaskFailure};

/// The longest key that chooses a route's default arm, in bytes: it becomes part of node paths.
const MAX_KEY_BYTES: usize = 256;

/// Says what a branch does next.
///
/// `branch` is as it was loaded, or as an accepted transition left it; its `now` is the time. The
/// answer depends on nothing else.
pub fn decide(definition: Definition<'_>, branch: &BranchView, input: Input) -> Decision {
    let at = match definition.place_of(&branch.head) {
        Ok(place) => At { definition, branch, place },
        Err(error) => return stranded(branch, &error),
    };
    match input {
        Input::Taken => at.taken(),
        Input::HandBack => at.hand_back(),
        Input::TaskReturned(output) => at.returned(output),
        Input::TaskFailed(failure) => at.failed(failure),
        Input::SubStepReturned { name, output } => at.sub_step(&name, output),
        Input::EventRead { seq, payload } => at.event(seq, &payload),
    }
}

impl Definition<'_> {
    fn place_of(&self, head: &Head) -> Result<Place, String> {
        match head.phase {
            Phase::Start => Ok(Place::start(self.plan)),
            Phase::At | Phase::Delaying | Phase::Awaiting | Phase::Joining => match TaskId::from_label(&head.node) {
                // An imported snapshot names a node by the hash of its path.
                Some(id) => self
                    .plan
                    .find_by_task_id(id)
                    .map(|node| Place::first_at(self.plan, node))
                    .ok_or_else(|| format!("no node of workflow {:?} has the task id {id}", self.plan.name())),
                None => Place::parse(self.plan, &head.node).map_err(|error| error.to_string()),
            },
        }
    }
}

/// A branch at a place of its plan.
struct At<'a> {
    definition: Definition<'a>,
    branch: &'a BranchView,
    place: Place,
}

impl At<'_> {
    /// What the head owes.
    fn taken(&self) -> Decision {
        let BranchView { head, crashes, due_at, pending, paused, requested, now, .. } = self.branch;
        if let Some(kind) = requested {
            return Decision::Do(Effect::ApplyControl(*kind));
        }
        if *crashes > MAX_CRASHES {
            let error = format!("{}: its worker was lost {crashes} times in a row; it is not started again", self.path());
            return self.fail(error);
        }
        if *paused {
            return self.hand_back();
        }
        let due = due_at.is_none_or(|due| due <= *now);
        match head.phase {
            Phase::Start | Phase::At if due => self.at_node(),
            Phase::Delaying if due => self.delay_elapsed(),
            Phase::Awaiting => self.awaiting(),
            Phase::Joining if *pending == 0 && due => self.run_task(),
            Phase::Start | Phase::At | Phase::Delaying | Phase::Joining => self.hand_back(),
        }
    }

    /// The branch is at a node, whose work is to begin.
    fn at_node(&self) -> Decision {
        let input = Value::of_row(self.branch.head.input.clone(), self.branch.input.clone());
        match &self.definition.plan.node(self.place.node).spec {
            NodeSpec::Task(_) | NodeSpec::Route { .. } => self.run_task(),
            NodeSpec::Signal { name, timeout: _ } => match self.first_event(name) {
                Some(seq) => Decision::Do(Effect::ReadEvent { name: Arc::clone(name), seq }),
                None => self.enter(EntryKind::SignalAwaited, &input),
            },
            NodeSpec::Delay { duration: _ } => self.enter(EntryKind::DelayStarted, &input),
            NodeSpec::Fork { .. } => self.enter(EntryKind::Forked, &input),
            // `Place::enter` never stops at these.
            NodeSpec::Loop { .. } | NodeSpec::Child { .. } => self.fail(format!("{}: a branch cannot stand here", self.path())),
        }
    }

    fn run_task(&self) -> Decision {
        let (plan, head) = (self.definition.plan, &self.branch.head);
        let children = match &plan.node(self.place.node).spec {
            NodeSpec::Fork { branches, join: _ } => {
                let child = |(index, branch): (usize, &sayiir_core::plan::ForkBranch)| {
                    (Arc::clone(&branch.name), self.branch.branch.child(head.fork_revision, index))
                };
                branches.iter().enumerate().map(child).collect()
            }
            NodeSpec::Task(_)
            | NodeSpec::Route { .. }
            | NodeSpec::Loop { .. }
            | NodeSpec::Delay { .. }
            | NodeSpec::Signal { .. }
            | NodeSpec::Child { .. } => Vec::new(),
        };
        Decision::Do(Effect::RunTask(RunTask {
            node: self.place.node,
            path: self.path(),
            attempt: head.attempt + 1,
            timeout: plan.task_at(self.place.node).and_then(|task| task.metadata.timeout),
            alone: self.branch.crashes > 1,
            children,
        }))
    }

    fn delay_elapsed(&self) -> Decision {
        let value = Value::of_row(self.branch.head.input.clone(), self.branch.input.clone());
        self.leave(EntryKind::DelayElapsed, 0, EventGuard::None, value)
    }

    /// The wait for an event: an event that arrived in time beats the timeout.
    fn awaiting(&self) -> Decision {
        let BranchView { due_at, now, mail, events, .. } = self.branch;
        let NodeSpec::Signal { name, timeout: _ } = &self.definition.plan.node(self.place.node).spec else {
            return self.fail(format!("{}: a branch awaits an event at a node that is no signal", self.path()));
        };
        let in_time = |event: &&sayiir_core::branch::EventHead| event.name == *name && due_at.is_none_or(|due| event.at <= due);
        if let Some(event) = events.iter().find(in_time) {
            return Decision::Do(Effect::ReadEvent { name: Arc::clone(name), seq: event.seq });
        }
        if due_at.is_some_and(|due| due <= *now) {
            return match self.definition.payloads.timeout_value(self.place.node) {
                Ok(value) => self.leave(EntryKind::SignalTimedOut, 0, EventGuard::NoneSince { mail: *mail }, Value::own(value)),
                Err(error) => self.fail(self.definition.fault(self.place.node, "the timed-out signal has no value", &error)),
            };
        }
        let next = Next::Await {
            head: self.branch.head.clone(),
            signal: Arc::clone(name),
            wake: due_at.map(|_| Wake::AsStored),
            placement: Placement::default(),
        };
        self.commit(None, EventGuard::NoneSince { mail: *mail }, next)
    }

    fn event(&self, seq: u64, payload: &Bytes) -> Decision {
        let NodeSpec::Signal { name, timeout: _ } = &self.definition.plan.node(self.place.node).spec else {
            return self.fail(format!("{}: an event was read at a node that is no signal", self.path()));
        };
        match self.definition.payloads.event_value(self.place.node, payload) {
            Ok(value) => self.leave(EntryKind::EventReceived, 0, EventGuard::Use { name: Arc::clone(name), seq }, Value::own(value)),
            Err(error) => {
                self.fail(self.definition.fault(self.place.node, &format!("the payload of signal {name:?} cannot be read"), &error))
            }
        }
    }

    fn returned(&self, output: Bytes) -> Decision {
        let attempt = self.branch.head.attempt + 1;
        match &self.definition.plan.node(self.place.node).spec {
            NodeSpec::Task(_) => self.leave(EntryKind::TaskCompleted, attempt, EventGuard::None, Value::own(output)),
            NodeSpec::Fork { .. } => self.leave(EntryKind::JoinCompleted, attempt, EventGuard::None, Value::own(output)),
            NodeSpec::Route { arms, default, key: _ } => {
                let key = String::from_utf8_lossy(&output).into_owned();
                match arms.iter().find(|arm| *arm.key == *key).map(|arm| arm.first) {
                    Some(first) => self.take_arm(output, first, None),
                    None => match default {
                        Some(_) if key.len() > MAX_KEY_BYTES => self.fail(format!(
                            "{}: a route's key has at most {MAX_KEY_BYTES} bytes, this one has {}",
                            self.path(),
                            key.len()
                        )),
                        Some(first) => self.take_arm(output, *first, Some(key)),
                        None => self.fail(WorkflowError::BranchKeyNotFound { node: self.path().to_string(), key }.to_string()),
                    },
                }
            }
            NodeSpec::Loop { .. } | NodeSpec::Delay { .. } | NodeSpec::Signal { .. } | NodeSpec::Child { .. } => {
                self.fail(format!("{}: a task returned at a node that runs none", self.path()))
            }
        }
    }

    /// A part of the task is stored; the branch stays where it is, and the task runs on.
    fn sub_step(&self, name: &str, output: Bytes) -> Decision {
        let attempt = self.branch.head.attempt + 1;
        let node = sub_step_path(&self.path(), name);
        let entry = Entry { node, ..self.entry(EntryKind::SubStepCompleted, attempt, Output::Value(output)) };
        self.commit(Some(entry), EventGuard::None, Next::Run { head: self.branch.head.clone() })
    }

    fn take_arm(&self, key: Bytes, first: NodeIx, default_key: Option<String>) -> Decision {
        let mut place = Place { node: first, slots: self.place.slots.clone() };
        place.slots.extend(default_key);
        let input = Value::of_row(self.branch.head.input.clone(), self.branch.input.clone());
        let entry = self.entry(EntryKind::RouteTaken, self.branch.head.attempt + 1, Output::Value(key));
        self.arrive(entry, EventGuard::None, &place.enter(self.definition.plan), &input)
    }

    fn failed(&self, failure: TaskFailure) -> Decision {
        let TaskFailure { error, retry } = failure;
        let attempt = self.branch.head.attempt + 1;
        let policy = self.definition.plan.task_at(self.place.node).and_then(|task| task.metadata.retries.as_ref());
        let wait = match (retry, policy) {
            (RetryAdvice::Never, _) | (_, None) => None,
            (_, Some(policy)) if attempt > policy.max_retries => None,
            (RetryAdvice::After(delay), Some(_)) => Some(delay),
            (RetryAdvice::ByPolicy, Some(policy)) => Some(backoff(policy, attempt, self.branch.run.0 ^ self.branch.revision << 40)),
        };
        let Some(wait) = wait else {
            return self.fail(format!("{}: attempt {attempt} failed: {error}", self.path()));
        };
        let mut entry = self.entry(EntryKind::AttemptFailed, attempt, Output::Nothing);
        entry.error = Some(error);
        let head = Head { attempt, ..self.head_here() };
        let next = Next::Release { head, wake: Wake::After(wait), placement: self.placement(self.place.node) };
        self.commit(Some(entry), EventGuard::None, next)
    }

    /// Leaves this node with `value`, journaling what happened.
    fn leave(&self, kind: EntryKind, attempt: u32, guard: EventGuard, value: Value) -> Decision {
        let (destination, value) = match self.definition.leave(self.place.clone(), value) {
            Ok(left) => left,
            Err(error) => return self.fail(error),
        };
        let mut entry = self.entry(kind, attempt, Output::Nothing);
        entry.output = value.clone().output();
        match destination {
            Destination::Node(place) => self.arrive(entry, guard, &place, &value),
            Destination::EndOfBranch => self.commit(Some(entry), guard, Next::EndBranch),
            Destination::EndOfWorkflow => self.commit(Some(entry), guard, Next::Finish),
        }
    }

    /// Begins the wait or fork at this node.
    fn enter(&self, kind: EntryKind, input: &Value) -> Decision {
        let entry = self.entry(kind, 0, Output::Nothing);
        self.arrive(entry, EventGuard::None, &self.place, input)
    }

    /// Puts the branch at `place`, and begins the wait or fork there in the same transition where it can.
    fn arrive(&self, entry: Entry, guard: EventGuard, place: &Place, value: &Value) -> Decision {
        let BranchView { branch, revision, mail, paused, .. } = self.branch;
        let here = JournalRef { branch: branch.clone(), revision: revision + 1 };
        let plan = self.definition.plan;
        let head = |phase| Head { node: place.path(plan), phase, attempt: 0, input: value.row(here.clone()), fork_revision: 0 };
        let placement = || self.placement(place.node);
        let stay = || {
            if *paused {
                Next::Release { head: head(Phase::At), wake: Wake::Now, placement: placement() }
            } else {
                Next::Run { head: head(Phase::At) }
            }
        };
        let (guard, next) = match &plan.node(place.node).spec {
            NodeSpec::Delay { duration } => {
                (guard, Next::Release { head: head(Phase::Delaying), wake: Wake::After(*duration), placement: placement() })
            }
            NodeSpec::Fork { branches, join: _ } if !paused => {
                let head = Head { fork_revision: revision + 1, ..head(Phase::Joining) };
                let children: Vec<_> = branches.iter().map(|branch| self.child(place, branch.first, &head.input)).collect();
                let keep = children.len();
                (guard, Next::Fork { head, children, keep })
            }
            NodeSpec::Signal { name, timeout } if self.first_event(name).is_none() => match guard {
                EventGuard::None | EventGuard::NoneSince { .. } => {
                    let next = Next::Await {
                        head: head(Phase::Awaiting),
                        signal: Arc::clone(name),
                        wake: timeout.map(Wake::After),
                        placement: placement(),
                    };
                    (EventGuard::NoneSince { mail: *mail }, next)
                }
                // One guard a transition: the wait begins in the next one.
                EventGuard::Use { .. } => (guard, stay()),
            },
            NodeSpec::Task(_)
            | NodeSpec::Fork { .. }
            | NodeSpec::Route { .. }
            | NodeSpec::Signal { .. }
            | NodeSpec::Loop { .. }
            | NodeSpec::Child { .. } => (guard, stay()),
        };
        self.commit(Some(entry), guard, next)
    }

    fn child(&self, fork: &Place, first: NodeIx, input: &JournalRef) -> Child {
        let plan = self.definition.plan;
        let place = Place { node: first, slots: fork.slots.clone() }.enter(plan);
        let head = Head { node: place.path(plan), phase: Phase::At, attempt: 0, input: input.clone(), fork_revision: 0 };
        Child { head, placement: self.placement(place.node) }
    }

    /// Gives up the lease and changes nothing else.
    fn hand_back(&self) -> Decision {
        let BranchView { head, due_at, mail, events, paused, .. } = self.branch;
        let placement = self.placement(self.place.node);
        if let (Phase::Awaiting, NodeSpec::Signal { name, timeout: _ }) = (head.phase, &self.definition.plan.node(self.place.node).spec) {
            // Only an await is woken by an event; one whose event is there already is due at once.
            if !paused && events.iter().any(|event| event.name == *name) {
                return self.commit(None, EventGuard::None, Next::Release { head: head.clone(), wake: Wake::Now, placement });
            }
            let next = Next::Await { head: head.clone(), signal: Arc::clone(name), wake: due_at.map(|_| Wake::AsStored), placement };
            return self.commit(None, EventGuard::NoneSince { mail: *mail }, next);
        }
        self.commit(None, EventGuard::None, Next::Release { head: self.branch.head.clone(), wake: Wake::AsStored, placement })
    }

    fn fail(&self, error: String) -> Decision {
        let mut entry = self.entry(EntryKind::Failed, self.branch.head.attempt + 1, Output::Nothing);
        entry.error = Some(error);
        // A later retry begins with fresh attempts. The store keeps no time for a failed branch, so a wait begins anew.
        let here = self.head_here();
        let phase = if here.phase == Phase::Awaiting { Phase::At } else { here.phase };
        let head = Head { attempt: 0, phase, ..here };
        self.commit(Some(entry), EventGuard::None, Next::Fail { head })
    }

    fn commit(&self, entry: Option<Entry>, guard: EventGuard, next: Next) -> Decision {
        commit(self.branch, entry, guard, next)
    }

    fn entry(&self, kind: EntryKind, attempt: u32, output: Output) -> Entry {
        Entry { kind, node: self.path(), attempt, output, error: None }
    }

    fn path(&self) -> Arc<str> {
        match self.branch.head.phase {
            Phase::At | Phase::Delaying | Phase::Awaiting | Phase::Joining if !self.branch.head.node.starts_with('@') => {
                Arc::clone(&self.branch.head.node)
            }
            Phase::Start | Phase::At | Phase::Delaying | Phase::Awaiting | Phase::Joining => self.place.path(self.definition.plan),
        }
    }

    /// The head, out of the start phase: what is stored from now on names the node.
    fn head_here(&self) -> Head {
        let head = &self.branch.head;
        let phase = if head.phase == Phase::Start { Phase::At } else { head.phase };
        Head { node: self.path(), phase, ..head.clone() }
    }

    fn placement(&self, node: NodeIx) -> Placement {
        self.definition.plan.task_at(node).map(|task| task.metadata.placement()).unwrap_or_default()
    }

    fn first_event(&self, name: &str) -> Option<u64> {
        self.branch.events.iter().find(|event| *event.name == *name).map(|event| event.seq)
    }
}

/// The stored position is none of the plan's, though the definition is the same: the run fails and says so.
fn stranded(branch: &BranchView, error: &str) -> Decision {
    let error = format!("the stored position cannot be read: {error}");
    let entry =
        Entry { kind: EntryKind::Failed, node: Arc::clone(&branch.head.node), attempt: 0, output: Output::Nothing, error: Some(error) };
    commit(branch, Some(entry), EventGuard::None, Next::Fail { head: branch.head.clone() })
}

fn commit(branch: &BranchView, entry: Option<Entry>, guard: EventGuard, next: Next) -> Decision {
    Decision::Commit(Box::new(Transition {
        instance_id: Arc::clone(&branch.instance_id),
        run: branch.run,
        branch: branch.branch.clone(),
        revision: branch.revision,
        entry,
        guard,
        held: branch.paused,
        next,
    }))
}
