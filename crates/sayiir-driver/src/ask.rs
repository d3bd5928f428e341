//! Asking a store until it answers.

use std::time::Duration;

use sayiir_persistence::{StoreError, StoreFuture};

use crate::host::Host;

const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Asks again, unchanged, while the store gives no answer, for at most `patience` (`None`: for ever).
/// Every operation of a store can be asked again: what was applied before says so.
pub(crate) async fn ask<'a, T>(
    host: &dyn Host,
    patience: Option<Duration>,
    mut operation: impl FnMut() -> StoreFuture<'a, T>,
) -> Result<T, StoreError> {
    let (mut wait, mut waited) = (FIRST_WAIT, Duration::ZERO);
    loop {
        let error = match operation().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !error.is_transient() || patience.is_some_and(|patience| waited >= patience) {
            return Err(error);
        }
        if wait == LONGEST_WAIT {
            tracing::warn!(%error, "the store gives no answer; asking again");
        }
        host.sleep(wait).await;
        waited += wait;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
