//! The system's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use sayiir_core::time::{Clock, Timestamp};

/// The system's time. Not on wasm32, where the host hands time in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(0) + since
    }
}
