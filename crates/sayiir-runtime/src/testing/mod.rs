//! Workflows in unit tests: a clock that the test moves, tasks replaced by stubs, crashes, and what the journal then says.
//!
//! A [`TestRun`] is one instance on a store in memory, driven by the real engine and worker. Time stands still until the test
//! moves it; every timer on the way fires in order, at its own time. A delay of 30 days takes no time at all.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use sayiir_runtime::prelude::*;
//! use sayiir_runtime::testing::TestRun;
//!
//! const DAY: Duration = Duration::from_secs(86_400);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let context = WorkflowContext::new("trial", Arc::new(JsonCodec), Arc::new(()));
//! let trial = WorkflowBuilder::new(context)
//!     .then("welcome", |mail: String| async move { Ok(mail) })
//!     .delay("trial", 30 * DAY)
//!     .then("charge", |mail: String| async move { Ok(format!("charged {mail}")) })
//!     .with_metadata(TaskMetadata { retries: Some(RetryPolicy::with_max_retries(3)), ..Default::default() })
//!     .build()?;
//!
//! let mut test = TestRun::of(&trial)
//!     .stub("welcome", |mail: String| async move { Ok(mail) }) // no mail is sent
//!     .fail("charge", 2, "the bank is closed") // the first two attempts
//!     .start("ada@example.org".to_owned())
//!     .await?;
//! test.advance(29 * DAY).await;
//! test.timeline().await.ran(&["welcome"]);
//! test.advance(DAY + Duration::from_secs(3)).await; // and two backoffs
//! assert_eq!(test.output().await?, "charged ada@example.org");
//! assert_eq!(test.timeline().await.attempts("charge"), 3);
//! # Ok(())
//! # }
//! ```
//!
//! Backoffs are those of the retry policy, less a jitter of up to a tenth that is the same in each run of a test: the policy's
//! own figure is always enough.

mod run;
mod setup;
mod timeline;
mod world;

pub use run::TestRun;
pub use setup::TestSetup;
pub use timeline::Timeline;
