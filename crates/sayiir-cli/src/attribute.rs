//! Search attributes as they are written on the command line.

use chrono::{DateTime, Utc};
use sayiir::core::attribute::AttributeValue;
use sayiir::persistence::{AttributeFilter, AttributeTest};

type Compare = fn(AttributeValue) -> AttributeTest;

/// Reads `NAME=VALUE`, `NAME>=VALUE` or `NAME<=VALUE`, where the name may say the type of the value: `NAME:text=120`.
pub(crate) fn parse_attribute(text: &str) -> Result<AttributeFilter, String> {
    let wrong = || format!("{text:?} is no test of an attribute; write NAME=VALUE, NAME>=VALUE or NAME<=VALUE");
    let at = text.find(['=', '<', '>']).ok_or_else(wrong)?;
    let (name, rest) = text.split_at(at);
    let signs: [(&str, Compare); 3] = [("=", AttributeTest::Is), (">=", AttributeTest::AtLeast), ("<=", AttributeTest::AtMost)];
    let found = signs.into_iter().find_map(|(sign, compare)| rest.strip_prefix(sign).map(|value| (compare, value)));
    let (compare, value) = found.ok_or_else(wrong)?;
    let (name, value) = match name.rsplit_once(':') {
        Some((name, kind)) => (name, of_type(kind, value)?),
        None => (name, guessed(value)),
    };
    if name.is_empty() {
        return Err(wrong());
    }
    let filter = AttributeFilter { name: name.into(), test: compare(value) };
    match &filter.test {
        AttributeTest::AtLeast(value) | AttributeTest::AtMost(value) => match value {
            AttributeValue::Integer(_) | AttributeValue::Time(_) => {}
            AttributeValue::Text(_) | AttributeValue::Bool(_) => {
                return Err(format!("{text:?}: only integers and times are more or less; texts and bools are compared with ="));
            }
        },
        AttributeTest::Is(_) => {}
    }
    Ok(filter)
}

fn of_type(kind: &str, value: &str) -> Result<AttributeValue, String> {
    let wrong = |what: &str| format!("{value:?} is no {what}");
    match kind {
        "text" => Ok(value.into()),
        "integer" => value.parse::<i64>().map(Into::into).map_err(|_| wrong("integer")),
        "bool" => value.parse::<bool>().map(Into::into).map_err(|_| wrong("bool: it is true or false")),
        "time" => time(value).ok_or_else(|| wrong("time: write it as in 2026-01-02T03:04:05Z")),
        _ => Err(format!("{kind:?} is no type of attributes; there are text, integer, bool and time")),
    }
}

fn guessed(value: &str) -> AttributeValue {
    let integer = value.parse::<i64>().ok().map(AttributeValue::from);
    integer.or_else(|| value.parse::<bool>().ok().map(Into::into)).or_else(|| time(value)).unwrap_or_else(|| value.into())
}

fn time(value: &str) -> Option<AttributeValue> {
    DateTime::parse_from_rfc3339(value).ok().map(|at| at.with_timezone(&Utc).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_of_an_attribute_is_read() {
        for (text, filter) in [
            ("customer=acme", AttributeFilter::is("customer", "acme")),
            ("note=a=b", AttributeFilter::is("note", "a=b")),
            ("empty=", AttributeFilter::is("empty", "")),
            ("euros=120", AttributeFilter::is("euros", 120)),
            ("zip:text=04109", AttributeFilter::is("zip", "04109")),
            ("vip=true", AttributeFilter::is("vip", true)),
            ("euros>=-1", AttributeFilter::at_least("euros", -1)),
            ("due<=1970-01-01T00:00:01Z", AttributeFilter::at_most("due", sayiir::core::time::Timestamp::from_micros(1_000_000))),
        ] {
            assert_eq!(parse_attribute(text).unwrap(), filter, "{text}");
        }
        for text in ["customer", "=acme", "a<1", "a>1", "a>=b", "a<=true", "a:integer=b", "a:real=1", ":text=b", ""] {
            assert!(parse_attribute(text).is_err(), "{text}");
        }
    }
}
