//! Committing what the engine decided, and what the branch looks like after it.

use sayiir_core::branch::{BranchId, BranchView, Head, Phase, Placement, RunNumber};
use sayiir_core::plan::{Place, Plan};
use sayiir_core::time::Timestamp;
use sayiir_core::transition::{Child, EventGuard, Next, Transition, Wake};
use sayiir_core::workflow::RunnableWorkflow;
use sayiir_engine::{Decision, Definition, Input, decide};
use sayiir_persistence::{CommitOutcome, Refusal, StoreError};

use crate::ask::ask;
use crate::group::Fault;
use crate::session::Session;

/// What a commit leaves its session with.
pub(crate) enum Committed {
    /// The branch itself, as the transition left it.
    Kept(Box<BranchView>),
    /// These branches are held now (none, if the branch was parked or ended).
    Holding(Vec<BranchView>),
    /// The branch, as it was seen, moved under the session: load it and decide again.
    Moved(Box<BranchView>),
    /// The branch is not the session's any more.
    Lost,
}

impl Session {
    /// Commits `transition`, asking again until the store answers.
    pub(crate) async fn commit(&self, transition: &Transition) -> Result<CommitOutcome, StoreError> {
        let outcomes = ask(&*self.host, self.options.patience, || self.store.commit(self.lease, vec![transition.clone()])).await?;
        let none = || StoreError::Corrupt { reason: "the store gave no outcome for a transition".to_owned(), source: None };
        outcomes.into_iter().next().ok_or_else(none)
    }

    /// What the outcome of `transition`, decided for `branch`, leaves the session with.
    pub(crate) async fn settle(&self, branch: Box<BranchView>, transition: Transition, outcome: CommitOutcome) -> Result<Committed, Fault> {
        match outcome {
            CommitOutcome::Accepted { at, readied_parent } => {
                let used_event = matches!(transition.guard, EventGuard::Use { .. });
                let (run, held) = (branch.run, held_after(branch, transition, at, readied_parent));
                // The views name the first event of each name; which is first now, only the store knows.
                if used_event { self.fresh(run, held).await } else { Ok(held) }
            }
            CommitOutcome::AlreadyAccepted => self.loaded(&branch, &transition).await,
            CommitOutcome::Refused(Refusal::Moved) => Ok(Committed::Moved(branch)),
            CommitOutcome::Refused(Refusal::LeaseLost | Refusal::Ended | Refusal::Replaced) => Ok(Committed::Lost),
        }
    }

    /// Asks the store for the branches that an accepted transition left with the session.
    async fn loaded(&self, branch: &BranchView, transition: &Transition) -> Result<Committed, Fault> {
        let ids = left_with_owner(branch, transition);
        let views = if ids.is_empty() { Ok(Vec::new()) } else { self.load(branch.run, ids).await };
        views.map(Committed::Holding).map_err(|cause| Fault::at(branch, cause))
    }

    /// Asks the store for the same branches again.
    async fn fresh(&self, run: RunNumber, held: Committed) -> Result<Committed, Fault> {
        let views = match held {
            Committed::Kept(view) => vec![*view],
            Committed::Holding(views) => views,
            Committed::Moved(_) | Committed::Lost => return Ok(held),
        };
        let Some(first) = views.first() else { return Ok(Committed::Holding(views)) };
        let ids = views.iter().map(|view| view.branch.clone()).collect();
        self.load(run, ids).await.map(Committed::Holding).map_err(|cause| Fault::at(first, cause))
    }

    /// Loads branches of a run that the session holds; all if `branches` is empty.
    pub(crate) async fn load(&self, run: RunNumber, branches: Vec<BranchId>) -> Result<Vec<BranchView>, StoreError> {
        ask(&*self.host, self.options.patience, || self.store.load(self.lease, run, branches.clone())).await
    }

    /// Gives a branch back as it is. A refusal is fine: somebody else has it then.
    pub(crate) async fn hand_back(&self, workflow: &dyn RunnableWorkflow, branch: &BranchView) -> Result<(), StoreError> {
        if let Some(transition) = Self::hand_back_of(workflow, branch) {
            self.commit(&transition).await?;
        }
        Ok(())
    }

    /// The transition that gives a branch back as it is.
    pub(crate) fn hand_back_of(workflow: &dyn RunnableWorkflow, branch: &BranchView) -> Option<Transition> {
        let definition = Definition { plan: workflow.plan(), payloads: workflow.payloads() };
        match decide(definition, branch, Input::HandBack) {
            Decision::Commit(transition) => Some(*transition),
            Decision::Do(_) => None,
        }
    }

    /// Makes an error's text one that every store can hold, and keeps back what this session cannot go on
    /// with: nodes whose tags it does not serve, children it has no room for.
    pub(crate) fn tailor(&self, plan: &Plan, room: usize, transition: &mut Transition) {
        if let Some(error) = transition.entry.as_mut().and_then(|entry| entry.error.as_mut()) {
            make_storable(error, self.store.limits().error_bytes);
        }
        match &mut transition.next {
            Next::Run { head } => {
                if let Some(placement) = self.placed_elsewhere(plan, &head.node) {
                    transition.next = Next::Release { head: head.clone(), wake: Wake::Now, placement };
                }
            }
            Next::Fork { head: _, children, keep } => {
                let served = children.iter().take_while(|child| self.serves(&child.placement.tags)).count();
                *keep = (*keep).min(served).min(room);
            }
            Next::Release { .. } | Next::Await { .. } | Next::EndBranch | Next::Finish | Next::Fail { .. } => {}
        }
    }

    /// Whether a branch that was taken stands at a task that this session does not serve: who put it there (a rewind, an import)
    /// knew no tags. To give it back puts it where its workers look.
    pub(crate) fn is_for_others(&self, plan: &Plan, branch: &BranchView) -> bool {
        branch.head.phase == Phase::At && branch.requested.is_none() && self.placed_elsewhere(plan, &branch.head.node).is_some()
    }

    /// Where the task at a node belongs, if this session does not serve its tags.
    fn placed_elsewhere(&self, plan: &Plan, node: &str) -> Option<Placement> {
        if self.options.tags.is_empty() {
            return None;
        }
        let task = Place::parse(plan, node).ok().and_then(|place| plan.task_at(place.node))?;
        (!self.serves(&task.metadata.tags)).then(|| task.metadata.placement())
    }

    fn serves(&self, tags: &[String]) -> bool {
        self.options.tags.is_empty() || tags.iter().all(|tag| self.options.tags.contains(tag))
    }
}

/// The branches that an accepted transition left with the session, without asking the store.
fn held_after(mut branch: Box<BranchView>, transition: Transition, at: Timestamp, readied_parent: Option<Box<BranchView>>) -> Committed {
    let Transition { entry, next, .. } = transition;
    let output = entry.and_then(|entry| entry.output.handed_on().cloned());
    let revision = branch.revision + 1;
    let input_at = |branch: &BranchView, head: &Head| {
        let is_here = head.input.revision == revision && head.input.branch == branch.branch;
        if is_here { output.unwrap_or_default() } else { branch.input.clone() }
    };
    match next {
        Next::Run { head } => {
            let input = input_at(&branch, &head);
            (branch.revision, branch.head, branch.input, branch.now) = (revision, head, input, at);
            (branch.crashes, branch.due_at) = (0, None);
            Committed::Kept(branch)
        }
        Next::Fork { head, children, keep } => {
            let input = input_at(&branch, &head);
            let view = |(index, child): (usize, Child)| BranchView {
                branch: branch.branch.child(revision, index),
                revision: 1,
                head: child.head,
                crashes: 0,
                due_at: None,
                pending: 0,
                input: input.clone(),
                now: at,
                ..(*branch).clone()
            };
            Committed::Holding(children.into_iter().take(if branch.paused { 0 } else { keep }).enumerate().map(view).collect())
        }
        Next::EndBranch => Committed::Holding(readied_parent.map(|parent| *parent).into_iter().collect()),
        Next::Release { .. } | Next::Await { .. } | Next::Finish | Next::Fail { .. } => Committed::Holding(Vec::new()),
    }
}

/// The branches that `transition` of `branch` can have left with its owner. No others may be loaded instead:
/// a sibling that ends while they are on their way would be driven again from where it stood.
fn left_with_owner(branch: &BranchView, transition: &Transition) -> Vec<BranchId> {
    match &transition.next {
        Next::Run { .. } => vec![branch.branch.clone()],
        Next::Fork { head: _, children: _, keep } => (0..*keep).map(|index| branch.branch.child(branch.revision + 1, index)).collect(),
        Next::EndBranch => branch.branch.parent().into_iter().collect(),
        Next::Release { .. } | Next::Await { .. } | Next::Finish | Next::Fail { .. } => Vec::new(),
    }
}

/// Takes NUL characters out of a text, and cuts it to at most `limit` bytes.
fn make_storable(text: &mut String, limit: usize) {
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
    if text.len() > limit {
        let room = limit.saturating_sub('…'.len_utf8());
        let cut = (0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::make_storable;

    #[test]
    fn a_text_is_cut_at_a_character_and_has_no_nul() {
        let mut text = "é\0é".repeat(10);
        make_storable(&mut text, 1000);
        assert_eq!(text, "é\u{fffd}é".repeat(10));
        for limit in 3..40 {
            let mut cut = text.clone();
            make_storable(&mut cut, limit);
            assert!(cut.len() <= limit && cut.ends_with('…') && text.starts_with(cut.trim_end_matches('…')), "{limit}: {cut}");
        }
    }
}
