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
/// is paused is never removed. Events that were sent to an id that has not begun wait for it, unless --unclaimed-events is given.
#[derive(Args)]
#[command(after_long_help = "Examples:
  sayiir purge --older-than 90d --dry-run
  sayiir purge --older-than 30d --workflow import
  sayiir purge --older-than 180d --unclaimed-events

JSON: one object with purged, or with would_purge where --dry-run is given; also with unclaimed (ids) where --unclaimed-events is.")]
pub(crate) struct PurgeArgs {
    /// What ended longer ago, such as 12h or 30d
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    older_than: Duration,

    /// Only of the workflow of this name
    #[arg(long, short, value_name = "NAME")]
    workflow: Option<String>,

    /// Also remove what was sent to ids that never began, if nothing younger waits there
    #[arg(long, conflicts_with_all = ["workflow", "dry_run"])]
    unclaimed_events: bool,

    /// Count what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize, Default)]
struct PurgedJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    purged: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_purge: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unclaimed: Option<u64>,
}

impl PurgedJson {
    fn in_words(&self) -> String {
        let of = |number: &u64, one, many| count(usize::try_from(*number).unwrap_or(usize::MAX), one, many);
        let Self { purged, would_purge, unclaimed } = self;
        let purged = purged.as_ref().map(|number| format!("purged {}", of(number, "instance", "instances")));
        let would_purge = would_purge.as_ref().map(|number| format!("would purge {}", of(number, "instance", "instances")));
        let unclaimed = unclaimed.as_ref().map(|number| format!("and what was sent to {} that never began", of(number, "id", "ids")));
        [purged, would_purge, unclaimed].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

pub(crate) async fn run(args: &PurgeArgs) -> Verdict {
    let store = args.store.open().await?;
    let answer = if args.dry_run {
        PurgedJson { would_purge: Some(would_purge(args, &store).await?), ..PurgedJson::default() }
    } else {
        purge(args, &store).await?
    };
    let mut screen = Screen::new();
    if args.json {
        screen.json(&answer)?;
    } else {
        screen.line(answer.in_words())?;
    }
    screen.flush()?;
    Ok(Ending::Done)
}

async fn purge(args: &PurgeArgs, store: &OpenStore) -> Result<PurgedJson, Failure> {
    let purged = store.client.purge(args.workflow.as_deref(), args.older_than).await?;
    let unclaimed = if args.unclaimed_events { Some(store.client.purge_unclaimed_events(args.older_than).await?) } else { None };
    Ok(PurgedJson { purged: Some(purged), would_purge: None, unclaimed })
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
