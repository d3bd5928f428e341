//! The `sayiir` command: one module a verb.

mod demo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Durable workflows inside your own program.
#[derive(Parser)]
#[command(name = "sayiir", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run real GitHub webhook payloads through durable workflows, and survive being killed
    Demo(demo::DemoArgs),
}

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Demo(args) => demo::run(&args),
    }
}
