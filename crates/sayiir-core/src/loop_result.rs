//! What a loop's body returns, and what happens when it is never done.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whether a loop goes on.
///
/// Serde writes it for people as `{"_loop": "again", "value": ..}`, and in compact formats, which need not say
/// the names of what they hold, as an ordinary enum.
///
/// ```
/// use sayiir_core::LoopResult;
///
/// let next = |x: u32| if x > 1 { LoopResult::Again(x / 2) } else { LoopResult::Done(x) };
/// assert!(next(8).is_again() && next(1).is_done());
/// assert_eq!(next(8).into_inner(), 4);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "rkyv", derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize))]
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

/// The form for people.
#[derive(Serialize, Deserialize)]
#[serde(rename = "LoopResult", tag = "_loop", content = "value", rename_all = "lowercase")]
enum Tagged<T> {
    Again(T),
    Done(T),
}

/// The compact form.
#[derive(Serialize, Deserialize)]
#[serde(rename = "LoopResult")]
enum Compact<T> {
    Again(T),
    Done(T),
}

impl<T: Serialize> Serialize for LoopResult<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self, serializer.is_human_readable()) {
            (Self::Again(value), true) => Tagged::Again(value).serialize(serializer),
            (Self::Done(value), true) => Tagged::Done(value).serialize(serializer),
            (Self::Again(value), false) => Compact::Again(value).serialize(serializer),
            (Self::Done(value), false) => Compact::Done(value).serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for LoopResult<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Ok(match Tagged::deserialize(deserializer)? {
                Tagged::Again(value) => Self::Again(value),
                Tagged::Done(value) => Self::Done(value),
            });
        }
        Ok(match Compact::deserialize(deserializer)? {
            Compact::Again(value) => Self::Again(value),
            Compact::Done(value) => Self::Done(value),
        })
    }
}

/// What happens when a loop's last allowed iteration asks for another.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_core::prelude::*;
///
/// let context = WorkflowContext::new("poll", Arc::new(JsonCodec), Arc::new(()));
/// let body = |x: u32| async move { Ok(LoopResult::Again(x + 1)) };
/// WorkflowBuilder::new(context).loop_task_with_policy("poll", body, 3, MaxIterationsPolicy::ExitWithLast).build()?;
/// # Ok::<(), BuildErrors>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxIterationsPolicy {
    /// The instance fails.
    #[default]
    Fail,
    /// The loop is left with the last value.
    ExitWithLast,
}
