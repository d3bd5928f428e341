//! The orders in which branches are found: by lane, priority and `run_at`; by run and `run_at`; by lease.
//!
//! Invariant: a live branch stands in them exactly as its [`Slot`] says. An owner's step changes no slot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use sayiir_core::DefinitionHash;
use sayiir_core::branch::{BranchId, LeaseId, Placement, RunNumber};
use sayiir_core::priority::Priority;
use sayiir_core::time::Timestamp;

/// The number of a definition and tag set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LaneNumber(usize);

/// What of a branch is indexed. Changes only when a lease is taken or given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) lane: LaneNumber,
    pub(super) priority: Priority,
    pub(super) run_at: Option<Timestamp>,
    pub(super) lease: Option<LeaseId>,
}

/// A branch in a queue.
pub(super) type Due = (Timestamp, RunNumber, BranchId);

#[derive(Debug)]
struct Lane {
    tags: Arc<[String]>,
    queues: BTreeMap<Priority, BTreeSet<Due>>,
}

/// All orders of one store.
#[derive(Debug, Default)]
pub(super) struct Index {
    lanes: Vec<Lane>,
    by_definition: FxHashMap<DefinitionHash, Vec<LaneNumber>>,
    by_run: FxHashMap<RunNumber, BTreeSet<(Timestamp, BranchId)>>,
    by_lease: FxHashMap<LeaseId, BTreeSet<(RunNumber, BranchId)>>,
}

impl Index {
    /// The lane of this definition and these tags, made if it is new.
    pub(super) fn lane(&mut self, definition: DefinitionHash, placement: &Placement) -> LaneNumber {
        let lanes = self.by_definition.entry(definition).or_default();
        let known = lanes.iter().find(|lane| self.lanes.get(lane.0).is_some_and(|lane| lane.tags == placement.tags));
        if let Some(lane) = known {
            return *lane;
        }
        let number = LaneNumber(self.lanes.len());
        lanes.push(number);
        self.lanes.push(Lane { tags: Arc::clone(&placement.tags), queues: BTreeMap::new() });
        number
    }

    /// The tags that a worker of this lane must serve.
    pub(super) fn tags(&self, lane: LaneNumber) -> Arc<[String]> {
        self.lanes.get(lane.0).map_or_else(|| Arc::from([]), |lane| Arc::clone(&lane.tags))
    }

    /// The queues that a worker of these definitions and tags serves (no tags: all), with their priorities.
    pub(super) fn queues(&self, definitions: &[DefinitionHash], tags: &[String]) -> Vec<(Priority, &BTreeSet<Due>)> {
        let lanes: BTreeSet<_> = definitions.iter().filter_map(|definition| self.by_definition.get(definition)).flatten().collect();
        let lanes = lanes.into_iter().filter_map(|lane| self.lanes.get(lane.0));
        let served = lanes.filter(|lane| tags.is_empty() || lane.tags.iter().all(|tag| tags.contains(tag)));
        served.flat_map(|lane| lane.queues.iter().map(|(priority, queue)| (*priority, queue))).collect()
    }

    /// The branches of a run that are or will be due, soonest first.
    pub(super) fn of_run(&self, run: RunNumber) -> impl Iterator<Item = (Timestamp, &BranchId)> {
        self.by_run.get(&run).into_iter().flatten().map(|(at, branch)| (*at, branch))
    }

    /// The branches that a lease holds.
    pub(super) fn of_lease(&self, lease: LeaseId) -> impl Iterator<Item = &(RunNumber, BranchId)> {
        self.by_lease.get(&lease).into_iter().flatten()
    }

    /// The branches of one run that a lease holds.
    pub(super) fn of_lease_and_run(&self, lease: LeaseId, run: RunNumber) -> impl Iterator<Item = &BranchId> {
        let range = (run, BranchId::control())..(RunNumber(run.0 + 1), BranchId::control());
        self.by_lease.get(&lease).into_iter().flat_map(move |held| held.range(range.clone())).map(|(_, branch)| branch)
    }

    pub(super) fn insert(&mut self, run: RunNumber, branch: &BranchId, slot: Slot) {
        let Slot { lane, priority, run_at, lease } = slot;
        if let Some(at) = run_at {
            self.enqueue(run, branch, lane, priority, at);
        }
        if let Some(lease) = lease {
            self.by_lease.entry(lease).or_default().insert((run, branch.clone()));
        }
    }

    pub(super) fn remove(&mut self, run: RunNumber, branch: &BranchId, slot: Slot) {
        let Slot { lane, priority, run_at, lease } = slot;
        if let Some(at) = run_at {
            self.dequeue(run, branch, lane, priority, at);
        }
        if let Some(lease) = lease
            && let Some(held) = self.by_lease.get_mut(&lease)
        {
            held.remove(&(run, branch.clone()));
            if held.is_empty() {
                self.by_lease.remove(&lease);
            }
        }
    }

    /// Moves a branch from where `slot` has it to where `to` says.
    pub(super) fn replace(&mut self, run: RunNumber, branch: &BranchId, slot: &mut Slot, to: Slot) {
        if *slot != to {
            self.remove(run, branch, *slot);
            self.insert(run, branch, to);
            *slot = to;
        }
    }

    fn enqueue(&mut self, run: RunNumber, branch: &BranchId, lane: LaneNumber, priority: Priority, at: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(lane.0) {
            lane.queues.entry(priority).or_default().insert((at, run, branch.clone()));
        }
        self.by_run.entry(run).or_default().insert((at, branch.clone()));
    }

    fn dequeue(&mut self, run: RunNumber, branch: &BranchId, lane: LaneNumber, priority: Priority, at: Timestamp) {
        if let Some(queue) = self.lanes.get_mut(lane.0).and_then(|lane| lane.queues.get_mut(&priority)) {
            queue.remove(&(at, run, branch.clone()));
        }
        if let Some(of_run) = self.by_run.get_mut(&run) {
            of_run.remove(&(at, branch.clone()));
            if of_run.is_empty() {
                self.by_run.remove(&run);
            }
        }
    }
}
