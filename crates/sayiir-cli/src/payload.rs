//! Stored values, for people and as JSON. What they are says the codec of the instance's definition.

use sayiir::core::DefinitionHash;
use sayiir::core::workflow::WorkflowDefinition;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::ending::Failure;
use crate::store::OpenStore;

/// The codec whose payloads are JSON.
const JSON: &str = "json";

/// How an instance's payloads are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payloads {
    /// As JSON.
    Json,
    /// They are some codec's that only the program knows.
    Opaque,
    /// Nothing is known of the definition: as JSON, if it is.
    Unknown,
}

/// A value as JSON: `{"json": ..}`, `{"text": ".."}` or `{"hex": ".."}`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PayloadJson {
    Json(Box<RawValue>),
    Text(String),
    Hex(String),
}

impl Payloads {
    pub(crate) fn of(definition: Option<&WorkflowDefinition>) -> Self {
        match definition.map(|definition| definition.codec.as_deref()) {
            Some(Some(codec)) if codec.eq_ignore_ascii_case(JSON) => Self::Json,
            Some(Some(_)) => Self::Opaque,
            Some(None) | None => Self::Unknown,
        }
    }

    pub(crate) fn json(self, bytes: &[u8]) -> PayloadJson {
        let json = match self {
            Self::Json | Self::Unknown => serde_json::from_slice(bytes).ok().map(in_one_line),
            Self::Opaque => None,
        };
        json.map_or_else(|| PayloadJson::Hex(hex(bytes)), PayloadJson::Json)
    }

    /// For people, in one line; cut to so many columns, if any.
    pub(crate) fn line(self, bytes: &[u8], columns: Option<usize>) -> String {
        let text = match self.json(bytes) {
            PayloadJson::Json(json) => json.get().to_owned(),
            PayloadJson::Text(text) => text,
            PayloadJson::Hex(hex) => format!("{} bytes: {hex}", bytes.len()),
        };
        let text = crate::text::clean(&text);
        columns.map_or_else(|| text.clone(), |columns| console::truncate_str(&text, columns, "…").into_owned())
    }
}

/// JSON as it is, unless it has several lines.
fn in_one_line(json: Box<RawValue>) -> Box<RawValue> {
    if !json.get().contains(['\n', '\r']) {
        return json;
    }
    let again = serde_json::from_str::<serde_json::Value>(json.get()).and_then(|value| RawValue::from_string(value.to_string()));
    again.unwrap_or(json)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl OpenStore {
    /// The stored definition of this hash; `None` if a start never gave it, or if it cannot be read.
    pub(crate) async fn definition(&self, hash: DefinitionHash) -> Result<Option<WorkflowDefinition>, Failure> {
        let document = self.client.backend().definition_document(hash).await?;
        Ok(document.and_then(|document| serde_json::from_str(&document).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(payload: &PayloadJson) -> String {
        serde_json::to_string(payload).unwrap()
    }

    #[test]
    fn a_payload_is_shown_as_what_it_is() {
        assert_eq!(json(&Payloads::Json.json(br#"{"a": 1}"#)), r#"{"json":{"a": 1}}"#);
        assert_eq!(json(&Payloads::Json.json(b"{")), r#"{"hex":"7b"}"#);
        assert_eq!(json(&Payloads::Opaque.json(b"5")), r#"{"hex":"35"}"#);
        assert_eq!(json(&Payloads::Unknown.json(b"5")), r#"{"json":5}"#);
        assert_eq!(json(&Payloads::Json.json(b"{\n\"a\": 1}")), r#"{"json":{"a":1}}"#);
        assert_eq!(Payloads::Json.line(br#"{"a": "x y"}"#, None), r#"{"a": "x y"}"#);
        assert_eq!(Payloads::Json.line(br#"{"a": "x y"}"#, Some(8)), r#"{"a": "…"#);
        assert_eq!(Payloads::Opaque.line(&[0, 255], None), "2 bytes: 00ff");
    }
}
