//! What running tasks said about how far they are.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sayiir_core::codec::{Decoder, JsonCodec};
use sayiir_core::error::CodecError;
use sayiir_persistence::{BranchSummary, Progress};
use serde::de::DeserializeOwned;

/// The latest progress of a task.
///
/// ```
/// use sayiir_runtime::prelude::*;
/// use sayiir_runtime::testing::TestRun;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let work = workflow! { name: "work", steps: [long(x: u32) {
///     let context = task_context!().ok_or("not in a workflow")?;
///     context.report_progress(&(1, 3)).await?;
///     std::future::pending::<()>().await; // and on it goes
///     Ok(x)
/// }] }?;
/// let test = TestRun::of(&work).start(1).await?;
/// let progress = test.progress().await?;
/// assert_eq!((&*progress[0].node, progress[0].decode::<(u32, u32)>()?), ("long", (1, 3)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskProgress {
    /// The task's node path, with iterations.
    pub node: Arc<str>,
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// What it said, as JSON.
    pub payload: Bytes,
    /// When it said so, by the store's clock.
    pub at: DateTime<Utc>,
}

impl TaskProgress {
    pub(crate) fn of(branch: BranchSummary) -> Option<Self> {
        let Progress { payload, at } = branch.progress?;
        Some(Self { node: branch.head.node, attempt: branch.head.attempt + 1, payload, at: at.into() })
    }

    /// What it said.
    ///
    /// # Errors
    ///
    /// If that is no `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        JsonCodec.decode(self.payload.clone()).map_err(|source| CodecError::Decode {
            type_name: std::any::type_name::<T>(),
            context: format!("the progress of {}", self.node),
            source,
        })
    }
}
