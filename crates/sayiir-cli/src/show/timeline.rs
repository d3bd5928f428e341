//! The journal as a timeline: for each row, how long its branch took since the row before.

use std::collections::BTreeMap;
use std::time::Duration;

use console::Style;
use sayiir::core::branch::{BranchId, JournalRef};
use sayiir::core::journal::{EntryKind, JournalRow};
use sayiir::core::time::Timestamp;
use serde::Serialize;

use crate::payload::{PayloadJson, Payloads};
use crate::screen::{Cell, Table};
use crate::text::{clean, duration, precise_time};

/// A row with what is derived from those before it.
pub(super) struct Event<'a> {
    pub(super) row: &'a JournalRow,
    /// Since the row before of its branch, or the fork that made it: queue, wait and work together. Of control, and of the first, none.
    pub(super) took: Option<Duration>,
}

/// The rows of a journal, in its order.
pub(super) fn events(rows: &[JournalRow]) -> Vec<Event<'_>> {
    let mut lasts: BTreeMap<&BranchId, Timestamp> = BTreeMap::new();
    let mut written: BTreeMap<JournalRef, Timestamp> = BTreeMap::new();
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let before = lasts.get(&row.branch).copied().or_else(|| written.get(&fork_of(&row.branch)?).copied());
        events.push(Event { row, took: before.map(|before| row.at.since(before)) });
        if row.branch != BranchId::control() {
            lasts.insert(&row.branch, row.at);
            written.insert(JournalRef { branch: row.branch.clone(), revision: row.revision }, row.at);
        }
    }
    events
}

/// The row of the fork that made a branch: its id is `parent.fork-revision.index`.
fn fork_of(branch: &BranchId) -> Option<JournalRef> {
    let parent = branch.parent()?;
    let rest = branch.as_str().strip_prefix(parent.as_str())?.strip_prefix('.')?;
    let revision = rest.split_once('.')?.0.parse().ok()?;
    Some(JournalRef { branch: parent, revision })
}

/// The timeline as a table; with payloads, those of a row stand under it.
pub(super) fn table(events: &[Event<'_>]) -> Table {
    let mut table = Table::new(&["AT", "TOOK", "BRANCH", "NODE", "WHAT", "TRY", "NOTE"], "NOTE");
    for Event { row, took } in events {
        let style = style(row.kind);
        let attempt = if row.attempt == 0 { String::new() } else { row.attempt.to_string() };
        table.row(vec![
            Cell::new(precise_time(row.at)),
            Cell::new(took.map_or_else(String::new, duration)),
            Cell::new(row.branch.as_str()),
            Cell::new(&row.node),
            Cell::styled(row.kind.as_str().replace('_', " "), style),
            Cell::new(attempt),
            Cell::new(note(row)),
        ]);
    }
    table
}

fn note(row: &JournalRow) -> String {
    match (row.kind, &row.output) {
        (EntryKind::RouteTaken, Some(key)) => format!("takes {:?}", String::from_utf8_lossy(key)),
        (_, _) => row.error.as_deref().map_or_else(String::new, |error| {
            // Node and attempt have columns of their own.
            let prefix = format!("{}: attempt {} failed: ", row.node, row.attempt);
            clean(error.strip_prefix(&prefix).unwrap_or(error))
        }),
    }
}

/// The values of a row, named.
pub(super) fn payloads(row: &JournalRow, payloads: Payloads, columns: Option<usize>) -> Vec<String> {
    let columns = columns.map(|columns| columns.saturating_sub(15));
    let named = [("output", &row.output), ("handed on", &row.handed_on)];
    let values = named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    values
        .filter(|_| row.kind != EntryKind::RouteTaken)
        .map(|(name, value)| format!("    {name}: {}", payloads.line(value, columns)))
        .collect()
}

fn style(kind: EntryKind) -> Style {
    let style = Style::new();
    match kind {
        EntryKind::TaskCompleted | EntryKind::JoinCompleted | EntryKind::RouteTaken | EntryKind::EventReceived => style.green(),
        EntryKind::AttemptFailed | EntryKind::SignalTimedOut | EntryKind::Cancelled | EntryKind::Paused => style.yellow(),
        EntryKind::Failed => style.red(),
        EntryKind::Started
        | EntryKind::DelayStarted
        | EntryKind::DelayElapsed
        | EntryKind::SignalAwaited
        | EntryKind::Forked
        | EntryKind::Unpaused
        | EntryKind::Imported
        | EntryKind::Retried
        | EntryKind::Rewound
        | EntryKind::SubStepCompleted => style,
    }
}

/// A journal row as JSON.
#[derive(Debug, Serialize)]
pub(super) struct RowJson {
    at: String,
    branch: String,
    revision: u64,
    kind: EntryKind,
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<PayloadJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handed_on: Option<PayloadJson>,
}

impl RowJson {
    /// With its values if it is known how to read them.
    pub(super) fn of(event: &Event<'_>, payloads: Option<Payloads>) -> Self {
        let Event { row, took } = event;
        let value = |value: &Option<sayiir::bytes::Bytes>| Some(payloads?.json(value.as_ref()?));
        let route = (row.kind == EntryKind::RouteTaken).then_some(row.output.as_ref()).flatten();
        let key = route.map(|key| PayloadJson::Text(String::from_utf8_lossy(key).into_owned()));
        Self {
            at: row.at.to_string(),
            branch: row.branch.to_string(),
            revision: row.revision,
            kind: row.kind,
            node: row.node.to_string(),
            attempt: Some(row.attempt).filter(|attempt| *attempt > 0),
            took_seconds: took.map(|took| took.as_secs_f64()),
            session: row.lease.map(|lease| lease.0),
            error: row.error.clone(),
            output: key.or_else(|| value(&row.output)),
            handed_on: value(&row.handed_on),
        }
    }
}
