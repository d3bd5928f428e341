//! A webhook: one line of the input, parsed and checked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest line. Whatever is made of it stays below what a store accepts for one payload.
const MAX_LINE_BYTES: usize = 1 << 20;

/// A webhook as it came in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Webhook {
    /// The type of event, such as `issues`.
    pub(crate) event: String,
    /// What happened to its subject, such as `opened`.
    pub(crate) action: Option<String>,
    /// What GitHub sent.
    pub(crate) payload: Map<String, Value>,
}

/// Why a line is no webhook.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it has {0} bytes, at most {MAX_LINE_BYTES} are accepted")]
    TooLong(usize),
    #[error("{0}")]
    NotJson(#[from] serde_json::Error),
    #[error("\"event\" is empty")]
    NoEvent,
    #[error("\"action\" is {outer:?}, but the payload's is {inner:?}")]
    ActionsDiffer { outer: Option<String>, inner: String },
}

/// Reads and checks one line.
pub(crate) fn parse(text: &str) -> Result<Webhook, Malformed> {
    if text.len() > MAX_LINE_BYTES {
        return Err(Malformed::TooLong(text.len()));
    }
    let webhook: Webhook = serde_json::from_str(text)?;
    if webhook.event.trim().is_empty() {
        return Err(Malformed::NoEvent);
    }
    match webhook.payload.get("action") {
        Some(Value::String(inner)) if webhook.action.as_ref() != Some(inner) => {
            Err(Malformed::ActionsDiffer { outer: webhook.action, inner: inner.clone() })
        }
        _ => Ok(webhook),
    }
}

impl Webhook {
    /// The text at a path of the payload.
    pub(crate) fn text(&self, pointer: &[&str]) -> Option<&str> {
        self.at(pointer)?.as_str()
    }

    /// The value at a path of the payload.
    pub(crate) fn at(&self, pointer: &[&str]) -> Option<&Value> {
        let (first, rest) = pointer.split_first()?;
        rest.iter().try_fold(self.payload.get(*first)?, |value, key| value.get(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_webhook_has_event_action_and_payload() {
        let webhook =
            parse(r#"{"event": "issues", "action": "opened", "payload": {"action": "opened", "issue": {"title": "Help"}}}"#).unwrap();
        assert_eq!((webhook.event.as_str(), webhook.action.as_deref()), ("issues", Some("opened")));
        assert_eq!(webhook.text(&["issue", "title"]), Some("Help"));
        assert_eq!(webhook.text(&["issue", "body"]), None);
        assert_eq!(parse(r#"{"event": "push", "payload": {}}"#).unwrap().action, None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(reason("{").starts_with("EOF while parsing"));
        assert!(reason(r#"{"event": "push"}"#).starts_with("missing field `payload`"));
        assert!(reason(r#"{"event": "push", "payload": 3}"#).starts_with("invalid type: integer `3`, expected a map"));
        assert_eq!(reason(r#"{"event": " ", "payload": {}}"#), "\"event\" is empty");
        let differ = r#"{"event": "issues", "action": null, "payload": {"action": "closed"}}"#;
        assert_eq!(reason(differ), r#""action" is None, but the payload's is "closed""#);
        assert_eq!(reason(&"x".repeat(MAX_LINE_BYTES + 1)), "it has 1048577 bytes, at most 1048576 are accepted");
    }
}
