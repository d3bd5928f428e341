//! Claims of single tasks, as tools that run tasks outside a worker see them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{DefinitionHash, TaskId};

/// A worker's right to run one task of an instance, until it expires or is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskClaim {
    /// The instance.
    pub instance_id: String,
    /// The task.
    pub task_id: TaskId,
    /// Who holds it.
    pub worker_id: String,
    /// When it was taken, by the store's clock, in seconds since the Unix epoch.
    pub claimed_at: u64,
    /// When it expires, by the store's clock, in seconds since the Unix epoch; `None` if never.
    pub expires_at: Option<u64>,
}

impl TaskClaim {
    /// Whether the claim has expired at `now`, in seconds since the Unix epoch.
    ///
    /// It is a hint: the claim ends when somebody else takes the task, and a late result is refused then.
    pub fn is_expired_at(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether the claim has expired by this machine's clock: the one place in this crate that reads a clock.
    /// Where there is none (wasm32), use [`is_expired_at`](Self::is_expired_at).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn is_expired(&self) -> bool {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        self.is_expired_at(since.map_or(0, |since| since.as_secs()))
    }
}

/// A task that a worker could claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvailableTask {
    /// The instance.
    pub instance_id: String,
    /// The task.
    pub task_id: TaskId,
    /// Its encoded input.
    pub input: Bytes,
    /// The instance's definition.
    pub workflow_definition_hash: DefinitionHash,
}
