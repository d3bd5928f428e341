//! Random workflows on a fleet: workers in processes of their own over one store, killed, frozen and started at random.
//!
//! What comes of every instance is compared with the reference. A process that is frozen beyond its leases is a
//! zombie when it wakes: what it began it may begin once more, but nothing that it writes is accepted.

mod chaos;
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

use crate::build::{Begun, Notes, workflow};
use crate::generate::case;
use crate::interpret::{Reference, interpret};
use crate::outside::{Outside, control};
use crate::spec::{Case, Control};
use crate::verdict::judge;

use chaos::Processes;
use log::{again, read};
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
    let place = Place::new(&options.store).await?;
    let mut processes = Processes::begin(options, &place)?;
    let mut findings = Findings { cases: options.cases, workers: options.workers, ..Findings::default() };
    let mut rng = Rng::with_seed(options.seed);
    let client = WorkflowClient::from_shared(Arc::new(Arc::clone(&place.store))).with_conflict_policy(ConflictPolicy::UseExisting);
    let (mut next, mut under_way, mut ended) = (0, Vec::new(), Vec::new());
    while next < options.cases || !under_way.is_empty() {
        while next < options.cases && under_way.len() < IN_FLIGHT {
            under_way.push(begin(options.seed, next, &place.store, &client, &mut rng).await?);
            next += 1;
        }
        processes.befall(&mut rng)?;
        let mut still = Vec::new();
        for mut errand in under_way {
            match tend(&mut errand, &place.store).await? {
                true => ended.push(errand),
                false if errand.begun.elapsed() > STUCK => {
                    let standing = place.store.instance(&errand.id).await?;
                    findings.mismatches.push(told(options, &errand, &format!("stuck: {standing:?}")));
                }
                false => still.push(errand),
            }
        }
        under_way = still;
        tokio::time::sleep(LOOK).await;
    }
    (findings.kills, findings.freezes) = processes.end()?;
    let (begun, refused) = read(place.logs())?;
    findings.refused = refused;
    for errand in &ended {
        conclude(options, &place.store, errand, &begun, &mut findings).await?;
    }
    Ok(findings)
}

/// Makes ready what comes from outside, and submits the instance.
async fn begin<B: Store>(
    seed: u64,
    number: u64,
    store: &Arc<dyn Store>,
    client: &WorkflowClient<B>,
    rng: &mut Rng,
) -> anyhow::Result<Errand> {
    let (case, id) = (case(seed, number), format!("case-{number}"));
    let reference = interpret(&case.nodes, case.input);
    let flow = workflow(&id, &case.nodes, &Notes::new(Arc::new(SystemClock)))?;
    let outside = Outside::begin(store, &id, &case.nodes, &reference).await?;
    client.submit(&flow, &id, case.input).await?;
    let begun = Instant::now();
    let control_at = (!matches!(case.control, Control::None)).then(|| begun + Duration::from_millis(rng.u64(..200)));
    Ok(Errand { id, number, case, reference, outside, begun, control_at })
}

/// Does what is to be done to an instance; true once it has ended.
async fn tend(errand: &mut Errand, store: &Arc<dyn Store>) -> anyhow::Result<bool> {
    if errand.control_at.is_some_and(|at| at <= Instant::now()) {
        errand.control_at = None;
        match errand.case.control {
            Control::None => {}
            Control::Pause(_) => control(&**store, &errand.id, ControlAction::Pause).await?,
            Control::Cancel(_) => control(&**store, &errand.id, ControlAction::Cancel).await?,
        }
    }
    let record = errand.outside.tend().await?;
    Ok(record.is_some_and(|record| record.summary.status.is_terminal()))
}

async fn conclude(
    options: &FleetOptions,
    store: &Arc<dyn Store>,
    errand: &Errand,
    begun: &BTreeMap<Arc<str>, Vec<(Begun, bool)>>,
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
    let noted = begun.get(&*errand.id).map_or(&[][..], Vec::as_slice);
    let all: Vec<_> = noted.iter().map(|(begun, _)| begun.clone()).collect();
    let verdict = judge(&errand.reference, errand.case.control, &record, &journal, &all).and_then(|()| again(&journal, noted));
    if let Err(what) = verdict {
        findings.mismatches.push(told(options, errand, &what));
    }
    Ok(())
}

fn told(options: &FleetOptions, errand: &Errand, what: &str) -> String {
    let FleetOptions { store, workers, cases, seed, disturbed } = options;
    let quiet = if *disturbed { "" } else { " --undisturbed" };
    format!(
        "case {}: {what}\n{}again: cargo xtask reference --store {store} --workers {workers} --cases {cases} --seed {seed}{quiet}\n",
        errand.number, errand.case
    )
}
