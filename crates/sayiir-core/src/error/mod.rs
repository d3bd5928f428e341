//! Errors of building, of payloads and of running workflows.
//!
//! Invariant: a cause stands in `source()`, and is not told again in the text of what it caused.

mod advice;
mod build;
mod workflow;

use std::error::Error;

pub use advice::{DoNotRetry, Retry, RetryAfter, TaskError, advised};
pub use build::{BuildError, BuildErrors};
pub use workflow::WorkflowError;

/// Any error of a task.
///
/// ```
/// use sayiir_core::error::BoxError;
///
/// fn half(x: u32) -> Result<u32, BoxError> {
///     let text = (x / 2).to_string();
///     if x % 2 == 1 { Err("an odd number has no half".into()) } else { Ok(text.parse()?) }
/// }
/// assert_eq!(half(3).unwrap_err().to_string(), "an odd number has no half");
/// ```
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A payload that could not be encoded or decoded.
///
/// ```
/// use sayiir_core::codec::{Decoder, JsonCodec};
/// use sayiir_core::error::{CodecError, error_chain};
///
/// let source = JsonCodec.decode::<u32>("\"five\"".into()).unwrap_err();
/// let error = CodecError::Decode { type_name: "u32", context: "the event \"go\"".to_owned(), source };
/// assert_eq!(error.to_string(), "could not decode a u32 from the event \"go\"");
/// assert!(error_chain(&error).contains("invalid type: string"), "the cause comes behind it");
/// ```
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// A value could not be encoded.
    #[error("could not encode a {}", short_type_name(.type_name))]
    Encode {
        /// The Rust type.
        type_name: &'static str,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// Bytes could not be decoded.
    #[error("could not decode a {} from {context}", short_type_name(.type_name))]
    Decode {
        /// The Rust type.
        type_name: &'static str,
        /// Whose bytes they are: an input, an event, a step's output.
        context: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// The instance's payloads are of another codec.
    #[error("codec mismatch: the instance's payloads are {stored:?}, and this workflow's are {used:?}")]
    Mismatch {
        /// The name of the codec that wrote them.
        stored: String,
        /// The name of the codec that was to read them.
        used: String,
        /// How the definitions differ.
        #[source]
        source: BoxError,
    },
    /// A task was given what it cannot decode.
    #[error("could not decode the input of {task:?} as a {}{}", short_type_name(.type_name), from_signal(.signal.as_deref()))]
    Input {
        /// The task's id.
        task: String,
        /// The signal that the input came from, if it came from one.
        signal: Option<String>,
        /// The Rust type of the input.
        type_name: &'static str,
        /// Why not.
        #[source]
        source: BoxError,
    },
}

fn from_signal(name: Option<&str>) -> String {
    name.map(|name| format!(": it is the payload of the signal {name:?}, or None if the wait for it timed out")).unwrap_or_default()
}

/// A type's name without the modules it is in: `Option<String>`.
pub(crate) fn short_type_name(type_name: &str) -> String {
    let mut short = String::new();
    for piece in type_name.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
        short.push_str(piece.rsplit("::").next().unwrap_or(piece));
    }
    short
}
/// An error with its causes on one line: `could not charge: connection refused`.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_without_their_modules() {
        for (long, name) in [
            ("u32", "u32"),
            ("alloc::string::String", "String"),
            ("core::option::Option<alloc::vec::Vec<my_crate::Order>>", "Option<Vec<Order>>"),
            ("(alloc::string::String, &[a::b::C_1; 3])", "(String, &[C_1; 3])"),
        ] {
            assert_eq!(short_type_name(long), name);
        }
    }
}
