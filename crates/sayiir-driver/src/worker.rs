//! A worker: claims what is due, drives it, sleeps until something is due or is announced.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sayiir_core::branch::LeaseId;
use sayiir_persistence::{ClaimRequest, ClaimScope, Process, StoreError};

use crate::group::Group;
use crate::session::Session;
use crate::workflows::WorkflowSet;

/// How a worker takes work.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The most branches it drives at a time.
    pub concurrency: usize,
    /// The most branches it claims at a time.
    pub batch: usize,
    /// How long a branch waits to rise by one priority.
    pub ageing: Duration,
    /// How soon it looks again after it had work, even if nothing was announced: only a safety net. Each such look that finds nothing
    /// doubles it, up to [`safety_poll`](Self::safety_poll).
    pub poll: Duration,
    /// How often it looks when all is quiet.
    pub safety_poll: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self { concurrency: 64, batch: 64, ageing: Duration::from_mins(5), poll: SAFETY_POLL, safety_poll: SAFETY_POLL }
    }
}

const SAFETY_POLL: Duration = Duration::from_mins(1);
/// Looks that follow each other more closely are no safety net.
const SHORTEST_POLL: Duration = Duration::from_millis(100);
/// How often the processes of other workers on this host are looked at while they hold leases. No query.
const WATCH_PROCESSES: Duration = Duration::from_millis(100);
/// How often it is asked at most which other workers on this host hold leases.
const ASK_SESSIONS: Duration = Duration::from_secs(1);

/// Drives whatever is due among the definitions it knows.
pub struct Worker {
    session: Arc<Session>,
    workflows: Arc<WorkflowSet>,
    group: Arc<Group>,
    options: WorkerOptions,
}

/// What a worker knows of the others on its host.
struct Others {
    /// Live ones, when they were asked for.
    live: Vec<(LeaseId, Process)>,
    /// Something was announced since then.
    stale: bool,
    /// They may be asked for again.
    may_ask: bool,
}

/// What a look for work came to.
enum Seen {
    /// There was no place for more; there may be more.
    Full,
    /// All that is due was taken.
    All {
        /// Whether that was anything.
        any: bool,
        /// How long until there is more, if that is known.
        next: Option<Duration>,
    },
}

/// What ended a worker's wait.
enum Woken {
    /// Something was announced, or a place became free.
    News,
    /// The time came to look.
    Time,
    /// The others may be asked for again.
    MayAsk,
    /// It is to stop.
    Stop,
}

impl Worker {
    /// A worker of these definitions.
    pub fn new(session: Arc<Session>, workflows: Arc<WorkflowSet>, options: WorkerOptions) -> Self {
        let group = Arc::new(Group::new(options.concurrency.max(1)));
        Self { session, workflows, group, options }
    }

    /// The branches it drives.
    pub const fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// Works until `stop` resolves; then takes nothing new, and returns while what it drives ends its step and is given back.
    pub async fn work(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop.fuse());
        let mut others = Others { live: Vec::new(), stale: true, may_ask: true };
        let mut quiet = self.session.host.sleep(Duration::ZERO);
        let (mut failures, mut idle): (u32, u32) = (0, 0);
        loop {
            let (due, ended) = (self.session.store.wakeups().listen_due(), self.group.listen());
            let asked_before = others.may_ask;
            let (wait, full) = match self.look(&mut others).await {
                Ok(seen) => {
                    failures = 0;
                    match seen {
                        Seen::Full => (self.options.safety_poll, true),
                        Seen::All { any, next } => {
                            idle = if any { 0 } else { idle.saturating_add(1) };
                            let poll = self.poll(idle);
                            (next.map_or(poll, |next| next.min(poll)), false)
                        }
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, failures, "a worker cannot look for work");
                    (Duration::from_millis(10 << failures.min(9)), false)
                }
            };
            if asked_before && !others.may_ask {
                quiet = self.session.host.sleep(ASK_SESSIONS);
            }
            // A worker that was full when it looked waits for a place; one that was not, for work. It does not ask
            // how full it is now: a place that became free since then would make it wait for news that came before.
            let ask_again = others.stale && !others.may_ask;
            let news = async { if full { ended.await } else { due.await } };
            let may_ask = async { if ask_again { (&mut quiet).await } else { std::future::pending().await } };
            let woken = futures_util::select_biased! {
                () = stop => Woken::Stop,
                () = Box::pin(news).fuse() => Woken::News,
                () = Box::pin(may_ask).fuse() => Woken::MayAsk,
                () = Box::pin(self.sleep_beside(&others, wait)).fuse() => Woken::Time,
            };
            match woken {
                Woken::Stop => {
                    self.group.drain();
                    return;
                }
                Woken::News => others.stale = true,
                Woken::MayAsk => others.may_ask = true,
                Woken::Time => {}
            }
        }
    }

    /// How long it waits if nothing is announced and nothing is due, after so many looks that found nothing.
    fn poll(&self, idle: u32) -> Duration {
        let first = self.options.poll.max(SHORTEST_POLL);
        first.saturating_mul(1 << idle.min(16)).min(self.options.safety_poll)
    }

    /// Drops what it drives and gives it back to others.
    pub async fn give_up(&self) {
        self.group.abort();
        if let Err(error) = self.session.store.expire_leases(self.session.lease).await {
            tracing::warn!(%error, "could not give leases back; they will expire");
        }
    }

    /// Claims what is due.
    async fn look(&self, others: &mut Others) -> Result<Seen, StoreError> {
        self.look_at_others(others).await?;
        let scope = ClaimScope::Definitions {
            hashes: self.workflows.hashes(),
            tags: Arc::clone(&self.session.options.tags),
            ageing: self.options.ageing,
        };
        let mut any = false;
        loop {
            let limit = self.options.batch.min(self.group.free());
            if limit == 0 {
                return Ok(Seen::Full);
            }
            let request = ClaimRequest { lease: self.session.lease, ttl: self.session.options.ttl, limit, scope: scope.clone() };
            let branches = self.session.store.claim(request).await?;
            let full = branches.len() == limit;
            any |= !branches.is_empty();
            for branch in branches {
                self.session.drive(&self.group, &self.workflows, branch);
            }
            if !full {
                break;
            }
        }
        Ok(Seen::All { any, next: self.session.store.next_due(scope).await? })
    }

    /// Sleeps, but not on after one of the others has died. Asks the store nothing.
    async fn sleep_beside(&self, others: &Others, mut wait: Duration) {
        while !others.live.is_empty() && wait > WATCH_PROCESSES {
            self.session.host.sleep(WATCH_PROCESSES).await;
            wait -= WATCH_PROCESSES;
            if self.one_died(others) {
                return;
            }
        }
        self.session.host.sleep(wait).await;
    }

    fn one_died(&self, others: &Others) -> bool {
        others.live.iter().any(|(_, process)| self.session.host.is_alive(process) == Some(false))
    }

    /// Takes over the work of processes on this host that have died.
    async fn look_at_others(&self, others: &mut Others) -> Result<(), StoreError> {
        if self.one_died(others) || (others.stale && others.may_ask) {
            others.live = self.session.reap().await?;
            (others.stale, others.may_ask) = (false, false);
        }
        Ok(())
    }
}
