//! How values become our types, column by column. A value that no type knows is a corrupt store, not a guess.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::branch::{BranchId, LeaseId, Phase, RunNumber};
use sayiir_core::journal::EntryKind;
use sayiir_core::priority::Priority;
use sayiir_core::time::Timestamp;
use sayiir_persistence::StoreError;

use super::{Row, Value};

/// The columns of a row, to be read from the left.
pub(crate) struct Columns<'a> {
    values: std::slice::Iter<'a, Value>,
    read: usize,
}

impl Row {
    pub(crate) fn columns(&self) -> Columns<'_> {
        Columns { values: self.0.iter(), read: 0 }
    }
}

impl Columns<'_> {
    /// The next column's value.
    pub(crate) fn take<T: FromValue>(&mut self) -> Result<T, StoreError> {
        self.read += 1;
        let value = self.values.next();
        value.and_then(T::from_value).ok_or_else(|| {
            let found = match value {
                None => "nothing".to_owned(),
                Some(Value::Text(text)) => format!("the text {:?}", text.chars().take(80).collect::<String>()),
                Some(Value::Blob(bytes)) => format!("{} bytes", bytes.len()),
                Some(Value::Null) => "null".to_owned(),
                Some(Value::Integer(number)) => format!("the number {number}"),
            };
            let (number, wanted) = (self.read, std::any::type_name::<T>());
            StoreError::corrupt(format!("column {number} of an answer holds {found}, which is no {wanted}"))
        })
    }
}

/// A type that a column can hold.
pub(crate) trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            Value::Integer(_) | Value::Text(_) | Value::Blob(_) => T::from_value(value).map(Some),
        }
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Null | Value::Text(_) | Value::Blob(_) => None,
    }
}

macro_rules! from_integer {
    ($($type:ty: $number:ident => $value:expr;)*) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                let $number = integer(value)?;
                $value
            }
        })*
    };
}

from_integer! {
    i64: number => Some(number);
    u64: number => u64::try_from(number).ok();
    u32: number => u32::try_from(number).ok();
    u8: number => u8::try_from(number).ok();
    bool: number => Some(number != 0);
    Timestamp: number => Some(Self::from_micros(number));
    RunNumber: number => u64::try_from(number).ok().map(Self);
    LeaseId: number => u64::try_from(number).ok().map(Self);
    Phase: number => u8::try_from(number).ok().and_then(Self::from_u8);
    Priority: number => u8::try_from(number).ok().and_then(Self::from_u8);
    EntryKind: number => u8::try_from(number).ok().and_then(Self::from_u8);
}

impl FromValue for Arc<str> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Self::clone(text)),
            Value::Null | Value::Integer(_) | Value::Blob(_) => None,
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        Arc::<str>::from_value(value).map(|text| text.as_ref().to_owned())
    }
}

impl FromValue for BranchId {
    fn from_value(value: &Value) -> Option<Self> {
        Arc::<str>::from_value(value).map(|text| Self::from_stored(&text))
    }
}

impl FromValue for DefinitionHash {
    fn from_value(value: &Value) -> Option<Self> {
        Arc::<str>::from_value(value).and_then(|text| Self::from_hex(&text).ok())
    }
}

impl FromValue for Bytes {
    /// A payload, which is kept as a text where it is one.
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Self::copy_from_slice(text.as_bytes())),
            Value::Blob(bytes) => Some(bytes.clone()),
            Value::Null | Value::Integer(_) => None,
        }
    }
}
