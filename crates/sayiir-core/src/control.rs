//! Control requests: cancel and pause.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What a control request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// End the run. Beats a pause.
    Cancel,
    /// Hold the run until it is unpaused.
    Pause,
}

impl SignalKind {
    /// The kind's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
        }
    }
}

impl fmt::Display for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who asked for a control request, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SignalRequest {
    /// Why.
    pub reason: Option<String>,
    /// Who.
    pub requested_by: Option<String>,
    /// When it was made; the epoch until a store has stamped it.
    pub requested_at: DateTime<Utc>,
}

impl SignalRequest {
    /// A request that no store has recorded yet.
    pub fn new(reason: Option<String>, requested_by: Option<String>) -> Self {
        Self { reason, requested_by, requested_at: DateTime::UNIX_EPOCH }
    }

    /// The request as a store records it at `now`: one that says when it was made keeps that.
    #[must_use]
    pub fn stamped(self, now: DateTime<Utc>) -> Self {
        if self.requested_at == DateTime::UNIX_EPOCH { Self { requested_at: now, ..self } } else { self }
    }

    /// The same request, made at another time: that time is yet to be stamped.
    #[must_use]
    pub fn anew(self) -> Self {
        Self { requested_at: DateTime::UNIX_EPOCH, ..self }
    }

    /// Why and by whom in one text, as the journal keeps it; `None` if neither is told.
    ///
    /// ```
    /// use sayiir_core::control::SignalRequest;
    ///
    /// let request = SignalRequest::new(Some("the bank is open".into()), Some("ada".into()));
    /// assert_eq!(request.in_words().as_deref(), Some("the bank is open (by ada)"));
    /// assert_eq!(SignalRequest::default().in_words(), None);
    /// ```
    pub fn in_words(&self) -> Option<String> {
        match (&self.reason, &self.requested_by) {
            (reason, None) => reason.clone(),
            (None, Some(by)) => Some(format!("by {by}")),
            (Some(reason), Some(by)) => Some(format!("{reason} (by {by})")),
        }
    }
}

/// A pause in force: the request that led to it.
pub type PauseRequest = SignalRequest;
