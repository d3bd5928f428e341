//! Commit: each transition is checked whole, then written whole, or refused with a reason.

use std::sync::Arc;

use sayiir_core::branch::{BranchId, Head, LeaseId, Phase, Placement, RunNumber};
use sayiir_core::journal::JournalRow;
use sayiir_core::rules::{Rule, holds};
use sayiir_core::time::Timestamp;
use sayiir_core::transition::{Child, Entry, EventGuard, Next, Transition, Wake};

use super::data::{Branch, Data, Life, Run};
use super::index::Slot;
use crate::meet::refused;
use crate::store::{BranchView, CommitOutcome, RunState};
use crate::wakeups::News;

impl Data {
    /// Applies one transition that the door has let in.
    pub(super) fn commit(&mut self, lease: LeaseId, mut transition: Transition, news: &mut News) -> CommitOutcome {
        if !holds(Rule::RunFences)
            && let Some(life) = self.instances.get(&transition.instance_id).and_then(|instance| instance.life.as_ref())
        {
            transition.run = life.run;
        }
        let Some(branch) = self.owned(lease, &transition) else { return self.refusal(lease, &transition) };
        if !self.instance_allows(&transition) {
            return self.refusal(lease, &transition);
        }
        let Transition { instance_id, run, branch: id, revision, entry, guard, held, next } = transition;
        let writer = Writer { lease, run, revision: revision + 1, held, now: self.now };
        if let EventGuard::Use { name, seq } = &guard
            && let Some(instance) = self.instances.get_mut(&instance_id)
        {
            instance.take_event(name, *seq);
        }
        debug_assert_eq!(branch, revision, "the owner named this revision");
        let readied_parent = match next {
            Next::Run { head } => {
                self.journal(&writer, &id, entry);
                self.keep(&writer, &id, head);
                None
            }
            Next::Release { head, wake, placement } => {
                self.journal(&writer, &id, entry);
                self.release(&writer, &id, head, wake, &placement);
                news.due |= !held;
                news.instance(&instance_id);
                None
            }
            Next::Await { head, signal, wake, placement } => {
                self.journal(&writer, &id, entry);
                self.park(&writer, &id, head, signal, wake, &placement);
                news.due |= !held;
                news.instance(&instance_id);
                None
            }
            Next::Fork { head, children, keep } => {
                news.due |= !held && keep < children.len();
                self.journal(&writer, &id, entry);
                self.fork(&writer, &id, head, children, keep);
                None
            }
            Next::EndBranch => {
                self.journal(&writer, &id, entry);
                self.end_branch(&writer, &id)
            }
            Next::Finish => {
                self.journal(&writer, &id, entry);
                self.delete_heads(run);
                self.settle(&instance_id, RunState::Completed, None, &writer);
                news.instance(&instance_id);
                None
            }
            Next::Fail { head } => {
                let error = entry.as_ref().and_then(|entry| entry.error.clone());
                self.journal(&writer, &id, entry);
                self.fail(&writer, &id, head);
                self.settle(&instance_id, RunState::Failed, Some(error.unwrap_or_default()), &writer);
                news.control = true;
                news.instance(&instance_id);
                None
            }
        };
        CommitOutcome::Accepted { at: writer.now, readied_parent: readied_parent.map(Box::new) }
    }

    /// The revision, if the writer holds the branch at the revision it names.
    fn owned(&self, lease: LeaseId, transition: &Transition) -> Option<u64> {
        let branch = self.runs.get(&transition.run)?.branches.get(&transition.branch)?;
        let held = branch.slot.lease == Some(lease) || !holds(Rule::ClaimMoves);
        (held && branch.revision == transition.revision).then_some(branch.revision)
    }

    /// Whether the instance's state and events are as the transition requires. Plain advances require
    /// nothing: whatever ends or controls a run takes its heads, their leases or their revisions.
    fn instance_allows(&self, transition: &Transition) -> bool {
        let needs_live = match &transition.next {
            Next::Run { .. } | Next::Release { .. } | Next::EndBranch => false,
            Next::Await { .. } | Next::Fork { .. } | Next::Finish | Next::Fail { .. } => true,
        };
        if !needs_live && transition.guard == EventGuard::None {
            return true;
        }
        let Some(instance) = self.instances.get(&transition.instance_id) else { return false };
        instance.live(transition.run).is_some()
            && match &transition.guard {
                EventGuard::None => true,
                EventGuard::NoneSince { mail } => instance.mail == *mail || !holds(Rule::MailGuard),
                EventGuard::Use { .. } if !holds(Rule::EventGuard) => true,
                EventGuard::Use { name, seq } => instance.events.get(name).is_some_and(|events| events.contains_key(seq)),
            }
    }

    fn refusal(&self, lease: LeaseId, transition: &Transition) -> CommitOutcome {
        let Transition { instance_id, run: number, branch: id, revision, .. } = transition;
        let run = self.runs.get(number);
        let own = run.and_then(|run| run.journal.get(id, revision + 1)).is_some_and(|row| row.lease == Some(lease));
        let life = self.instances.get(instance_id).and_then(|instance| instance.life.as_ref());
        let goes_on = life.filter(|life| life.run == *number).map(Life::is_live);
        let held = run.and_then(|run| run.branches.get(id)).is_some_and(|branch| branch.slot.lease == Some(lease));
        refused(own && holds(Rule::LooksForOwnRow), goes_on, held)
    }

    fn journal(&mut self, writer: &Writer, id: &BranchId, entry: Option<Entry>) {
        if let (Some(entry), Some(run)) = (entry, self.runs.get_mut(&writer.run)) {
            run.journal.push(writer.row(id, entry));
        }
    }

    fn keep(&mut self, writer: &Writer, id: &BranchId, head: Head) {
        if let Some(run) = self.runs.get_mut(&writer.run)
            && let Some(branch) = run.branches.get_mut(id)
        {
            let waited = branch.advance(writer, head, None, None);
            run.awaiting_no_more(waited, id);
        }
    }

    fn release(&mut self, writer: &Writer, id: &BranchId, head: Head, wake: Wake, placement: &Placement) {
        let Some(run) = self.runs.get_mut(&writer.run) else { return };
        let Some(branch) = run.branches.get_mut(id) else { return };
        let due_at = writer.due_at(wake, branch.due_at);
        // A branch that is handed back while it awaits an event goes on awaiting it.
        let awaits = if head.phase == Phase::Awaiting { branch.awaits.clone() } else { None };
        let instance = self.instances.get(&run.instance_id);
        let mail = awaits.as_ref().is_some_and(|name| instance.is_some_and(|instance| instance.events.contains_key(name)));
        let waited = branch.advance(writer, head, due_at, awaits);
        let run_at = match (writer.held, mail) {
            (true, _) => None,
            (false, true) => Some(writer.now),
            // What waits for children or for an event has no time of its own; what is ready is due at once.
            (false, false) => due_at.or((branch.pending == 0 && branch.awaits.is_none()).then_some(writer.now)),
        };
        let lane = self.index.lane(run.definition, placement);
        let to = Slot { lane, priority: placement.priority, run_at, lease: None };
        self.index.replace(writer.run, id, &mut branch.slot, to);
        run.awaiting_no_more(waited, id);
    }

    fn park(&mut self, writer: &Writer, id: &BranchId, head: Head, signal: Arc<str>, wake: Option<Wake>, placement: &Placement) {
        let Some(run) = self.runs.get_mut(&writer.run) else { return };
        let Some(branch) = run.branches.get_mut(id) else { return };
        let due_at = wake.and_then(|wake| writer.due_at(wake, branch.due_at));
        let instance = self.instances.get(&run.instance_id);
        let mail = holds(Rule::MailGuard) && instance.is_some_and(|instance| instance.events.contains_key(&signal));
        let waited = branch.advance(writer, head, due_at, Some(Arc::clone(&signal)));
        let run_at = if writer.held {
            None
        } else if mail {
            Some(writer.now)
        } else {
            due_at
        };
        let lane = self.index.lane(run.definition, placement);
        self.index.replace(writer.run, id, &mut branch.slot, Slot { lane, priority: placement.priority, run_at, lease: None });
        run.awaiting_no_more(waited, id);
        run.awaiting.insert((signal, id.clone()));
    }

    fn fork(&mut self, writer: &Writer, id: &BranchId, head: Head, children: Vec<Child>, keep: usize) {
        let lease_end = writer.now + self.ttl(writer.lease);
        let Some(run) = self.runs.get_mut(&writer.run) else { return };
        let Some(parent) = run.branches.get_mut(id) else { return };
        let waited = parent.advance(writer, head, None, None);
        parent.pending = u32::try_from(children.len()).unwrap_or(u32::MAX);
        let free = Slot { run_at: None, lease: None, ..parent.slot };
        self.index.replace(writer.run, id, &mut parent.slot, free);
        run.awaiting_no_more(waited, id);
        for (number, Child { head, placement }) in children.into_iter().enumerate() {
            let (run_at, lease) = match (writer.held, number < keep) {
                (true, _) => (None, None),
                (false, true) => (Some(lease_end), Some(writer.lease)),
                (false, false) => (Some(writer.now), None),
            };
            let slot = Slot { lane: self.index.lane(run.definition, &placement), priority: placement.priority, run_at, lease };
            let child = id.child(writer.revision, number);
            self.index.insert(writer.run, &child, slot);
            let due_at = Some(writer.now);
            let branch =
                Branch { revision: 1, head, slot, due_at, awaits: None, pending: 0, crashes: 0, attempt_at: writer.now, progress: None };
            run.branches.insert(child, Box::new(branch));
        }
    }

    fn end_branch(&mut self, writer: &Writer, id: &BranchId) -> Option<BranchView> {
        let lease_end = writer.now + self.ttl(writer.lease);
        let run = self.runs.get_mut(&writer.run)?;
        let child = run.branches.remove(id)?;
        self.index.remove(writer.run, id, child.slot);
        run.awaiting_no_more(child.awaits, id);
        let parent_id = id.parent()?;
        let parent = run.branches.get_mut(&parent_id)?;
        debug_assert!(parent.pending > 0, "a child was counted");
        parent.pending = left_of(parent.pending);
        if parent.pending > 0 {
            return None;
        }
        parent.revision += 1;
        parent.due_at = Some(writer.now);
        parent.attempt_at = writer.now;
        parent.progress = None;
        if writer.held {
            if !holds(Rule::JoinIsHeld) {
                let to = Slot { run_at: Some(writer.now), ..parent.slot };
                self.index.replace(writer.run, &parent_id, &mut parent.slot, to);
            }
            return None;
        }
        let to = Slot { run_at: Some(lease_end), lease: Some(writer.lease), ..parent.slot };
        self.index.replace(writer.run, &parent_id, &mut parent.slot, to);
        let input = self.input_of(writer.run, &parent_id).unwrap_or_default();
        self.view(writer.run, &parent_id, input)
    }

    fn fail(&mut self, writer: &Writer, id: &BranchId, head: Head) {
        let Some(run) = self.runs.get_mut(&writer.run) else { return };
        for (other, branch) in &mut run.branches {
            let stopped = Slot { run_at: None, lease: None, ..branch.slot };
            self.index.replace(writer.run, other, &mut branch.slot, stopped);
            branch.revision += 1;
        }
        if let Some(branch) = run.branches.get_mut(id) {
            let waited = branch.advance(writer, head, None, None);
            run.awaiting_no_more(waited, id);
        }
    }

    fn settle(&mut self, instance_id: &str, state: RunState, error: Option<String>, writer: &Writer) {
        if let Some(life) = self.instances.get_mut(instance_id).and_then(|instance| instance.life.as_mut()) {
            life.enter(state, writer.now);
            life.request = None;
            if error.is_none() {
                life.output = Some(sayiir_core::branch::JournalRef { branch: BranchId::root(), revision: writer.revision });
            }
            life.error = error;
        }
    }
}

/// How many children are left when one of so many has ended.
fn left_of(pending: u32) -> u32 {
    #[cfg(feature = "rule-switches")]
    if let Some(read) = sayiir_core::rules::take_count() {
        return read.saturating_sub(1);
    }
    pending.saturating_sub(1)
}

impl Branch {
    /// Takes a new position; returns what the branch awaited and awaits no more.
    fn advance(&mut self, writer: &Writer, head: Head, due_at: Option<Timestamp>, awaits: Option<Arc<str>>) -> Option<Arc<str>> {
        self.revision = writer.revision;
        // A transition that leaves the branch where it was (a sub-step) belongs to the attempt that goes on.
        if !is_same_attempt(&self.head, &head) {
            self.attempt_at = writer.now;
            self.progress = None;
        }
        self.head = head;
        self.due_at = due_at;
        self.crashes = 0;
        let waited = std::mem::replace(&mut self.awaits, awaits);
        if waited == self.awaits { None } else { waited }
    }
}

fn is_same_attempt(one: &Head, other: &Head) -> bool {
    one.node == other.node && one.phase == other.phase && one.attempt == other.attempt
}

impl Run {
    fn awaiting_no_more(&mut self, waited: Option<Arc<str>>, id: &BranchId) {
        if let Some(name) = waited {
            self.awaiting.remove(&(name, id.clone()));
        }
    }
}

/// Whose write it is, and what it makes of the branch.
struct Writer {
    lease: LeaseId,
    run: RunNumber,
    /// The revision that the branch gets.
    revision: u64,
    held: bool,
    now: Timestamp,
}

impl Writer {
    fn due_at(&self, wake: Wake, stored: Option<Timestamp>) -> Option<Timestamp> {
        match wake {
            Wake::Now => Some(self.now),
            Wake::After(delay) => Some(self.now + delay),
            Wake::AsStored => stored,
        }
    }

    fn row(&self, id: &BranchId, entry: Entry) -> JournalRow {
        let Entry { kind, node, attempt, output, error } = entry;
        let (output, handed_on, same_as) = output.parts();
        let (output, handed_on, same_as) = (output.cloned(), handed_on.cloned(), same_as.cloned());
        let (run, branch, revision, lease, at) = (self.run, id.clone(), self.revision, Some(self.lease), self.now);
        JournalRow { run, branch, revision, lease, kind, node, attempt, output, handed_on, same_as, error, at }
    }
}
