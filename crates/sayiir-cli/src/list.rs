//! `sayiir list`: which instances there are, by what they are and how they stand, newest first.

use std::collections::HashSet;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sayiir::core::branch::RunNumber;
use sayiir::persistence::{AgeRange, AttributeFilter, InstanceFilter, InstanceSummary, ListOrder, RunState, RunningStatus};

use crate::attribute::parse_attribute;
use crate::ending::{Ending, Failure, Verdict};
use crate::instance::{InstanceJson, JSON_FIELDS, attributes, brief, since, style, workflow};
use crate::screen::{Cell, Screen, Table};
use crate::store::{OpenStore, StoreArgs};
use crate::text::{parse_duration, relative};

/// So many at most are asked for at a time.
const AT_ONCE: usize = 1000;

/// Lists instances, those started last first.
///
/// What is told of an instance is that of its present run. All filters must be met; `sayiir stats` counts without listing.
#[derive(Args)]
#[command(after_long_help = format!("Examples:
  sayiir list --status failed --error 'no money'
  sayiir list --attribute customer=acme --attribute 'euros>=100'
  sayiir list --status awaiting_signal --older-than 30d
  sayiir list --status failed --newer-than 1h --ids | xargs sayiir retry

JSON: one line for each instance. {JSON_FIELDS}"))]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,

    /// At most so many
    #[arg(long, short = 'n', value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Only those behind this run, where the page before ended; with --by-id, behind this id
    #[arg(long, value_name = "RUN|ID")]
    after: Option<String>,

    /// In order of ids
    #[arg(long)]
    by_id: bool,

    /// Print the ids alone, one a line
    #[arg(long, conflicts_with = "json")]
    ids: bool,

    /// Print a line of JSON for each instance
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

/// Which instances.
#[derive(Args)]
struct FilterArgs {
    /// Only of the workflow of this name
    #[arg(long, short, value_name = "NAME")]
    workflow: Option<String>,

    /// Only with one of these statuses; `running` stands for all that are going on
    #[arg(long, short, value_name = "STATUS", value_delimiter = ',', ignore_case = true)]
    status: Vec<Status>,

    /// Only with this search attribute: NAME=VALUE, NAME>=VALUE, NAME<=VALUE; may be repeated
    ///
    /// VALUE is an integer, true or false, or a time (2026-01-02T03:04:05Z), if it reads as one, and else a text; NAME:text=VALUE says that
    /// it is a text (or integer, bool, time).
    #[arg(long, short, value_name = "TEST", value_parser = parse_attribute)]
    attribute: Vec<AttributeFilter>,

    /// Only failed ones whose error has this text in it
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,

    /// Only those started longer ago, such as 90s, 12h or 30d
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    older_than: Option<Duration>,

    /// Only those started since
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    newer_than: Option<Duration>,

    /// Only those that were last started, paused, unpaused or ended longer ago
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    unchanged_for: Option<Duration>,

    /// Only those that were started, paused, unpaused or ended since
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    changed_within: Option<Duration>,
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
    const fn state(self) -> RunState {
        match self {
            Self::Running | Self::InProgress | Self::Waiting | Self::AwaitingSignal => RunState::Running,
            Self::Paused => RunState::Paused,
            Self::Completed => RunState::Completed,
            Self::Failed => RunState::Failed,
            Self::Cancelled => RunState::Cancelled,
        }
    }

    /// Which of the running ones; `None` if it takes all of them, or none.
    const fn running(self) -> Option<RunningStatus> {
        match self {
            Self::InProgress => Some(RunningStatus::InProgress),
            Self::Waiting => Some(RunningStatus::Waiting),
            Self::AwaitingSignal => Some(RunningStatus::AwaitingSignal),
            Self::Running | Self::Paused | Self::Completed | Self::Failed | Self::Cancelled => None,
        }
    }
}

impl FilterArgs {
    /// As a store is asked.
    fn of_store(&self) -> InstanceFilter {
        let states: HashSet<RunState> = self.status.iter().map(|status| status.state()).collect();
        let running: HashSet<RunningStatus> = self.status.iter().filter_map(|status| status.running()).collect();
        InstanceFilter {
            workflow: self.workflow.clone(),
            states: states.into_iter().collect(),
            running: if self.status.contains(&Status::Running) { Vec::new() } else { running.into_iter().collect() },
            attributes: self.attribute.clone(),
            error_contains: self.error.clone(),
            created: AgeRange { at_least: self.older_than, at_most: self.newer_than },
            updated: AgeRange { at_least: self.unchanged_for, at_most: self.changed_within },
            ..InstanceFilter::default()
        }
    }
}

pub(crate) async fn run(args: &ListArgs) -> Verdict {
    let start = args.start()?;
    let store = args.store.open().await?;
    let Page { instances, more } = page(args, start, &store).await?;
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
        let after = if args.by_id { last.instance_id.to_string() } else { last.run.to_string() };
        eprintln!("there are more: --after {}", crate::text::clean(&after));
    }
    Ok(Ending::Done)
}

/// The instances to show, and whether there are more.
struct Page {
    instances: Vec<InstanceSummary>,
    more: bool,
}

/// Where a page begins.
enum Start {
    After(Option<std::sync::Arc<str>>),
    Before(Option<RunNumber>),
}

impl Start {
    fn set(&self, filter: &mut InstanceFilter) {
        match self {
            Self::After(id) => filter.after.clone_from(id),
            Self::Before(run) => filter.order = ListOrder::NewestFirst { before: *run },
        }
    }

    fn behind(&self, last: &InstanceSummary) -> Self {
        match self {
            Self::After(_) => Self::After(Some(last.instance_id.clone())),
            Self::Before(_) => Self::Before(Some(last.run)),
        }
    }
}

impl ListArgs {
    fn start(&self) -> Result<Start, Failure> {
        let after = self.after.as_deref();
        if self.by_id {
            return Ok(Start::After(after.map(Into::into)));
        }
        let run = after.map(str::parse).transpose();
        let run =
            run.map_err(|_| Failure::Usage("--after takes a run number here, as `show` tells it; with --by-id it takes an id".to_owned()))?;
        Ok(Start::Before(run.map(RunNumber)))
    }
}

/// Asks for one instance more than is wanted, which says whether there are more; never for too many at a time.
async fn page(args: &ListArgs, mut start: Start, store: &OpenStore) -> Result<Page, Failure> {
    let wanted = args.limit as usize;
    let mut instances = Vec::new();
    loop {
        let limit = (wanted + 1 - instances.len()).min(AT_ONCE);
        let mut filter = InstanceFilter { limit: Some(limit), ..args.filter.of_store() };
        start.set(&mut filter);
        let found = store.client.list(filter).await?;
        let full = found.len() == limit;
        if let Some(last) = found.last() {
            start = start.behind(last);
        }
        instances.extend(found);
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
    let with_attributes = instances.iter().any(|summary| !summary.attributes.is_empty());
    let mut headings = vec!["INSTANCE", "WORKFLOW", "STATUS", "STARTED", "SINCE"];
    headings.extend(with_attributes.then_some("ATTRIBUTES"));
    headings.push("DETAIL");
    let mut table = Table::new(&headings, "DETAIL");
    for summary in instances {
        let mut cells = vec![
            Cell::new(&summary.instance_id),
            Cell::new(workflow(summary)),
            Cell::styled(summary.status.as_str(), style(&summary.status)),
            Cell::new(relative(summary.created_at, now)),
            Cell::new(since(summary).map_or_else(String::new, |at| relative(at, now))),
        ];
        cells.extend(with_attributes.then(|| Cell::new(attributes(summary))));
        cells.push(Cell::new(brief(&summary.status, now)));
        table.row(cells);
    }
    screen.table(&table)
}
