//! `sayiir show`: one instance as it stands, and its journal as a timeline.

mod timeline;

use clap::Args;
use sayiir::core::journal::JournalRow;
use sayiir::core::workflow::WorkflowStatus;
use sayiir::persistence::{InstanceRecord, Store as _};
use serde::Serialize;

use crate::ending::{Ending, Failure, Verdict};
use crate::instance::{InstanceJson, JSON_FIELDS, attributes, detail, request, since, style, workflow};
use crate::payload::{PayloadJson, Payloads};
use crate::screen::{Cell, Screen, Table};
use crate::standing::{BranchJson, Doing, Workers, words};
use crate::store::{OpenStore, StoreArgs};
use crate::text::{both_times, clean, count, one_unit};
use crate::watch::Watch;
use timeline::{Event, RowJson, events};

/// So many rows of the journal are shown to people unless they ask for others.
const ROWS: usize = 200;

/// Shows one instance: its status, where its branches stand and what they wait for, and its journal.
///
/// TOOK is the time since the row before of the same branch (or since the fork that made it): queueing, waiting and working together.
#[derive(Args)]
#[command(after_long_help = format!("JSON: one object. {JSON_FIELDS}

Also: now (the store's time), branches (branch, node, doing, phase, attempt, since, until, signal, children, run_at, session, crashes, \
priority, tags, progress) and journal (at, branch, revision, kind, node, attempt, took_seconds, session, error). With --payloads also \
input, output, and output and handed_on in the journal, each as {{\"json\": ..}}, {{\"text\": \"..\"}} or {{\"hex\": \"..\"}}."))]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct ShowArgs {
    /// The instance's id
    #[arg(value_name = "ID")]
    id: String,

    /// Show the values, too: input, output, and what each step gave
    #[arg(long)]
    payloads: bool,

    /// Cut values to N columns [default: as wide as the terminal; 0: whole]
    #[arg(long, value_name = "N")]
    width: Option<usize>,

    /// Show the last N rows of the journal [default: 200, and all as JSON; 0: none]
    #[arg(long, value_name = "N", conflicts_with = "all")]
    last: Option<usize>,

    /// Show the whole journal
    #[arg(long)]
    all: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Show it again whenever something has changed, until it has ended or Ctrl-C; with --json, print a line for each change
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    store: StoreArgs,
}

/// What there is to show.
struct Shown {
    record: InstanceRecord,
    journal: Vec<JournalRow>,
    payloads: Payloads,
    workers: Workers,
}

pub(crate) async fn run(args: &ShowArgs) -> Verdict {
    if args.watch {
        return watch(args).await;
    }
    let store = args.store.open().await?;
    let shown = Shown::read(args, &store).await?;
    let mut screen = Screen::new();
    if args.json {
        screen.json(&shown.json(args))?;
    } else {
        shown.text(args, args.last.unwrap_or(ROWS), &mut screen)?;
    }
    screen.flush()?;
    Ok(Ending::Done)
}

async fn watch(args: &ShowArgs) -> Verdict {
    let mut watch = Watch::begin(args.json)?;
    let store = args.store.open().await?;
    let watched = store.client.backend().wakeups().listen_instance(&args.id);
    loop {
        let changed = watched.listen();
        let shown = Shown::read(args, &store).await?;
        if args.json {
            watch.print(&shown.json(args), &ShownJson { now: String::new(), ..shown.json(args) })?;
        } else {
            watch.draw(&shown.page(args, watch.lines())?)?;
        }
        if shown.record.summary.status.is_terminal() {
            return Ok(Ending::Done);
        }
        watch.rest(changed).await;
    }
}

#[derive(Serialize)]
struct ShownJson {
    #[serde(flatten)]
    instance: InstanceJson,
    now: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<PayloadJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<PayloadJson>,
    branches: Vec<BranchJson>,
    journal: Vec<RowJson>,
}

impl Shown {
    async fn read(args: &ShowArgs, store: &OpenStore) -> Result<Self, Failure> {
        let record = store.instance(&args.id).await?;
        let journal = store.client.history(&args.id).await?;
        let definition = store.definition(record.summary.definition.hash).await?;
        let workers = Workers::of(store, &record).await?;
        Ok(Self { record, journal, payloads: Payloads::of(definition.as_ref()), workers })
    }

    /// As text of so many lines, if what is not the journal leaves room for it.
    fn page(&self, args: &ShowArgs, lines: usize) -> Result<String, Failure> {
        let written = |last: usize| {
            let mut page = Screen::page();
            self.text(args, last, &mut page)?;
            Ok::<_, Failure>(page.into_text())
        };
        // The headings of the journal, what says how many rows came before, and the cursor's line are more.
        let left = lines.saturating_sub(written(0)?.lines().count() + 2);
        written(args.last.unwrap_or(left))
    }

    fn json(&self, args: &ShowArgs) -> ShownJson {
        let payloads = args.payloads.then_some(self.payloads);
        let events = events(&self.journal);
        let skipped = args.last.filter(|_| !args.all).map_or(0, |last| events.len().saturating_sub(last));
        ShownJson {
            instance: InstanceJson::of(&self.record.summary),
            now: self.record.now.to_string(),
            input: payloads.map(|payloads| payloads.json(&self.record.input)),
            output: payloads.zip(self.record.output.as_ref()).map(|(payloads, output)| payloads.json(output)),
            branches: self.record.branches.iter().map(|branch| BranchJson::of(branch, &self.record)).collect(),
            journal: events.iter().skip(skipped).map(|event| RowJson::of(event, payloads)).collect(),
        }
    }

    fn text(&self, args: &ShowArgs, last: usize, screen: &mut Screen) -> Result<(), Failure> {
        let columns = args.width.or_else(|| screen.width()).filter(|columns| *columns > 0);
        self.head(screen)?;
        if args.payloads {
            let line = |bytes: &[u8]| self.payloads.line(bytes, columns.map(|columns| columns.saturating_sub(12)));
            screen.line(format!("input       {}", line(&self.record.input)))?;
            if let Some(output) = &self.record.output {
                screen.line(format!("output      {}", line(output)))?;
            }
        }
        self.branches(screen)?;
        let events = events(&self.journal);
        let last = if args.all { usize::MAX } else { last };
        let skipped = events.len().saturating_sub(last);
        screen.line(format!("\nJournal ({})", count(events.len(), "row", "rows")))?;
        if skipped > 0 {
            screen.line(format!("  {} before these: --all shows them", count(skipped, "row", "rows")))?;
        }
        self.journal(args.payloads, columns, events.get(skipped..).unwrap_or_default(), screen)
    }

    fn head(&self, screen: &mut Screen) -> Result<(), Failure> {
        let InstanceRecord { summary, now, .. } = &self.record;
        screen.line(format!("instance    {}", clean(&summary.instance_id)))?;
        screen.line(format!("workflow    {}", clean(&workflow(summary))))?;
        let status = style(&summary.status).apply_to(summary.status.as_str());
        let since = since(summary).map_or_else(String::new, |at| format!(" since {}", both_times(at, *now)));
        screen.line(format!("status      {status}{since}"))?;
        let detail = detail(&summary.status, *now);
        if !detail.is_empty() {
            screen.line(format!("            {detail}"))?;
        }
        for (request, what) in [(&self.record.cancel_request, "cancel"), (&self.record.pause_request, "pause")] {
            let applied = matches!(summary.status, WorkflowStatus::Paused { .. });
            if let Some(asked) = request.as_ref().filter(|_| !applied && !summary.status.is_terminal()) {
                let why = request_words(asked.reason.as_deref(), asked.requested_by.as_deref());
                screen.line(format!("asked       to {what}; a worker applies it at its next step{why}"))?;
            }
        }
        let attributes = attributes(summary);
        if !attributes.is_empty() {
            screen.line(format!("attributes  {attributes}"))?;
        }
        screen.line(format!("run         {}, started {}", summary.run, both_times(summary.created_at, *now)))?;
        screen.line(format!("definition  {}", summary.definition.hash))
    }

    fn branches(&self, screen: &mut Screen) -> Result<(), Failure> {
        let mut table = Table::new(&["BRANCH", "NODE", "DOES", "FOR", "WHAT"], "WHAT");
        for branch in &self.record.branches {
            let doing = Doing::of(branch, &self.record);
            table.row(vec![
                Cell::new(branch.branch.as_str()),
                Cell::new(&branch.head.node),
                Cell::styled(doing.as_str(), doing.style()),
                Cell::new(one_unit(self.record.now.since(branch.attempt_at))),
                Cell::new(words(branch, &self.record, &self.workers)),
            ]);
        }
        if table.is_empty() {
            return Ok(());
        }
        screen.line("\nWhere it stands")?;
        screen.table(&table)?;
        for branch in &self.record.branches {
            if let Some(progress) = &branch.progress {
                let said = Payloads::Json.line(&progress.payload, screen.width().map(|columns| columns.saturating_sub(40)));
                screen.line(format!("{} said {}: {said}", clean(&branch.head.node), both_times(progress.at, self.record.now)))?;
            }
        }
        Ok(())
    }

    fn journal(&self, with_payloads: bool, columns: Option<usize>, events: &[Event<'_>], screen: &mut Screen) -> Result<(), Failure> {
        if events.is_empty() {
            return Ok(());
        }
        let lines = timeline::table(events).lines(screen.width());
        let under = |event: &Event<'_>| if with_payloads { timeline::payloads(event.row, self.payloads, columns) } else { Vec::new() };
        let payloads = std::iter::once(Vec::new()).chain(events.iter().map(under));
        for (line, payloads) in lines.iter().zip(payloads) {
            screen.line(line)?;
            payloads.iter().try_for_each(|payload| screen.line(payload))?;
        }
        Ok(())
    }
}

fn request_words(reason: Option<&str>, by: Option<&str>) -> String {
    let words = request(reason, by);
    if words.is_empty() { words } else { format!(": {words}") }
}
