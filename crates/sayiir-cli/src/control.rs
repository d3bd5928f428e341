//! `sayiir cancel`, `pause`, `unpause` and `retry`, of one instance or of many.

use std::sync::Arc;

use clap::Args;
use sayiir::core::control::SignalRequest;
use sayiir::persistence::{ControlAction, ControlCommand, ControlOutcome};
use serde::Serialize;

use crate::ending::{Ending, Failure, Verdict};
use crate::screen::Screen;
use crate::store::{OpenStore, StoreArgs, redact};
use crate::text::clean;

/// Instances, and why and by whom something is done to them.
#[derive(Args)]
#[command(after_long_help = "Each id is tried, whatever became of those before it; those that failed are told on standard error.

JSON: one line for each id, with instance_id, done, already (if it was so before) and error (if it is not done).

Examples:
  sayiir pause order-17 --reason 'the shop is closed' --by ada
  sayiir list --status failed --error timeout --ids | xargs sayiir retry")]
pub(crate) struct ControlArgs {
    /// The instances' ids
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,

    /// Why; kept in the journal
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Who asks for it; kept in the journal
    #[arg(long, value_name = "NAME")]
    by: Option<String>,

    /// Print a line of JSON for each id
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) async fn run(action: ControlAction, args: &ControlArgs) -> Verdict {
    let store = args.store.open().await?;
    let mut each = Each::new(args.json);
    for id in &args.ids {
        let request = SignalRequest::new(args.reason.clone(), args.by.clone());
        let command = ControlCommand { instance_id: Arc::from(id.as_str()), action, request };
        let outcome = store.client.backend().control(command).await;
        each.tell(
            id,
            words(action).1,
            outcome.map_err(|error| told(&error.into())).and_then(|outcome| done(action, &store, id, &outcome)),
        )?;
    }
    store.settle().await?;
    Ok(each.end())
}

/// What is done, and that it is done.
const fn words(action: ControlAction) -> (&'static str, &'static str) {
    match action {
        ControlAction::Cancel => ("cancel", "cancelled"),
        ControlAction::Pause => ("pause", "paused"),
        ControlAction::Unpause => ("unpause", "unpaused"),
        ControlAction::Retry => ("retry", "retried"),
    }
}

fn done(action: ControlAction, store: &OpenStore, id: &str, outcome: &ControlOutcome) -> Result<Done, String> {
    let so = match (action, outcome) {
        (_, ControlOutcome::Applied) => return Ok(Done::Now),
        (_, ControlOutcome::NotFound) => return Err(store.no_instance(id)),
        // An end that was asked for, and is there.
        (ControlAction::Cancel, ControlOutcome::Finished(status)) if status.as_str() == "cancelled" => return Ok(Done::Before),
        (ControlAction::Retry, ControlOutcome::AlreadySo) => "it has not failed, so there is nothing to retry".to_owned(),
        (ControlAction::Unpause, ControlOutcome::AlreadySo) => "it is not paused".to_owned(),
        (ControlAction::Cancel | ControlAction::Pause, ControlOutcome::AlreadySo) => return Ok(Done::Before),
        (_, ControlOutcome::Finished(status)) => format!("it is {}", status.as_str()),
    };
    Err(format!("cannot {} {id:?}: {so}", words(action).0))
}

/// What became of an instance that something was to be done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It was done.
    Now,
    /// It was so before.
    Before,
}

/// What became of one of several instances, as JSON.
#[derive(Serialize)]
struct DoneJson<'a> {
    instance_id: &'a str,
    done: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    already: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// An error in one line.
pub(crate) fn told(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

/// Tells of one instance after another.
pub(crate) struct Each {
    screen: Screen,
    json: bool,
    ending: Ending,
}

impl Each {
    pub(crate) fn new(json: bool) -> Self {
        Self { screen: Screen::new(), json, ending: Ending::Done }
    }

    /// What became of this one.
    pub(crate) fn tell(&mut self, id: &str, what: &str, done: Result<Done, String>) -> Result<(), Failure> {
        let done = done.map_err(|error| redact(&clean(&error)));
        if done.is_err() {
            self.ending = Ending::NotDone;
        }
        match (done, self.json) {
            (done, true) => {
                let already = done == Ok(Done::Before);
                self.screen.json(&DoneJson { instance_id: id, done: done.is_ok(), already, error: done.err() })?;
            }
            (Ok(Done::Now), false) => self.screen.line(format!("{what} {}", clean(id)))?,
            (Ok(Done::Before), false) => self.screen.line(format!("{} was {what} before", clean(id)))?,
            (Err(error), false) => eprintln!("error: {error}"),
        }
        // What was done is told, whatever becomes of those that follow.
        self.screen.flush()
    }

    /// How it ends: done if all of it was.
    pub(crate) fn end(self) -> Ending {
        self.ending
    }
}
