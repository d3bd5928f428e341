//! Keeps a session's leases, and aborts tasks whose branches are no longer its own.
//!
//! It works while something is held, on a host that tasks do not hold up; a session that holds nothing asks nothing.

use std::sync::{Arc, Weak};
use std::time::Duration;

use event_listener::EventListener;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use sayiir_core::control::SignalKind;
use sayiir_persistence::{Store, StoreError};

use crate::held::{HeldOnce, Key};
use crate::host::Host;
use crate::session::{Session, SessionOptions};

/// So many leases are renewed in one call.
const BATCH: usize = 512;
/// A burst of announcements becomes one look in this time.
const BURST: Duration = Duration::from_millis(50);

/// How often the keeper looks, and at which look it renews.
struct Pace {
    look: Duration,
    looks: u32,
    /// There is time for a few more tries before the leases end.
    soon: Duration,
    /// And for one that is not answered.
    renew_within: Duration,
}

impl Pace {
    fn new(options: &SessionOptions) -> Self {
        let half = options.ttl / 2;
        let looks = half.as_nanos().div_ceil(options.look.as_nanos().max(1));
        let looks = u32::try_from(looks).unwrap_or(u32::MAX).max(1);
        Self { look: half / looks, looks, soon: half / 8, renew_within: half / 2 }
    }
}

/// Starts the keeper of a session; it ends when `ended` resolves, which is when the session is dropped.
pub(crate) fn start(session: &Arc<Session>, ended: oneshot::Receiver<()>) {
    let news = session.store.wakeups().listen_control();
    let (store, host) = (Arc::clone(&session.store), Arc::clone(&session.apart));
    let keeper = keep(Arc::downgrade(session), store, host, Pace::new(&session.options), news, ended);
    // Never aborted: it ends with its session.
    drop(session.apart.spawn(Box::pin(keeper)));
}

async fn keep(
    session: Weak<Session>,
    store: Arc<dyn Store>,
    host: Arc<dyn Host>,
    pace: Pace,
    mut news: EventListener,
    mut ended: oneshot::Receiver<()>,
) {
    let (mut timer, mut looks) = (host.sleep(pace.look), 0);
    loop {
        let empty = match session.upgrade() {
            Some(session) => session.held.listen_if_empty(),
            None => return,
        };
        if let Some(filled) = empty {
            match select(&mut ended, select(&mut news, filled)).await {
                Either::Left(_) => return,
                Either::Right((Either::Left(_), _)) => news = store.wakeups().listen_control(),
                Either::Right((Either::Right(_), _)) => (timer, looks) = (host.sleep(pace.look), 0),
            }
            continue;
        }
        let told = match select(&mut ended, select(&mut news, &mut timer)).await {
            Either::Left(_) => return,
            Either::Right((Either::Left(_), _)) => true,
            Either::Right((Either::Right(_), _)) => false,
        };
        if told {
            // Before the look, so that nothing is missed.
            news = store.wakeups().listen_control();
        } else {
            timer = host.sleep(pace.look);
            looks += 1;
        }
        let Some(session) = session.upgrade() else { return };
        if looks >= pace.looks {
            looks = 0;
            let renewed = match select(Box::pin(renew(&session)), host.sleep(pace.renew_within)).await {
                Either::Left((renewed, _)) => renewed.inspect_err(|error| tracing::warn!(%error, "could not renew leases")).is_ok(),
                Either::Right(_) => {
                    tracing::warn!("a renewal of leases takes long; it is given up, and tried again");
                    false
                }
            };
            if !renewed {
                // Until a lease is taken over nothing is lost.
                (timer, looks) = (host.sleep(pace.soon.min(pace.look)), pace.looks - 1);
            }
        } else {
            // It may wait for what tasks hold up; the next renewal must not.
            match select(Box::pin(look(&session)), host.sleep(pace.look)).await {
                Either::Left((Ok(()), _)) => {}
                Either::Left((Err(error), _)) => tracing::warn!(%error, "could not look at leases"),
                Either::Right(_) => tracing::warn!("a look at leases takes long; it is given up"),
            }
        }
        if told {
            drop(session);
            host.sleep(BURST).await;
        }
    }
}

/// Looks what became of the branches at which tasks run. It writes nothing: another process would take that for news in its turn.
async fn look(session: &Session) -> Result<(), StoreError> {
    let held: Vec<_> = session.held.now().into_iter().filter(|held| held.drive.running().is_some()).collect();
    if held.is_empty() {
        return Ok(());
    }
    let mut leased = session.store.leased(session.lease).await?;
    leased.sort_unstable();
    let revision_of = |(run, branch): &Key| {
        let at = leased.partition_point(|(other, its, _)| (other, its) < (run, branch));
        leased.get(at).filter(|(other, its, _)| (other, its) == (run, branch)).map(|(_, _, revision)| *revision)
    };
    let revisions = held.iter().map(|held| revision_of(&held.key)).collect();
    compare(session, held, revisions).await
}

async fn renew(session: &Session) -> Result<(), StoreError> {
    let mut held = session.held.now();
    while !held.is_empty() {
        let batch: Vec<_> = held.drain(..held.len().min(BATCH)).collect();
        let keys = batch.iter().map(|held| held.key.clone()).collect();
        let revisions = session.store.renew(session.lease, session.options.ttl, keys).await?;
        compare(session, batch, revisions).await?;
    }
    Ok(())
}

/// Aborts the tasks whose branches are lost, and looks at those that somebody moved.
async fn compare(session: &Session, held: Vec<HeldOnce>, revisions: Vec<Option<u64>>) -> Result<(), StoreError> {
    let mut moved = Vec::new();
    for (held, revision) in held.into_iter().zip(revisions) {
        match (revision, held.drive.running()) {
            (None, _) => session.held.abort(&held),
            (Some(revision), Some(known)) if revision != known => moved.push((held, known)),
            (Some(_), _) => {}
        }
    }
    for of_run in moved.chunk_by(|(one, _), (other, _)| one.key.0 == other.key.0) {
        look_at_run(session, of_run).await?;
    }
    Ok(())
}

/// A pause lets the step end; a cancel does not.
async fn look_at_run(session: &Session, moved: &[(HeldOnce, u64)]) -> Result<(), StoreError> {
    let Some((HeldOnce { key: (run, _), .. }, _)) = moved.first() else { return Ok(()) };
    let ids: Vec<_> = moved.iter().map(|(held, _)| held.key.1.clone()).collect();
    let mut views = session.store.load(session.lease, *run, Vec::clone(&ids)).await?;
    if let Some(view) = views.iter().find(|view| view.requested == Some(SignalKind::Cancel)) {
        session.apply_requested(&*session.apart, &view.instance_id, SignalKind::Cancel).await?;
        // Its tasks end now, and not when somebody tells of it.
        views = session.store.load(session.lease, *run, ids).await?;
    }
    for (held, known) in moved {
        match views.iter().find(|view| view.branch == held.key.1) {
            Some(view) => held.drive.looked_at(*known, view.revision),
            None => session.held.abort(held),
        }
    }
    Ok(())
}
