//! What the in-memory store holds, and the small questions that every operation asks of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, Head, JournalRef, LeaseId, Phase, Placement, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::rules::{Rule, holds};
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::WorkflowStatus;

use super::index::{Index, LaneNumber, Slot};
use super::journal::Journal;
use crate::error::StoreError;
use crate::rows::Stage;
use crate::status::status_of;
use crate::store::{BranchSummary, BranchView, Definition, EventHead, Process, Progress, RunState, UNNAMED_TTL};

/// A row of the table of live branches.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) revision: u64,
    pub(super) head: Head,
    pub(super) slot: Slot,
    pub(super) due_at: Option<Timestamp>,
    pub(super) awaits: Option<Arc<str>>,
    pub(super) pending: u32,
    pub(super) crashes: u32,
    pub(super) attempt_at: Timestamp,
    /// Boxed: most branches have none.
    pub(super) progress: Option<Box<Progress>>,
}

/// A run: its live branches and its journal. A run that ended or was replaced has only the journal.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) instance_id: Arc<str>,
    pub(super) definition: DefinitionHash,
    pub(super) trace: Option<Arc<str>>,
    /// Boxed: most runs have one branch, in a tree node with room for eleven.
    pub(super) branches: BTreeMap<BranchId, Box<Branch>>,
    /// Which branches await which event.
    pub(super) awaiting: BTreeSet<(Arc<str>, BranchId)>,
    pub(super) journal: Journal,
}

impl Run {
    pub(super) fn new(instance_id: Arc<str>, definition: DefinitionHash, trace: Option<Arc<str>>) -> Self {
        Self { instance_id, definition, trace, branches: BTreeMap::new(), awaiting: BTreeSet::new(), journal: Journal::default() }
    }
}

/// A waiting event.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) at: Timestamp,
    pub(super) payload: Bytes,
}

/// Everything under one instance id but its branches and journal.
#[derive(Debug, Default)]
pub(super) struct Instance {
    /// When its id became known.
    pub(super) made_at: Timestamp,
    /// How many events were ever sent.
    pub(super) mail: u64,
    /// The waiting events by name; no name without events.
    pub(super) events: BTreeMap<Arc<str>, BTreeMap<u64, Event>>,
    /// The keys of all events ever sent to the present run.
    pub(super) keys: BTreeSet<Arc<str>>,
    pub(super) cancel_request: Option<SignalRequest>,
    pub(super) pause_request: Option<SignalRequest>,
    /// `None` while the id has only events, and counts as unknown.
    pub(super) life: Option<Life>,
}

/// The present run of an instance.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) run: RunNumber,
    /// The run before it, whose journal is kept so that a late writer learns what became of its write.
    pub(super) previous: Option<RunNumber>,
    pub(super) definition: Definition,
    /// The starter's; none if the run came by an import.
    pub(super) nonce: Option<u128>,
    pub(super) state: RunState,
    /// The request that cancelled the run or holds it.
    pub(super) request: Option<SignalRequest>,
    pub(super) error: Option<String>,
    pub(super) output: Option<JournalRef>,
    /// The control counter: revisions under [`BranchId::control`].
    pub(super) control: u64,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) first_node: Arc<str>,
    pub(super) placement: Placement,
    pub(super) attributes: SearchAttributes,
}

impl Life {
    /// Whether the run goes on or is paused.
    pub(super) const fn is_live(&self) -> bool {
        self.state.is_live()
    }

    pub(super) fn enter(&mut self, state: RunState, now: Timestamp) {
        self.state = state;
        self.updated_at = now;
    }
}

impl Instance {
    pub(super) fn live(&self, run: RunNumber) -> Option<&Life> {
        self.life.as_ref().filter(|life| life.run == run && life.is_live())
    }

    pub(super) fn is_paused(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.state == RunState::Paused)
    }

    /// A recorded request that is not applied yet; cancel before pause.
    pub(super) fn requested(&self) -> Option<SignalKind> {
        let stage = self.life.as_ref().map_or(Stage::MailOnly, |life| Stage::Run(life.state));
        stage.requested(self.cancel_request.is_some(), self.pause_request.is_some())
    }

    /// When a branch that nobody holds can be taken.
    pub(super) fn free_run_at(&self, branch: &Branch, now: Timestamp) -> Option<Timestamp> {
        if branch.pending > 0 {
            None
        } else if self.requested().is_some() {
            Some(now)
        } else if self.is_paused() {
            None
        } else {
            match &branch.awaits {
                Some(name) if self.events.contains_key(name) && holds(Rule::UnpauseSeesEvents) => Some(now),
                Some(_) => branch.due_at,
                None => Some(branch.due_at.unwrap_or(now)),
            }
        }
    }

    pub(super) fn event_heads(&self) -> Vec<EventHead> {
        let first = |(name, events): (&Arc<str>, &BTreeMap<u64, Event>)| {
            events.first_key_value().map(|(seq, event)| EventHead { name: Arc::clone(name), seq: *seq, at: event.at })
        };
        self.events.iter().filter_map(first).collect()
    }

    /// Takes an event out.
    pub(super) fn take_event(&mut self, name: &str, seq: u64) -> Option<Event> {
        let events = self.events.get_mut(name)?;
        let event = events.remove(&seq);
        if events.is_empty() {
            self.events.remove(name);
        }
        event
    }
}

/// A worker session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) process: Option<Process>,
    /// As it last said.
    pub(super) ttl: Option<Duration>,
    pub(super) seen_at: Timestamp,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) last_run: u64,
    pub(super) last_lease: u64,
    pub(super) sessions: BTreeMap<LeaseId, Session>,
    pub(super) instances: BTreeMap<Arc<str>, Instance>,
    pub(super) runs: FxHashMap<RunNumber, Run>,
    pub(super) index: Index,
    /// What was said of each definition, as text.
    pub(super) documents: BTreeMap<DefinitionHash, Arc<str>>,
    /// The latest time given out: the store's time never goes back.
    pub(super) now: Timestamp,
}

impl Data {
    pub(super) fn ttl(&self, lease: LeaseId) -> Duration {
        self.sessions.get(&lease).and_then(|session| session.ttl).unwrap_or(UNNAMED_TTL)
    }

    pub(super) fn remember_ttl(&mut self, lease: LeaseId, ttl: Duration) {
        let session = self.sessions.entry(lease).or_insert(Session { process: None, ttl: None, seen_at: self.now });
        (session.ttl, session.seen_at) = (Some(ttl), self.now);
    }

    pub(super) fn new_run(&mut self) -> RunNumber {
        self.last_run += 1;
        RunNumber(self.last_run)
    }

    /// The branch as its owner sees it. The input is what the caller found.
    pub(super) fn view(&self, number: RunNumber, id: &BranchId, input: Bytes) -> Option<BranchView> {
        let run = self.runs.get(&number)?;
        let branch = run.branches.get(id)?;
        let instance = self.instances.get(&run.instance_id)?;
        Some(BranchView {
            instance_id: Arc::clone(&run.instance_id),
            run: number,
            definition: run.definition,
            branch: id.clone(),
            revision: branch.revision,
            head: branch.head.clone(),
            crashes: branch.crashes,
            due_at: branch.due_at,
            pending: branch.pending,
            paused: instance.is_paused(),
            requested: instance.requested(),
            mail: instance.mail,
            events: instance.event_heads(),
            input,
            trace: run.trace.clone(),
            now: self.now,
        })
    }

    /// The value of a head's input; empty while joining.
    pub(super) fn input_of(&self, number: RunNumber, id: &BranchId) -> Result<Bytes, StoreError> {
        let run = self.runs.get(&number);
        let Some((run, branch)) = run.and_then(|run| Some((run, run.branches.get(id)?))) else { return Ok(Bytes::new()) };
        match branch.head.phase {
            Phase::Joining => Ok(Bytes::new()),
            Phase::Start | Phase::At | Phase::Delaying | Phase::Awaiting => {
                let input = &branch.head.input;
                run.journal.value(input).ok_or_else(|| missing(run, &branch.head.node, &input.branch, Some(input.revision)))
            }
        }
    }

    pub(super) fn summaries(&self, number: RunNumber) -> Vec<BranchSummary> {
        let branches = self.runs.get(&number).map(|run| &run.branches);
        branches.into_iter().flatten().map(|(id, branch)| summary(id, branch, self.index.tags(branch.slot.lane))).collect()
    }

    pub(super) fn status(&self, life: &Life) -> WorkflowStatus {
        let branches = if life.state == RunState::Running { self.summaries(life.run) } else { Vec::new() };
        status_of(life.state, &branches, life.error.as_deref(), life.request.as_ref(), self.now)
    }

    /// Deletes every head of a run.
    pub(super) fn delete_heads(&mut self, number: RunNumber) {
        if let Some(run) = self.runs.get_mut(&number) {
            for (id, branch) in std::mem::take(&mut run.branches) {
                self.index.remove(number, &id, branch.slot);
            }
            run.awaiting.clear();
        }
    }

    /// Makes a head.
    pub(super) fn insert_head(&mut self, number: RunNumber, id: BranchId, branch: Branch) {
        if let Some(run) = self.runs.get_mut(&number) {
            self.index.insert(number, &id, branch.slot);
            if let Some(name) = &branch.awaits {
                run.awaiting.insert((Arc::clone(name), id.clone()));
            }
            run.branches.insert(id, Box::new(branch));
        }
    }

    /// The root branch at the start of a run.
    pub(super) fn root_at_start(lane: LaneNumber, placement: &Placement, first_node: Arc<str>, now: Timestamp) -> Branch {
        Branch {
            revision: 1,
            head: Head { node: first_node, phase: Phase::Start, attempt: 0, input: JournalRef::instance_input(), fork_revision: 0 },
            slot: Slot { lane, priority: placement.priority, run_at: Some(now), lease: None },
            due_at: Some(now),
            awaits: None,
            pending: 0,
            crashes: 0,
            attempt_at: now,
            progress: None,
        }
    }
}

/// A row that heads or rows refer to, but that is not there.
pub(super) fn missing(run: &Run, node: &str, branch: &BranchId, revision: Option<u64>) -> StoreError {
    let instance = &run.instance_id;
    let row = revision.map_or_else(|| "any row".to_owned(), |revision| format!("the row at revision {revision}"));
    let reason = format!("the journal of instance {instance:?} lacks {row} of branch {branch}, which {node:?} refers to");
    StoreError::corrupt(reason)
}

pub(super) fn summary(id: &BranchId, branch: &Branch, tags: Arc<[String]>) -> BranchSummary {
    let Branch { revision, head, slot, due_at, awaits, pending, crashes, attempt_at, progress } = branch;
    BranchSummary {
        branch: id.clone(),
        revision: *revision,
        head: head.clone(),
        lease: slot.lease,
        run_at: slot.run_at,
        due_at: *due_at,
        awaits: awaits.clone(),
        pending: *pending,
        placement: Placement { tags, priority: slot.priority },
        crashes: *crashes,
        attempt_at: *attempt_at,
        progress: progress.as_deref().cloned(),
    }
}

/// A journal row without a value.
pub(super) fn bare_row(run: RunNumber, branch: BranchId, revision: u64, kind: EntryKind, node: Arc<str>, at: Timestamp) -> JournalRow {
    JournalRow { run, branch, revision, lease: None, kind, node, attempt: 0, output: None, handed_on: None, same_as: None, error: None, at }
}
