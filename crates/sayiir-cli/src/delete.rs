//! `sayiir delete`: removes instances with all they have, after asking.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;

use crate::control::{Done, Each, told};
use crate::ending::{Ending, Failure, Verdict, failed};
use crate::instance::workflow;
use crate::store::{OpenStore, StoreArgs};
use crate::text::clean;

/// Removes instances with their journals, events and requests. What runs of them is stopped: it can store nothing any more.
///
/// It asks before each, unless --yes is given. `sayiir purge` removes what ended long ago, in bulk.
#[derive(Args)]
#[command(after_long_help = "JSON: one line for each id, with instance_id, done, and error if it is not done.")]
pub(crate) struct DeleteArgs {
    /// The instances' ids
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,

    /// Print a line of JSON for each id
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) async fn run(args: &DeleteArgs) -> Verdict {
    if !args.yes && !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("standard input is no terminal, so nobody can be asked: --yes deletes without asking".to_owned()));
    }
    let store = args.store.open().await?;
    let mut each = Each::new(args.json);
    let mut kept = false;
    for id in &args.ids {
        if !args.yes && !agreed(&store, id).await? {
            eprintln!("kept {}", clean(id));
            kept = true;
            continue;
        }
        let deleted = match store.client.backend().delete(id).await {
            Ok(true) => Ok(Done::Now),
            Ok(false) => Err(store.no_instance(id)),
            Err(error) => Err(told(&error.into())),
        };
        each.tell(id, "deleted", deleted)?;
    }
    store.settle().await?;
    let ending = each.end();
    Ok(if kept { Ending::NotDone } else { ending })
}

/// Asks on standard error, so that what is printed stays clean.
async fn agreed(store: &OpenStore, id: &str) -> Result<bool, Failure> {
    let record = store.instance(id).await?;
    let summary = &record.summary;
    eprint!("Delete {} ({}, {}) with its journal? [y/N] ", clean(id), clean(&workflow(summary)), summary.status.as_str());
    std::io::stderr().flush()?;
    let mut answer = String::new();
    if std::io::stdin().read_line(&mut answer)? == 0 {
        return Err(failed("no answer"));
    }
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}
