//! One seed: a world, its processes and instances, and what is said of it in the end.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use sayiir_core::rules::{self, Rule};
use sayiir_core::time::Clock;
use sayiir_core::workflow::{RunnableWorkflow, WorkflowStatus};
use sayiir_driver::{Session, SessionOptions, Worker, WorkerOptions, WorkflowSet};
use sayiir_persistence::Store;
use sayiir_reference::{Notes, case, interpret, judge, workflow};

use crate::client::Errand;
use crate::host::{Alive, SimHost};
use crate::link::Link;
use crate::watched::Watched;
use crate::world::{ProcessId, World, lock};

/// A world that is not at rest after so many steps never will be.
const MOST_STEPS: u64 = 300_000;

/// What became of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How many steps the scheduler made.
    pub steps: u64,
    /// The faults that were met.
    pub faults: BTreeMap<&'static str, u64>,
    /// What must not have been.
    pub violation: Option<String>,
    /// The last events.
    pub trace: Vec<String>,
}

/// What the processes of a world share.
struct Town {
    world: Arc<World>,
    store: Arc<Watched>,
    alive: Alive,
    workflows: Arc<WorkflowSet>,
    ttl: Duration,
    /// Whether the processes are on one machine and see each other die.
    one_machine: bool,
    last_process: AtomicUsize,
}

/// Runs the world of a seed to its end, without one of the rules if it is said.
pub fn simulate(seed: u64, without: Option<Rule>) -> Outcome {
    rules::switch_off(without);
    let world = World::new(seed);
    let alive = Alive::default();
    let store = Watched::new(&world, &alive);
    let notes = Notes::new(world.clock.clone());
    let mut workflows = WorkflowSet::new();
    let mut errands = Vec::new();
    for number in 0..=world.below(2) {
        let case = case(seed, number);
        let reference = interpret(&case.nodes, case.input);
        let Ok(flow) = workflow(&format!("case-{number}"), &case.nodes, &notes) else { continue };
        let flow: Arc<dyn RunnableWorkflow> = Arc::new(flow);
        workflows = workflows.with(Arc::clone(&flow));
        errands.push(Arc::new(Errand { id: Arc::from(format!("i{number}")), flow, case, reference, restarts: world.one_in(4) }));
    }
    let town = Arc::new(Town {
        ttl: Duration::from_millis(100 + world.below(200)),
        one_machine: world.one_in(2),
        world: Arc::clone(&world),
        store: Arc::clone(&store),
        alive,
        workflows: Arc::new(workflows),
        last_process: AtomicUsize::new(0),
    });
    for _ in 0..2 + world.below(2) {
        town.begin_process();
    }
    let done = Arc::new(AtomicUsize::new(0));
    for errand in &errands {
        let (errand, world, done) = (Arc::clone(errand), Arc::clone(&world), Arc::clone(&done));
        let link: Arc<dyn Store> = Arc::new(town.link(0));
        let run = async move {
            errand.run(&world, &link).await;
            done.fetch_add(1, Ordering::SeqCst);
        };
        town.world.spawn(0, Box::pin(run));
    }
    world.spawn(0, Box::pin(Arc::clone(&town).chaos()));
    let steps = run(&world, &done, errands.len());
    if world.violation().is_none() {
        for errand in &errands {
            conclude(&world, &store, &notes, errand);
        }
    }
    let (violation, trace, faults) = (world.violation(), world.traced(), lock(&world.faults).clone());
    // Processes hold the world that holds them.
    for process in 0..=u32::try_from(town.last_process.load(Ordering::SeqCst)).unwrap_or(0) {
        world.kill(process);
    }
    rules::switch_off(None);
    Outcome { steps, faults, violation, trace }
}

fn run(world: &Arc<World>, done: &AtomicUsize, errands: usize) -> u64 {
    let mut steps = 0;
    while world.violation().is_none() && done.load(Ordering::SeqCst) < errands {
        steps += 1;
        if steps > MOST_STEPS {
            world.violate("it does not come to rest");
        } else if !world.step() {
            world.violate("nothing is left to happen, and it is not done");
        }
    }
    steps
}

/// Compares an instance that has ended with the reference.
fn conclude(world: &World, store: &Watched, notes: &Notes, errand: &Errand) {
    let Errand { id, case, reference, .. } = errand;
    let Some(record) = store.record(id) else { return world.violate(format!("{id} is gone")) };
    let lost_often = |error: &str| error.contains("its worker was lost");
    if matches!(&record.summary.status, WorkflowStatus::Failed(error) if lost_often(error)) {
        return world.count("given_up_after_crashes");
    }
    let journal = store.inner.journal(record.summary.run, None, usize::MAX).now_or_never().and_then(Result::ok).unwrap_or_default();
    if let Err(what) = judge(reference, case.control, &record, &journal, &notes.of(id)) {
        world.violate(format!("{id}: {what}\n{case}"));
    }
}

impl Town {
    fn link(&self, process: ProcessId) -> Link {
        Link { world: Arc::clone(&self.world), store: Arc::clone(&self.store), process }
    }

    /// A new process with a worker.
    fn begin_process(&self) {
        let process = u32::try_from(self.last_process.fetch_add(1, Ordering::SeqCst) + 1).unwrap_or(u32::MAX);
        lock(&self.alive).push(process);
        self.world.trace(|| format!("p{process} begins"));
        let machine = if self.one_machine { "m".to_owned() } else { format!("m{process}") };
        let (world, alive) = (Arc::clone(&self.world), Arc::clone(&self.alive));
        let host = Arc::new(SimHost { world: Arc::clone(&world), process, machine, alive });
        let (link, workflows): (Arc<dyn Store>, _) = (Arc::new(self.link(process)), Arc::clone(&self.workflows));
        let head_start = self.world.one_in(2).then(|| Duration::from_millis(1 + self.world.below(100)));
        let look = Duration::from_millis(20 + self.world.below(200));
        let offers_branches = self.world.one_in(2);
        let options = SessionOptions { ttl: self.ttl, patience: None, look, head_start, offers_branches, ..SessionOptions::default() };
        let concurrency = 1 + usize::try_from(world.below(8)).unwrap_or(0);
        let worker = async move {
            if let Ok(session) = Session::open(link, host, options).await {
                Worker::new(session, workflows, WorkerOptions { concurrency, ..WorkerOptions::default() }).work(pending()).await;
            }
        };
        self.world.spawn(process, Box::pin(worker));
    }

    /// Lets processes die and come back, and the clock jump, for a while.
    async fn chaos(self: Arc<Self>) {
        let world = &self.world;
        let end = world.clock.now() + Duration::from_millis(200 + world.below(1500));
        while world.clock.now() < end {
            world.sleep(Duration::from_micros(world.below(150_000))).await;
            let living = lock(&self.alive).clone();
            if !living.is_empty() && world.one_in(2) {
                let victim = living.get(usize::try_from(world.below(living.len() as u64)).unwrap_or(0)).copied().unwrap_or(0);
                world.count("crash");
                world.trace(|| format!("p{victim} dies"));
                lock(&self.alive).retain(|process| *process != victim);
                world.kill(victim);
            }
            if lock(&self.alive).len() < 2 || world.one_in(3) {
                world.count("restart");
                self.begin_process();
            }
        }
        world.hostile.store(false, Ordering::SeqCst);
        world.trace(|| "from now on nothing goes wrong".to_owned());
        if lock(&self.alive).is_empty() {
            self.begin_process();
        }
    }
}
