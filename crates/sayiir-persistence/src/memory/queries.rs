//! Reads: an instance, its journal, values, lists.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, JournalRef, RunNumber};
use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;

use super::data::{Data, Life, missing};
use crate::error::StoreError;
use crate::rows::unknown_run;
use crate::store::{InstanceFilter, InstanceRecord, InstanceSummary, ListOrder, RunState, RunningStatus};

/// How many instances a page has if the caller does not say.
const PAGE: usize = 1000;

impl Data {
    pub(super) fn instance(&self, instance_id: &str) -> Option<InstanceRecord> {
        let (id, instance) = self.instances.get_key_value(instance_id)?;
        let life = instance.life.as_ref()?;
        let input = self.runs.get(&life.run).and_then(|run| run.journal.value(&JournalRef::instance_input()));
        let paused_by = life.request.as_ref().filter(|_| life.state == RunState::Paused);
        Some(InstanceRecord {
            summary: self.summary(id, life),
            input: input.unwrap_or_default(),
            output: self.output(life),
            first_node: Arc::clone(&life.first_node),
            placement: life.placement.clone(),
            cancel_request: instance.cancel_request.clone().filter(|_| life.state != RunState::Cancelled),
            pause_request: paused_by.or(instance.pause_request.as_ref()).cloned(),
            branches: self.summaries(life.run),
            now: self.now,
        })
    }

    fn summary(&self, id: &Arc<str>, life: &Life) -> InstanceSummary {
        InstanceSummary {
            instance_id: Arc::clone(id),
            run: life.run,
            definition: life.definition.clone(),
            status: self.status(life),
            created_at: life.created_at,
            updated_at: life.updated_at,
            attributes: life.attributes.clone(),
        }
    }

    pub(super) fn list(&self, filter: &InstanceFilter) -> Vec<InstanceSummary> {
        let most = filter.limit.unwrap_or(PAGE);
        let from = filter.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let all = self.instances.range::<str, _>((from, Bound::Unbounded));
        let wanted = all.filter_map(|(id, instance)| Some((id, instance.life.as_ref()?))).filter(|(_, life)| self.admits(filter, life));
        match filter.order {
            ListOrder::ById => wanted.take(most).map(|(id, life)| self.summary(id, life)).collect(),
            ListOrder::NewestFirst { before } => {
                let mut wanted: Vec<_> = wanted.filter(|(_, life)| before.is_none_or(|before| life.run < before)).collect();
                wanted.sort_by_key(|(_, life)| std::cmp::Reverse(life.run));
                wanted.into_iter().take(most).map(|(id, life)| self.summary(id, life)).collect()
            }
        }
    }

    fn admits(&self, filter: &InstanceFilter, life: &Life) -> bool {
        let InstanceFilter { workflow, states, running, attributes, error_contains, created, updated, after: _, order: _, limit: _ } =
            filter;
        workflow.as_ref().is_none_or(|name| **name == *life.definition.name)
            && (states.is_empty() || states.contains(&life.state))
            && (running.is_empty() || RunningStatus::of(&self.status(life)).is_none_or(|status| running.contains(&status)))
            && attributes.iter().all(|attribute| attribute.admits(&life.attributes))
            && error_contains.as_ref().is_none_or(|text| life.error.as_ref().is_some_and(|error| error.contains(text)))
            && created.admits(life.created_at, self.now)
            && updated.admits(life.updated_at, self.now)
    }

    pub(super) fn journal_page(&self, run: RunNumber, after: Option<&(Timestamp, JournalRef)>, limit: usize) -> Vec<JournalRow> {
        self.runs.get(&run).map(|run| run.journal.page(after, limit)).unwrap_or_default()
    }

    /// A page of the journal without its values.
    pub(super) fn timeline(&self, run: RunNumber, after: Option<&(Timestamp, JournalRef)>, limit: usize) -> Vec<JournalRow> {
        let page = self.journal_page(run, after, limit);
        page.into_iter().map(|row| JournalRow { output: None, handed_on: None, ..row }).collect()
    }

    pub(super) fn read_values(&self, run: RunNumber, rows: &[JournalRef]) -> Result<Vec<Bytes>, StoreError> {
        let Some(of_run) = self.runs.get(&run) else { return no_run(run, rows.is_empty()) };
        let value =
            |row: &JournalRef| of_run.journal.value(row).ok_or_else(|| missing(of_run, "a reader", &row.branch, Some(row.revision)));
        rows.iter().map(value).collect()
    }

    pub(super) fn read_branch_outputs(&self, run: RunNumber, branches: &[BranchId]) -> Result<Vec<Bytes>, StoreError> {
        let Some(of_run) = self.runs.get(&run) else { return no_run(run, branches.is_empty()) };
        let last = |branch: &BranchId| of_run.journal.value_of(of_run.journal.last_of(branch)?);
        branches.iter().map(|branch| last(branch).ok_or_else(|| missing(of_run, "a join", branch, None))).collect()
    }
}

fn no_run(run: RunNumber, nothing_asked: bool) -> Result<Vec<Bytes>, StoreError> {
    if nothing_asked {
        return Ok(Vec::new());
    }
    Err(unknown_run(run))
}
