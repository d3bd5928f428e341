//! Random workflows on a fleet: workers in processes of their own over one store, killed, frozen and started at random.
//!
//! What comes of every instance is compared with the reference. A process that is frozen beyond its leases is a
//! zombie when it wakes: it may begin what it was handed before, but nothing that it writes is accepted.

mod chaos;
mod database;
mod log;
mod place;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{ControlAction, Store, SystemClock};
use sayiir_runtime::WorkflowClient;
use serde::Serialize;

use crate::build::{Notes, workflow};
use crate::generate::case;
use crate::interpret::{Reference, interpret};
use crate::outside::{Outside, control};
use crate::spec::{Case, Control};
use crate::verdict::judge;

use chaos::Processes;
use database::Troubles;
use log::{Noted, again, read};
pub use place::{FleetStore, Place};

pub use worker::{Serve, serve};

/// So many instances are under way at a time.
const IN_FLIGHT: usize = 24;
/// After this long an instance counts as stuck.
const STUCK: Duration = Duration::from_mins(2);
/// How often instances are looked at.
const LOOK: Duration = Duration::from_millis(25);
/// Where an instance that lost too many owners in a row is given up.
const GIVEN_UP: &str = "its worker was lost";

/// What a fleet is to do.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// On which store.
    pub store: FleetStore,
    /// How many worker processes.
    pub workers: usize,
    /// How many random workflows, one instance each.
    pub cases: u64,
    /// What decides them, and the moments of what befalls the workers.
    pub seed: u64,
    /// Whether anything befalls the workers.
    pub disturbed: bool,
    /// So many troubles befall the database at least; none if this is 0.
    pub troubles: u64,
}

/// What became of it.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    /// Workflows that were run.
    pub cases: u64,
    /// Worker processes.
    pub workers: usize,
    /// Workers that were killed.
    pub kills: u64,
    /// Workers that were frozen until their leases had ended, and then let go on.
    pub freezes: u64,
    /// Writes of workers that were refused, since their branch or run was not theirs any more.
    pub refused: u64,
    /// Instances that lost so many owners in a row that they were given up.
    pub given_up: u64,
    /// What befell the database, and how often.
    pub database: BTreeMap<&'static str, u64>,
    /// What differs from the reference, in words.
    #[serde(skip)]
    pub mismatches: Vec<String>,
}

/// One instance and what is expected of it.
struct Errand {
    id: String,
    number: u64,
    case: Case,
    reference: Reference,
    outside: Outside,
    begun: Instant,
    control_at: Option<Instant>,
}

/// Runs the cases on a fleet.
///
/// # Errors
///
/// If the fleet cannot be set up; what goes wrong in it is a finding.
pub async fn run_fleet(options: &FleetOptions) -> anyhow::Result<Findings> {
    let place = Place::new(options.store, options.workers).await?;
    anyhow::ensure!(options.troubles == 0 || place.database().is_some(), "{} has no server that could be troubled", options.store);
    let mut processes = Processes::begin(options, &place)?;
    let troubles = place.database().filter(|_| options.troubles > 0).map(|database| database.trouble(options.seed));
    let mut fleet = Fleet { options, store: Arc::clone(&place.store), rng: Rng::with_seed(options.seed), next: 0, under_way: Vec::new() };
    let mut findings = Findings { workers: options.workers, ..Findings::default() };
    let mut ended = Vec::new();
    loop {
        let met = troubles.as_ref().map_or(0, Troubles::count);
        // If they have ended by themselves, it was by an error, which is told below.
        if fleet.is_done(met) || troubles.as_ref().is_some_and(Troubles::have_ended) {
            break;
        }
        processes.meanwhile(fleet.fill_up(met)).await??;
        processes.befall(&mut fleet.rng)?;
        processes.meanwhile(fleet.tend(&mut ended, &mut findings)).await?;
        tokio::time::sleep(LOOK).await;
    }
    if let Some(troubles) = troubles {
        findings.database = troubles.end().await?;
    }
    (findings.kills, findings.freezes) = processes.end()?;
    let noted = read(place.logs())?;
    (findings.cases, findings.refused) = (fleet.next, noted.refused);
    for errand in &ended {
        conclude(options, &place.store, errand, &noted, &mut findings).await?;
    }
    Ok(findings)
}

/// What is under way.
struct Fleet<'a> {
    options: &'a FleetOptions,
    store: Arc<dyn Store>,
    rng: Rng,
    next: u64,
    under_way: Vec<Errand>,
}

impl Fleet<'_> {
    /// Whether all has ended, and enough has befallen the database.
    fn is_done(&self, troubles: u64) -> bool {
        self.next == self.options.cases && self.under_way.is_empty() && troubles >= self.options.troubles
    }

    /// Starts as many instances as may be under way at a time. What befalls the database is to befall work: some cases are kept for
    /// each trouble that is still to come.
    async fn fill_up(&mut self, troubles: u64) -> anyhow::Result<()> {
        let FleetOptions { cases, troubles: wanted, .. } = *self.options;
        let kept = cases.saturating_mul(wanted.saturating_sub(troubles)) / wanted.saturating_add(1);
        while self.next < cases - kept && self.under_way.len() < IN_FLIGHT {
            self.under_way.push(begin(self.options.seed, self.next, &self.store, &mut self.rng).await?);
            self.next += 1;
        }
        Ok(())
    }

    /// Looks at every instance that is under way, and does what is to be done to it.
    async fn tend(&mut self, ended: &mut Vec<Errand>, findings: &mut Findings) {
        let mut still = Vec::new();
        for mut errand in std::mem::take(&mut self.under_way) {
            // No answer: a later turn looks again.
            match tend(&mut errand, &self.store).await {
                Ok(true) => ended.push(errand),
                Ok(false) | Err(_) if errand.begun.elapsed() > STUCK => {
                    let standing = self.store.instance(&errand.id).await;
                    findings.mismatches.push(told(self.options, &errand, &format!("stuck: {standing:?}")));
                }
                Ok(false) | Err(_) => still.push(errand),
            }
        }
        self.under_way = still;
    }
}

/// Makes ready what comes from outside, and submits the instance.
async fn begin(seed: u64, number: u64, store: &Arc<dyn Store>, rng: &mut Rng) -> anyhow::Result<Errand> {
    let (case, id) = (case(seed, number), format!("case-{number}"));
    let reference = interpret(&case.nodes, case.input);
    let flow = workflow(&id, &case.nodes, &Notes::new(Arc::new(SystemClock)))?;
    let client = WorkflowClient::from_shared(Arc::new(Arc::clone(store))).with_conflict_policy(ConflictPolicy::UseExisting);
    let begun = Instant::now();
    let outside = loop {
        let made = Outside::begin(store, &id, &case.nodes, &reference).await;
        let failed = match made {
            Ok(outside) => match client.submit(&flow, &id, case.input).await {
                Ok(_) => break outside,
                Err(error) => anyhow::Error::from(error),
            },
            Err(error) => error.into(),
        };
        if begun.elapsed() > STUCK {
            return Err(failed.context(format!("{id} cannot be started")));
        }
        // The store gave no answer: what it was asked for is asked for again.
        tokio::time::sleep(LOOK).await;
    };
    let control_at = (!matches!(case.control, Control::None)).then(|| Instant::now() + Duration::from_millis(rng.u64(..200)));
    Ok(Errand { id, number, case, reference, outside, begun: Instant::now(), control_at })
}

/// Does what is to be done to an instance; true once it has ended.
async fn tend(errand: &mut Errand, store: &Arc<dyn Store>) -> anyhow::Result<bool> {
    if errand.control_at.is_some_and(|at| at <= Instant::now()) {
        match errand.case.control {
            Control::None => {}
            Control::Pause(_) => control(&**store, &errand.id, ControlAction::Pause).await?,
            Control::Cancel(_) => control(&**store, &errand.id, ControlAction::Cancel).await?,
        }
        errand.control_at = None;
    }
    let record = errand.outside.tend().await?;
    Ok(record.is_some_and(|record| record.summary.status.is_terminal()))
}

async fn conclude(
    options: &FleetOptions,
    store: &Arc<dyn Store>,
    errand: &Errand,
    noted: &Noted,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let Some(record) = store.instance(&errand.id).await? else {
        findings.mismatches.push(told(options, errand, "it is gone"));
        return Ok(());
    };
    if matches!(&record.summary.status, WorkflowStatus::Failed(error) if error.contains(GIVEN_UP)) {
        findings.given_up += 1;
        return Ok(());
    }
    let journal = store.journal(record.summary.run, None, usize::MAX).await?;
    let begun = noted.begun.get(&*errand.id).map_or(&[][..], Vec::as_slice);
    let verdict = judge(&errand.reference, errand.case.control, &record, &journal, begun).and_then(|()| again(&journal, noted, &errand.id));
    if let Err(what) = verdict {
        findings.mismatches.push(told(options, errand, &what));
    }
    Ok(())
}

fn told(options: &FleetOptions, errand: &Errand, what: &str) -> String {
    let FleetOptions { store, workers, cases, seed, disturbed, troubles } = options;
    let quiet = if *disturbed { "" } else { " --undisturbed" };
    format!(
        "case {}: {what}\n{}again: cargo xtask reference --store {store} --workers {workers} --cases {cases} --seed {seed} --troubles {troubles}{quiet}\n",
        errand.number, errand.case
    )
}
