//! The loop: decide, do or commit, and decide again, for as long as the session holds the branch.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchView, Phase};
use sayiir_core::control::SignalKind;
use sayiir_core::journal::EntryKind;
use sayiir_core::rules::{Rule, holds};
use sayiir_core::transition::{Next, Transition};
use sayiir_core::workflow::RunnableWorkflow;
use sayiir_engine::{Decision, Definition, Effect, Input, RetryAdvice, TaskFailure, decide};
use sayiir_persistence::{CommitOutcome, StoreError};

use tracing::Instrument;

use crate::ask::ask;
use crate::commit::Committed;
use crate::figures;
use crate::group::{Fault, Ticket};
use crate::held::{Hold, Key};
use crate::host::Host;
use crate::session::Session;
use crate::span;
use crate::spread::Offer;
use crate::task::TaskEnd;
use crate::workflows::WorkflowSet;

/// What the loop decides about next; `None` when the session has nothing more to do here.
type Turn = Option<(Box<BranchView>, Input)>;

impl Session {
    /// Drives a branch, then whatever its transitions leave with the session.
    pub(crate) async fn drive_branch(self: &Arc<Self>, ticket: &Ticket, workflows: &Arc<WorkflowSet>, mut hold: Hold, branch: BranchView) {
        let Some(workflow) = workflows.get(&branch.definition).map(Arc::clone) else {
            // Claims name the known definitions, so this is a program that handed over a stranger.
            tracing::error!(instance_id = &*branch.instance_id, definition = %branch.definition, "no workflow of this definition is known here");
            return;
        };
        let _driven = figures::Driven::begin();
        let span = span::of_instance(workflow.plan(), &branch, &self.worker_id);
        if let Some(traceparent) = &branch.trace {
            self.host.continue_trace(&span, traceparent);
        }
        self.drive_on(ticket, workflows, &workflow, &mut hold, branch).instrument(span).await;
    }

    async fn drive_on(
        self: &Arc<Self>,
        ticket: &Ticket,
        workflows: &Arc<WorkflowSet>,
        workflow: &Arc<dyn RunnableWorkflow>,
        hold: &mut Hold,
        branch: BranchView,
    ) {
        let mut turn: Turn = Some((Box::new(branch), Input::Taken));
        while let Some((branch, mut input)) = turn {
            if input == Input::Taken && (ticket.group().is_draining() || self.is_for_others(workflow.plan(), &branch)) {
                input = Input::HandBack;
            }
            turn = match self.turn(ticket, workflows, workflow, hold, branch, input).await {
                Ok(next) => next,
                Err(fault) => {
                    let Fault { instance_id, branch, node, cause } = &fault;
                    tracing::error!(instance_id = &**instance_id, branch = %branch, node = &**node, error = %cause, "a branch cannot go on");
                    ticket.group().fault(fault);
                    None
                }
            };
        }
    }

    async fn turn(
        self: &Arc<Self>,
        ticket: &Ticket,
        workflows: &Arc<WorkflowSet>,
        workflow: &Arc<dyn RunnableWorkflow>,
        hold: &mut Hold,
        branch: Box<BranchView>,
        input: Input,
    ) -> Result<Turn, Fault> {
        let definition = Definition { plan: workflow.plan(), payloads: workflow.payloads() };
        match decide(definition, &branch, input.clone()) {
            Decision::Do(effect) => self.perform(ticket, workflow, hold, branch, effect).await,
            Decision::Commit(mut transition) => {
                // One child goes on in the place of its parent.
                self.tailor(workflow.plan(), ticket.group().free() + 1, &mut transition);
                let offer = self.offer_children(&mut transition);
                if leaves_work(&transition) {
                    ticket.group().note_due();
                }
                if !keeps_all(&transition) {
                    ticket.group().note_left();
                }
                let takeovers = self.takeovers();
                let outcome = match self.commit(&transition).await {
                    Ok(outcome) => outcome,
                    // Refused at the store's door, and so each time. A failure for good has nothing more that could be.
                    Err(error @ (StoreError::Limit { .. } | StoreError::Misused { .. })) if !is_for_good(&input) => {
                        let failure = TaskFailure::for_good(format!("the store cannot hold it: {error}"));
                        return Ok(Some((branch, Input::TaskFailed(failure))));
                    }
                    Err(cause) => return Err(Fault::at(&branch, cause)),
                };
                match outcome {
                    CommitOutcome::Accepted { .. } => {
                        self.note_retry(&transition);
                        if let Some(offer) = offer {
                            offer.made(left_of_fork(&transition));
                        }
                    }
                    CommitOutcome::AlreadyAccepted | CommitOutcome::Refused(_) => ticket.group().note_left(),
                }
                figures::committed(workflow.plan(), &branch, &transition, &outcome);
                if let Some(output) = finished_with(&transition, &outcome) {
                    ticket.group().note_finished(branch.run, output);
                }
                // Its first reply was lost: what it left may have been parked, taken again and driven on since.
                let is_old = matches!(outcome, CommitOutcome::AlreadyAccepted);
                match self.settle(branch, *transition, outcome).await? {
                    Committed::Kept(view) => Ok(Some((view, Input::Taken))),
                    // Or the reply was late, and leases ended meanwhile: what it leaves may have been driven on, and let go of.
                    Committed::Holding(views) if is_old || takeovers != self.takeovers() => {
                        for view in views {
                            let crashes = view.crashes.max(1);
                            self.drive(ticket.group(), workflows, BranchView { crashes, ..view });
                        }
                        Ok(None)
                    }
                    Committed::Holding(views) => Ok(self.go_on(ticket, workflows, hold, views).await),
                    Committed::Moved(branch) => self.reloaded(branch, input).await,
                    Committed::Lost => Ok(None),
                }
            }
        }
    }

    async fn perform(
        self: &Arc<Self>,
        ticket: &Ticket,
        workflow: &Arc<dyn RunnableWorkflow>,
        hold: &Hold,
        branch: Box<BranchView>,
        effect: Effect,
    ) -> Result<Turn, Fault> {
        match effect {
            Effect::RunTask(run) => match self.run_task(hold, workflow, branch, run).await? {
                TaskEnd::Told(branch, input) => Ok(Some((branch, input))),
                TaskEnd::Aborted => {
                    ticket.group().note_left();
                    Ok(None)
                }
            },
            Effect::ReadEvent { name, seq } => {
                let payload = ask(&*self.host, self.options.patience, || self.store.read_event(&branch.instance_id, &name, seq)).await;
                match payload.map_err(|cause| Fault::at(&branch, cause))? {
                    Some(payload) => Ok(Some((branch, Input::EventRead { seq, payload }))),
                    None => self.reloaded(branch, Input::Taken).await,
                }
            }
            Effect::ApplyControl(kind) => {
                self.apply_requested(&*self.host, &branch.instance_id, kind).await.map_err(|cause| Fault::at(&branch, cause))?;
                self.reloaded(branch, Input::Taken).await
            }
        }
    }

    /// An attempt that failed here and is tried again is one that others may be better at.
    fn note_retry(&self, Transition { run, branch, entry, next, .. }: &Transition) {
        let failed = entry.as_ref().is_some_and(|entry| entry.kind == EntryKind::AttemptFailed);
        if let Next::Release { head, .. } = next
            && failed
            && self.options.head_start.is_some()
        {
            self.shy.failed((*run, branch.clone()), head);
        }
    }

    /// Leaves a part of a fork's children to whoever claims them, where that may help.
    fn offer_children(&self, transition: &mut Transition) -> Option<Offer<'_>> {
        let Next::Fork { head: _, children, keep } = &mut transition.next else { return None };
        if !self.options.offers_branches {
            return None;
        }
        let share = children.len().div_ceil(2);
        let offer = if *keep > share && !transition.held { self.spread.offer() } else { None };
        if offer.is_some() {
            *keep = share;
        }
        offer
    }

    /// Applies the recorded request, unless another branch has done it meanwhile, or it was taken back.
    pub(crate) async fn apply_requested(&self, host: &dyn Host, instance_id: &str, kind: SignalKind) -> Result<bool, StoreError> {
        ask(host, self.options.patience, || self.store.apply_requested(instance_id, kind)).await
    }

    /// Goes on with the first of the branches, and drives the others beside it.
    async fn go_on(self: &Arc<Self>, ticket: &Ticket, workflows: &Arc<WorkflowSet>, hold: &mut Hold, views: Vec<BranchView>) -> Turn {
        let mut turn = None;
        let several = views.len() > 1;
        for view in views {
            if turn.is_none() && hold.move_to(&view.branch) {
                turn = Some((Box::new(view), Input::Taken));
            } else {
                self.drive(ticket.group(), workflows, view);
            }
        }
        if several {
            // A runtime may keep what was spawned last for this very thread: a task that goes on without
            // a pause, and blocks, would keep its sibling from starting anywhere.
            yield_once().await;
        }
        turn
    }

    /// Loads the branch again. A task's result stays good while the branch is at the same node and attempt.
    async fn reloaded(&self, branch: Box<BranchView>, input: Input) -> Result<Turn, Fault> {
        let loaded = self.load(branch.run, vec![branch.branch.clone()]).await;
        let Some(fresh) = loaded.map_err(|cause| Fault::at(&branch, cause))?.pop() else { return Ok(None) };
        let same = is_same_attempt(&fresh, &branch) || !holds(Rule::LooksForOwnRow);
        let input = match input {
            Input::TaskReturned(_) | Input::TaskFailed(_) if same => input,
            Input::Taken
            | Input::HandBack
            | Input::TaskReturned(_)
            | Input::TaskFailed(_)
            | Input::SubStepReturned { .. }
            | Input::EventRead { .. } => Input::Taken,
        };
        Ok(Some((Box::new(fresh), input)))
    }
}

/// Whether a branch that was loaded again still stands where it stood, at the same attempt.
pub(crate) fn is_same_attempt(fresh: &BranchView, seen: &BranchView) -> bool {
    (&fresh.head.node, fresh.head.attempt) == (&seen.head.node, seen.head.attempt)
        && (fresh.head.phase == seen.head.phase || (seen.head.phase == Phase::Start && fresh.head.phase == Phase::At))
}

const fn is_for_good(input: &Input) -> bool {
    match input {
        Input::TaskFailed(TaskFailure { error: _, retry }) => matches!(retry, RetryAdvice::Never),
        Input::Taken | Input::HandBack | Input::TaskReturned(_) | Input::SubStepReturned { .. } | Input::EventRead { .. } => false,
    }
}

/// Whether it leaves branches that nobody holds and that are or will be due by themselves.
const fn leaves_work(transition: &Transition) -> bool {
    match &transition.next {
        Next::Release { .. } => true,
        Next::Await { wake, .. } => wake.is_some(),
        Next::Fork { head: _, children, keep } => *keep < children.len(),
        Next::Run { .. } | Next::EndBranch | Next::Finish | Next::Fail { .. } => false,
    }
}

/// The children of a fork that nobody holds.
fn left_of_fork(Transition { run, branch, revision, next, .. }: &Transition) -> impl Iterator<Item = Key> {
    let left = match next {
        Next::Fork { head: _, children, keep } => *keep..children.len(),
        Next::Run { .. } | Next::Release { .. } | Next::Await { .. } | Next::EndBranch | Next::Finish | Next::Fail { .. } => 0..0,
    };
    left.map(move |index| (*run, branch.child(revision + 1, index)))
}

/// The output of the run that an accepted transition completed, where the transition itself holds it.
fn finished_with(transition: &Transition, outcome: &CommitOutcome) -> Option<Bytes> {
    match (&transition.next, outcome) {
        (Next::Finish, CommitOutcome::Accepted { .. }) => transition.entry.as_ref().and_then(|entry| entry.output.handed_on()).cloned(),
        (_, _) => None,
    }
}

/// Whether all that it leaves of the branch stays with its owner, or waits for what its owner keeps.
const fn keeps_all(transition: &Transition) -> bool {
    match &transition.next {
        Next::Run { .. } | Next::EndBranch | Next::Finish | Next::Fail { .. } => true,
        Next::Fork { head: _, children, keep } => *keep == children.len() && !transition.held,
        Next::Release { .. } | Next::Await { .. } => false,
    }
}

/// Lets the runtime turn to others once.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
