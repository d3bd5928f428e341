//! `sayiir rewind`: a new run of an instance that begins at a node of the old one, with the results before it.

use clap::Args;
use serde::Serialize;

use crate::ending::{Ending, Verdict};
use crate::screen::Screen;
use crate::store::StoreArgs;
use crate::text::clean;

/// Begins an instance anew at one of its nodes, with the results before it.
///
/// What comes before the node does not run again; the node and all behind it do. The instance may be running, paused or ended; its old run is
/// over, and nothing that a worker still writes for it is accepted. Events that were used are used: if the new run waits for one of them, send
/// it again. Where an instance only has to try once more what failed, use `sayiir retry`, which keeps its run.
#[derive(Args)]
#[command(after_long_help = "Examples:
  sayiir rewind order-17 --to charge --reason 'charged to the wrong card'
  sayiir rewind import-3 --to 'pages[2]/load'

JSON: one object with instance_id, node and run (the new run's number).")]
pub(crate) struct RewindArgs {
    /// The instance's id
    #[arg(value_name = "ID")]
    id: String,

    /// The node to begin at, by its path as `sayiir show` has it; without the iterations of the loops around it, the first one is meant.
    /// What stands inside a fork cannot be gone back to, but the fork can
    #[arg(long, value_name = "NODE")]
    to: String,

    /// Why; kept in the journal
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Who asks for it; kept in the journal
    #[arg(long, value_name = "NAME")]
    by: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct RewoundJson<'a> {
    instance_id: &'a str,
    node: &'a str,
    run: u64,
}

pub(crate) async fn run(args: &RewindArgs) -> Verdict {
    let RewindArgs { id, to, reason, by, json, store } = args;
    let store = store.open().await?;
    // It says that there is none, and where to look.
    store.instance(id).await?;
    let mut rewinding = store.client.rewind(id, to);
    if let Some(reason) = reason {
        rewinding = rewinding.reason(reason);
    }
    if let Some(by) = by {
        rewinding = rewinding.by(by);
    }
    let run = rewinding.send().await?;
    store.settle().await?;
    let mut screen = Screen::new();
    if *json {
        screen.json(&RewoundJson { instance_id: id, node: to, run: run.0 })?;
    } else {
        screen.line(format!("rewound {} to {}: run {run}", clean(id), clean(to)))?;
    }
    screen.flush()?;
    Ok(Ending::Done)
}
