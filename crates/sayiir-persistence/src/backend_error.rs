//! The errors of the vocabulary traits.

use std::error::Error;
use std::fmt;

use sayiir_core::error::BoxError;

use crate::error::StoreError;

/// The text of an error and, if there is one, its cause.
#[derive(Debug)]
pub struct Detail {
    text: String,
    source: Option<BoxError>,
}

impl Detail {
    /// A text with its cause.
    pub fn with_source(text: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self { text: text.into(), source: Some(source.into()) }
    }
}

impl From<String> for Detail {
    fn from(text: String) -> Self {
        Self { text, source: None }
    }
}

impl From<&str> for Detail {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Detail {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Why an operation of the vocabulary traits was not done.
///
/// ```
/// use sayiir_persistence::BackendError;
///
/// let error = BackendError::NotFound("\"order-17\"".into());
/// assert!(error.to_string().contains("order-17"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BackendError {
    /// The instance is unknown.
    NotFound(Detail),
    /// A value could not be written as bytes or read from them.
    Serialization(Detail),
    /// The store could not do it.
    Backend(Detail),
    /// The instance cannot be cancelled.
    CannotCancel(Detail),
    /// The instance cannot be paused or unpaused.
    CannotPause(Detail),
    /// The instance cannot be retried: it has not failed.
    CannotRetry(Detail),
    /// The instance cannot be rewound to that node.
    CannotRewind(Detail),
    /// Another worker holds it.
    ClaimLost(Detail),
    /// The snapshot is older than what is stored, and was not saved: load it again.
    Stale(Detail),
}

impl BackendError {
    const fn parts(&self) -> (&'static str, &Detail) {
        match self {
            Self::NotFound(detail) => ("instance not found", detail),
            Self::Serialization(detail) => ("serialization failed", detail),
            Self::Backend(detail) => ("backend error", detail),
            Self::CannotCancel(detail) => ("Cannot cancel", detail),
            Self::CannotPause(detail) => ("Cannot pause", detail),
            Self::CannotRetry(detail) => ("Cannot retry", detail),
            Self::CannotRewind(detail) => ("Cannot rewind", detail),
            Self::ClaimLost(detail) => ("claim lost", detail),
            Self::Stale(detail) => ("the snapshot is stale", detail),
        }
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, detail) = self.parts();
        write!(f, "{what}: {detail}")
    }
}

impl Error for BackendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.parts().1.source()
    }
}

impl From<StoreError> for BackendError {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        // The text says what the store said; only what lies below it is the cause.
        let source = match error {
            StoreError::Unavailable { reason: _, source } | StoreError::Corrupt { reason: _, source } => source,
            StoreError::ReadOnly { .. } | StoreError::Schema { .. } | StoreError::Limit { .. } | StoreError::Misused { .. } => None,
        };
        Self::Backend(Detail { text, source })
    }
}
