//! Search attributes: a few typed values by name that an instance can be found by. They are no part of the journal.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The search attributes of an instance, by name.
///
/// ```
/// use sayiir_core::attribute::{AttributeValue, SearchAttributes};
///
/// let attributes = SearchAttributes::from([("customer".into(), "acme".into()), ("euros".into(), 120.into())]);
/// assert_eq!(attributes["euros"], AttributeValue::Integer(120));
/// ```
pub type SearchAttributes = BTreeMap<Arc<str>, AttributeValue>;

/// The value of a search attribute.
///
/// ```
/// use sayiir_core::attribute::AttributeValue;
///
/// assert_eq!(AttributeValue::from("acme").to_string(), "acme");
/// assert_ne!(AttributeValue::from(1), AttributeValue::from(true), "values of two types are never equal");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeValue {
    /// A short text.
    Text(Arc<str>),
    /// An integer.
    Integer(i64),
    /// Yes or no.
    Bool(bool),
    /// An instant.
    Time(Timestamp),
}

impl AttributeValue {
    /// The number under which stores keep the value's type. It never changes.
    pub const fn type_number(&self) -> u8 {
        match self {
            Self::Text(_) => 1,
            Self::Integer(_) => 2,
            Self::Bool(_) => 3,
            Self::Time(_) => 4,
        }
    }

    /// The number of a value that is no text, as stores keep it.
    pub fn as_number(&self) -> Option<i64> {
        match self {
            Self::Text(_) => None,
            Self::Integer(number) => Some(*number),
            Self::Bool(yes) => Some(i64::from(*yes)),
            Self::Time(at) => Some(at.as_micros()),
        }
    }

    /// The value of this stored type number, and number or text.
    pub fn from_stored(type_number: u8, number: Option<i64>, text: Option<Arc<str>>) -> Option<Self> {
        match (type_number, number, text) {
            (1, None, Some(text)) => Some(Self::Text(text)),
            (2, Some(number), None) => Some(Self::Integer(number)),
            (3, Some(number @ (0 | 1)), None) => Some(Self::Bool(number == 1)),
            (4, Some(number), None) => Some(Self::Time(Timestamp::from_micros(number))),
            _ => None,
        }
    }
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Bool(yes) => yes.fmt(f),
            Self::Time(at) => at.fmt(f),
        }
    }
}

macro_rules! from_value {
    ($($type:ty => |$value:ident| $made:expr;)*) => {
        $(impl From<$type> for AttributeValue {
            fn from($value: $type) -> Self {
                $made
            }
        })*
    };
}

from_value! {
    &str => |text| Self::Text(Arc::from(text));
    String => |text| Self::Text(Arc::from(text));
    Arc<str> => |text| Self::Text(text);
    i64 => |number| Self::Integer(number);
    i32 => |number| Self::Integer(number.into());
    u32 => |number| Self::Integer(number.into());
    bool => |yes| Self::Bool(yes);
    Timestamp => |at| Self::Time(at);
    DateTime<Utc> => |at| Self::Time(at.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_from_what_a_store_keeps() {
        let values = ["text".into(), "".into(), AttributeValue::from(-7), true.into(), false.into(), Timestamp::from_micros(9).into()];
        for value in values {
            let text = if let AttributeValue::Text(text) = &value { Some(Arc::clone(text)) } else { None };
            assert_eq!(AttributeValue::from_stored(value.type_number(), value.as_number(), text), Some(value));
        }
        assert_eq!(AttributeValue::from_stored(3, Some(2), None), None);
        assert_eq!(AttributeValue::from_stored(1, Some(2), None), None);
        assert_eq!(AttributeValue::from_stored(9, Some(2), None), None);
    }
}
