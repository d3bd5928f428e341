//! What a loop's body returns, and what happens when it is never done.

use serde::{Deserialize, Serialize};

/// Whether a loop goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "rkyv", derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize))]
#[serde(tag = "_loop", content = "value", rename_all = "lowercase")]
pub enum LoopResult<T> {
    /// Run the body again with this value.
    Again(T),
    /// Leave the loop with this value.
    Done(T),
}

impl<T> LoopResult<T> {
    /// Whether the loop is left.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// Whether the body runs again.
    pub const fn is_again(&self) -> bool {
        matches!(self, Self::Again(_))
    }

    /// The value.
    pub fn into_inner(self) -> T {
        match self {
            Self::Again(value) | Self::Done(value) => value,
        }
    }
}

/// What happens when a loop's last allowed iteration asks for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxIterationsPolicy {
    /// The instance fails.
    #[default]
    Fail,
    /// The loop is left with the last value.
    ExitWithLast,
}
