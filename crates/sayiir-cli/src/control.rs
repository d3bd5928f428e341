//! `sayiir cancel`, `pause` and `unpause`, of one instance or of many.

use clap::Args;
use sayiir::RuntimeError;
use sayiir::persistence::BackendError;
use serde::Serialize;

use crate::ending::{Ending, Verdict};
use crate::screen::Screen;
use crate::store::{OpenStore, StoreArgs, redact};
use crate::text::clean;

/// Instances, and why and by whom something is done to them.
#[derive(Args)]
#[command(after_long_help = "Each id is tried, whatever became of those before it; those that failed are told on standard error.

JSON: one line for each id, with instance_id, done, and error if it is not done.

Examples:
  sayiir pause order-17 --reason 'the shop is closed' --by ada
  sayiir list --status failed --ids | xargs sayiir retry")]
pub(crate) struct ControlArgs {
    /// The instances' ids
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,

    /// Why; kept in the journal
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Who asks for it
    #[arg(long, value_name = "NAME")]
    by: Option<String>,

    /// Print a line of JSON for each id
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

/// What is done to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    Cancel,
    Pause,
    Unpause,
}

impl Control {
    const fn done(self) -> &'static str {
        match self {
            Self::Cancel => "cancelled",
            Self::Pause => "paused",
            Self::Unpause => "unpaused",
        }
    }
}

/// What became of one of several instances, as JSON.
#[derive(Serialize)]
pub(crate) struct DoneJson<'a> {
    instance_id: &'a str,
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) async fn run(control: Control, args: &ControlArgs) -> Verdict {
    let store = args.store.open().await?;
    let mut each = Each::new(args.json);
    for id in &args.ids {
        let (client, reason, by) = (&store.client, args.reason.clone(), args.by.clone());
        let done = match control {
            Control::Cancel => client.cancel(id, reason, by).await,
            Control::Pause => client.pause(id, reason, by).await,
            Control::Unpause => client.unpause(id).await,
        };
        each.tell(&store, id, control.done(), done)?;
    }
    Ok(each.end())
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
    pub(crate) fn tell(
        &mut self,
        store: &OpenStore,
        id: &str,
        what: &str,
        done: Result<(), RuntimeError>,
    ) -> Result<(), crate::ending::Failure> {
        let error = done.err().map(|error| {
            let unknown = matches!(error, RuntimeError::Backend(BackendError::NotFound(_)));
            let line = if unknown { store.no_instance(id) } else { format!("{:#}", anyhow::Error::from(error)) };
            redact(&clean(&line))
        });
        if error.is_some() {
            self.ending = Ending::NotDone;
        }
        match (&error, self.json) {
            (_, true) => self.screen.json(&DoneJson { instance_id: id, done: error.is_none(), error })?,
            (None, false) => self.screen.line(format!("{what} {}", clean(id)))?,
            (Some(error), false) => eprintln!("error: {error}"),
        }
        // What was done is told, whatever becomes of those that follow.
        self.screen.flush()
    }

    /// How it ends: done if all of it was.
    pub(crate) fn end(self) -> Ending {
        self.ending
    }
}
