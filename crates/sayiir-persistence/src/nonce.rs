//! Nonces of starts: a number that no other start has, so that a start can be asked again.

use crate::error::StoreError;
use crate::store::Store;

/// A number that no other start has: a process's own random keys over a counter.
#[cfg(not(target_arch = "wasm32"))]
#[expect(clippy::unused_async, reason = "on wasm32 the store is asked")]
pub(crate) async fn fresh(_store: &dyn Store) -> Result<u128, StoreError> {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

    static KEYS: LazyLock<(RandomState, RandomState)> = LazyLock::new(Default::default);
    static COUNTER: AtomicU64 = AtomicU64::new(0);

    let seed = (COUNTER.fetch_add(1, Ordering::Relaxed), std::process::id(), SystemTime::now());
    let (high, low) = (KEYS.0.hash_one(seed), KEYS.1.hash_one(seed));
    Ok(u128::from(high) << 64 | u128::from(low))
}

/// A number that no other start has. Here is no randomness to be had, but the store hands out numbers once.
#[cfg(target_arch = "wasm32")]
pub(crate) async fn fresh(store: &dyn Store) -> Result<u128, StoreError> {
    let process = crate::store::Process { host: String::new(), pid: 0, started: 0, worker_id: "start".to_owned() };
    let lease = store.open_session(process).await?;
    Ok(u128::from(lease.0))
}
