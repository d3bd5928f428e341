//! `sayiir wait`: until an instance has ended; the exit code says how.

use std::time::Duration;

use clap::Args;
use sayiir::Outcome;
use sayiir::core::workflow::WorkflowStatus;
use serde::Serialize;

use crate::ending::{Ending, Verdict};
use crate::instance::{StatusJson, detail, style};
use crate::payload::{PayloadJson, Payloads};
use crate::screen::Screen;
use crate::store::StoreArgs;
use crate::text::{clean, parse_duration};

/// Waits until an instance has ended, and prints how it stands and, if it completed, its output.
#[derive(Args)]
#[command(
    after_long_help = "Exit status: 0 completed, 1 failed or cancelled (or it could not be waited for), 2 wrong usage, 3 not ended when the timeout was over.

JSON: one object with instance_id, status and its fields as in `sayiir list --json`, and output as in `sayiir show --json --payloads`."
)]
pub(crate) struct WaitArgs {
    /// The instance's id
    #[arg(value_name = "ID")]
    id: String,

    /// Wait no longer than this, such as 30s or 2h; 0s looks once
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct WaitedJson<'a> {
    instance_id: &'a str,
    #[serde(flatten)]
    status: StatusJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<PayloadJson>,
}

pub(crate) async fn run(args: &WaitArgs) -> Verdict {
    let store = args.store.open().await?;
    let record = store.instance(&args.id).await?;
    let payloads = Payloads::of(store.definition(record.summary.definition.hash).await?.as_ref());
    let Outcome { status, output } = store.client.wait(&args.id, args.timeout).await?;
    let mut screen = Screen::new();
    if args.json {
        let output = output.map(|output| payloads.json(&output));
        screen.json(&WaitedJson { instance_id: &args.id, status: StatusJson::of(&status), output })?;
    } else {
        let (word, detail) = (style(&status).apply_to(status.as_str()), detail(&status, record.now));
        let colon = if detail.is_empty() { "" } else { ": " };
        screen.line(format!("{} {word}{colon}{detail}", clean(&args.id)))?;
        if let Some(output) = output {
            screen.line(payloads.line(&output, None))?;
        }
    }
    screen.flush()?;
    Ok(match status {
        WorkflowStatus::Completed => Ending::Done,
        WorkflowStatus::Failed(_) | WorkflowStatus::Cancelled { .. } => Ending::NotDone,
        WorkflowStatus::InProgress
        | WorkflowStatus::Paused { .. }
        | WorkflowStatus::Waiting { .. }
        | WorkflowStatus::AwaitingSignal { .. } => Ending::TimedOut,
    })
}
