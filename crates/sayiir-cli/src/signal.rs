//! `sayiir signal`: sends an event to an instance.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use sayiir::core::workflow::WorkflowDefinition;
use serde::Serialize;

use crate::ending::{Ending, Failure, Verdict, failed};
use crate::payload::Payloads;
use crate::screen::Screen;
use crate::store::{OpenStore, StoreArgs};

/// Sends an event to an instance, which uses it once, when it waits for that signal. An event may come before it is waited for.
///
/// Before it is sent, it is looked at whether the instance is known, whether its workflow waits for a signal of that name anywhere, and
/// whether the payload can be read by its codec, as far as that is known; --force sends it all the same.
#[derive(Args)]
#[command(after_long_help = "Examples:
  sayiir signal order-17 approval '{\"by\": \"ada\"}'
  sayiir signal order-17 reminder                      an event without a value: null
  sayiir signal order-17 report --file report.json
  curl -s https://example.com/rate | sayiir signal order-17 rate - --key 2026-01-02

JSON: one object with instance_id, signal, bytes (of the payload), key.")]
pub(crate) struct SignalArgs {
    /// The instance's id
    #[arg(value_name = "ID")]
    id: String,

    /// The signal's name, as the workflow waits for it
    #[arg(value_name = "NAME")]
    name: String,

    /// The event's value, as JSON if the workflow's payloads are; - reads it from standard input [default: null]
    #[arg(value_name = "PAYLOAD", conflicts_with = "file", allow_hyphen_values = true)]
    payload: Option<String>,

    /// Read the event's value from FILE, byte for byte
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Send it once, however often this is repeated with the same KEY
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Send it whatever it looks like, also to an instance that does not exist yet
    #[arg(long)]
    force: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct SentJson<'a> {
    instance_id: &'a str,
    signal: &'a str,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

pub(crate) async fn run(args: &SignalArgs) -> Verdict {
    let store = args.store.open().await?;
    let payload = payload(args)?;
    if !args.force {
        check(args, &store, payload.as_deref()).await?;
    }
    let payload = payload.unwrap_or_else(|| b"null".to_vec());
    let bytes = payload.len();
    let SignalArgs { id, name, key, .. } = args;
    match key {
        Some(key) => store.client.send_event_once(id, name, payload, key).await?,
        None => store.client.send_event(id, name, payload).await?,
    }
    store.settle().await?;
    let mut screen = Screen::new();
    if args.json {
        screen.json(&SentJson { instance_id: id, signal: name, bytes, key: key.as_deref() })?;
    } else {
        screen.line(format!("sent {name:?} to {id}"))?;
    }
    screen.flush()?;
    Ok(Ending::Done)
}

fn payload(args: &SignalArgs) -> Result<Option<Vec<u8>>, Failure> {
    match (&args.payload, &args.file) {
        (None, None) => Ok(None),
        (_, Some(file)) => {
            let read = std::fs::read(file).with_context(|| format!("could not read {}", file.display()));
            Ok(Some(read.map_err(|error| Failure::Usage(format!("{error:#}")))?))
        }
        (Some(text), None) if text == "-" => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).context("could not read standard input")?;
            Ok(Some(bytes))
        }
        (Some(text), None) => Ok(Some(text.clone().into_bytes())),
    }
}

/// Finds what would make the event useless, or the task that is given it fail.
async fn check(args: &SignalArgs, store: &OpenStore, payload: Option<&[u8]>) -> Result<(), Failure> {
    let SignalArgs { id, name, .. } = args;
    let Some(record) = store.client.backend().instance(id).await? else {
        return Err(failed(format!("there is no instance {id:?} in {}; with --force the event waits for one of that id", store.shown)));
    };
    let Some(definition) = store.definition(record.summary.definition.hash).await? else { return Ok(()) };
    let names = signals(&definition);
    if !names.contains(name.as_str()) {
        let those = names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let those = if those.is_empty() { "for none".to_owned() } else { format!("for {those}") };
        return Err(failed(format!("{:?} never waits for {name:?}, but {those}; --force sends it all the same", definition.name)));
    }
    match (Payloads::of(Some(&definition)), payload) {
        (Payloads::Json, Some(bytes)) => match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::Usage(format!(
                "the payload is no JSON ({error}); a text is written with its quotes, '\"like this\"'; --force sends it as it is"
            ))),
        },
        (Payloads::Opaque, None) => {
            let codec = definition.codec.unwrap_or_default();
            Err(Failure::Usage(format!("the payloads of {:?} are {codec}, so it needs one: --file FILE", definition.name)))
        }
        (Payloads::Json | Payloads::Opaque | Payloads::Unknown, _) => Ok(()),
    }
}

fn signals(definition: &WorkflowDefinition) -> BTreeSet<&str> {
    definition.nodes.iter().filter_map(|node| node.signal.as_deref()).collect()
}
