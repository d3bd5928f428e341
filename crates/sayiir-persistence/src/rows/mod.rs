//! For those who write a store over tables: what its rows hold, written once.
//!
//! [`Columns`] is a row of the database as this module reads it; [`BranchRow`], [`InstanceRow`] and [`journal_row`] are what
//! becomes of it. [`NewRow`] is a row of the journal on its way in. The names of the columns are those of the stores here
//! (`sayiir-sqlite`, `sayiir-postgres`); a store with other tables takes what fits.
//!
//! Invariant: a stored number keeps its meaning for ever, and one that no build knows is a corrupt store, not a guess.

mod columns;
mod read;
mod stage;
mod write;

use sayiir_core::branch::{BranchId, RunNumber};
use sayiir_core::time::Timestamp;

use crate::error::StoreError;

pub use columns::Columns;
pub use read::{BranchRow, InstanceRow, journal_row};
pub use stage::Stage;
pub use write::NewRow;

/// Heads or rows refer to a row of the journal that is not there, or holds no value. No revision: to the branch's last row.
pub fn missing_value(instance_id: Option<&str>, run: RunNumber, branch: &BranchId, revision: Option<u64>) -> StoreError {
    let instance = instance_id.unwrap_or("(replaced or deleted)");
    let row = revision.map_or_else(|| "any row".to_owned(), |revision| format!("the row at revision {revision}"));
    StoreError::corrupt(format!("the journal of instance {instance:?} (run {run}) lacks the value of {row} of branch {branch}"))
}

/// A question about a run whose journal is not there.
pub fn unknown_run(run: RunNumber) -> StoreError {
    StoreError::misused(format!("run {run} is not in the store (it was replaced or deleted)"))
}

/// The time of a row that stands behind those of other branches, of which the last is of this time.
pub fn time_behind(last: Option<Timestamp>, now: Timestamp) -> Timestamp {
    last.map_or(now, |last| now.max(Timestamp::from_micros(last.as_micros().saturating_add(1))))
}

/// Where the sub-steps of a task lie among the rows of its branch, in the order of node paths by bytes.
///
/// ```
/// use sayiir_persistence::rows::SubSteps;
///
/// let steps = SubSteps::of("fan/email");
/// assert!(steps.after < "fan/email/render".to_owned() && "fan/email/render".to_owned() < steps.before);
/// assert!(steps.has("fan/email/render") && !steps.has("fan/email/render/deeper"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubSteps {
    /// Their paths are greater than this, with which they begin.
    pub after: String,
    /// And less than this.
    pub before: String,
}

impl SubSteps {
    /// Those of the task at this node path.
    pub fn of(node: &str) -> Self {
        // The character behind the slash is the digit zero.
        Self { after: format!("{node}/"), before: format!("{node}0") }
    }

    /// Whether a path between the two is that of a sub-step of this task, and not of a node below it.
    pub fn has(&self, path: &str) -> bool {
        path.strip_prefix(self.after.as_str()).is_some_and(|name| !name.contains('/'))
    }
}
