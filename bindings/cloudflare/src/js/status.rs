//! Statuses, instances and journal rows as JSON. A payload is a text within it, for it is JSON of its own.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use sayiir_core::journal::JournalRow;
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{BranchSummary, InstanceSummary, Progress};
use serde_json::{Map, Value, json};

pub(super) fn text(at: impl Into<DateTime<Utc>>) -> String {
    at.into().to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn payload(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The fields that are there.
fn fields(fields: &mut [(&str, Option<Value>)]) -> Value {
    let mut object = Map::new();
    for (key, value) in fields {
        if let Some(value) = value.take() {
            object.insert((*key).to_owned(), value);
        }
    }
    Value::Object(object)
}

/// A status; the output of a completed instance is under `output`, as a text of JSON.
pub(super) fn status(status: &WorkflowStatus, output: Option<&Bytes>) -> Value {
    let word = Some(json!(status.as_str()));
    let text_of = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    match status {
        WorkflowStatus::InProgress => fields(&mut [("status", word)]),
        WorkflowStatus::Completed => fields(&mut [("status", word), ("output", output.map(|output| json!(payload(output))))]),
        WorkflowStatus::Failed(error) => fields(&mut [("status", word), ("error", Some(json!(error)))]),
        WorkflowStatus::Cancelled { reason, cancelled_by } => {
            fields(&mut [("status", word), ("reason", text_of(reason)), ("cancelledBy", text_of(cancelled_by))])
        }
        WorkflowStatus::Paused { reason, paused_by } => {
            fields(&mut [("status", word), ("reason", text_of(reason)), ("pausedBy", text_of(paused_by))])
        }
        WorkflowStatus::Waiting { wake_at, delay_id } => {
            fields(&mut [("status", word), ("wakeAt", Some(json!(text(*wake_at)))), ("delayId", Some(json!(delay_id)))])
        }
        WorkflowStatus::AwaitingSignal { signal_id, signal_name, wake_at } => fields(&mut [
            ("status", word),
            ("signalId", Some(json!(signal_id))),
            ("signalName", Some(json!(signal_name))),
            ("wakeAt", wake_at.map(|at| json!(text(at)))),
        ]),
    }
}

pub(super) fn in_list(summary: &InstanceSummary) -> Value {
    let InstanceSummary { instance_id, run, definition, status, created_at, updated_at, attributes } = summary;
    json!({
        "instanceId": &**instance_id,
        "run": run.0,
        "workflowId": &*definition.name,
        "version": &*definition.version,
        "definitionHash": definition.hash.to_hex(),
        "status": status.as_str(),
        "createdAt": text(*created_at),
        "updatedAt": text(*updated_at),
        "searchAttributes": attributes,
    })
}

/// What a running task said about how far it is; the value is a text of JSON.
pub(super) fn progress(branch: &BranchSummary) -> Option<Value> {
    let Progress { payload: said, at } = branch.progress.as_ref()?;
    Some(json!({ "nodePath": &*branch.head.node, "attempt": branch.head.attempt + 1, "progress": payload(said), "at": text(*at) }))
}

pub(super) fn row(row: &JournalRow) -> Value {
    let JournalRow { run, branch, revision, lease: _, kind, node, attempt, output, handed_on, same_as: _, error, at } = row;
    let mut all = fields(&mut [
        ("run", Some(json!(run.0))),
        ("branch", Some(json!(branch.as_str()))),
        ("revision", Some(json!(revision))),
        ("kind", Some(json!(kind.as_str()))),
        ("nodePath", Some(json!(&**node))),
        ("attempt", Some(json!(attempt))),
        ("error", error.as_ref().map(|error| json!(&**error))),
        ("at", Some(json!(text(*at)))),
    ]);
    // A route's key is stored as it is; everything else is JSON.
    let is_key = *kind == sayiir_core::journal::EntryKind::RouteTaken;
    let value = |bytes: &Bytes| if is_key { json!(json!(payload(bytes)).to_string()) } else { json!(payload(bytes)) };
    if let Some(all) = all.as_object_mut() {
        all.extend(output.as_ref().map(|output| ("output".to_owned(), value(output))));
        all.extend(handed_on.as_ref().map(|value| ("handedOn".to_owned(), json!(payload(value)))));
    }
    all
}
