//! The demo as a program: building it, starting it, and reading what it prints. `cargo xtask ci` runs it end to end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::shell;

/// A demo that takes this long is stuck.
const PATIENCE: Duration = Duration::from_mins(2);

/// How many webhooks are built in.
const BUILT_IN: u64 = 329;

/// The demo's executable.
pub(crate) struct Demo(PathBuf);

/// What the demo prints with `--json`, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) instances: u64,
    pub(crate) completed: u64,
    pub(crate) steps: u64,
    pub(crate) repeated_steps: u64,
    pub(crate) report: Value,
}

impl Demo {
    /// Builds it.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let mut command = shell::cargo();
        command.args(["build", "--release", "--bin", "sayiir", "--message-format", "json-render-diagnostics"]);
        let messages = shell::output(&mut command)?;
        let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let made = artifacts.filter_map(|artifact| artifact.get("executable")?.as_str().map(PathBuf::from)).next_back();
        made.map(Self).context("cargo built no executable named sayiir")
    }

    /// Starts it; its messages go to a file beside the store.
    pub(crate) fn start(&self, store: &Path, more: &[&str], stdout: Stdio) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.0);
        command.args(["demo", "--json", "--store"]).arg(store).args(more);
        let log = File::options().create(true).append(true).open(store.with_extension("log"))?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(log);
        command.spawn().with_context(|| format!("could not start {}", self.0.display()))
    }

    /// Lets it come to its end.
    pub(crate) fn finish(&self, store: &Path) -> anyhow::Result<Outcome> {
        let printed = store.with_extension("json");
        let child = self.start(store, &[], File::create(&printed)?.into())?;
        let status = ended(child, store)?;
        let text = std::fs::read_to_string(&printed)?;
        let outcome: Outcome = serde_json::from_str(&text)
            .with_context(|| format!("the demo printed {text:?}, its messages are in {}", store.with_extension("log").display()))?;
        let all = outcome.completed == outcome.instances;
        ensure!(status.success() == all, "the demo completed {} of {}, yet it ended with {status}", outcome.completed, outcome.instances);
        Ok(outcome)
    }

    /// Lets it abort after so many steps.
    fn crash(&self, store: &Path, after: &str) -> anyhow::Result<()> {
        let child = self.start(store, &["--crash-after", after], Stdio::null())?;
        let status = ended(child, store)?;
        ensure!(status.code() != Some(0) && status.code() != Some(1), "--crash-after {after} ended with {status}");
        Ok(())
    }
}

/// Waits for its end.
fn ended(mut child: Child, store: &Path) -> anyhow::Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            bail!("the demo on {} is stuck: not done after {} s", store.display(), PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes a folder for files that nobody keeps.
pub(crate) fn scratch(name: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("sayiir-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    Ok(folder)
}

/// Runs the demo undisturbed, then with two crashes, and compares.
pub(crate) fn check() -> anyhow::Result<()> {
    let folder = scratch("demo")?;
    check_in(&folder).with_context(|| format!("the stores and logs are kept in {}", folder.display()))?;
    std::fs::remove_dir_all(&folder).with_context(|| format!("could not delete {}", folder.display()))
}

fn check_in(folder: &Path) -> anyhow::Result<()> {
    let demo = Demo::build()?;
    let undisturbed = demo.finish(&folder.join("undisturbed.db"))?;
    let Outcome { instances, completed, steps: _, repeated_steps, report: _ } = &undisturbed;
    ensure!((*instances, *completed, *repeated_steps) == (BUILT_IN, BUILT_IN, 0), "undisturbed: {}", shown(&undisturbed));

    let store = folder.join("crashed.db");
    demo.crash(&store, "500")?;
    demo.crash(&store, "500")?;
    let crashed = demo.finish(&store)?;
    ensure!(crashed == undisturbed, "after two crashes: {}; undisturbed: {}", shown(&crashed), shown(&undisturbed));
    println!("    undisturbed and after two crashes: {}", shown(&crashed));
    Ok(())
}

fn shown(outcome: &Outcome) -> String {
    let Outcome { instances, completed, steps, repeated_steps, report } = outcome;
    let report = report.to_string().len();
    format!("{completed} of {instances} completed, {steps} steps, {repeated_steps} repeated, a report of {report} bytes")
}

/// An outcome for tests.
#[cfg(test)]
pub(crate) fn outcome(completed: u64, steps: u64, repeated_steps: u64, report: &str) -> Outcome {
    Outcome { instances: BUILT_IN, completed, steps, repeated_steps, report: Value::from(report) }
}
