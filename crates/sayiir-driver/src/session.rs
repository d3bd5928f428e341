//! A session: one worker's lease number, the branches it holds under it, and how it drives them.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::task::AtomicWaker;
use sayiir_core::branch::{BranchId, BranchView, LeaseId, RunNumber};
use sayiir_persistence::{InstanceRecord, Process, Store, StoreError};

use crate::ask::ask;
use crate::beside::Beside;
use crate::group::{Fault, Group, Ticket};
use crate::host::Host;
use crate::keeper;
use crate::workflows::WorkflowSet;

/// So often a run is looked at for branches to give back.
const GIVE_BACK_ROUNDS: usize = 3;

/// A lease must outlive a few round trips to the store, or nobody would ever hold one.
const SHORTEST_LEASE: Duration = Duration::from_millis(100);

/// How a session holds its leases.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// How long a lease lasts (at least 100 ms); it is renewed at half that time.
    pub ttl: Duration,
    /// How long to go on asking a store that does not answer; `None` for ever.
    pub patience: Option<Duration>,
    /// The tags it serves; empty serves all.
    pub tags: Arc<[String]>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(10), patience: Some(Duration::from_secs(30)), tags: Arc::from([]) }
    }
}

/// One worker's right to hold leases on branches, and its drive over them.
pub struct Session {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) lease: LeaseId,
    /// For people.
    pub(crate) worker_id: String,
    pub(crate) options: SessionOptions,
    pub(crate) beside: Beside,
    held: Mutex<Held>,
    /// How many lapsed leases it took over, its own among them.
    takeovers: AtomicU64,
    /// Ends the keeper when it is dropped.
    _alive: oneshot::Sender<()>,
}

/// A branch of a run.
pub(crate) type Key = (RunNumber, BranchId);

/// A branch as it is held once: one that is given up and taken again has another number.
pub(crate) type HeldOnce = (Key, u64);

#[derive(Default)]
struct Held {
    slots: BTreeMap<Key, Slot>,
    last: u64,
}

struct Slot {
    number: u64,
    abort: Arc<Abort>,
    /// Dropped with the slot: tells who took the branch again before it was let go.
    next: Option<oneshot::Sender<()>>,
}

impl Held {
    fn insert(&mut self, key: Key) -> Arc<Abort> {
        self.last += 1;
        let abort = Arc::<Abort>::default();
        self.slots.insert(key, Slot { number: self.last, abort: Arc::clone(&abort), next: None });
        abort
    }
}

impl Session {
    /// Opens a session in the store.
    pub async fn open(store: Arc<dyn Store>, host: Arc<dyn Host>, options: SessionOptions) -> Result<Arc<Self>, StoreError> {
        let options = SessionOptions { ttl: options.ttl.max(SHORTEST_LEASE), ..options };
        let process = host.process();
        let lease = ask(&*host, options.patience, || store.open_session(process.clone())).await?;
        let worker_id = process.worker_id;
        let (alive, ended) = oneshot::channel();
        let session = Arc::new(Self {
            store,
            host,
            lease,
            worker_id,
            options,
            beside: Beside::default(),
            held: Mutex::default(),
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
        let task = match self.hold(key.clone()) {
            // A lease that ended was taken over, perhaps this session's own: its last drive may have stored more, and
            // let go, since this view was read.
            Some(hold) if branch.crashes > 0 => {
                self.host.spawn(Box::pin(async move { session.drive_fresh(&ticket, &workflows, hold, branch).await }))
            }
            Some(hold) => self.host.spawn(Box::pin(async move { session.drive_branch(&ticket, &workflows, hold, branch).await })),
            None => match self.let_go(&key) {
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
        let Some(hold) = self.hold((branch.run, branch.branch.clone())) else { return };
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

    /// Gives back the branches of a run that it still holds after their futures were dropped.
    pub async fn give_back(self: &Arc<Self>, workflows: &WorkflowSet, run: RunNumber) -> Result<(), StoreError> {
        // A commit whose future was dropped may still be applied, and move a branch or make new ones, until
        // something of ours that was asked for after it is answered. So it looks again.
        for _ in 0..GIVE_BACK_ROUNDS {
            let branches = ask(&*self.host, self.options.patience, || self.store.load(self.lease, run, Vec::new())).await?;
            if branches.is_empty() {
                return Ok(());
            }
            for branch in branches {
                if let Some(workflow) = workflows.get(&branch.definition) {
                    self.hand_back(&**workflow, &branch).await?;
                }
            }
        }
        Ok(())
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

    /// Marks a branch as held; `None` if it is driven already.
    pub(crate) fn hold(self: &Arc<Self>, key: Key) -> Option<Hold> {
        let mut held = self.held();
        if held.slots.contains_key(&key) {
            return None;
        }
        let abort = held.insert(key.clone());
        drop(held);
        Some(Hold { session: Arc::clone(self), key, abort })
    }

    /// Resolves when the branch is let go of; `None` if somebody waits for that already.
    fn let_go(&self, key: &Key) -> Option<oneshot::Receiver<()>> {
        let (sender, receiver) = oneshot::channel();
        // Without a slot the sender is dropped here: it has just been let go of.
        if let Some(slot) = self.held().slots.get_mut(key) {
            if slot.next.is_some() {
                return None;
            }
            slot.next = Some(sender);
        }
        Some(receiver)
    }

    /// What is held, in order of runs.
    pub(crate) fn held_now(&self) -> Vec<HeldOnce> {
        self.held().slots.iter().map(|(key, slot)| (key.clone(), slot.number)).collect()
    }

    /// Ends the task that runs at a branch which is no longer this session's.
    pub(crate) fn abort_task(&self, (key, number): &HeldOnce) {
        let abort = self.held().slots.get(key).filter(|slot| slot.number == *number).map(|slot| Arc::clone(&slot.abort));
        if let Some(abort) = abort {
            abort.asked.store(true, Ordering::Release);
            abort.waker.wake();
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A branch marked as held; dropping it takes the mark away.
pub(crate) struct Hold {
    session: Arc<Session>,
    key: Key,
    abort: Arc<Abort>,
}

/// Ends the tasks of a branch as it is held once.
#[derive(Default)]
struct Abort {
    asked: AtomicBool,
    waker: AtomicWaker,
}

impl Hold {
    /// Moves the mark to another branch of the run; false if that one is driven already.
    pub(crate) fn move_to(&mut self, branch: &BranchId) -> bool {
        let key = (self.key.0, branch.clone());
        if key == self.key {
            return true;
        }
        let mut held = self.session.held();
        let free = !held.slots.contains_key(&key);
        let left = if free {
            self.abort = held.insert(key.clone());
            held.slots.remove(&std::mem::replace(&mut self.key, key))
        } else {
            None
        };
        drop(held);
        // Wakes who waits for it.
        drop(left);
        free
    }

    /// Runs a task of the branch; `None` if it is to be aborted, for the branch is lost.
    pub(crate) async fn unless_aborted<T>(&self, task: impl Future<Output = T>) -> Option<T> {
        let mut task = pin!(task);
        poll_fn(|context| {
            // Registered before the look, so that no call is missed.
            self.abort.waker.register(context.waker());
            if self.abort.asked.load(Ordering::Acquire) {
                return Poll::Ready(None);
            }
            task.as_mut().poll(context).map(Some)
        })
        .await
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let left = self.session.held().slots.remove(&self.key);
        drop(left);
    }
}
