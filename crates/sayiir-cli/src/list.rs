//! `sayiir list`: which instances there are, by what they are and how they stand, newest first.

use std::collections::HashSet;

use clap::{Args, ValueEnum};
use sayiir::core::workflow::WorkflowStatus;
use sayiir::persistence::{InstanceFilter, InstanceSummary, RunState};

use crate::ending::{Ending, Failure, Verdict};
use crate::instance::{InstanceJson, JSON_FIELDS, brief, since, style, workflow};
use crate::screen::{Cell, Screen, Table};
use crate::store::{OpenStore, StoreArgs};
use crate::text::relative;

/// Lists instances, those started last first.
#[derive(Args)]
#[command(after_long_help = format!("JSON: one line for each instance. {JSON_FIELDS}"))]
pub(crate) struct ListArgs {
    /// Only of the workflow of this name
    #[arg(long, short, value_name = "NAME")]
    workflow: Option<String>,

    /// Only with one of these statuses; `running` stands for all that are going on
    #[arg(long, short, value_name = "STATUS", value_delimiter = ',', ignore_case = true)]
    status: Vec<Status>,

    /// At most so many
    #[arg(long, short = 'n', value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Only those behind this one, which is where the page before ended
    #[arg(long, value_name = "ID")]
    after: Option<String>,

    /// Print the ids alone, one a line
    #[arg(long, conflicts_with = "json")]
    ids: bool,

    /// Print a line of JSON for each instance
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

/// A status to filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Status {
    Running,
    InProgress,
    Waiting,
    AwaitingSignal,
    Paused,
    Completed,
    Failed,
    Cancelled,
}

impl Status {
    /// The states among which stores find it.
    const fn state(self) -> RunState {
        match self {
            Self::Running | Self::InProgress | Self::Waiting | Self::AwaitingSignal => RunState::Running,
            Self::Paused => RunState::Paused,
            Self::Completed => RunState::Completed,
            Self::Failed => RunState::Failed,
            Self::Cancelled => RunState::Cancelled,
        }
    }

    fn admits(self, status: &WorkflowStatus) -> bool {
        match status {
            WorkflowStatus::InProgress => matches!(self, Self::Running | Self::InProgress),
            WorkflowStatus::Waiting { .. } => matches!(self, Self::Running | Self::Waiting),
            WorkflowStatus::AwaitingSignal { .. } => matches!(self, Self::Running | Self::AwaitingSignal),
            WorkflowStatus::Paused { .. } => self == Self::Paused,
            WorkflowStatus::Completed => self == Self::Completed,
            WorkflowStatus::Failed(_) => self == Self::Failed,
            WorkflowStatus::Cancelled { .. } => self == Self::Cancelled,
        }
    }
}

pub(crate) async fn run(args: &ListArgs) -> Verdict {
    let store = args.store.open().await?;
    let Page { instances, more } = page(args, &store).await?;
    let mut screen = Screen::new();
    if args.json {
        instances.iter().try_for_each(|summary| screen.json(&InstanceJson::of(summary)))?;
    } else if args.ids {
        instances.iter().try_for_each(|summary| screen.line(&*summary.instance_id))?;
    } else {
        table(&store, &instances, &mut screen).await?;
    }
    screen.flush()?;
    if let Some(last) = instances.last().filter(|_| more && !args.json && !args.ids) {
        eprintln!("there are more: --after {}", last.instance_id);
    }
    Ok(Ending::Done)
}

/// The instances to show, and whether there are more.
struct Page {
    instances: Vec<InstanceSummary>,
    more: bool,
}

/// Asks for pages until there are enough. Stores do not tell running instances from waiting ones, so it looks at each.
async fn page(args: &ListArgs, store: &OpenStore) -> Result<Page, Failure> {
    let states: HashSet<RunState> = args.status.iter().map(|status| status.state()).collect();
    let wanted = args.limit as usize;
    let mut after = args.after.as_deref().map(Into::into);
    let mut instances = Vec::new();
    loop {
        let limit = wanted + 1;
        let filter = InstanceFilter {
            workflow: args.workflow.clone(),
            states: states.iter().copied().collect(),
            after: after.take(),
            limit: Some(limit),
            ..InstanceFilter::default()
        };
        let found = store.client.list(filter).await?;
        let full = found.len() == limit;
        after = found.last().map(|summary| summary.instance_id.clone());
        let admitted =
            |summary: &InstanceSummary| args.status.is_empty() || args.status.iter().any(|status| status.admits(&summary.status));
        instances.extend(found.into_iter().filter(admitted));
        if instances.len() > wanted || !full {
            let more = instances.len() > wanted;
            instances.truncate(wanted);
            return Ok(Page { instances, more });
        }
    }
}

async fn table(store: &OpenStore, instances: &[InstanceSummary], screen: &mut Screen) -> Result<(), Failure> {
    let Some(newest) = instances.first() else {
        eprintln!("no such instance in {}", store.shown);
        return Ok(());
    };
    // The store's own time, which is what its times are to be compared with.
    let now = store.client.backend().instance(&newest.instance_id).await?.map_or(newest.updated_at, |record| record.now);
    let mut table = Table::new(&["INSTANCE", "WORKFLOW", "STATUS", "STARTED", "SINCE", "DETAIL"], "DETAIL");
    for summary in instances {
        table.row(vec![
            Cell::new(&summary.instance_id),
            Cell::new(workflow(summary)),
            Cell::styled(summary.status.as_str(), style(&summary.status)),
            Cell::new(relative(summary.created_at, now)),
            Cell::new(since(summary).map_or_else(String::new, |at| relative(at, now))),
            Cell::new(brief(&summary.status, now)),
        ]);
    }
    screen.table(&table)
}
