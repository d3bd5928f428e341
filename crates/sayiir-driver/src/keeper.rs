//! Keeps a session's leases, and aborts tasks whose branches are no longer its own.

use std::sync::{Arc, Weak};
use std::time::Duration;

use event_listener::EventListener;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use sayiir_core::control::SignalKind;
use sayiir_persistence::Store;

use crate::figures;
use crate::host::Host;
use crate::session::{HeldOnce, Session};

/// So many leases are renewed in one call.
const BATCH: usize = 512;
/// A burst of announcements becomes one look in this time.
const BURST: Duration = Duration::from_millis(50);

/// Starts the keeper of a session; it ends when `ended` resolves, which is when the session is dropped.
pub(crate) fn start(session: &Arc<Session>, ended: oneshot::Receiver<()>) {
    let news = session.store.wakeups().listen_control();
    let (store, host) = (Arc::clone(&session.store), Arc::clone(&session.host));
    let keeper = keep(Arc::downgrade(session), store, host, session.options.ttl / 2, news, ended);
    // Never aborted: it ends with its session.
    drop(session.host.spawn(Box::pin(keeper)));
}

async fn keep(
    session: Weak<Session>,
    store: Arc<dyn Store>,
    host: Arc<dyn Host>,
    half: Duration,
    mut news: EventListener,
    mut ended: oneshot::Receiver<()>,
) {
    let mut timer = host.sleep(half);
    loop {
        let told = match select(&mut ended, select(&mut news, &mut timer)).await {
            Either::Left(_) => return,
            Either::Right((Either::Left(_), _)) => true,
            Either::Right((Either::Right(_), _)) => false,
        };
        if told {
            // Before the look, so that nothing is missed.
            news = store.wakeups().listen_control();
        } else {
            timer = host.sleep(half);
        }
        let Some(session) = session.upgrade() else { return };
        let held = session.held_now();
        if told {
            for run in held.chunk_by(|((one, _), _), ((other, _), _)| one == other) {
                look(&session, run).await;
            }
            drop(session);
            host.sleep(BURST).await;
        } else {
            for batch in held.chunks(BATCH) {
                if !renew(&session, batch).await {
                    // There is time for a few more tries before the leases end.
                    timer = host.sleep(half / 8);
                }
            }
        }
    }
}

/// Looks what became of branches of one run. It writes nothing: another process would take that for news in its turn.
async fn look(session: &Session, held: &[HeldOnce]) {
    let Some(((run, _), _)) = held.first() else { return };
    let ids = held.iter().map(|((_, id), _)| id.clone()).collect();
    match session.store.load(session.lease, *run, ids).await {
        Ok(views) => {
            for lost in held.iter().filter(|((_, id), _)| !views.iter().any(|view| view.branch == *id)) {
                session.abort_task(lost);
            }
            // A pause lets the step end; a cancel does not.
            if let Some(view) = views.iter().find(|view| view.requested == Some(SignalKind::Cancel))
                && let Err(error) = session.apply_control(&view.instance_id, SignalKind::Cancel).await
            {
                tracing::warn!(instance_id = &*view.instance_id, %error, "could not apply a request to cancel; its owners will");
            }
        }
        Err(error) => tracing::warn!(%run, %error, "could not look at leases"),
    }
}

/// Renews, and says whether the store answered.
async fn renew(session: &Session, held: &[HeldOnce]) -> bool {
    let keys = held.iter().map(|(key, _)| key.clone()).collect();
    match session.store.renew(session.lease, session.options.ttl, keys).await {
        Ok(answers) => {
            for (lost, _) in held.iter().zip(answers).filter(|(_, revision)| revision.is_none()) {
                figures::lease_lost();
                session.abort_task(lost);
            }
            true
        }
        // Until a lease is taken over nothing is lost.
        Err(error) => {
            tracing::warn!(%error, "could not renew leases");
            false
        }
    }
}
