//! Keeps a session's leases, and aborts tasks whose branches are no longer its own.

use std::sync::{Arc, Weak};
use std::time::Duration;

use event_listener::Event;
use futures_util::future::{Either, select};
use sayiir_persistence::Store;

use crate::host::Host;

use crate::session::{Key, Session};

/// So many leases are renewed in one call.
const BATCH: usize = 512;
/// For so long announcements are gathered after the first.
const BURST: Duration = Duration::from_millis(10);

/// Starts the keeper of a session; it ends with the session.
pub(crate) fn start(session: &Arc<Session>) {
    let keeper = Keeper {
        session: Arc::downgrade(session),
        ended: Arc::clone(&session.ended),
        store: Arc::clone(&session.store),
        host: Arc::clone(&session.host),
        half: session.options.ttl / 2,
    };
    // Never aborted: it ends by itself.
    drop(session.host.spawn(Box::pin(keeper.keep())));
}

struct Keeper {
    session: Weak<Session>,
    ended: Arc<Event>,
    store: Arc<dyn Store>,
    host: Arc<dyn Host>,
    half: Duration,
}

impl Keeper {
    async fn keep(self) {
        loop {
            let (control, ended) = (self.store.wakeups().listen_control(), self.ended.listen());
            // Looked at after listening: the session's end is not missed.
            if self.session.strong_count() == 0 {
                return;
            }
            let woken = matches!(select(control, select(self.host.sleep(self.half), ended)).await, Either::Left(_));
            let Some(session) = self.session.upgrade() else { return };
            let held = session.held_keys();
            for batch in held.chunks(BATCH) {
                renew(&session, batch).await;
            }
            drop(session);
            if woken {
                // A burst of announcements becomes one look.
                self.host.sleep(BURST).await;
            }
        }
    }
}

async fn renew(session: &Session, held: &[Key]) {
    match session.store.renew(session.lease, session.options.ttl, held.to_vec()).await {
        Ok(answers) => {
            for (key, _lost) in held.iter().zip(answers).filter(|(_, revision)| revision.is_none()) {
                session.abort_task(key);
            }
        }
        // The next round renews; until a lease is taken over nothing is lost.
        Err(error) => tracing::warn!(%error, "could not renew leases"),
    }
}
