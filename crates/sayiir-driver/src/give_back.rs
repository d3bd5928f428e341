//! Setting right what a session holds in the store with what it drives: giving back what nobody here drives any more, and driving what
//! it was given without being told.

use std::sync::Arc;

use sayiir_core::branch::{BranchView, RunNumber};
use sayiir_persistence::StoreError;

use crate::ask::ask;
use crate::group::Group;
use crate::session::Session;
use crate::workflows::WorkflowSet;

/// A request whose future was dropped may still be applied, and move a branch or make new ones, until something of ours that was
/// asked for after it is answered. So it is looked again so often.
const ROUNDS: usize = 3;

impl Session {
    /// Gives back the branches of a run that it still holds after the futures of `group` were dropped; not those that
    /// another group drives.
    pub async fn give_back(self: &Arc<Self>, group: &Arc<Group>, workflows: &WorkflowSet, run: RunNumber) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let mut branches = ask(&*self.host, self.options.patience, || self.store.load(self.lease, run, Vec::new())).await?;
            branches.retain(|branch| !self.held.is_another_groups(&(run, branch.branch.clone()), group));
            if branches.is_empty() {
                return Ok(());
            }
            for branch in branches {
                if let Some(workflow) = workflows.get(&branch.definition) {
                    self.hand_back(&**workflow, &branch).await?;
                }
            }
        }
        Ok(())
    }

    /// Gives back all that it holds after the futures that drove it have ended. It does not ask again: who stops has no time.
    pub(crate) async fn give_all_back(&self, workflows: &WorkflowSet) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let leased = self.store.leased(self.lease).await?;
            if leased.is_empty() {
                return Ok(());
            }
            for of_run in leased.chunk_by(|(one, ..), (other, ..)| one == other) {
                let Some((run, ..)) = of_run.first() else { continue };
                let branches = of_run.iter().map(|(_, branch, _)| branch.clone()).collect();
                let views = self.store.load(self.lease, *run, branches).await?;
                let back = views.iter().filter_map(|view| Self::hand_back_of(&**workflows.get(&view.definition)?, view)).collect();
                // Refused is as good: somebody else has it then.
                self.store.commit(self.lease, back).await?;
            }
        }
        // What still moves is taken over from it.
        self.store.expire_leases(self.lease).await.map(drop)
    }

    /// Drives what it was given without being told, since the answer to a claim was lost: of one run, or of all.
    pub(crate) async fn adopt(
        self: &Arc<Self>,
        group: &Arc<Group>,
        workflows: &Arc<WorkflowSet>,
        only: Option<RunNumber>,
    ) -> Result<bool, StoreError> {
        let mut leased = ask(&*self.host, self.options.patience, || self.store.leased(self.lease)).await?;
        leased.retain(|(run, branch, _)| only.is_none_or(|only| only == *run) && !self.held.contains(&(*run, branch.clone())));
        if leased.is_empty() {
            return Ok(false);
        }
        tracing::debug!(branches = leased.len(), "driving what was claimed without an answer");
        for of_run in leased.chunk_by(|(one, ..), (other, ..)| one == other) {
            let Some((run, ..)) = of_run.first() else { continue };
            let branches: Vec<_> = of_run.iter().map(|(_, branch, _)| branch.clone()).collect();
            for view in self.load(*run, branches).await? {
                // Among them may be what a commit, whose answer is under way, leaves with this session. As after a lapsed lease, both
                // drives then look where the branch stands.
                let crashes = view.crashes.max(1);
                self.drive(group, workflows, BranchView { crashes, ..view });
            }
        }
        Ok(true)
    }
}
