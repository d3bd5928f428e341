//! The `sayiir` command: one module a verb.

mod attribute;
mod control;
mod delete;
mod demo;
mod doctor;
mod ending;
mod graph;
mod instance;
mod list;
mod log;
mod manual;
mod payload;
mod purge;
mod rewind;
mod screen;
mod show;
mod signal;
mod standing;
mod stats;
mod store;
mod text;
mod wait;
mod watch;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

use control::ControlArgs;
use ending::{Verdict, conclude};
use sayiir::persistence::ControlAction;

const AFTER_HELP: &str = "\
The store that a verb works on is given by --store or SAYIIR_STORE. Verbs work beside the programs that use it, and neither make nor migrate one.

Exit status: 0 done, 1 failed, 2 wrong usage; `sayiir wait` has a 3.

Environment: SAYIIR_STORE (the store), SAYIIR_SCHEMA (its schema on PostgreSQL), RUST_LOG (what the libraries say, such as debug), NO_COLOR, COLUMNS (the width of tables).

Examples:
  sayiir list --store sqlite:orders.db --status failed
  export SAYIIR_STORE=sqlite:orders.db
  sayiir show order-17 --payloads
  sayiir graph order-17 > order-17.mmd";

/// Durable workflows inside your own program: the operator's command.
#[derive(Parser)]
#[command(name = "sayiir", version, arg_required_else_help = true, max_term_width = 120)]
#[command(after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    #[command(flatten)]
    OfStore(StoreVerb),
    /// Run real GitHub webhook payloads through durable workflows, and survive being killed
    Demo(demo::DemoArgs),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
}

/// What is done with a store.
#[derive(Subcommand)]
enum StoreVerb {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Graph(graph::GraphArgs),
    Signal(signal::SignalArgs),
    /// End instances
    Cancel(ControlArgs),
    /// Hold instances: what runs may finish its step
    Pause(ControlArgs),
    /// Let paused instances go on
    Unpause(ControlArgs),
    /// Set failed instances going again, from the node at which they failed
    Retry(ControlArgs),
    Rewind(rewind::RewindArgs),
    Wait(wait::WaitArgs),
    Delete(delete::DeleteArgs),
    Purge(purge::PurgeArgs),
    Stats(stats::StatsArgs),
    Doctor(doctor::DoctorArgs),
}

fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    log::init();
    match verb {
        Verb::OfStore(verb) => conclude(run(verb)),
        Verb::Demo(args) => demo::run(&args),
        Verb::Completions(args) => conclude(manual::completions(&args, Cli::command())),
        Verb::Man(args) => conclude(manual::man(&args, Cli::command())),
    }
}

fn run(verb: StoreVerb) -> Verdict {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("could not start the runtime")?;
    runtime.block_on(async {
        match verb {
            StoreVerb::List(args) => list::run(&args).await,
            StoreVerb::Show(args) => show::run(&args).await,
            StoreVerb::Graph(args) => graph::run(&args).await,
            StoreVerb::Signal(args) => signal::run(&args).await,
            StoreVerb::Cancel(args) => control::run(ControlAction::Cancel, &args).await,
            StoreVerb::Pause(args) => control::run(ControlAction::Pause, &args).await,
            StoreVerb::Unpause(args) => control::run(ControlAction::Unpause, &args).await,
            StoreVerb::Retry(args) => control::run(ControlAction::Retry, &args).await,
            StoreVerb::Rewind(args) => rewind::run(&args).await,
            StoreVerb::Wait(args) => wait::run(&args).await,
            StoreVerb::Delete(args) => delete::run(&args).await,
            StoreVerb::Purge(args) => purge::run(&args).await,
            StoreVerb::Stats(args) => stats::run(&args).await,
            StoreVerb::Doctor(args) => doctor::run(&args).await,
        }
    })
}
