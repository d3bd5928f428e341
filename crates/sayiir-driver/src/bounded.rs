//! A session's way to its store, on which no request hangs for ever.
//!
//! Invariant: what is not answered within one lease counts as unavailable, its outcome unknown: it may be applied still, as after any lost
//! reply. A drive that waited longer would keep its branch from whoever takes it after the lease, this very session among them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use sayiir_core::future::MaybeSend;
use sayiir_persistence::{AroundStore, Operation, Store, StoreError, StoreFuture, forward_store};

use crate::host::Host;

/// A store that answers within a time, or is taken to be away.
pub(crate) struct Bounded {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) within: Duration,
}

impl AroundStore for Bounded {
    fn around<'a, T: MaybeSend + 'a>(
        &'a self,
        operation: Operation,
        ask: impl FnOnce() -> StoreFuture<'a, T> + MaybeSend + 'a,
    ) -> StoreFuture<'a, T> {
        let mut asked = ask();
        Box::pin(async move {
            // What is there at once needs no timer.
            if let Some(answer) = (&mut asked).now_or_never() {
                return answer;
            }
            match select(asked, self.host.sleep(self.within)).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => {
                    tracing::warn!(?operation, within = ?self.within, "a request to the store is not answered; it is given up");
                    let reason = format!("the store has not answered {operation:?} within {:?}", self.within);
                    Err(StoreError::Unavailable { reason, source: None })
                }
            }
        })
    }
}

impl Store for Bounded {
    forward_store!(around | me | me.inner);
}
