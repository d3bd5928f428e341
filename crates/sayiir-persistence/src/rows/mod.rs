//! For those who write a store over tables: what its rows hold, written once.
//!
//! [`Columns`] is a row of the database as this module reads it; [`BranchRow`], [`InstanceRow`] and [`journal_row`] are what
//! becomes of it. [`NewRow`] is a row of the journal on its way in. The names of the columns are those of the stores here
//! (`sayiir-sqlite`, `sayiir-postgres`); a store with other tables takes what fits.
//!
//! # The columns
//!
//! So they are read by name, each by the method of [`Columns`] that heads its line; those in *italics* may be null. A negative
//! number is unreadable, but for times (microseconds since 1970), `lane` and `definition`.
//!
//! [`BranchRow::read`]:
//!
//! - `number`: `run`, `revision`, *`lease`*, `input_revision`, `fork_revision`, *`lane`* (null is 0); times: `moved_at`, `attempt_at`,
//!   *`due_at`*, *`run_at`*, *`progress_at`*
//! - `code`: `phase`, `priority`; `count`: `crashes`, `attempt`, `pending`
//! - `branch`: `branch`, `input_branch`; `text`: `node`, *`awaits`*
//! - `bytes`: *`progress`*, read if `progress_at` is not null
//!
//! [`InstanceRow::read`], of an instance that is joined with its definition, if it has one:
//!
//! - `code`: `status` and `flag`: `paused`, which are a [`Stage`] together
//! - `number`: `run`, *`previous`*, *`definition`* (the number of its row), `mail`, *`end_revision`*; times: `created_at`, `updated_at`,
//!   *`request_at`*, *`cancel_at`*, *`pause_at`*
//! - `branch`: `end_branch`, read if `end_revision` is not null
//! - `bytes`: *`hash`* (32 of them), *`nonce`* (16, the most significant first)
//! - `text`: `instance_id`, *`name`*, *`version`*, *`trace`*; and, read if the time of the same request is not null, *`request_reason`*,
//!   *`request_by`*, *`cancel_reason`*, *`cancel_by`*, *`pause_reason`*, *`pause_by`*
//!
//! [`journal_row`]:
//!
//! - `number`: `run`, `revision`, *`lease`*, *`same_revision`*; time: `at`
//! - `code`: `kind`; `count`: `attempt`
//! - `branch`: `branch`, and `same_branch`, read if `same_revision` is not null
//! - `text`: `node`, *`error`*; `bytes`: *`output`*, *`handed_on`*
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
