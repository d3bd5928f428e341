//! Time as a value. Nothing in this crate reads a clock; a [`Clock`] is handed in where one is needed.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// An instant in microseconds since the Unix epoch, as stores keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant this many microseconds after the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// How long it is from `earlier` to `self`; zero if `earlier` is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the far end of time, so that no stored delay can overflow.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the beginning of time.
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&DateTime::<Utc>::from(*self).to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(at: Timestamp) -> Self {
        Self::from_timestamp_micros(at.0).unwrap_or(if at.0 < 0 { Self::MIN_UTC } else { Self::MAX_UTC })
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_micros())
    }
}

/// Where the time comes from: the system, a database, or a test that moves it by hand.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_two_ends() {
        let at = Timestamp::from_micros(5);
        assert_eq!((at + Duration::from_micros(2), at - Duration::from_micros(7)), (Timestamp(7), Timestamp(-2)));
        assert_eq!(at + Duration::MAX, Timestamp(i64::MAX));
        assert_eq!(at - Duration::MAX, Timestamp(5 - i64::MAX));
        assert_eq!(Timestamp(-5) - Duration::MAX, Timestamp(i64::MIN));
    }
}
