//! A session: one worker's lease number, the branches it holds under it, and how it drives them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_channel::oneshot;
use sayiir_core::branch::{BranchView, LeaseId};
use sayiir_persistence::{InstanceRecord, Process, Store, StoreError};

use crate::ask::ask;
use crate::beside::Beside;
use crate::bounded::Bounded;
use crate::group::{Fault, Group, Ticket};
use crate::held::{Held, Hold};
use crate::host::Host;
use crate::keeper;
use crate::shy::Shy;
use crate::spread::Spread;
use crate::workflows::WorkflowSet;

/// A lease must outlive a few round trips to the store, or nobody would ever hold one.
const SHORTEST_LEASE: Duration = Duration::from_millis(100);

/// How late it is seen that a task was cancelled, where the announcement of it was lost. The task is to learn of it within a second.
const LOOK: Duration = Duration::from_millis(700);

/// How a session holds its leases.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// How long a lease lasts (at least 100 ms); it is renewed at half that time.
    pub ttl: Duration,
    /// How long to go on asking a store that does not answer; `None` for ever.
    pub patience: Option<Duration>,
    /// The tags it serves; empty serves all.
    pub tags: Arc<[String]>,
    /// How often, while tasks run, it is looked whether they are still to: what was announced is looked at in between.
    pub look: Duration,
    /// Whether a request that is not answered for a whole lease counts as unavailable, and is asked again. False where the store
    /// sees to that by itself.
    pub bounded: bool,
    /// How long others may take what failed here before this session takes it again; `None`: no longer than itself.
    pub head_start: Option<Duration>,
    /// Whether a part of a fork's children is left to others for a moment, where some seem to be idle.
    pub offers_branches: bool,
}

impl Default for SessionOptions {
    fn default() -> Self {
        let (ttl, patience) = (Duration::from_secs(10), Some(Duration::from_secs(30)));
        Self { ttl, patience, tags: Arc::from([]), look: LOOK, bounded: true, head_start: None, offers_branches: false }
    }
}

/// One worker's right to hold leases on branches, and its drive over them.
pub struct Session {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) host: Arc<dyn Host>,
    /// Where leases are kept: the host itself, if it has no part that tasks cannot hold up.
    pub(crate) apart: Arc<dyn Host>,
    pub(crate) lease: LeaseId,
    /// For people.
    pub(crate) worker_id: String,
    pub(crate) options: SessionOptions,
    pub(crate) beside: Beside,
    pub(crate) held: Arc<Held>,
    pub(crate) shy: Shy,
    pub(crate) spread: Spread,
    /// How many lapsed leases it took over, its own among them.
    takeovers: AtomicU64,
    /// Ends the keeper when it is dropped.
    _alive: oneshot::Sender<()>,
}

impl Session {
    /// Opens a session in the store.
    pub async fn open(store: Arc<dyn Store>, host: Arc<dyn Host>, options: SessionOptions) -> Result<Arc<Self>, StoreError> {
        let options = SessionOptions { ttl: options.ttl.max(SHORTEST_LEASE), ..options };
        let apart = host.apart().unwrap_or_else(|| Arc::clone(&host));
        let (bounded, within) = (options.bounded, options.ttl);
        let store: Arc<dyn Store> = if bounded { Arc::new(Bounded { inner: store, host: Arc::clone(&host), within }) } else { store };
        let process = host.process();
        let lease = ask(&*host, options.patience, || store.open_session(process.clone())).await?;
        let worker_id = process.worker_id;
        let (alive, ended) = oneshot::channel();
        let session = Arc::new(Self {
            store,
            host,
            apart,
            lease,
            worker_id,
            options,
            beside: Beside::default(),
            held: Arc::default(),
            shy: Shy::default(),
            spread: Spread::default(),
            takeovers: AtomicU64::new(0),
            _alive: alive,
        });
        keeper::start(&session, ended);
        Ok(session)
    }

    /// Grows when a lapsed lease is taken over. While it stays the same, nobody else of this session can have driven a branch
    /// that a commit leaves with its writer.
    pub(crate) fn takeovers(&self) -> u64 {
        self.takeovers.load(Ordering::SeqCst)
    }

    /// The session's lease number.
    pub const fn lease(&self) -> LeaseId {
        self.lease
    }

    /// Drives a branch that the session holds, beside the caller, to its end or until it is given up.
    pub fn drive(self: &Arc<Self>, group: &Arc<Group>, workflows: &Arc<WorkflowSet>, branch: BranchView) {
        if branch.crashes > 0 {
            self.takeovers.fetch_add(1, Ordering::SeqCst);
        }
        let Some(ticket) = group.begin() else { return };
        let key = (branch.run, branch.branch.clone());
        let (session, workflows, number) = (Arc::clone(self), Arc::clone(workflows), ticket.number);
        let task = match self.held.hold(group, key.clone()) {
            // A lease that ended was taken over, perhaps this session's own: its last drive may have stored more, and
            // let go, since this view was read.
            Some(hold) if branch.crashes > 0 => {
                self.host.spawn(Box::pin(async move { session.drive_fresh(&ticket, &workflows, hold, branch).await }))
            }
            Some(hold) => self.host.spawn(Box::pin(async move { session.drive_branch(&ticket, &workflows, hold, branch).await })),
            None => match self.held.let_go(&key) {
                Some(let_go) => self.host.spawn(Box::pin(async move {
                    // It is dropped, not sent.
                    let _ = let_go.await;
                    session.drive_again(&ticket, &workflows, branch).await;
                })),
                None => return,
            },
        };
        group.remember(number, task);
    }

    /// Drives a branch that was taken while its last drive had not yet let go of it, from where it stands now.
    async fn drive_again(self: &Arc<Self>, ticket: &Ticket, workflows: &Arc<WorkflowSet>, branch: BranchView) {
        let Some(hold) = self.held.hold(ticket.group(), (branch.run, branch.branch.clone())) else { return };
        self.drive_fresh(ticket, workflows, hold, branch).await;
    }

    /// Drives a branch from where it stands now.
    async fn drive_fresh(self: &Arc<Self>, ticket: &Ticket, workflows: &Arc<WorkflowSet>, hold: Hold, branch: BranchView) {
        match self.load(branch.run, vec![branch.branch.clone()]).await {
            Ok(mut fresh) => {
                if let Some(fresh) = fresh.pop() {
                    self.drive_branch(ticket, workflows, hold, fresh).await;
                }
            }
            Err(cause) => {
                ticket.group().fault(Fault::at(&branch, cause));
            }
        }
    }

    /// Makes the leases of dead processes on this host due at once. Returns the sessions of live ones.
    pub async fn reap(&self) -> Result<Vec<(LeaseId, Process)>, StoreError> {
        let host = self.host.process().host;
        let mut others = ask(&*self.host, self.options.patience, || self.store.sessions(&host)).await?;
        others.retain(|(lease, _)| *lease != self.lease);
        let (dead, live): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, process)| self.host.is_alive(process) == Some(false));
        for (lease, process) in dead {
            tracing::info!(worker_id = process.worker_id, pid = process.pid, "taking over the work of a dead process");
            ask(&*self.host, self.options.patience, || self.store.expire_leases(lease)).await?;
        }
        Ok(live)
    }

    /// Reads an instance, asking as patiently as everything else is asked.
    pub async fn instance(&self, instance_id: &str) -> Result<Option<InstanceRecord>, StoreError> {
        ask(&*self.host, self.options.patience, || self.store.instance(instance_id)).await
    }
}
