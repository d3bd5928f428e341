//! Why a transition was not applied; unless it was applied already.

use sayiir_core::branch::LeaseId;
use sayiir_core::transition::Transition;
use sayiir_persistence::CommitOutcome;
use sayiir_persistence::meet::refused;

use super::SqlStore;
use super::fault::Outcome;
use crate::sql::statement;

impl SqlStore {
    /// Looks for the writer's own row first: a reply may have been lost.
    pub(super) async fn refusal(&self, lease: LeaseId, transition: &Transition) -> Outcome<CommitOutcome> {
        let Transition { instance_id, run, branch, revision, entry: _, guard: _, held: _, next: _ } = transition;
        let sql = "SELECT EXISTS (SELECT 1 FROM sayiir_journal WHERE run = ?1 AND branch = ?2 AND revision = ?3 AND lease = ?4), \
                   (SELECT status FROM sayiir_instance WHERE run = ?1 AND instance_id = ?5 AND status > 0), \
                   EXISTS (SELECT 1 FROM sayiir_branch WHERE run = ?1 AND branch = ?2 AND lease = ?4)";
        let rows = self.ask(statement!(sql, *run, branch, revision + 1, lease, instance_id)).await?;
        let row = rows.into_iter().next().unwrap_or_default();
        let mut columns = row.columns();
        let (wrote, status, held): (bool, Option<i64>, bool) = (columns.take()?, columns.take()?, columns.take()?);
        Ok(refused(wrote, status.map(|status| status == 1), held))
    }
}
