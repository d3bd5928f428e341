//! What a mutant tells wrongly, and what it forgets of attributes.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::time::Timestamp;
use sayiir_persistence::{
    AgeRange, InstanceFilter, InstanceRecord, InstanceSummary, ListOrder, Store, StoreError, StoreHealth, StoreStats,
};

use super::{Bug, Mutant};

impl Mutant {
    pub(super) async fn mis_instance(&self, id: String) -> Result<Option<InstanceRecord>, StoreError> {
        let mut record = self.inner.instance(&id).await?;
        if self.has(Bug::ProgressKept)
            && let Some(branch) = record.as_mut().and_then(|record| record.branches.first_mut())
        {
            let mut last = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            branch.progress = branch.progress.take().or_else(|| last.clone());
            (*last).clone_from(&branch.progress);
        }
        if self.has(Bug::InputForgotten) {
            record = record.map(|record| InstanceRecord { input: Bytes::new(), ..record });
        }
        Ok(record)
    }

    pub(super) async fn mis_journal(
        &self,
        run: RunNumber,
        after: Option<(Timestamp, JournalRef)>,
        limit: usize,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let limit = if self.has(Bug::JournalUnlimited) { usize::MAX } else { limit };
        let paging = after.is_some();
        let mut rows = self.inner.journal(run, after, limit).await?;
        match self.bug {
            Bug::JournalReversed => rows.reverse(),
            Bug::JournalSkips if paging && !rows.is_empty() => drop(rows.remove(0)),
            _ => {}
        }
        Ok(rows)
    }

    pub(super) async fn mis_list(&self, mut filter: InstanceFilter) -> Result<Vec<InstanceSummary>, StoreError> {
        match self.bug {
            Bug::ListIgnoresAfter => filter.after = None,
            Bug::ListIgnoresLimit => filter.limit = None,
            Bug::ListIgnoresStates => filter.states.clear(),
            Bug::ListIgnoresRunning => filter.running.clear(),
            Bug::ListIgnoresWorkflow => filter.workflow = None,
            Bug::ListIgnoresAttributes => filter.attributes.clear(),
            Bug::ListSeesOneAttribute => filter.attributes.truncate(1),
            Bug::ListIgnoresAges => (filter.created, filter.updated) = (AgeRange::default(), AgeRange::default()),
            Bug::ListIgnoresErrors => filter.error_contains = None,
            Bug::ListIgnoresOrder => filter.order = ListOrder::ById,
            Bug::ListIgnoresBefore if filter.order != ListOrder::ById => filter.order = ListOrder::NewestFirst { before: None },
            _ => {}
        }
        let mut all = self.inner.list(filter).await?;
        if self.has(Bug::ListReversed) {
            all.reverse();
        }
        Ok(all)
    }

    pub(super) async fn mis_sub_steps(
        &self,
        run: RunNumber,
        mut branch: BranchId,
        node: Arc<str>,
    ) -> Result<Vec<(Arc<str>, Bytes)>, StoreError> {
        match self.bug {
            Bug::SubStepsForgotten => return Ok(Vec::new()),
            Bug::SubStepsOfTheRoot => branch = BranchId::root(),
            Bug::SubStepsOfAllNodes => {
                let rows = self.inner.journal(run, None, usize::MAX).await?.into_iter().filter(|row| row.branch == branch);
                let found = rows.filter(|row| row.kind == EntryKind::SubStepCompleted);
                return Ok(found.map(|row| (row.node, row.output.unwrap_or_default())).collect());
            }
            Bug::SubStepsOfOneAttempt => {
                let rows = self.inner.journal(run, None, usize::MAX).await?.into_iter().filter(|row| row.branch == branch);
                if rows.clone().any(|row| row.kind == EntryKind::AttemptFailed) {
                    return Ok(Vec::new());
                }
            }
            _ => {}
        }
        self.inner.sub_steps(run, branch, node).await
    }

    pub(super) async fn mis_set_search_attributes(
        &self,
        lease: LeaseId,
        run: RunNumber,
        branch: BranchId,
        attributes: SearchAttributes,
    ) -> Result<bool, StoreError> {
        match self.bug {
            Bug::AttributesOfTasksForgotten => return Ok(true),
            Bug::AttributesOneByOne => {
                let mut set = true;
                for (name, value) in attributes {
                    let one = SearchAttributes::from([(name, value)]);
                    set = self.inner.set_search_attributes(lease, run, branch.clone(), one).await?;
                }
                return Ok(set);
            }
            _ => {}
        }
        let set = self.inner.set_search_attributes(lease, run, branch, attributes).await?;
        Ok(set || self.has(Bug::AttributesUnfenced))
    }

    pub(super) async fn mis_stats(&self) -> Result<StoreStats, StoreError> {
        let mut stats = self.inner.stats().await?;
        match self.bug {
            Bug::StatsForgetWaiting => stats.branches.waiting = 0,
            Bug::StatsForgetStates => stats.workflows.truncate(1),
            _ => {}
        }
        Ok(stats)
    }

    pub(super) async fn mis_health(&self) -> Result<StoreHealth, StoreError> {
        let mut health = self.inner.health().await?;
        match self.bug {
            Bug::HealthForgetsLapsed => health.lapsed.clear(),
            Bug::HealthForgetsLanes => health.lanes.truncate(1),
            Bug::SessionsKept => health.sessions.clone_from(&self.sessions.lock().unwrap_or_else(PoisonError::into_inner)),
            _ => {}
        }
        Ok(health)
    }
}
