//! `cargo xtask ci`: everything that CI runs, in the order in which a failure is found soonest.

use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use sayiir_pg_testserver::{Binaries, HOW_TO_INSTALL};

use crate::{check, crash, demo, edge, reference, shell};

type Step = (&'static str, fn() -> anyhow::Result<()>);

const STEPS: &[Step] = &[
    ("tools", tools),
    ("format", format),
    ("lints", lints),
    ("arrows and wasm", check::run),
    ("licences and sources", deny),
    ("tests", tests),
    ("docs", docs),
    ("edge", edge::check),
    ("demo", demo::check),
    ("crashes", crash::check),
    ("simulation", simulation),
    ("reference", reference::check),
];

/// The optional parts of the facade, so that their tests run too.
const FEATURES: &str = "sayiir/postgres,sayiir/metrics,sayiir/otel,sayiir/rkyv,sayiir-core/rkyv";

/// Runs every step, and stops at the first that fails.
pub(crate) fn run() -> anyhow::Result<()> {
    let all = Instant::now();
    for (number, (name, step)) in STEPS.iter().enumerate() {
        println!("==> {}/{} {name}", number + 1, STEPS.len());
        let started = Instant::now();
        step().with_context(|| format!("step `{name}` failed after {:.1} s", started.elapsed().as_secs_f64()))?;
        println!("    {name}: ok, {:.1} s", started.elapsed().as_secs_f64());
    }
    println!("==> all {} steps passed in {:.1} s", STEPS.len(), all.elapsed().as_secs_f64());
    Ok(())
}

/// Installs what the later steps need and a machine with plain Rust may lack.
fn tools() -> anyhow::Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !shell::works(shell::cargo().args([subcommand, "--version"])) {
            shell::run(Command::new("rustup").args(["component", "add", component]))
                .with_context(|| format!("`cargo {subcommand}` is missing, and rustup could not add {component}"))?;
        }
    }
    if !shell::works(shell::cargo().args(["deny", "--version"])) {
        println!("    cargo-deny is missing: building it takes some minutes");
        shell::run(shell::cargo().args(["install", "cargo-deny", "--locked", "--quiet"]))
            .context("`cargo deny` is missing and could not be installed from crates.io")?;
    }
    edge::browser()?;
    if !shell::works(Command::new("openssl").arg("version")) {
        println!("    openssl is missing: installing it");
        shell::apt_install("openssl").context("the tests of encrypted connections make their certificates with `openssl`: install it")?;
    }
    postgres()
}

/// The tests of the PostgreSQL store start servers of their own.
fn postgres() -> anyhow::Result<()> {
    if Binaries::find().is_ok() {
        return Ok(());
    }
    println!("    PostgreSQL is missing: installing it");
    shell::apt_install("postgresql").context(HOW_TO_INSTALL)?;
    Binaries::find().map(drop).context("PostgreSQL was installed, but its programs are not found")
}

fn format() -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"])).context("`cargo fmt --all` puts this right")
}

fn lints() -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["clippy", "--workspace", "--all-targets", "--features", FEATURES, "--", "-D", "warnings"]))
}

fn deny() -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["deny", "check", "bans", "licenses", "sources"]))
}

/// Unit, integration and documentation tests.
fn tests() -> anyhow::Result<()> {
    // As many rounds of concurrent starts as the lifecycle contract is to be shown with.
    shell::run(shell::cargo().args(["test", "--workspace", "--features", FEATURES]).env("SAYIIR_TESTKIT_ROUNDS", "1000"))
}

/// Made-up worlds from a seed that is printed.
fn simulation() -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["run", "--quiet", "--release", "-p", "sayiir-sim", "--", "--seeds", "20000", "--json"]))
}

fn docs() -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["doc", "--workspace", "--no-deps", "--features", FEATURES]).env("RUSTDOCFLAGS", "-D warnings"))
}
