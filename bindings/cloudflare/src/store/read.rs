//! What people and clients ask: instances, lists of them, journals and values.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::branch::{BranchId, JournalRef, RunNumber};
use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::rows::{SubSteps, unknown_run};
use sayiir_persistence::{BranchSummary, InstanceRecord, InstanceSummary, RunState, status_of};

use super::SqlStore;
use super::fault::Outcome;
use super::rows::{InstanceRow, SUMMARY, instances, missing_value, summary, tags_text, value_of};
use crate::sql::{Row, statement};

/// An instance that has a run, with its live branches, read at one moment.
pub(super) struct Found {
    pub(super) instance: InstanceRow,
    pub(super) branches: Vec<BranchSummary>,
    pub(super) now: Timestamp,
}

impl Found {
    pub(super) fn status(&self) -> WorkflowStatus {
        status(&self.instance, &self.branches, self.now)
    }
}

fn status(instance: &InstanceRow, branches: &[BranchSummary], now: Timestamp) -> WorkflowStatus {
    status_of(instance.state, branches, instance.error.as_deref(), instance.request.as_ref(), now)
}

pub(super) fn branches_of(condition: &str) -> String {
    format!("SELECT {SUMMARY} FROM sayiir_branch b LEFT JOIN sayiir_lane l ON l.id = b.lane WHERE {condition} ORDER BY b.run, b.branch")
}

impl SqlStore {
    /// `None` for an id that has no run.
    pub(super) async fn find(&self, instance_id: &Arc<str>) -> Outcome<Option<Found>> {
        let now = self.now();
        let branches = branches_of("b.run = (SELECT run FROM sayiir_instance WHERE instance_id = ?1)");
        let statements = vec![statement!(instances!("WHERE i.instance_id = ?1"), instance_id), statement!(branches, instance_id)];
        let mut answers = self.batch(statements).await?;
        let Some(instance) = answers.first()?.map(|row| InstanceRow::read(&row)).transpose()?.flatten() else { return Ok(None) };
        let branches = answers.next()?.iter().map(|row| Ok(summary(row)?.1)).collect::<Outcome<Vec<_>>>()?;
        Ok(Some(Found { instance, branches, now }))
    }

    pub(super) async fn record(self, instance_id: Arc<str>) -> Outcome<Option<InstanceRecord>> {
        let now = self.now();
        let values = concat!(
            "SELECT ",
            value_of!("i.run", "'0'", "1"),
            " AS input, CASE WHEN i.status = 2 THEN ",
            value_of!("i.run", "i.end_branch", "i.end_revision"),
            " END AS output FROM sayiir_instance i WHERE i.instance_id = ?1"
        );
        let branches = branches_of("b.run = (SELECT run FROM sayiir_instance WHERE instance_id = ?1)");
        let statements = vec![
            statement!(instances!("WHERE i.instance_id = ?1"), &instance_id),
            statement!(branches, &instance_id),
            statement!(values, &instance_id),
        ];
        let mut answers = self.batch(statements).await?;
        let Some(found) = answers.first()?.map(|row| InstanceRow::read(&row)).transpose()?.flatten() else { return Ok(None) };
        let branches = answers.next()?.iter().map(|row| Ok(summary(row)?.1)).collect::<Outcome<Vec<_>>>()?;
        let values = answers.first()?.unwrap_or_default();
        let mut columns = values.columns();
        let (input, output): (Option<Bytes>, Option<Bytes>) = (columns.take()?, columns.take()?);
        let missing = |of: &JournalRef| missing_value(&instance_id, found.run, of);
        let input = input.ok_or_else(|| missing(&JournalRef::instance_input()))?;
        if let (RunState::Completed, Some(end), None) = (found.state, &found.end, &output) {
            return Err(missing(end));
        }
        Ok(Some(InstanceRecord {
            input,
            output,
            first_node: Arc::clone(&found.first_node),
            placement: found.placement.clone(),
            cancel_request: found.cancel.clone().filter(|_| found.state != RunState::Cancelled),
            pause_request: found.request.clone().filter(|_| found.state == RunState::Paused).or_else(|| found.pause.clone()),
            now,
            summary: in_list(found, &branches, now),
            branches,
        }))
    }

    /// A page of a run's journal in the order of time, branch, revision. The keys are sorted without the payloads.
    pub(super) async fn page(self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> Outcome<Vec<JournalRow>> {
        let sql = "SELECT j.run, j.branch, j.revision, j.lease, j.kind, j.node, j.attempt, j.output, j.handed_on, j.same_branch, \
                   j.same_revision, j.error, j.at FROM (SELECT branch, revision, at FROM sayiir_journal WHERE run = ?1 \
                   AND (at, branch, revision) > (?2, ?3, ?4) ORDER BY at, branch, revision LIMIT ?5) k \
                   JOIN sayiir_journal j ON j.run = ?1 AND j.branch = k.branch AND j.revision = k.revision \
                   ORDER BY k.at, k.branch, k.revision";
        self.paged(sql, run, after, limit).await
    }

    /// The same without the values, which are not read.
    pub(super) async fn outline(self, run: RunNumber, after: Option<(Timestamp, JournalRef)>, limit: usize) -> Outcome<Vec<JournalRow>> {
        let sql = "SELECT run, branch, revision, lease, kind, node, attempt, NULL AS output, NULL AS handed_on, \
                   same_branch, same_revision, error, at FROM sayiir_journal WHERE run = ?1 AND (at, branch, revision) > (?2, ?3, ?4) \
                   ORDER BY at, branch, revision LIMIT ?5";
        self.paged(sql, run, after, limit).await
    }

    async fn paged(
        &self,
        sql: &'static str,
        run: RunNumber,
        after: Option<(Timestamp, JournalRef)>,
        limit: usize,
    ) -> Outcome<Vec<JournalRow>> {
        let before_time = || (Timestamp::from_micros(i64::MIN), JournalRef { branch: BranchId::control(), revision: 0 });
        let (at, row) = after.unwrap_or_else(before_time);
        let rows = self.ask(statement!(sql, run, at, &row.branch, row.revision, limit)).await?;
        rows.iter().map(journal_row).collect()
    }

    pub(super) async fn values(&self, run: RunNumber, of: &[JournalRef]) -> Outcome<Vec<Bytes>> {
        let sql = concat!("SELECT ", value_of!("?1", "?2", "?3"), " AS value");
        let ask = |of: &JournalRef| statement!(sql, run, &of.branch, of.revision);
        let rows = self.of_run(run, of.iter().map(ask).collect()).await?;
        self.present(run, rows, |index| of.get(index).cloned()).await
    }

    /// The value of each branch's last row.
    pub(super) async fn branch_outputs(&self, run: RunNumber, branches: &[BranchId]) -> Outcome<Vec<Bytes>> {
        let sql = concat!(
            "SELECT ",
            value_of!("?1", "?2", "(SELECT max(revision) FROM sayiir_journal WHERE run = ?1 AND branch = ?2)"),
            " AS value"
        );
        let rows = self.of_run(run, branches.iter().map(|branch| statement!(sql, run, branch)).collect()).await?;
        let last = |index: usize| branches.get(index).map(|branch| JournalRef { branch: branch.clone(), revision: 0 });
        self.present(run, rows, last).await
    }

    /// The values in these rows; an error that names the instance if one is not there.
    async fn present(&self, run: RunNumber, rows: Vec<Option<Row>>, of: impl Fn(usize) -> Option<JournalRef>) -> Outcome<Vec<Bytes>> {
        let mut values = Vec::with_capacity(rows.len());
        for (index, row) in rows.into_iter().enumerate() {
            let value = row.map(|row| row.columns().take::<Option<Bytes>>()).transpose()?.flatten();
            let Some(value) = value else {
                let found = self.ask(statement!("SELECT instance_id FROM sayiir_instance WHERE run = ?1", run)).await?;
                let id: Option<String> = found.first().map(|row| row.columns().take()).transpose()?;
                let of = of(index).unwrap_or_else(JournalRef::instance_input);
                return Err(missing_value(id.as_deref().unwrap_or("(replaced or deleted)"), run, &of));
            };
            values.push(value);
        }
        Ok(values)
    }

    /// Asks for values of a run, each by a statement of one row; an error if nothing is known of the run.
    async fn of_run(&self, run: RunNumber, statements: Vec<crate::sql::Statement>) -> Outcome<Vec<Option<Row>>> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let asked = statements.len();
        let known = statement!("SELECT EXISTS (SELECT 1 FROM sayiir_journal WHERE run = ?1)", run);
        let mut answers = self.batch(statements.into_iter().chain([known]).collect()).await?;
        let rows = (0..asked).map(|_| answers.first()).collect::<Outcome<Vec<_>>>()?;
        if answers.first()?.map(|row| row.columns().take::<bool>()).transpose()? == Some(true) {
            return Ok(rows);
        }
        Err(unknown_run(run).into())
    }

    /// The sub-steps stored by the task at this node path of the branch, in order of path.
    pub(super) async fn sub_steps_of(self, run: RunNumber, branch: BranchId, node: Arc<str>) -> Outcome<Vec<(Arc<str>, Bytes)>> {
        let sql = "SELECT node, output FROM sayiir_journal WHERE run = ?1 AND branch = ?2 AND node > ?3 AND node < ?4 AND kind = 17 \
                   ORDER BY node";
        let of_this = SubSteps::of(&node);
        let rows = self.ask(statement!(sql, run, &branch, &of_this.after, &of_this.before)).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let mut columns = row.columns();
            let (path, output): (Arc<str>, Bytes) = (columns.take()?, columns.take()?);
            if of_this.has(&path) {
                found.push((path, output));
            }
        }
        Ok(found)
    }

    pub(super) async fn document(self, hash: DefinitionHash) -> Outcome<Option<Arc<str>>> {
        let sql = "SELECT document FROM sayiir_definition WHERE hash = ?1 AND document IS NOT NULL ORDER BY id LIMIT 1";
        let rows = self.ask(statement!(sql, hash.to_hex())).await?;
        Ok(rows.first().map(|row| row.columns().take()).transpose()?)
    }

    /// Which of these nodes have a result in the journal of the run, and in which row: the first of each.
    pub(super) async fn results_of(&self, run: RunNumber, nodes: &[String]) -> Outcome<HashMap<Arc<str>, JournalRef>> {
        let sql = "SELECT node, kind, branch, revision FROM sayiir_journal WHERE run = ?1 AND output IS NOT NULL \
                   AND node IN (SELECT value FROM json_each(?2)) ORDER BY at, branch, revision";
        let mut results = HashMap::new();
        for row in self.ask(statement!(sql, run, tags_text(nodes))).await? {
            let mut columns = row.columns();
            let (node, kind): (Arc<str>, sayiir_core::journal::EntryKind) = (columns.take()?, columns.take()?);
            if kind.is_result() {
                let row = JournalRef { branch: columns.take()?, revision: columns.take()? };
                results.entry(node).or_insert(row);
            }
        }
        Ok(results)
    }
}

pub(super) fn in_list(instance: InstanceRow, branches: &[BranchSummary], now: Timestamp) -> InstanceSummary {
    let live = if instance.state == RunState::Running { branches } else { &[] };
    let status = status(&instance, live, now);
    let InstanceRow { run, instance_id, definition, created_at, updated_at, attributes, .. } = instance;
    InstanceSummary { instance_id, run, definition, status, created_at, updated_at, attributes }
}

fn journal_row(row: &Row) -> Outcome<JournalRow> {
    let mut columns = row.columns();
    let (run, branch, revision, lease, kind) = (columns.take()?, columns.take()?, columns.take()?, columns.take()?, columns.take()?);
    let (node, attempt, output, handed_on) = (columns.take()?, columns.take()?, columns.take()?, columns.take()?);
    let same: (Option<BranchId>, Option<u64>) = (columns.take()?, columns.take()?);
    let same_as = same.0.zip(same.1).map(|(branch, revision)| JournalRef { branch, revision });
    let (error, at) = (columns.take()?, columns.take()?);
    Ok(JournalRow { run, branch, revision, lease, kind, node, attempt, output, handed_on, same_as, error, at })
}
