//! What operators do: purge, rewind, counts and health; and the search attributes that instances are found by.

use std::collections::BTreeMap;
use std::sync::Arc;

use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, Head, LeaseId, Phase, RunNumber};
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::time::Timestamp;

use super::data::{Branch, Data, Instance, Life, Run, bare_row};
use super::index::{LaneNumber, Slot};
use super::journal::Journal;
use crate::door;
use crate::error::StoreError;
use crate::store::{
    BranchHealth, Countable, HEALTH_ROWS, LaneHealth, Limits, PurgeRequest, Purgeable, Rewind, RewindOutcome, RunState, SessionHealth,
    StoreHealth, StoreStats, WorkflowStats,
};
use crate::wakeups::News;

impl Data {
    pub(super) fn set_search_attributes(
        &mut self,
        limits: &Limits,
        lease: LeaseId,
        number: RunNumber,
        id: &BranchId,
        set: SearchAttributes,
    ) -> Result<bool, StoreError> {
        let run = self.runs.get(&number);
        let Some(run) = run.filter(|run| run.branches.get(id).is_some_and(|branch| branch.slot.lease == Some(lease))) else {
            return Ok(false);
        };
        let life = self.instances.get_mut(&run.instance_id).and_then(|instance| instance.life.as_mut());
        let Some(life) = life.filter(|life| life.run == number) else { return Ok(false) };
        let new = set.keys().filter(|name| !life.attributes.contains_key(*name)).count();
        door::check_attribute_count(limits, life.attributes.len() + new, || format!("instance {:?}", run.instance_id))?;
        life.attributes.extend(set);
        Ok(true)
    }

    pub(super) fn purge(&mut self, request: &PurgeRequest, news: &mut News) -> u64 {
        let PurgeRequest { what, older_than, limit } = request;
        let is_old = |at: Timestamp| at + *older_than <= self.now;
        let goes = |instance: &Instance| match (what, &instance.life) {
            (Purgeable::Ended { workflow }, Some(life)) => {
                let of_workflow = workflow.as_ref().is_none_or(|name| **name == *life.definition.name);
                (of_workflow && !life.is_live() && is_old(life.updated_at)).then_some(life.updated_at)
            }
            (Purgeable::UnclaimedEvents, None) => {
                let all_old = instance.events.values().flat_map(BTreeMap::values).all(|event| is_old(event.at));
                (all_old && is_old(instance.made_at)).then_some(instance.made_at)
            }
            (Purgeable::Ended { .. }, None) | (Purgeable::UnclaimedEvents, Some(_)) => None,
        };
        let mut old: Vec<_> = self.instances.iter().filter_map(|(id, instance)| Some((goes(instance)?, Arc::clone(id)))).collect();
        old.sort_unstable();
        old.truncate(*limit);
        for (_, id) in &old {
            self.delete(id, news);
        }
        old.len() as u64
    }

    pub(super) fn rewind(&mut self, rewind: Rewind, news: &mut News) -> Result<RewindOutcome, StoreError> {
        let Rewind { instance_id, expected, nonce, keep, node, input, placement, request } = rewind;
        let Some(instance) = self.instances.get_mut(&instance_id) else { return Ok(RewindOutcome::NotFound) };
        let Some(life) = &instance.life else { return Ok(RewindOutcome::NotFound) };
        if life.nonce == Some(nonce) {
            return Ok(RewindOutcome::Rewound { run: life.run });
        }
        if life.run != expected {
            return Ok(RewindOutcome::Moved { run: life.run });
        }
        let Some(old) = self.runs.get(&expected) else { return Err(lacks(&instance_id, keep)) };
        if old.journal.get(&BranchId::root(), keep).is_none() || old.journal.get(&input.branch, input.revision).is_none() {
            return Err(lacks(&instance_id, keep));
        }
        let hash = old.definition;
        let mut run = Run::new(Arc::clone(&instance_id), hash, old.trace.clone());
        self.last_run += 1;
        let number = RunNumber(self.last_run);
        run.journal = kept(&old.journal, keep, number);
        let row = bare_row(number, BranchId::root(), keep + 1, EntryKind::Rewound, Arc::clone(&node), self.now);
        run.journal.push(JournalRow { same_as: Some(input.clone()), error: request.in_words(), ..row });
        (instance.cancel_request, instance.pause_request) = (None, None);
        let oldest = instance.life.as_mut().and_then(|life| life.begin_again(number, nonce, self.now));
        self.delete_heads(expected);
        if let Some(oldest) = oldest {
            self.runs.remove(&oldest);
        }
        self.runs.insert(number, run);
        let slot = Slot { lane: self.index.lane(hash, &placement), priority: placement.priority, run_at: Some(self.now), lease: None };
        let head = Head { node, phase: Phase::At, attempt: 0, input, fork_revision: 0 };
        let (revision, due_at, attempt_at) = (keep + 1, Some(self.now), self.now);
        let root = Branch { revision, head, slot, due_at, awaits: None, pending: 0, crashes: 0, attempt_at, progress: None };
        self.insert_head(number, BranchId::root(), root);
        news.due = true;
        news.control = true;
        news.instance(&instance_id);
        Ok(RewindOutcome::Rewound { run: number })
    }

    pub(super) fn stats(&self) -> StoreStats {
        let mut stats = StoreStats { now: self.now, ..StoreStats::default() };
        for instance in self.instances.values() {
            stats.events += instance.events.values().map(|events| events.len() as u64).sum::<u64>();
            let Some(life) = &instance.life else { continue };
            let name = &life.definition.name;
            let place = stats.workflows.binary_search_by(|found| found.workflow.cmp(name)).unwrap_or_else(|place| {
                stats.workflows.insert(place, WorkflowStats { workflow: Arc::clone(name), ..WorkflowStats::default() });
                place
            });
            if let Some(of_name) = stats.workflows.get_mut(place) {
                *of_name.of(life.state) += 1;
            }
            for branch in self.runs.get(&life.run).iter().flat_map(|run| run.branches.values()) {
                *stats.branches.of(countable(branch, life.state), self.now) += 1;
            }
        }
        stats
    }

    pub(super) fn health(&self) -> StoreHealth {
        let mut found = StoreHealth {
            schema: Arc::from("memory"),
            now: self.now,
            sessions: self.session_health(),
            lanes: Vec::new(),
            lapsed: Vec::new(),
            crashed: Vec::new(),
            set_aside: Vec::new(),
        };
        for instance in self.instances.values() {
            let Some(life) = &instance.life else { continue };
            let Some(run) = self.runs.get(&life.run) else { continue };
            for (id, branch) in &run.branches {
                let due = branch.slot.run_at.filter(|at| *at <= self.now);
                if let Some(at) = due {
                    self.count_due(&mut found.lanes, life, branch, at);
                }
                let seen = BranchHealth {
                    instance_id: Arc::clone(&run.instance_id),
                    run: life.run,
                    branch: id.clone(),
                    node: Arc::clone(&branch.head.node),
                    lease: branch.slot.lease,
                    run_at: branch.slot.run_at,
                    crashes: branch.crashes,
                };
                if due.is_some() && branch.slot.lease.is_some() {
                    found.lapsed.push(seen.clone());
                }
                if branch.crashes > 0 {
                    found.crashed.push(seen);
                }
            }
        }
        let place = |branch: &BranchHealth| (branch.run, branch.branch.clone());
        found.lanes.sort_by_key(|lane| std::cmp::Reverse(lane.oldest));
        found.lapsed.sort_by_key(|branch| (branch.run_at, place(branch)));
        found.crashed.sort_by_key(|branch| (std::cmp::Reverse(branch.crashes), place(branch)));
        found.lanes.truncate(HEALTH_ROWS);
        found.lapsed.truncate(HEALTH_ROWS);
        found.crashed.truncate(HEALTH_ROWS);
        found
    }

    fn count_due(&self, lanes: &mut Vec<LaneHealth>, life: &Life, branch: &Branch, at: Timestamp) {
        let (tags, oldest) = (self.index.tags(branch.slot.lane), self.now.since(at));
        let known = lanes.iter_mut().find(|lane| lane.definition.hash == life.definition.hash && lane.tags == tags);
        if let Some(lane) = known {
            (lane.due, lane.oldest) = (lane.due + 1, lane.oldest.max(oldest));
            return;
        }
        let held = self.holders_in(branch.slot.lane);
        let (leased, holders) = (held.values().sum(), held.len() as u64);
        lanes.push(LaneHealth { definition: life.definition.clone(), tags, due: 1, oldest, leased, holders });
    }

    /// How many branches of a lane each session holds.
    fn holders_in(&self, lane: LaneNumber) -> BTreeMap<LeaseId, u64> {
        let mut holders = BTreeMap::new();
        for branch in self.runs.values().flat_map(|run| run.branches.values()).filter(|branch| branch.slot.lane == lane) {
            if let Some(lease) = branch.slot.lease.filter(|_| branch.slot.run_at.is_some_and(|at| at > self.now)) {
                *holders.entry(lease).or_default() += 1;
            }
        }
        holders
    }

    fn session_health(&self) -> Vec<SessionHealth> {
        let known = self.sessions.iter().filter_map(|(lease, session)| {
            let held = || self.index.of_lease(*lease);
            let ends = held().filter_map(|(run, id)| self.runs.get(run)?.branches.get(id)?.slot.run_at);
            Some(SessionHealth {
                lease: *lease,
                process: session.process.clone()?,
                branches: held().count() as u64,
                seen_at: session.seen_at,
                leased_until: ends.max(),
                ttl: session.ttl,
            })
        });
        let mut sessions: Vec<_> = known.collect();
        sessions.sort_by_key(|session| std::cmp::Reverse((session.seen_at, session.lease)));
        sessions.truncate(HEALTH_ROWS);
        sessions
    }
}

fn countable(branch: &Branch, state: RunState) -> Countable {
    let Slot { lane: _, priority: _, run_at, lease } = branch.slot;
    Countable { leased: lease.is_some(), run_at, joining: branch.pending > 0, awaiting: branch.awaits.is_some(), state }
}

/// The rows that a rewind keeps: the root's up to `keep`, and those of branches of forks that it made before.
fn kept(journal: &Journal, keep: u64, number: RunNumber) -> Journal {
    let mut copy = Journal::default();
    let root = BranchId::root();
    for row in journal.page(None, usize::MAX) {
        let is_kept = if row.branch == root { row.revision <= keep } else { row.branch.root_fork().is_some_and(|fork| fork < keep) };
        if is_kept {
            copy.push(JournalRow { run: number, ..row });
        }
    }
    copy
}

fn lacks(instance_id: &str, keep: u64) -> StoreError {
    let reason = format!(
        "a rewind of instance {instance_id:?} is to keep the root branch's row at revision {keep} and its input's, which are not there"
    );
    StoreError::Misused { reason }
}

impl Life {
    /// Becomes the life of a rewound run; says which run's journal is no longer wanted.
    fn begin_again(&mut self, run: RunNumber, nonce: u128, now: Timestamp) -> Option<RunNumber> {
        let Self {
            run: current,
            previous,
            definition: _,
            nonce: own,
            state,
            request,
            error,
            output,
            control,
            created_at,
            updated_at,
            first_node: _,
            placement: _,
            attributes: _,
        } = self;
        let oldest = previous.replace(*current);
        (*current, *own, *state, *control) = (run, Some(nonce), RunState::Running, 0);
        (*request, *error, *output) = (None, None, None);
        (*created_at, *updated_at) = (now, now);
        oldest
    }
}
