//! The speed of Sayiir, beside the speed of the disk it stores on.
#![allow(clippy::cast_precision_loss, reason = "figures")]

mod flows;
mod measure;
mod parked;
mod recovery;
mod report;
mod runs;
mod store;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::store::Kind;

/// Measure one workload on one store: several rounds, medians.
#[derive(Parser)]
#[command(name = "sayiir-bench")]
pub(crate) struct Args {
    /// What is run
    workload: Workload,
    /// On which store
    #[arg(long, value_enum, default_value = "sqlite")]
    store: Kind,
    /// How many rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many instances a round; as many as fit the workload unless given
    #[arg(long)]
    instances: Option<usize>,
    /// How many instances at a time, where several are
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Where the files of the store lie
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// How long to look at parked instances, in seconds
    #[arg(long, default_value_t = 10)]
    idle: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Run half of the instances on this file, and die
    #[arg(long, hide = true)]
    die_on: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// Instances of five steps, many at a time
    Linear,
    /// Instances of five steps, one at a time
    Single,
    /// An instance of a thousand steps
    Long,
    /// An instance of a hundred branches
    Fanout,
    /// Instances whose process is killed half-way, completed by the next one
    Recovery,
    /// Instances that wait for an event
    Parked,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if let Some(file) = &args.die_on {
            return recovery::die(file, args.instances.unwrap_or(recovery::INSTANCES)).await;
        }
        let report = match args.workload {
            Workload::Linear => runs::linear(&args).await,
            Workload::Single => runs::single(&args).await,
            Workload::Long => runs::long(&args).await,
            Workload::Fanout => runs::fanout(&args).await,
            Workload::Recovery => recovery::run(&args).await,
            Workload::Parked => parked::run(&args).await,
        }?;
        report.print(args.json)
    })
}
