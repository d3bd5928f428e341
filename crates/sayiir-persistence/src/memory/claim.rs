//! Leases: who takes which branch, for how long, and what it sees.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_core::priority::Priority;
use sayiir_core::rules::{Rule, holds};
use sayiir_core::time::Timestamp;

use super::data::{Data, Session};
use super::index::Slot;
use crate::error::StoreError;
use crate::store::{BranchView, CALL_IDLE, ClaimRequest, ClaimScope, FORGOTTEN_AT_ONCE, Process, Progress, SESSION_IDLE};
use crate::wakeups::News;

impl Data {
    pub(super) fn open_session(&mut self, process: Process) -> LeaseId {
        self.last_lease += 1;
        let lease = LeaseId(self.last_lease);
        self.forget_sessions();
        self.sessions.insert(lease, Session { process: Some(process), ttl: None, seen_at: self.now });
        lease
    }

    /// Forgets some of the sessions that hold nothing and were not seen for long.
    fn forget_sessions(&mut self) {
        let is_idle = |session: &Session| {
            let call = session.process.as_ref().is_none_or(|process| process.pid == 0);
            session.seen_at + if call { CALL_IDLE } else { SESSION_IDLE } <= self.now
        };
        let idle = self.sessions.iter().filter(|(lease, session)| is_idle(session) && self.index.of_lease(**lease).next().is_none());
        let idle: Vec<_> = idle.map(|(lease, _)| *lease).take(FORGOTTEN_AT_ONCE).collect();
        for lease in idle {
            self.sessions.remove(&lease);
        }
    }

    pub(super) fn sessions_on(&self, host: &str) -> Vec<(LeaseId, Process)> {
        let holding = self.sessions.iter().filter(|(lease, _)| self.index.of_lease(**lease).next().is_some());
        let processes = holding.filter_map(|(lease, session)| Some((*lease, session.process.clone()?)));
        processes.filter(|(_, process)| process.host == host).collect()
    }

    pub(super) fn expire_leases(&mut self, lease: LeaseId, news: &mut News) -> u64 {
        let held: Vec<_> = self.index.of_lease(lease).cloned().collect();
        for (run, id) in &held {
            self.reslot(*run, id, |slot, now| Slot { run_at: Some(now), ..slot });
        }
        news.due = !held.is_empty();
        held.len() as u64
    }

    /// Changes a branch's slot and with it its place in the index.
    fn reslot(&mut self, run: RunNumber, id: &BranchId, change: impl FnOnce(Slot, Timestamp) -> Slot) {
        if let Some(branch) = self.runs.get_mut(&run).and_then(|run| run.branches.get_mut(id)) {
            let to = change(branch.slot, self.now);
            self.index.replace(run, id, &mut branch.slot, to);
        }
    }

    pub(super) fn claim(&mut self, request: &ClaimRequest) -> Result<Vec<BranchView>, StoreError> {
        let ClaimRequest { lease, ttl, limit, scope } = request;
        let due = match scope {
            ClaimScope::Definitions { hashes, tags, ageing } => self.due_by_rank(hashes, tags, *ageing, *limit),
            ClaimScope::Instance(id) => self.due_of_instance(id, *limit),
            ClaimScope::Branch { run, branch } => {
                let due = self.run_at(*run, branch).is_some_and(|at| at <= self.now) && *limit > 0;
                due.then(|| (*run, branch.clone())).into_iter().collect()
            }
        };
        let inputs: Vec<_> = due.iter().map(|(run, id)| self.input_of(*run, id)).collect::<Result<_, _>>()?;
        self.remember_ttl(*lease, *ttl);
        let mut views = Vec::with_capacity(due.len());
        for ((run, id), input) in due.into_iter().zip(inputs) {
            if let Some(branch) = self.runs.get_mut(&run).and_then(|run| run.branches.get_mut(&id)) {
                branch.revision += u64::from(holds(Rule::ClaimMoves));
                branch.attempt_at = self.now;
                branch.crashes += u32::from(branch.slot.lease.is_some());
                let to = Slot { run_at: Some(self.now + *ttl), lease: Some(*lease), ..branch.slot };
                self.index.replace(run, &id, &mut branch.slot, to);
            }
            views.extend(self.view(run, &id, input));
        }
        Ok(views)
    }

    /// When a branch can be taken.
    fn run_at(&self, run: RunNumber, branch: &BranchId) -> Option<Timestamp> {
        self.runs.get(&run)?.branches.get(branch)?.slot.run_at
    }

    fn due_of_instance(&self, instance_id: &str, limit: usize) -> Vec<(RunNumber, BranchId)> {
        let life = self.instances.get(instance_id).and_then(|instance| instance.life.as_ref());
        let Some(run) = life.map(|life| life.run) else { return Vec::new() };
        let due = self.index.of_run(run).take_while(|(at, _)| *at <= self.now).take(limit);
        due.map(|(_, id)| (run, id.clone())).collect()
    }

    /// The due branches of these lanes in order of `run_at + (priority - 1) * ageing`: one arm for each
    /// lane and priority, merged, so that nothing else is looked at.
    fn due_by_rank(&self, hashes: &[DefinitionHash], tags: &[String], ageing: Duration, limit: usize) -> Vec<(RunNumber, BranchId)> {
        let mut arms: Vec<_> = self.index.queues(hashes, tags).into_iter().map(|(priority, queue)| (priority, queue.iter())).collect();
        let rank = |priority: Priority, at: Timestamp| at + ageing * u32::from(priority.as_u8() - 1);
        let due = |at: Timestamp| at <= self.now;
        let mut heads = BinaryHeap::with_capacity(arms.len());
        for (number, (priority, arm)) in arms.iter_mut().enumerate() {
            heads.extend(arm.next().filter(|head| due(head.0)).map(|head| Reverse((rank(*priority, head.0), head, number))));
        }
        let mut picked = Vec::new();
        while picked.len() < limit
            && let Some(Reverse((_, (_, run, id), number))) = heads.pop()
        {
            picked.push((*run, id.clone()));
            if let Some((priority, arm)) = arms.get_mut(number) {
                heads.extend(arm.next().filter(|head| due(head.0)).map(|head| Reverse((rank(*priority, head.0), head, number))));
            }
        }
        picked
    }

    pub(super) fn next_due(&self, scope: &ClaimScope) -> Option<Duration> {
        let first = match scope {
            ClaimScope::Definitions { hashes, tags, ageing: _ } => {
                self.index.queues(hashes, tags).into_iter().filter_map(|(_, queue)| queue.first().map(|(at, _, _)| *at)).min()
            }
            ClaimScope::Instance(id) => {
                let life = self.instances.get(id).and_then(|instance| instance.life.as_ref());
                life.and_then(|life| self.index.of_run(life.run).next()).map(|(at, _)| at)
            }
            ClaimScope::Branch { run, branch } => self.run_at(*run, branch),
        };
        first.map(|at| at.since(self.now))
    }

    pub(super) fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> Result<Vec<BranchView>, StoreError> {
        let branches = if branches.is_empty() { self.index.of_lease_and_run(lease, run).cloned().collect() } else { branches };
        let mut views = Vec::with_capacity(branches.len());
        for id in branches {
            let branch = self.runs.get(&run).and_then(|run| run.branches.get(&id));
            if branch.is_some_and(|branch| branch.slot.lease == Some(lease)) {
                views.extend(self.view(run, &id, self.input_of(run, &id)?));
            }
        }
        Ok(views)
    }

    pub(super) fn leased(&self, lease: LeaseId) -> Vec<(RunNumber, BranchId, u64)> {
        let revision = |run: &RunNumber, id: &BranchId| Some(self.runs.get(run)?.branches.get(id)?.revision);
        self.index.of_lease(lease).filter_map(|(run, id)| Some((*run, id.clone(), revision(run, id)?))).collect()
    }

    pub(super) fn renew(&mut self, lease: LeaseId, ttl: Duration, branches: &[(RunNumber, BranchId)]) -> Vec<Option<u64>> {
        self.remember_ttl(lease, ttl);
        let mut answers = Vec::with_capacity(branches.len());
        for (run, id) in branches {
            let branch = self.runs.get(run).and_then(|run| run.branches.get(id));
            let held = branch.filter(|branch| branch.slot.lease == Some(lease)).map(|branch| branch.revision);
            if held.is_some() {
                self.reslot(*run, id, |slot, now| Slot { run_at: Some(now + ttl), ..slot });
            }
            answers.push(held);
        }
        answers
    }

    pub(super) fn report_progress(&mut self, lease: LeaseId, run: RunNumber, id: &BranchId, payload: Bytes) -> bool {
        let now = self.now;
        let branch = self.runs.get_mut(&run).and_then(|run| run.branches.get_mut(id));
        let Some(branch) = branch.filter(|branch| branch.slot.lease == Some(lease)) else { return false };
        branch.progress = Some(Box::new(Progress { payload, at: now }));
        true
    }
}
