//! How urgent a task is beside others that are ready.

use serde::{Deserialize, Serialize};

/// The order in which ready work is taken; waiting raises it over time.
///
/// ```
/// use sayiir_core::priority::Priority;
///
/// assert_eq!(Priority::from_u8(1), Some(Priority::Critical));
/// assert_eq!(Priority::default(), Priority::Normal);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before everything else.
    Critical = 1,
    /// Before normal work.
    High = 2,
    /// The default.
    #[default]
    Normal = 3,
    /// After normal work.
    Low = 4,
    /// When nothing else is to be done.
    Minimal = 5,
}

impl Priority {
    /// The priority with this number, 1 (critical) to 5 (minimal).
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Critical),
            2 => Some(Self::High),
            3 => Some(Self::Normal),
            4 => Some(Self::Low),
            5 => Some(Self::Minimal),
            _ => None,
        }
    }

    /// The number of this priority, 1 (critical) to 5 (minimal).
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}
