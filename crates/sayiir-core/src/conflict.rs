//! What to do when an instance id is already known.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a start does when the instance id is already known under the same definition.
///
/// ```
/// use sayiir_core::workflow::ConflictPolicy;
/// let policy: ConflictPolicy = "use_existing".parse()?;
/// assert_eq!(policy, ConflictPolicy::UseExisting);
/// # Ok::<(), sayiir_core::workflow::UnknownConflictPolicy>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictPolicy {
    /// Refuse. The default.
    #[default]
    Fail,
    /// Return the stored status, and the output if it is completed; execute nothing.
    UseExisting,
    /// Remove the old run with its events and control requests, then start a new one.
    TerminateExisting,
}

/// Text that names no conflict policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown conflict policy {0:?}; expected one of 'fail', 'use_existing', 'terminate_existing'")]
pub struct UnknownConflictPolicy(String);

impl ConflictPolicy {
    /// The canonical name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::UseExisting => "use_existing",
            Self::TerminateExisting => "terminate_existing",
        }
    }

    /// The canonical names of all policies.
    pub const fn valid_names() -> &'static [&'static str] {
        &["fail", "use_existing", "terminate_existing"]
    }

    /// Parses a name that may be absent; absent means the default.
    pub fn parse_optional(name: Option<&str>) -> Result<Self, UnknownConflictPolicy> {
        name.map_or(Ok(Self::default()), str::parse)
    }
}

impl fmt::Display for ConflictPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ConflictPolicy {
    type Err = UnknownConflictPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownConflictPolicy> {
        match name {
            "fail" => Ok(Self::Fail),
            "use_existing" | "useExisting" => Ok(Self::UseExisting),
            "terminate_existing" | "terminateExisting" => Ok(Self::TerminateExisting),
            other => Err(UnknownConflictPolicy(other.to_owned())),
        }
    }
}
