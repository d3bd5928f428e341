//! `sayiir graph`: an instance's workflow as a Mermaid flowchart, with where it stands. It needs no code: the store keeps the definition.

use clap::Args;
use sayiir::core::DefinitionHash;
use sayiir::core::branch::Phase;
use sayiir::core::journal::{EntryKind, JournalRow};
use sayiir::core::workflow::{NodeMark, Standing, WorkflowDefinition};
use sayiir::persistence::{InstanceFilter, InstanceRecord, ListOrder};
use serde::Serialize;

use crate::ending::{Ending, Failure, Verdict, failed};
use crate::screen::Screen;
use crate::standing::{BranchJson, Doing};
use crate::store::{OpenStore, StoreArgs};
use crate::text::one_unit;

/// Prints an instance's workflow as a Mermaid flowchart, with the nodes that are done and those at which it stands marked.
///
/// Whatever shows Markdown shows it (GitHub, GitLab, many editors), as does mermaid.live. How long a delay is and how often a loop may
/// repeat is no part of a stored definition.
#[derive(Args)]
#[command(
    after_long_help = "JSON: one object with workflow, version, definition_hash, mermaid (the text), nodes (the definition's), and for an instance
branches as in `sayiir show --json`."
)]
pub(crate) struct GraphArgs {
    /// The instance's id
    #[arg(value_name = "ID", required_unless_present = "definition")]
    id: Option<String>,

    /// Print a definition by itself: that of this hash, or the newest of the workflow of this name that has instances
    #[arg(long, value_name = "HASH|WORKFLOW", conflicts_with = "id")]
    definition: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct GraphJson<'a> {
    workflow: &'a str,
    version: &'a str,
    definition_hash: String,
    mermaid: &'a str,
    nodes: &'a [sayiir::core::workflow::DefinitionNode],
    #[serde(skip_serializing_if = "Option::is_none")]
    branches: Option<Vec<BranchJson>>,
}

pub(crate) async fn run(args: &GraphArgs) -> Verdict {
    let store = args.store.open().await?;
    let (definition, record, journal) = match (&args.id, &args.definition) {
        (Some(id), _) => {
            let record = store.instance(id).await?;
            let journal = store.client.timeline(id).await?;
            (kept(&store, record.summary.definition.hash).await?, Some(record), journal)
        }
        (None, wanted) => (by_name(&store, wanted.as_deref().unwrap_or_default()).await?, None, Vec::new()),
    };
    let mut marks: Vec<NodeMark> = journal.iter().flat_map(past).flatten().collect();
    if let Some(record) = &record {
        let joining = record.branches.iter().filter(|branch| branch.head.phase == Phase::Joining);
        marks.extend(joining.map(|branch| NodeMark::new(&*branch.head.node, Standing::Done)));
        marks.extend(record.branches.iter().map(|branch| mark(branch, record)));
    }
    let mermaid = definition.to_mermaid(&marks);
    let mut screen = Screen::new();
    if args.json {
        screen.json(&GraphJson {
            workflow: &definition.name,
            version: &definition.version,
            definition_hash: definition.definition_hash.to_string(),
            mermaid: &mermaid,
            nodes: &definition.nodes,
            branches: record.as_ref().map(|record| record.branches.iter().map(|branch| BranchJson::of(branch, record)).collect()),
        })?;
    } else {
        screen.text(&mermaid)?;
    }
    screen.flush()?;
    Ok(Ending::Done)
}

async fn kept(store: &OpenStore, hash: DefinitionHash) -> Result<WorkflowDefinition, Failure> {
    let advice = "it was started without a workflow at hand, or by an early version of Sayiir";
    store.definition(hash).await?.ok_or_else(|| failed(format!("the definition {hash} is not kept in {}: {advice}", store.shown)))
}

async fn by_name(store: &OpenStore, wanted: &str) -> Result<WorkflowDefinition, Failure> {
    if let Ok(hash) = DefinitionHash::from_hex(wanted) {
        return kept(store, hash).await;
    }
    let order = ListOrder::NewestFirst { before: None };
    let filter = InstanceFilter { workflow: Some(wanted.to_owned()), order, limit: Some(1), ..InstanceFilter::default() };
    let newest = store.client.list(filter).await?.into_iter().next();
    match newest {
        Some(summary) => kept(store, summary.definition.hash).await,
        None => Err(failed(format!("there is no instance of a workflow {wanted:?} in {}, nor is that a definition's hash", store.shown))),
    }
}

/// What a row says of its node. A fork made together with the result before it has no row of its own.
fn past(row: &JournalRow) -> [Option<NodeMark>; 2] {
    let done = || NodeMark::new(&*row.node, Standing::Done);
    match row.kind {
        EntryKind::JoinCompleted => [Some(done()), Some(done().at_join())],
        EntryKind::Forked
        | EntryKind::TaskCompleted
        | EntryKind::RouteTaken
        | EntryKind::DelayElapsed
        | EntryKind::EventReceived
        | EntryKind::SignalTimedOut => [Some(done()), None],
        EntryKind::Failed => [Some(NodeMark::new(&*row.node, Standing::Failed)), None],
        EntryKind::Started
        | EntryKind::AttemptFailed
        | EntryKind::DelayStarted
        | EntryKind::SignalAwaited
        | EntryKind::Cancelled
        | EntryKind::Paused
        | EntryKind::Unpaused
        | EntryKind::Imported
        | EntryKind::Retried
        | EntryKind::Rewound
        | EntryKind::SubStepCompleted => [None, None],
    }
}

/// Where a branch stands.
fn mark(branch: &sayiir::persistence::BranchSummary, record: &InstanceRecord) -> NodeMark {
    let doing = Doing::of(branch, record);
    let mark = NodeMark::new(&*branch.head.node, doing.mark());
    let mark = mark.note(format!("{} for {}", doing.as_str(), one_unit(record.now.since(branch.attempt_at))));
    if branch.head.phase == Phase::Joining { mark.at_join() } else { mark }
}
