//! `cargo xtask`: the checks and long runs of this repository, one module a verb.

mod arrows;
mod check;
mod ci;
mod crash;
mod demo;
mod edge;
mod random;
mod reference;
mod shell;
mod wasm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks and long runs of the Sayiir repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Check the allowed arrows between crates, and that the portable crates build for wasm32
    Check,
    /// Kill the demo at random moments, and check that nothing is lost, repeated or wrong
    Crash(crash::CrashArgs),
    /// Compare every driver and store with the reference on random workflows, with a fault at every store write
    Reference(reference::ReferenceArgs),
    /// Install, build and test the npm packages below `bindings/`
    Edge(edge::EdgeArgs),
    /// Run everything that CI runs: formatting, lints, tests, docs, checks
    Ci,
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Check => check::run(),
        Verb::Crash(args) => crash::run(&args),
        Verb::Reference(args) => reference::run(&args),
        Verb::Edge(args) => edge::run(&args),
        Verb::Ci => ci::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
