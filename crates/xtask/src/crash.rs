//! `cargo xtask crash`: kills the demo with `kill -9` at random moments, lets it finish, and compares with a run that nobody disturbed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{random::Random, shell};

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

/// A round kills this many processes at most, then lets one finish.
const MOST_KILLS: u64 = 3;

/// A demo that takes this much longer than the undisturbed one is stuck.
const PATIENCE: Duration = Duration::from_mins(2);

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

/// What the demo prints with `--json`, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Outcome {
    instances: u64,
    completed: u64,
    steps: u64,
    repeated_steps: u64,
    report: Value,
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

/// Runs all rounds; an error if a promise was broken.
pub(crate) fn run(args: &CrashArgs) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(Random::fresh_seed);
    eprintln!("crash: {} rounds, --seed {seed}", args.rounds);
    let folder = std::env::temp_dir().join(format!("sayiir-crash-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
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
    let demo = build()?;
    let started = Instant::now();
    let undisturbed = finish(&demo, &store_in(&folder.join("undisturbed"))?)?;
    let length = started.elapsed();
    let Outcome { instances, completed, .. } = undisturbed;
    ensure!(completed == instances, "the undisturbed demo completed only {completed} of {instances} instances");

    let mut findings = Findings::default();
    for round in 1..=rounds {
        let own = folder.join(format!("round-{round}"));
        let store = store_in(&own)?;
        let kills = disturb(&demo, &store, random, length).with_context(|| format!("round {round}"))?;
        let outcome = finish(&demo, &store).with_context(|| format!("round {round}"))?;
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

/// Builds the demo and says where it is.
fn build() -> anyhow::Result<PathBuf> {
    let mut command = shell::cargo();
    command.args(["build", "--release", "--bin", "sayiir", "--message-format", "json-render-diagnostics"]);
    let messages = shell::output(&mut command)?;
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let made = artifacts.filter_map(|artifact| artifact.get("executable")?.as_str().map(PathBuf::from)).next_back();
    made.context("cargo built no executable named sayiir")
}

/// Starts the demo up to [`MOST_KILLS`] times, and kills it each time at a random moment. Returns how many were still at work.
fn disturb(demo: &Path, store: &Path, random: &mut Random, length: Duration) -> anyhow::Result<u32> {
    let mut kills = 0;
    for _ in 0..=random.below(MOST_KILLS) {
        let mut child = start(demo, store, Stdio::null())?;
        std::thread::sleep(length.mul_f64(random.fraction()));
        kills += u32::from(child.try_wait()?.is_none());
        child.kill().context("could not kill the demo")?;
        child.wait()?;
    }
    Ok(kills)
}

/// Lets the demo come to its end.
fn finish(demo: &Path, store: &Path) -> anyhow::Result<Outcome> {
    let printed = store.with_extension("json");
    let mut child = start(demo, store, std::fs::File::create(&printed)?.into())?;
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            bail!("the demo on {} is stuck: not done after {} s", store.display(), PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let text = std::fs::read_to_string(&printed)?;
    serde_json::from_str(&text)
        .with_context(|| format!("the demo printed {text:?}, its messages are in {}", store.with_extension("log").display()))
}

fn start(demo: &Path, store: &Path, stdout: Stdio) -> anyhow::Result<Child> {
    let mut command = Command::new(demo);
    command.args(["demo", "--json", "--store"]).arg(store);
    let log = std::fs::File::options().create(true).append(true).open(store.with_extension("log"))?;
    command.stdin(Stdio::null()).stdout(stdout).stderr(log);
    command.spawn().with_context(|| format!("could not start {}", demo.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(completed: u64, steps: u64, repeated_steps: u64, report: &str) -> Outcome {
        Outcome { instances: 329, completed, steps, repeated_steps, report: Value::from(report) }
    }

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
