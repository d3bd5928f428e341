//! An instance in a list: its status in words and colours, and as JSON with names that stay.

use std::collections::BTreeMap;

use console::Style;
use sayiir::core::attribute::AttributeValue;
use sayiir::core::time::Timestamp;
use sayiir::core::workflow::WorkflowStatus;
use sayiir::persistence::InstanceSummary;
use serde::Serialize;

use crate::text::{both_times, clean, relative};

/// What is told of the fields in the help of each verb that prints them.
pub(crate) const JSON_FIELDS: &str = "\
instance_id, run, workflow, version, definition_hash, status (in_progress, waiting, awaiting_signal, paused, completed, failed, \
cancelled), created_at (of the present run), updated_at (the last start, pause, unpause or end), and where they apply: error, reason, by, node, signal, \
until, attributes (the search attributes by name). Times are UTC, as in 2026-01-02T03:04:05.678901Z.";

/// An instance as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct InstanceJson {
    instance_id: String,
    run: u64,
    workflow: String,
    version: String,
    definition_hash: String,
    #[serde(flatten)]
    status: StatusJson,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, AttributeJson>,
}

/// The value of a search attribute as JSON. A time is a text.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum AttributeJson {
    Text(String),
    Integer(i64),
    Bool(bool),
}

impl AttributeJson {
    fn of(value: &AttributeValue) -> Self {
        match value {
            AttributeValue::Text(text) => Self::Text(text.to_string()),
            AttributeValue::Integer(number) => Self::Integer(*number),
            AttributeValue::Bool(yes) => Self::Bool(*yes),
            AttributeValue::Time(at) => Self::Text(at.to_string()),
        }
    }
}

/// The search attributes of an instance, in one line; empty if it has none.
pub(crate) fn attributes(summary: &InstanceSummary) -> String {
    let each = summary.attributes.iter().map(|(name, value)| clean(&format!("{name}={value}")));
    each.collect::<Vec<_>>().join(" ")
}

/// A status as JSON.
#[derive(Debug, Default, Serialize)]
pub(crate) struct StatusJson {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

impl InstanceJson {
    pub(crate) fn of(summary: &InstanceSummary) -> Self {
        let InstanceSummary { instance_id, run, definition, status, created_at, updated_at, attributes } = summary;
        Self {
            instance_id: instance_id.to_string(),
            run: run.0,
            workflow: definition.name.to_string(),
            version: definition.version.to_string(),
            definition_hash: definition.hash.to_string(),
            status: StatusJson::of(status),
            created_at: created_at.to_string(),
            updated_at: updated_at.to_string(),
            attributes: attributes.iter().map(|(name, value)| (name.to_string(), AttributeJson::of(value))).collect(),
        }
    }
}

impl StatusJson {
    pub(crate) fn of(status: &WorkflowStatus) -> Self {
        let word = status.as_str();
        let time = |at: chrono::DateTime<chrono::Utc>| Timestamp::from(at).to_string();
        match status.clone() {
            WorkflowStatus::InProgress | WorkflowStatus::Completed => Self { status: word, ..Self::default() },
            WorkflowStatus::Failed(error) => Self { status: word, error: Some(error), ..Self::default() },
            WorkflowStatus::Cancelled { reason, cancelled_by: by } | WorkflowStatus::Paused { reason, paused_by: by } => {
                Self { status: word, reason, by, ..Self::default() }
            }
            WorkflowStatus::Waiting { wake_at, delay_id } => {
                Self { status: word, node: Some(delay_id), until: Some(time(wake_at)), ..Self::default() }
            }
            WorkflowStatus::AwaitingSignal { signal_id, signal_name, wake_at } => {
                Self { status: word, node: Some(signal_id), signal: Some(signal_name), until: wake_at.map(time), ..Self::default() }
            }
        }
    }
}

/// The colour of a status.
pub(crate) const fn style(status: &WorkflowStatus) -> Style {
    let style = Style::new();
    match status {
        WorkflowStatus::Completed => style.green(),
        WorkflowStatus::Failed(_) => style.red(),
        WorkflowStatus::Cancelled { .. } | WorkflowStatus::Paused { .. } => style.yellow(),
        WorkflowStatus::InProgress => style.blue(),
        WorkflowStatus::Waiting { .. } | WorkflowStatus::AwaitingSignal { .. } => style.cyan(),
    }
}

/// What there is to say of a status besides its name; empty if nothing.
pub(crate) fn detail(status: &WorkflowStatus, now: Timestamp) -> String {
    match status {
        WorkflowStatus::InProgress | WorkflowStatus::Completed => String::new(),
        WorkflowStatus::Failed(error) => clean(error),
        WorkflowStatus::Cancelled { reason, cancelled_by: by } | WorkflowStatus::Paused { reason, paused_by: by } => {
            request(reason.as_deref(), by.as_deref())
        }
        WorkflowStatus::Waiting { wake_at, delay_id } => format!("{} until {}", clean(delay_id), both_times((*wake_at).into(), now)),
        WorkflowStatus::AwaitingSignal { signal_id, signal_name, wake_at } => {
            let until = wake_at.map_or_else(String::new, |at| format!(", at most until {}", both_times(at.into(), now)));
            format!("{} for {signal_name:?}{until}", clean(signal_id))
        }
    }
}

/// As [`detail`], in fewer words.
pub(crate) fn brief(status: &WorkflowStatus, now: Timestamp) -> String {
    match status {
        WorkflowStatus::Waiting { wake_at, delay_id } => format!("{}, due {}", clean(delay_id), relative((*wake_at).into(), now)),
        WorkflowStatus::AwaitingSignal { signal_id, signal_name, wake_at } => {
            let until = wake_at.map_or_else(String::new, |at| format!(", times out {}", relative(at.into(), now)));
            format!("{signal_name:?} at {}{until}", clean(signal_id))
        }
        WorkflowStatus::InProgress
        | WorkflowStatus::Completed
        | WorkflowStatus::Failed(_)
        | WorkflowStatus::Cancelled { .. }
        | WorkflowStatus::Paused { .. } => detail(status, now),
    }
}

/// Why and by whom.
pub(crate) fn request(reason: Option<&str>, by: Option<&str>) -> String {
    match (reason, by) {
        (None, None) => String::new(),
        (Some(reason), None) => clean(reason),
        (None, Some(by)) => format!("by {}", clean(by)),
        (Some(reason), Some(by)) => format!("{} (by {})", clean(reason), clean(by)),
    }
}

/// A workflow's name with its version.
pub(crate) fn workflow(summary: &InstanceSummary) -> String {
    let (name, version) = (&summary.definition.name, &summary.definition.version);
    match (name.is_empty(), version.is_empty()) {
        (true, _) => "-".to_owned(),
        (false, true) => name.to_string(),
        (false, false) => format!("{name} {version}"),
    }
}

/// Since when it has had its status, where that is known: the end of a run, or a pause.
pub(crate) fn since(summary: &InstanceSummary) -> Option<Timestamp> {
    match summary.status {
        WorkflowStatus::Completed | WorkflowStatus::Failed(_) | WorkflowStatus::Cancelled { .. } | WorkflowStatus::Paused { .. } => {
            Some(summary.updated_at)
        }
        WorkflowStatus::InProgress | WorkflowStatus::Waiting { .. } | WorkflowStatus::AwaitingSignal { .. } => None,
    }
}
