//! `sayiir stats`: how many instances there are in which state, and what their branches do.

use clap::Args;
use sayiir::persistence::{BranchStats, StoreStats, WorkflowStats};
use serde::Serialize;

use crate::ending::{Ending, Failure, Verdict};
use crate::screen::{Cell, Screen, Table};
use crate::store::StoreArgs;
use crate::text::{clean, time};
use crate::watch::Watch;

/// Counts instances by workflow and state, and branches by what they do.
#[derive(Args)]
#[command(
    after_long_help = "A branch is a thread of control of an instance; a fork makes more of them. due: a worker could take it now; leased: a worker holds \
it; waiting: for a time; joining: for its own branches; parked: for an event, without a time limit; held: its instance is paused or has failed; \
set_aside: it could not be read.

JSON: one object with now, workflows (workflow, running, paused, completed, failed, cancelled), branches (due, leased, waiting, joining, parked, \
held, set_aside), events (sent and not used yet) and bytes (the store's size, if it is cheap to know)."
)]
pub(crate) struct StatsArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Count again each second, until Ctrl-C; with --json, print a line whenever a count has changed
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct StatsJson {
    now: String,
    workflows: Vec<WorkflowJson>,
    branches: BranchesJson,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

#[derive(Serialize)]
struct WorkflowJson {
    workflow: String,
    running: u64,
    paused: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
}

#[derive(Serialize)]
struct BranchesJson {
    due: u64,
    leased: u64,
    waiting: u64,
    joining: u64,
    parked: u64,
    held: u64,
    set_aside: u64,
}

pub(crate) async fn run(args: &StatsArgs) -> Verdict {
    if args.watch {
        return watch(args).await;
    }
    let store = args.store.open().await?;
    let stats = store.client.backend().stats().await?;
    let mut screen = Screen::new();
    if args.json {
        screen.json(&json(stats))?;
    } else {
        text(&stats, &mut screen)?;
    }
    screen.flush()?;
    Ok(Ending::Done)
}

/// Each second, and not at each announcement: to count is to look at all that is there.
async fn watch(args: &StatsArgs) -> Verdict {
    let mut watch = Watch::begin(args.json)?;
    let store = args.store.open().await?;
    loop {
        let stats = store.client.backend().stats().await?;
        if args.json {
            watch.print(&json(stats.clone()), &StatsJson { now: String::new(), ..json(stats) })?;
        } else {
            let mut page = Screen::page();
            page.line(format!("{} at {}\n", clean(&store.shown), time(stats.now)))?;
            text(&stats, &mut page)?;
            watch.draw(&page.into_text())?;
        }
        watch.rest(std::future::pending()).await;
    }
}

fn json(stats: StoreStats) -> StatsJson {
    let StoreStats { workflows, branches, events, bytes, now } = stats;
    let BranchStats { due, leased, waiting, joining, parked, held, set_aside } = branches;
    let workflow = |each: WorkflowStats| {
        let WorkflowStats { workflow, running, paused, completed, failed, cancelled } = each;
        WorkflowJson { workflow: workflow.to_string(), running, paused, completed, failed, cancelled }
    };
    StatsJson {
        now: now.to_string(),
        workflows: workflows.into_iter().map(workflow).collect(),
        branches: BranchesJson { due, leased, waiting, joining, parked, held, set_aside },
        events,
        bytes,
    }
}

fn text(stats: &StoreStats, screen: &mut Screen) -> Result<(), Failure> {
    let StoreStats { workflows, branches, events, bytes, now: _ } = stats;
    let mut table = Table::new(&["WORKFLOW", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"], "WORKFLOW");
    for WorkflowStats { workflow, running, paused, completed, failed, cancelled } in workflows {
        let name: &str = if workflow.is_empty() { "-" } else { workflow };
        let numbers = [running, paused, completed, failed, cancelled].map(|number| Cell::new(number.to_string()));
        table.row(std::iter::once(Cell::new(name)).chain(numbers).collect());
    }
    screen.table(&table)?;
    let BranchStats { due, leased, waiting, joining, parked, held, set_aside } = branches;
    let does = [
        (due, "due"),
        (leased, "leased"),
        (waiting, "waiting"),
        (joining, "joining"),
        (parked, "parked"),
        (held, "held"),
        (set_aside, "set aside"),
    ];
    let does = does.into_iter().filter(|(number, _)| **number > 0).map(|(number, what)| format!("{number} {what}")).collect::<Vec<_>>();
    let does = if does.is_empty() { "none".to_owned() } else { does.join(", ") };
    screen.line(format!("\nbranches  {does}"))?;
    screen.line(format!("events    {events} not used yet"))?;
    match bytes {
        Some(bytes) => screen.line(format!("size      {}", size(*bytes))),
        None => Ok(()),
    }
}

/// A size in its largest unit.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        10_485_760..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_has_few_digits() {
        for (bytes, text) in [(0, "0 B"), (10_239, "10239 B"), (65_536, "64 KiB"), (52_428_800, "50 MiB"), (1 << 40, "1024 GiB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
