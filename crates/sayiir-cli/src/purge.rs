//! `sayiir purge`: removes what ended long ago.

use std::time::Duration;

use clap::Args;
use sayiir::persistence::{AgeRange, InstanceFilter, ListOrder, RunState};
use serde::Serialize;

use crate::ending::{Ending, Failure, Verdict};
use crate::screen::Screen;
use crate::store::{OpenStore, StoreArgs};
use crate::text::{count, parse_duration};

/// So many are counted at a time.
const COUNTED_AT_ONCE: usize = 1000;

/// Removes the instances that ended longer ago, with all they have, in small batches beside the programs that use the store.
///
/// Completed, failed and cancelled instances have ended; a failed one could still be retried, but not once it is removed. What runs, waits or
/// is paused is never removed.
#[derive(Args)]
#[command(after_long_help = "Examples:
  sayiir purge --older-than 90d --dry-run
  sayiir purge --older-than 30d --workflow import

JSON: one object with purged, or with would_purge where --dry-run is given.")]
pub(crate) struct PurgeArgs {
    /// What ended longer ago, such as 12h or 30d
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    older_than: Duration,

    /// Only of the workflow of this name
    #[arg(long, short, value_name = "NAME")]
    workflow: Option<String>,

    /// Count what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum PurgedJson {
    Purged(u64),
    WouldPurge(u64),
}

pub(crate) async fn run(args: &PurgeArgs) -> Verdict {
    let store = args.store.open().await?;
    let (number, verb) =
        if args.dry_run { (would_purge(args, &store).await?, "would purge") } else { (purge(args, &store).await?, "purged") };
    let mut screen = Screen::new();
    if args.json {
        screen.json(&if args.dry_run { PurgedJson::WouldPurge(number) } else { PurgedJson::Purged(number) })?;
    } else {
        screen.line(format!("{verb} {}", count(usize::try_from(number).unwrap_or(usize::MAX), "instance", "instances")))?;
    }
    screen.flush()?;
    Ok(Ending::Done)
}

async fn purge(args: &PurgeArgs, store: &OpenStore) -> Result<u64, Failure> {
    Ok(store.client.purge(args.workflow.as_deref(), args.older_than).await?)
}

async fn would_purge(args: &PurgeArgs, store: &OpenStore) -> Result<u64, Failure> {
    let (mut found, mut before) = (0, None);
    loop {
        let page = store.client.list(InstanceFilter {
            workflow: args.workflow.clone(),
            states: vec![RunState::Completed, RunState::Failed, RunState::Cancelled],
            // Nothing happens to an instance after its end.
            updated: AgeRange { at_least: Some(args.older_than), at_most: None },
            order: ListOrder::NewestFirst { before },
            limit: Some(COUNTED_AT_ONCE),
            ..InstanceFilter::default()
        });
        let page = page.await?;
        found += page.len() as u64;
        before = page.last().map(|last| last.run);
        if page.len() < COUNTED_AT_ONCE {
            return Ok(found);
        }
    }
}
