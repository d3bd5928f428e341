//! Keeps a session's leases, and aborts tasks whose branches are no longer its own.

use std::sync::{Arc, Weak};

use futures_util::future::{Either, select};

use crate::session::{Key, Session};

/// So many leases are renewed in one call.
const BATCH: usize = 512;

/// Starts the keeper of a session; it ends soon after the session does.
pub(crate) fn start(session: &Arc<Session>) {
    let keeper = keep(Arc::downgrade(session), Arc::clone(&session.store), Arc::clone(&session.host), session.options.ttl / 2);
    // Never aborted: it ends with its session.
    drop(session.host.spawn(Box::pin(keeper)));
}

async fn keep(
    session: Weak<Session>,
    store: Arc<dyn sayiir_persistence::Store>,
    host: Arc<dyn crate::host::Host>,
    half: std::time::Duration,
) {
    loop {
        let control = store.wakeups().listen_control();
        let mut timer = host.sleep(half);
        let woken = matches!(select(control, &mut timer).await, Either::Left(_));
        let Some(session) = session.upgrade() else { return };
        let held = session.held_keys();
        for batch in held.chunks(BATCH) {
            renew(&session, batch).await;
        }
        if woken {
            // A burst of announcements becomes one look.
            host.sleep(std::time::Duration::from_millis(10)).await;
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
