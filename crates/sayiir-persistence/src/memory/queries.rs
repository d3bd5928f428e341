//! Reads: an instance, its journal, values, lists.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, JournalRef, RunNumber};
use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;

use super::data::{Data, Life, missing};
use crate::error::StoreError;
use crate::store::{InstanceFilter, InstanceRecord, InstanceSummary, RunState};

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
        }
    }

    pub(super) fn list(&self, filter: &InstanceFilter) -> Vec<InstanceSummary> {
        let InstanceFilter { workflow, states, after, limit } = filter;
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let all = self.instances.range::<str, _>((from, Bound::Unbounded));
        let lives = all.filter_map(|(id, instance)| Some((id, instance.life.as_ref()?)));
        let wanted = lives.filter(|(_, life)| {
            workflow.as_ref().is_none_or(|name| **name == *life.definition.name) && (states.is_empty() || states.contains(&life.state))
        });
        wanted.take(limit.unwrap_or(PAGE)).map(|(id, life)| self.summary(id, life)).collect()
    }

    pub(super) fn journal_page(&self, run: RunNumber, after: Option<&(Timestamp, JournalRef)>, limit: usize) -> Vec<JournalRow> {
        self.runs.get(&run).map(|run| run.journal.page(after, limit)).unwrap_or_default()
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
    Err(StoreError::Misused { reason: format!("run {run} is not in the store (it was replaced or deleted)") })
}
