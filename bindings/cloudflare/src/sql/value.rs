//! What goes into a database and comes out of it: no more kinds than JavaScript's bindings have.
//!
//! Invariant: an integer that is stored is one that a JavaScript number holds exactly.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, LeaseId, Phase, RunNumber};
use sayiir_core::journal::EntryKind;
use sayiir_core::priority::Priority;
use sayiir_core::time::Timestamp;

/// The largest integer below which JavaScript's numbers are exact.
const LARGEST: i64 = (1 << 53) - 1;

/// A value of a column or parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number.
    Integer(i64),
    /// A text.
    Text(Arc<str>),
    /// Bytes.
    Blob(Bytes),
}

/// A row, by the places of its columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row(pub Vec<Value>);

impl Value {
    /// A payload: a text if it is one (JSON always is), for texts pass through JavaScript whole; else bytes.
    pub(crate) fn payload(bytes: &Bytes) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Self::Text(Arc::from(text)),
            Ok(_) | Err(_) => Self::Blob(bytes.clone()),
        }
    }
}

impl From<i64> for Value {
    /// Times at the far end of time are brought to the last one that can be stored.
    fn from(number: i64) -> Self {
        Self::Integer(number.clamp(-LARGEST, LARGEST))
    }
}

macro_rules! numbers {
    ($($type:ty: $number:ident => $value:expr;)*) => {
        $(impl From<$type> for Value {
            fn from($number: $type) -> Self {
                Self::from($value)
            }
        })*
    };
}

numbers! {
    u64: number => i64::try_from(number).unwrap_or(LARGEST);
    u32: number => i64::from(number);
    usize: number => i64::try_from(number).unwrap_or(LARGEST);
    bool: flag => i64::from(flag);
    Timestamp: at => at.as_micros();
    RunNumber: run => run.0;
    LeaseId: lease => lease.0;
    Phase: phase => i64::from(phase.as_u8());
    Priority: priority => i64::from(priority.as_u8());
    EntryKind: kind => i64::from(kind.as_u8());
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Arc::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Arc::from(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&Arc<str>> for Value {
    fn from(text: &Arc<str>) -> Self {
        Self::Text(Arc::clone(text))
    }
}

impl From<&BranchId> for Value {
    fn from(branch: &BranchId) -> Self {
        Self::from(branch.as_str())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
