//! The journal of one run: rows in the order in which they were written, found by branch and revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, JournalRef};
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::time::Timestamp;

/// The rows of one run. Their times never fall.
#[derive(Debug, Default)]
pub(super) struct Journal {
    rows: Vec<JournalRow>,
    /// For each branch its revisions, rising, and where their rows are.
    places: BTreeMap<BranchId, Vec<(u64, usize)>>,
    /// Where the sub-steps of each branch are, by node path.
    sub_steps: BTreeMap<(BranchId, Arc<str>), usize>,
}

impl Journal {
    pub(super) fn push(&mut self, row: JournalRow) {
        let place = (row.revision, self.rows.len());
        if row.kind == EntryKind::SubStepCompleted {
            self.sub_steps.insert((row.branch.clone(), Arc::clone(&row.node)), self.rows.len());
        }
        match self.places.get_mut(&row.branch) {
            Some(places) => places.push(place),
            None => {
                self.places.insert(row.branch.clone(), vec![place]);
            }
        }
        self.rows.push(row);
    }

    pub(super) fn get(&self, branch: &BranchId, revision: u64) -> Option<&JournalRow> {
        let places = self.places.get(branch)?;
        let found = places.binary_search_by_key(&revision, |(revision, _)| *revision).ok()?;
        self.rows.get(places.get(found)?.1)
    }

    pub(super) fn last_of(&self, branch: &BranchId) -> Option<&JournalRow> {
        self.rows.get(self.places.get(branch)?.last()?.1)
    }

    /// The first row with this node's own output.
    pub(super) fn output_of(&self, node: &str) -> Option<&JournalRow> {
        self.rows.iter().find(|row| row.kind.is_result() && &*row.node == node && row.output.is_some())
    }

    /// The sub-steps stored by the task at this node path of the branch, in order of path.
    pub(super) fn sub_steps(&self, branch: &BranchId, node: &str) -> Vec<(Arc<str>, Bytes)> {
        let under = format!("{node}/");
        let from = (branch.clone(), Arc::<str>::from(under.as_str()));
        let below = self.sub_steps.range(from..).take_while(|((id, path), _)| id == branch && path.starts_with(&under));
        let of_this = below.filter(|((_, path), _)| !path[under.len()..].contains('/'));
        of_this.filter_map(|((_, path), row)| Some((Arc::clone(path), self.rows.get(*row)?.output.clone()?))).collect()
    }

    /// The value that a row holds: handed on, else output, else of the row it refers to.
    pub(super) fn value(&self, of: &JournalRef) -> Option<Bytes> {
        self.value_of(self.get(&of.branch, of.revision)?)
    }

    pub(super) fn value_of<'a>(&'a self, mut row: &'a JournalRow) -> Option<Bytes> {
        for _ in 0..self.rows.len() {
            if let Some(value) = row.handed_on.as_ref().or(row.output.as_ref()) {
                return Some(value.clone());
            }
            let of = row.same_as.as_ref()?;
            row = self.get(&of.branch, of.revision)?;
        }
        None
    }

    /// Up to `limit` rows behind `after`.
    pub(super) fn page(&self, after: Option<&(Timestamp, JournalRef)>, limit: usize) -> Vec<JournalRow> {
        let start = after.map_or(0, |(at, row)| {
            let first = self.rows.partition_point(|row| row.at < *at);
            let same_time = self.rows.iter().skip(first).take_while(|row| row.at == *at);
            let behind = same_time.enumerate().find(|(_, found)| found.branch == row.branch && found.revision == row.revision);
            behind.map_or_else(|| self.rows.partition_point(|row| row.at <= *at), |(offset, _)| first + offset + 1)
        });
        self.rows.iter().skip(start).take(limit).cloned().collect()
    }
}
