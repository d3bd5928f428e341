//! `cargo xtask crash`: kills the demo with `kill -9` at random moments, lets it finish, and compares with a run that nobody disturbed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;

use crate::demo::{Demo, Outcome, scratch};
use crate::random::Random;

/// Kills the demo at random moments, and checks that nothing is lost, repeated or wrong afterwards.
#[derive(Args)]
pub(crate) struct CrashArgs {
    /// How many times the demo is begun anew
    #[arg(long, value_name = "N", default_value = "10")]
    rounds: u32,
    /// The number from which the random moments follow; a new one is made up and printed by default
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// How many rounds CI runs.
const CI_ROUNDS: u32 = 10;

/// A round kills this many processes at most, then lets one finish.
const MOST_KILLS: u64 = 3;

/// What all rounds found; all but the first two are zero if the promises hold.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Findings {
    rounds: u32,
    /// Processes that were killed before they were done.
    kills: u32,
    /// Instances that did not complete.
    lost: u64,
    /// Stored steps whose task ran again.
    repeated: u64,
    /// Rounds whose report, or number of steps, differs from the undisturbed run's.
    report_mismatches: u32,
}

impl Findings {
    fn add(&mut self, undisturbed: &Outcome, outcome: &Outcome, kills: u32) {
        let Outcome { instances: _, completed, steps, repeated_steps, report } = outcome;
        self.rounds += 1;
        self.kills += kills;
        self.lost += undisturbed.instances.saturating_sub(*completed);
        self.repeated += repeated_steps;
        self.report_mismatches += u32::from(*report != undisturbed.report || *steps != undisturbed.steps);
    }

    fn is_clean(&self) -> bool {
        let Self { rounds: _, kills: _, lost, repeated, report_mismatches } = self;
        (*lost, *repeated, *report_mismatches) == (0, 0, 0)
    }
}

/// Runs the rounds of CI.
pub(crate) fn check() -> anyhow::Result<()> {
    run(&CrashArgs { rounds: CI_ROUNDS, seed: None, json: false })
}

/// Runs all rounds; an error if a promise was broken.
pub(crate) fn run(args: &CrashArgs) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(Random::fresh_seed);
    eprintln!("crash: {} rounds, --seed {seed}", args.rounds);
    let folder = scratch("crash")?;
    let kept = || format!("--seed {seed}; the stores and logs are kept in {}", folder.display());

    let findings = rounds(args.rounds, &mut Random::new(seed), &folder).with_context(kept)?;
    if args.json {
        println!("{}", serde_json::to_string(&findings)?);
    } else {
        println!("{findings:?}");
    }
    ensure!(findings.is_clean(), "promises were broken ({})", kept());
    std::fs::remove_dir_all(&folder).with_context(|| format!("could not delete {}", folder.display()))
}

fn rounds(rounds: u32, random: &mut Random, folder: &Path) -> anyhow::Result<Findings> {
    let demo = Demo::build()?;
    let started = Instant::now();
    let undisturbed = demo.finish(&store_in(&folder.join("undisturbed"))?)?;
    let length = started.elapsed();
    let Outcome { instances, completed, .. } = undisturbed;
    ensure!(completed == instances, "the undisturbed demo completed only {completed} of {instances} instances");

    let mut findings = Findings::default();
    for round in 1..=rounds {
        let own = folder.join(format!("round-{round}"));
        let store = store_in(&own)?;
        let kills = disturb(&demo, &store, random, length).with_context(|| format!("round {round}"))?;
        let outcome = demo.finish(&store).with_context(|| format!("round {round}"))?;
        findings.add(&undisturbed, &outcome, kills);
        eprintln!("round {round}: {kills} killed, {} completed, {} repeated", outcome.completed, outcome.repeated_steps);
        if findings.is_clean() {
            std::fs::remove_dir_all(&own)?;
        }
    }
    Ok(findings)
}

/// Makes `folder` for a store.
fn store_in(folder: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    Ok(folder.join("demo.db"))
}

/// Starts the demo up to [`MOST_KILLS`] times, and kills it each time at a random moment. Returns how many were still at work.
fn disturb(demo: &Demo, store: &Path, random: &mut Random, length: Duration) -> anyhow::Result<u32> {
    let mut kills = 0;
    for _ in 0..=random.below(MOST_KILLS) {
        let mut child = demo.start(store, &[], Stdio::null())?;
        std::thread::sleep(length.mul_f64(random.fraction()));
        kills += u32::from(child.try_wait()?.is_none());
        child.kill().context("could not kill the demo")?;
        child.wait()?;
    }
    Ok(kills)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::outcome;

    #[test]
    fn a_round_like_the_undisturbed_one_is_clean() {
        let undisturbed = outcome(329, 4000, 0, "r");
        let mut findings = Findings::default();
        findings.add(&undisturbed, &undisturbed, 2);
        assert_eq!(findings, Findings { rounds: 1, kills: 2, ..Findings::default() });
        assert!(findings.is_clean());
    }

    #[test]
    fn whatever_is_lost_repeated_or_different_is_found() {
        let undisturbed = outcome(329, 4000, 0, "r");
        for bad in [outcome(328, 4000, 0, "r"), outcome(329, 4000, 1, "r"), outcome(329, 4000, 0, "s"), outcome(329, 3999, 0, "r")] {
            let mut findings = Findings::default();
            findings.add(&undisturbed, &bad, 1);
            assert!(!findings.is_clean(), "{bad:?}");
        }
    }

    #[test]
    fn the_json_object_has_the_documented_fields() {
        let json = serde_json::to_value(Findings::default()).unwrap();
        for field in ["rounds", "lost", "repeated", "report_mismatches"] {
            assert_eq!(json[field], 0, "{field}");
        }
    }
}
