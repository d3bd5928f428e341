//! A worker: claims what is due, drives it, sleeps until something is due or is announced.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use sayiir_core::branch::{BranchView, LeaseId};
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

/// How long others may take what this worker offers of a fork before it looks itself: some times what an announcement and a claim take.
const OFFER_STANDS: Duration = Duration::from_millis(20);
/// How long a last look may take once the worker is to stop.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// How long it takes at most to give leases back.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(5);
/// A claim that was not answered may still be applied: it is looked so often what it brought.
const LOOKS_AFTER_SILENCE: u32 = 2;

/// What a worker knows between its looks for work.
struct Watch {
    /// Live workers on its host, when they were asked for.
    live: Vec<(LeaseId, Process)>,
    /// Something was announced since then.
    stale: bool,
    /// They may be asked for again.
    may_ask: bool,
    /// How often it is still to be looked whether a claim that was not answered brought something.
    unsure: u32,
    /// How many looks in a row found nothing.
    idle: u32,
    /// How many looks in a row failed.
    failures: u32,
}

/// What a look for work came to.
enum Seen {
    /// There was no place for more; there may be more.
    Full,
    /// Others are to have what was given back first.
    GaveWay(Duration),
    /// All that is due was taken.
    All {
        /// How long until there is more, if that is known.
        next: Option<Duration>,
    },
}

/// What a worker waits for, and for how long at most.
enum Await {
    /// Work.
    Work(Duration),
    /// A place for more.
    Place(Duration),
    /// Nothing but the time.
    Time(Duration),
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
        let mut watch = Watch { live: Vec::new(), stale: true, may_ask: true, unsure: 0, idle: 0, failures: 0 };
        let mut quiet = self.session.host.sleep(Duration::ZERO);
        loop {
            let (due, ended) = (self.session.store.wakeups().listen_due(), self.group.listen());
            let asked_before = watch.may_ask;
            let seen = match select(Box::pin(self.look(&mut watch)), &mut stop).await {
                Either::Left((seen, _)) => seen,
                Either::Right(((), look)) => {
                    // What it is about to claim is given back at once; a store that is away is not waited for.
                    self.group.drain();
                    let _ = select(look, self.session.host.sleep(LAST_LOOK)).await;
                    return;
                }
            };
            let awaited = self.awaited(&mut watch, seen);
            if asked_before && !watch.may_ask {
                quiet = self.session.host.sleep(ASK_SESSIONS);
            }
            // A worker that was full when it looked waits for a place; one that was not, for work. It does not ask
            // how full it is now: a place that became free since then would make it wait for news that came before.
            let ask_again = watch.stale && !watch.may_ask;
            let (wait, news) = match awaited {
                Await::Work(wait) => (wait, Some(due)),
                Await::Place(wait) => (wait, Some(ended)),
                Await::Time(wait) => (wait, None),
            };
            let news = async {
                match news {
                    Some(news) => news.await,
                    None => std::future::pending().await,
                }
            };
            let may_ask = async { if ask_again { (&mut quiet).await } else { std::future::pending().await } };
            let woken = futures_util::select_biased! {
                () = stop => Woken::Stop,
                () = Box::pin(news).fuse() => Woken::News,
                () = Box::pin(may_ask).fuse() => Woken::MayAsk,
                () = Box::pin(self.sleep_beside(&watch, wait)).fuse() => Woken::Time,
            };
            match woken {
                Woken::Stop => {
                    self.group.drain();
                    return;
                }
                Woken::News => watch.stale = true,
                Woken::MayAsk => watch.may_ask = true,
                Woken::Time => {}
            }
        }
    }

    /// After its work: waits until all that it drives has ended or was given back.
    pub async fn ended(&self) {
        loop {
            let end = self.group.listen();
            if self.group.active() == 0 {
                return self.give_rest_back().await;
            }
            end.await;
        }
    }

    /// Drops what it drives and gives it back to others, as far as the store answers.
    pub async fn give_up(&self) {
        self.group.abort();
        self.give_rest_back().await;
    }

    async fn give_rest_back(&self) {
        let twice = async {
            match self.session.give_all_back(&self.workflows).await {
                // An answer may be lost.
                Err(error) if error.is_transient() => self.session.give_all_back(&self.workflows).await,
                given => given,
            }
        };
        match select(Box::pin(twice), self.session.host.sleep(GIVE_BACK_WITHIN)).await {
            Either::Left((Ok(()), _)) => {}
            Either::Left((Err(error), _)) => tracing::warn!(%error, "could not give leases back; they will expire"),
            Either::Right(_) => tracing::warn!("the store does not answer; leases are not given back, and will expire"),
        }
    }

    /// What it waits for after a look.
    fn awaited(&self, watch: &mut Watch, seen: Result<Seen, StoreError>) -> Await {
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                watch.failures = watch.failures.saturating_add(1);
                tracing::warn!(%error, failures = watch.failures, "a worker cannot look for work");
                return Await::Work(Duration::from_millis(10 << watch.failures.min(9)));
            }
        };
        watch.failures = 0;
        match seen {
            Seen::Full => Await::Place(self.options.safety_poll),
            Seen::GaveWay(head_start) => Await::Time(head_start),
            Seen::All { next } => {
                let first = self.options.poll.max(SHORTEST_POLL);
                let poll = first.saturating_mul(1 << watch.idle.min(16)).min(self.options.safety_poll);
                Await::Work(next.map_or(poll, |next| next.min(poll)))
            }
        }
    }

    /// Claims what is due.
    async fn look(&self, watch: &mut Watch) -> Result<Seen, StoreError> {
        self.look_at_others(watch).await?;
        self.let_others_look().await;
        let scope = ClaimScope::Definitions {
            hashes: self.workflows.hashes(),
            tags: Arc::clone(&self.session.options.tags),
            ageing: self.options.ageing,
        };
        watch.idle = watch.idle.saturating_add(1);
        if watch.unsure > 0 {
            self.session.adopt(&self.group, &self.workflows, None).await?;
            watch.unsure -= 1;
        }
        let mut given = Vec::new();
        let full = self.claim(watch, &scope, &mut given).await;
        let gave_way = !given.is_empty();
        // Not before: it would be claimed again.
        self.give_back(given).await.inspect_err(|_| watch.unsure = LOOKS_AFTER_SILENCE)?;
        let full = full?;
        self.session.shy.looked();
        self.session.spread.looked(full);
        match self.session.options.head_start {
            _ if full => Ok(Seen::Full),
            Some(head_start) if gave_way => Ok(Seen::GaveWay(head_start)),
            Some(_) | None => Ok(Seen::All { next: self.session.store.next_due(scope).await? }),
        }
    }

    /// Gives others a moment for what was offered to them: no longer than there is anything to do here.
    async fn let_others_look(&self) {
        if self.session.spread.gives_way() {
            let mut moment = self.session.host.sleep(OFFER_STANDS);
            loop {
                let end = self.group.listen();
                if self.group.active() == 0 {
                    break;
                }
                match select(end, moment).await {
                    Either::Left(((), rest)) => moment = rest,
                    Either::Right(_) => break,
                }
            }
        }
        self.session.spread.looks();
    }

    /// Claims and drives until there is no place, which it says, or nothing more. Fills `given` with what others are to have first.
    async fn claim(&self, watch: &mut Watch, scope: &ClaimScope, given: &mut Vec<BranchView>) -> Result<bool, StoreError> {
        loop {
            let limit = self.options.batch.min(self.group.free());
            if limit == 0 {
                return Ok(true);
            }
            let request = ClaimRequest { lease: self.session.lease, ttl: self.session.options.ttl, limit, scope: scope.clone() };
            let claimed = self.session.store.claim(request).await;
            let branches = claimed.inspect_err(|_| watch.unsure = LOOKS_AFTER_SILENCE)?;
            let full = branches.len() == limit;
            if !branches.is_empty() {
                watch.idle = 0;
            }
            for branch in branches {
                self.session.spread.took(&(branch.run, branch.branch.clone()));
                if self.session.shy.gives_way(&branch) {
                    given.push(branch);
                } else {
                    self.session.drive(&self.group, &self.workflows, branch);
                }
            }
            if !full {
                return Ok(false);
            }
        }
    }

    async fn give_back(&self, branches: Vec<BranchView>) -> Result<(), StoreError> {
        for branch in branches {
            if let Some(workflow) = self.workflows.get(&branch.definition) {
                self.session.hand_back(&**workflow, &branch).await?;
            }
        }
        Ok(())
    }

    /// Sleeps, but not on after one of the others has died. Asks the store nothing.
    async fn sleep_beside(&self, watch: &Watch, mut wait: Duration) {
        while !watch.live.is_empty() && wait > WATCH_PROCESSES {
            self.session.host.sleep(WATCH_PROCESSES).await;
            wait -= WATCH_PROCESSES;
            if self.one_died(watch) {
                return;
            }
        }
        self.session.host.sleep(wait).await;
    }

    fn one_died(&self, watch: &Watch) -> bool {
        watch.live.iter().any(|(_, process)| self.session.host.is_alive(process) == Some(false))
    }

    /// Takes over the work of processes on this host that have died.
    async fn look_at_others(&self, watch: &mut Watch) -> Result<(), StoreError> {
        if self.one_died(watch) || (watch.stale && watch.may_ask) {
            watch.live = self.session.reap().await?;
            (watch.stale, watch.may_ask) = (false, false);
        }
        Ok(())
    }
}
