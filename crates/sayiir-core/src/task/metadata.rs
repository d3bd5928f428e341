//! What is said of a task besides its code: none of it but the version is part of a definition's identity.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::branch::Placement;
use crate::priority::Priority;

/// What is said of a task besides its code.
///
/// ```
/// use std::time::Duration;
/// use sayiir_core::task::{RetryPolicy, TaskMetadata};
///
/// let metadata = TaskMetadata {
///     timeout: Some(Duration::from_secs(30)),
///     retries: Some(RetryPolicy::with_max_retries(3)),
///     tags: vec!["io".to_owned()],
///     ..Default::default()
/// };
/// assert_eq!(metadata.priority, None);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskMetadata {
    /// A name for people.
    pub display_name: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// The longest an attempt may take; then it is aborted and fails.
    pub timeout: Option<Duration>,
    /// Whether and when a failed attempt is repeated.
    pub retries: Option<RetryPolicy>,
    /// Tags that a worker must serve to run it.
    pub tags: Vec<String>,
    /// The version of its code. Part of the definition's identity.
    pub version: Option<String>,
    /// How urgent it is.
    pub priority: Option<Priority>,
}

impl TaskMetadata {
    /// Who may take a branch that is to run this task.
    pub fn placement(&self) -> Placement {
        let priority = self.priority.unwrap_or_default();
        if self.tags.is_empty() {
            return Placement { priority, ..Placement::default() };
        }
        let mut tags = self.tags.clone();
        tags.sort();
        tags.dedup();
        Placement { tags: Arc::from(tags), priority }
    }
}

/// When a failed attempt is repeated.
///
/// The wait before retry `n` (from 1) is `initial_delay * backoff_multiplier^(n - 1)`, at most
/// `max_delay`, less a jitter of up to a tenth.
///
/// ```
/// use std::time::Duration;
/// use sayiir_core::task::RetryPolicy;
///
/// // After 100 ms, 300 ms, 900 ms, 1 s, 1 s.
/// let policy = RetryPolicy {
///     max_retries: 5,
///     initial_delay: Duration::from_millis(100),
///     backoff_multiplier: 3.0,
///     max_delay: Some(Duration::from_secs(1)),
/// };
/// assert!(policy.max_retries > RetryPolicy::with_max_retries(3).max_retries);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How many retries follow the first attempt.
    pub max_retries: u32,
    /// The wait before the first retry.
    pub initial_delay: Duration,
    /// By how much each wait is longer than the one before it.
    pub backoff_multiplier: f32,
    /// The longest wait; one day if absent.
    pub max_delay: Option<Duration>,
}

impl RetryPolicy {
    /// So many retries, after 1 s, 2 s, 4 s and so on.
    pub const fn with_max_retries(max_retries: u32) -> Self {
        Self { max_retries, initial_delay: Duration::from_secs(1), backoff_multiplier: 2.0, max_delay: None }
    }
}
