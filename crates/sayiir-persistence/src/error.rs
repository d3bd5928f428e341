//! Errors of a store, sorted by what the caller can do about them.

use sayiir_core::error::BoxError;

/// Why a store operation has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store did not answer, or cannot now (locked, full, gone, connection lost): the outcome is unknown. Ask again, unchanged.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// What is known, in words.
        reason: String,
        /// The cause.
        #[source]
        source: Option<BoxError>,
    },
    /// The store can be read but not written.
    #[error("the store is read-only: {reason}")]
    ReadOnly {
        /// What is known, in words.
        reason: String,
    },
    /// Stored bytes are not what this build can read.
    #[error("the store is corrupt: {reason}")]
    Corrupt {
        /// What was found, and where.
        reason: String,
        /// The cause.
        #[source]
        source: Option<BoxError>,
    },
    /// The store was made by another version of Sayiir (or is no store of Sayiir's).
    #[error("the store's schema is {found}, this build works with {supported}: {advice}")]
    Schema {
        /// The version found.
        found: String,
        /// The version this build works with.
        supported: String,
        /// What to do.
        advice: String,
    },
    /// A value is larger than the store accepts; nothing was written.
    #[error("{what} has {actual} bytes, the store accepts {limit}")]
    Limit {
        /// What is too large, with its instance and node.
        what: String,
        /// Its size.
        actual: usize,
        /// The largest size.
        limit: usize,
    },
    /// The call is wrong (a mistake of the program); nothing was written.
    #[error("the store was misused: {reason}")]
    Misused {
        /// What is wrong.
        reason: String,
    },
}

impl StoreError {
    /// [`StoreError::Unavailable`], without a cause.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), source: None }
    }

    /// [`StoreError::Corrupt`], without a cause.
    pub fn corrupt(reason: impl Into<String>) -> Self {
        Self::Corrupt { reason: reason.into(), source: None }
    }

    /// [`StoreError::Misused`].
    pub fn misused(reason: impl Into<String>) -> Self {
        Self::Misused { reason: reason.into() }
    }

    /// The same error once more, for the other members of a batch that failed as one; the cause becomes text.
    ///
    /// ```
    /// use std::error::Error;
    /// use sayiir_persistence::StoreError;
    ///
    /// let full = StoreError::Unavailable { reason: "the disk is full".into(), source: Some("SQLITE_FULL".into()) };
    /// let other = full.again();
    /// assert_eq!(other.to_string(), full.to_string());
    /// assert_eq!(other.source().map(ToString::to_string).as_deref(), Some("SQLITE_FULL"));
    /// ```
    #[must_use]
    pub fn again(&self) -> Self {
        let text = |source: &Option<BoxError>| source.as_ref().map(|cause| cause.to_string().into());
        match self {
            Self::Unavailable { reason, source } => Self::Unavailable { reason: reason.clone(), source: text(source) },
            Self::ReadOnly { reason } => Self::ReadOnly { reason: reason.clone() },
            Self::Corrupt { reason, source } => Self::Corrupt { reason: reason.clone(), source: text(source) },
            Self::Schema { found, supported, advice } => {
                Self::Schema { found: found.clone(), supported: supported.clone(), advice: advice.clone() }
            }
            Self::Limit { what, actual, limit } => Self::Limit { what: what.clone(), actual: *actual, limit: *limit },
            Self::Misused { reason } => Self::Misused { reason: reason.clone() },
        }
    }

    /// Whether the same request may succeed later, and may even have been applied.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
