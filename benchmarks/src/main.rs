//! The speed of Sayiir, beside the speed of the disk it stores on.
#![allow(clippy::cast_precision_loss, reason = "figures")]

mod flows;
mod measure;
mod parked;
mod pickup;
mod recovery;
mod report;
mod runs;
mod server;
mod soak;
mod store;
mod workers;

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
    /// The PostgreSQL server to measure on; one of its own unless given
    #[arg(long)]
    url: Option<String>,
    /// So many pooled workers drive the instances, in processes of their own, instead of a runner in this one
    #[arg(long, value_name = "NUMBER")]
    workers: Option<usize>,
    /// Complete what a killed process left as a process on another host would (recovery)
    #[arg(long)]
    other_host: bool,
    /// Where the files of the store lie
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// How long to look at parked instances, in seconds
    #[arg(long, default_value_t = 10)]
    idle: u64,
    /// How long a long run takes, in seconds (soak)
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Run half of the instances on the store at this address, and die
    #[arg(long, hide = true)]
    die_on: Option<String>,
    /// Be a worker on the store at this address
    #[arg(long, hide = true)]
    serve: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
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
    /// How long a submitted instance waits for an idle worker
    Pickup,
    /// Instances of five steps, many at a time, for long, while those that have ended are purged
    Soak,
}

impl Workload {
    /// As it is given on the command line.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if let Some(address) = &args.die_on {
            return recovery::die(address, args.instances.unwrap_or(recovery::INSTANCES)).await;
        }
        if let Some(address) = &args.serve {
            return workers::serve(address, args.workload, args.in_flight).await;
        }
        let report = match args.workload {
            Workload::Linear => runs::linear(&args).await,
            Workload::Single => runs::single(&args).await,
            Workload::Long => runs::long(&args).await,
            Workload::Fanout => runs::fanout(&args).await,
            Workload::Recovery => recovery::run(&args).await,
            Workload::Parked => parked::run(&args).await,
            Workload::Pickup => pickup::run(&args).await,
            Workload::Soak => soak::run(&args).await,
        }?;
        report.print(args.json)
    })
}
