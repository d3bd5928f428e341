//! Runs a case on a store through a driver, with a fault at one of its store writes, and compares.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sayiir_core::workflow::{RunnableWorkflow, WorkflowStatus};
use sayiir_persistence::InstanceRecord;
use sayiir_runtime::{
    CheckpointingRunner, InProcessRunner, LocalWorker, RuntimeError, WorkerHandle, WorkflowClient, WorkflowRunner, WorkflowSet,
};
use sayiir_store_testkit::{Fault, FaultStore};

use crate::build::{Flow, Notes, workflow};
use crate::interpret::{Reference, interpret};
use crate::outside::{Outside, interference};
use crate::spec::Case;
use crate::verdict::{judge, nothing_again, timeline};
use crate::world::{StoreKind, World};

/// After this long an instance counts as stuck.
const STUCK: Duration = Duration::from_mins(1);
/// After this long without a write or a begun task, leases are let end. Nothing needs it, and a loaded machine may stand still for a
/// while: then it is a lease that ends under its owner, as in [`Befalls::LeasesEnd`].
const QUIET: Duration = Duration::from_secs(5);
/// How often it is looked whether the store has crashed, which answers nothing then.
const CRASH_LOOK: Duration = Duration::from_millis(5);

/// What drives an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// The in-process runner, which stores nothing.
    InProcess,
    /// The checkpointing runner.
    Checkpointing,
    /// A local worker, to which the instance is submitted.
    Worker,
    /// Two local workers in one store.
    TwoWorkers,
}

impl Driver {
    /// Those that use a store.
    pub const STORED: [Self; 3] = [Self::Checkpointing, Self::Worker, Self::TwoWorkers];
}

/// What befalls a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Befalls {
    /// A fault of the write.
    Fault(Fault),
    /// Every lease ends under its owner before the write, and everybody is told to look.
    LeasesEnd,
}

impl Befalls {
    /// All that a case is run through, at each of its writes.
    pub const ALL: [Self; 3] = [Self::Fault(Fault::CrashAfter), Self::Fault(Fault::ReplyLost), Self::LeasesEnd];
}

/// What happens at which store write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The write, counted from 1.
    pub nth: u64,
    /// What happens at it.
    pub befalls: Befalls,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at write {}", self.befalls, self.nth)
    }
}

/// A case on a store.
pub struct Bench<'a> {
    case: &'a Case,
    reference: Reference,
    flow: Flow,
    notes: Arc<Notes>,
    world: World,
    runs: std::cell::Cell<u32>,
}

/// What became of one run, in words if it is wrong.
type Verdict = Result<u64, String>;

impl<'a> Bench<'a> {
    /// Sets a case up on a new store.
    pub async fn new(case: &'a Case, kind: StoreKind) -> anyhow::Result<Self> {
        Self::with_reference_of(case, case, kind).await
    }

    /// Sets a case up that is compared with the reference of another one: it must differ.
    pub async fn with_reference_of(case: &'a Case, other: &Case, kind: StoreKind) -> anyhow::Result<Self> {
        Self::on(case, other, World::new(kind).await?)
    }

    /// Sets a case up on a store that is there, and compares it with the reference of `other`.
    pub fn on(case: &'a Case, other: &Case, world: World) -> anyhow::Result<Self> {
        let notes = Notes::new(world.clock.clone());
        let flow = workflow("case", &case.nodes, &notes)?;
        Ok(Self { case, reference: interpret(&other.nodes, other.input), flow, notes, world, runs: std::cell::Cell::new(0) })
    }

    /// Runs the case, and gives how many store writes it took.
    ///
    /// `writes` is how many it takes undisturbed, as far as known: a pause or cancel comes at a part of them.
    ///
    /// # Errors
    ///
    /// What differs from the reference, in words.
    pub async fn run(&self, driver: Driver, moment: Option<Moment>, writes: u64) -> Verdict {
        self.runs.set(self.runs.get() + 1);
        let id = format!("run-{}", self.runs.get());
        match driver {
            Driver::InProcess => self.in_process().await.map(|()| 0),
            Driver::Checkpointing => self.checkpointing(&id, moment, writes).await,
            Driver::Worker => self.workers(&id, 1, moment, writes).await,
            Driver::TwoWorkers => self.workers(&id, 2, moment, writes).await,
        }
    }

    /// Whether the in-process runner can run the case: nobody can send it an event.
    pub fn runs_in_process(&self) -> bool {
        self.reference.events.values().all(|count| *count == 0)
    }

    async fn in_process(&self) -> Result<(), String> {
        let notes = Notes::new(self.world.clock.clone());
        let flow = workflow("case", &self.case.nodes, &notes).map_err(|error| error.to_string())?;
        let status = InProcessRunner.run(&flow, self.case.input).await.map_err(|error| error.to_string())?;
        let begun: BTreeSet<_> = notes.of("in-process").into_iter().map(|begun| begun.step).collect();
        match (&status, self.reference.output) {
            (WorkflowStatus::Completed, Some(_)) if begun.is_superset(&self.reference.steps) => Ok(()),
            (WorkflowStatus::Failed(_), None) => Ok(()),
            (_, expected) => Err(format!("in process it came to {status:?}, where the reference has {expected:?}")),
        }
    }

    async fn checkpointing(&self, id: &str, moment: Option<Moment>, writes: u64) -> Verdict {
        let mut outside = self.outside(id).await?;
        let first = self.faulty(id, moment, writes);
        let patience = if moment.is_some_and(is_crash) { Duration::ZERO } else { STUCK };
        let runner = |store: &Arc<FaultStore>| CheckpointingRunner::from_shared(Arc::clone(store)).with_patience(patience);
        let (mut store, mut own) = (Arc::clone(&first), runner(&first));
        let (begun, mut quiet) = (Instant::now(), Quiet::new());
        loop {
            let known = self.known(id).await?;
            let ended = self.driven(id, known, &own, (&store, &mut quiet)).await?;
            match ended {
                Ok(_) => {}
                Err(_) if store.is_crashed() => {
                    self.bury(&store).await?;
                    store = Arc::new(FaultStore::new(Arc::clone(&self.world.store)));
                    own = runner(&store);
                }
                Err(error) => return Err(format!("the runner gave up: {error}")),
            }
            if let Some(record) = self.tended(&mut outside).await? {
                return self.judged(id, &record, false).await.map(|()| first.writes());
            }
            if begun.elapsed() > STUCK {
                return Err(format!("stuck: {}", self.standing(id).await));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Runs or resumes once.
    async fn driven(
        &self,
        id: &str,
        known: bool,
        runner: &CheckpointingRunner<FaultStore>,
        (store, quiet): (&FaultStore, &mut Quiet),
    ) -> Result<Result<WorkflowStatus, RuntimeError>, String> {
        let drive = async { if known { runner.resume(&self.flow, id).await } else { runner.run(&self.flow, id, self.case.input).await } };
        let mut drive = std::pin::pin!(drive);
        let begun = Instant::now();
        loop {
            let ended = tokio::time::timeout(QUIET / 10, &mut drive).await;
            quiet.watch(self, id, store.writes());
            match ended {
                Ok(ended) => return Ok(ended),
                Err(_) if begun.elapsed() > STUCK => return Err(format!("stuck: {}", self.standing(id).await)),
                Err(_) => {}
            }
        }
    }

    async fn workers(&self, id: &str, count: usize, moment: Option<Moment>, writes: u64) -> Verdict {
        let mut outside = self.outside(id).await?;
        let first = self.faulty(id, moment, writes);
        let mut workers = vec![(Arc::clone(&first), None)];
        workers.resize_with(count, || (Arc::new(FaultStore::new(Arc::clone(&self.world.store))), None));
        let ended = self.worked(id, &mut outside, &mut workers).await;
        for (_, handle) in &workers {
            if let Some(handle) = handle {
                stop(handle).await;
            }
        }
        let record = ended?;
        // One who stands still between a write and the task that follows it cannot know that another has done it meanwhile.
        let stood_still = count > 1 && moment.is_some_and(|moment| moment.befalls == Befalls::LeasesEnd);
        self.judged(id, &record, stood_still).await.map(|()| first.writes())
    }

    async fn worked(
        &self,
        id: &str,
        outside: &mut Outside,
        workers: &mut [(Arc<FaultStore>, Option<WorkerHandle<FaultStore>>)],
    ) -> Result<InstanceRecord, String> {
        let watch = self.world.store.wakeups().listen_instance(id);
        let begun = Instant::now();
        let mut quiet = Quiet::new();
        loop {
            let news = watch.listen();
            for (store, handle) in workers.iter_mut() {
                self.keep_alive(id, store, handle).await?;
            }
            if let Some(record) = self.tended(outside).await? {
                return Ok(record);
            }
            quiet.watch(self, id, workers.iter().map(|(store, _)| store.writes()).sum());
            if begun.elapsed() > STUCK {
                return Err(format!("stuck: {}", self.standing(id).await));
            }
            let _ = tokio::time::timeout(Duration::from_millis(2), news).await;
        }
    }

    /// Starts the instance if it is not known yet, and a worker in the place of one that has died.
    async fn keep_alive(&self, id: &str, store: &mut Arc<FaultStore>, handle: &mut Option<WorkerHandle<FaultStore>>) -> Result<(), String> {
        if store.is_crashed() {
            if let Some(dead) = handle.take() {
                stop(&dead).await;
            }
            self.bury(store).await?;
            *store = Arc::new(FaultStore::new(Arc::clone(&self.world.store)));
        }
        if !self.known(id).await? {
            let client = WorkflowClient::from_shared(Arc::clone(store));
            // An error is looked at where the instance is missed.
            let _ = unless_crashed(store, client.submit(&self.flow, id, self.case.input)).await;
        }
        if handle.is_none() && !store.is_crashed() {
            let worker = LocalWorker::from_shared(Arc::clone(store)).concurrency(8).shutdown_grace(Duration::ZERO);
            let flow: Arc<dyn RunnableWorkflow> = Arc::new(self.flow.clone());
            let spawned = unless_crashed(store, worker.spawn(WorkflowSet::new().with(flow))).await;
            *handle = spawned.and_then(Result::ok);
        }
        Ok(())
    }

    fn faulty(&self, id: &str, moment: Option<Moment>, writes: u64) -> Arc<FaultStore> {
        let store = FaultStore::new(Arc::clone(&self.world.store));
        if let Some((nth, act)) = interference(self.case.control, writes, &self.world.store, id) {
            store.act_before_write(nth, act);
        }
        match moment {
            None => {}
            Some(Moment { nth, befalls: Befalls::Fault(fault) }) => store.fail_write(nth, fault),
            Some(Moment { nth, befalls: Befalls::LeasesEnd }) => {
                let world = self.world.clone();
                store.act_before_write(nth, Box::pin(async move { world.let_leases_end() }));
            }
        }
        Arc::new(store)
    }

    /// Ends the leases of a process that has died, as its neighbours on the same host do.
    async fn bury(&self, store: &FaultStore) -> Result<(), String> {
        for lease in store.leases() {
            self.world.store.expire_leases(lease).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn outside(&self, id: &str) -> Result<Outside, String> {
        Outside::begin(&self.world.store, id, &self.case.nodes, &self.reference).await.map_err(|error| error.to_string())
    }

    async fn known(&self, id: &str) -> Result<bool, String> {
        Ok(self.world.store.instance(id).await.map_err(|error| error.to_string())?.is_some())
    }

    /// The instance, if it has ended.
    async fn tended(&self, outside: &mut Outside) -> Result<Option<InstanceRecord>, String> {
        let record = outside.tend().await.map_err(|error| error.to_string())?;
        Ok(record.filter(|record| record.summary.status.is_terminal()))
    }

    async fn judged(&self, id: &str, record: &InstanceRecord, may_begin_again: bool) -> Result<(), String> {
        let journal = self.world.store.journal(record.summary.run, None, usize::MAX).await.map_err(|error| error.to_string())?;
        let begun = self.notes.of(id);
        let again = if may_begin_again { Ok(()) } else { nothing_again(&journal, &begun) };
        let verdict = again.and_then(|()| judge(&self.reference, self.case.control, record, &journal, &begun));
        verdict.map_err(|wrong| format!("{wrong}\n{}", timeline(&journal, &begun)))
    }

    async fn standing(&self, id: &str) -> String {
        match self.world.store.instance(id).await {
            Ok(Some(InstanceRecord { summary, branches, .. })) => format!("{:?}, branches {branches:?}", summary.status),
            Ok(None) => "it was never started".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

/// Notices that nothing happens any more.
struct Quiet {
    seen: (u64, usize),
    since: Instant,
}

impl Quiet {
    fn new() -> Self {
        Self { seen: (0, 0), since: Instant::now() }
    }

    /// Lets leases end where nothing was written or begun for a while.
    fn watch(&mut self, bench: &Bench<'_>, id: &str, writes: u64) {
        let now = (writes, bench.notes.count(id));
        if now != self.seen {
            (self.seen, self.since) = (now, Instant::now());
        } else if self.since.elapsed() > QUIET {
            bench.world.let_leases_end();
            self.since = Instant::now();
        }
    }
}

/// What came of it; `None` once the store it asks has crashed. Given up earlier it might go on all the same, beside what is tried next.
async fn unless_crashed<T>(store: &FaultStore, asked: impl Future<Output = T>) -> Option<T> {
    let mut asked = std::pin::pin!(asked);
    loop {
        match tokio::time::timeout(CRASH_LOOK, &mut asked).await {
            Ok(answer) => return Some(answer),
            Err(_) if store.is_crashed() => return None,
            Err(_) => {}
        }
    }
}

fn is_crash(moment: Moment) -> bool {
    match moment.befalls {
        Befalls::Fault(Fault::CrashBefore | Fault::CrashAfter) => true,
        Befalls::Fault(Fault::RequestLost | Fault::ReplyLost) | Befalls::LeasesEnd => false,
    }
}

async fn stop(worker: &WorkerHandle<FaultStore>) {
    worker.shutdown();
    // Its own panic would be the driver's: the instance is looked at all the same.
    let _ = worker.join().await;
}
