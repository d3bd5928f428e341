//! Identifiers. A hash id is 32 bytes and `Copy`; an instance id is the caller's text, checked at the door.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The longest instance id, in bytes.
pub const MAX_INSTANCE_ID_LEN: usize = 256;

/// An instance id that no store can hold: empty, too long, or with a NUL character.
///
/// ```
/// use sayiir_core::{InvalidInstanceId, validate_instance_id};
///
/// assert_eq!(validate_instance_id("order-17"), Ok(()));
/// assert_eq!(validate_instance_id(""), Err(InvalidInstanceId::Empty));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInstanceId {
    /// The id has no characters.
    #[error("an instance id must not be empty")]
    Empty,
    /// The id has more than [`MAX_INSTANCE_ID_LEN`] bytes.
    #[error("an instance id has at most {MAX_INSTANCE_ID_LEN} bytes, this one has {0}")]
    TooLong(usize),
    /// The id holds a NUL character, which PostgreSQL cannot store.
    #[error("an instance id must not contain a NUL character: {0:?}")]
    Nul(String),
}

/// Checks that `id` has 1 to [`MAX_INSTANCE_ID_LEN`] bytes and no NUL.
///
/// ```
/// assert!(sayiir_core::validate_instance_id("order-17").is_ok());
/// assert!(sayiir_core::validate_instance_id("").is_err());
/// ```
pub fn validate_instance_id(id: &str) -> Result<(), InvalidInstanceId> {
    if id.is_empty() {
        Err(InvalidInstanceId::Empty)
    } else if id.len() > MAX_INSTANCE_ID_LEN {
        Err(InvalidInstanceId::TooLong(id.len()))
    } else if id.contains('\0') {
        Err(InvalidInstanceId::Nul(id.to_owned()))
    } else {
        Ok(())
    }
}

/// Text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits, found {0:?}")]
pub struct InvalidHash(String);

fn sha256(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn write_hex(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The id of these 32 bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes of this id.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The id as 64 lower-case hexadecimal digits.
            pub fn to_hex(&self) -> String {
                self.to_string()
            }

            /// Parses 64 hexadecimal digits; never hashes.
            pub fn from_hex(text: &str) -> Result<Self, InvalidHash> {
                parse_hex(text).map(Self).ok_or_else(|| InvalidHash(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = InvalidHash;

            fn from_str(text: &str) -> Result<Self, InvalidHash> {
                Self::from_hex(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::from(text.as_str())
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                Self::from(text.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::from_hex(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

hash_id! {
    /// The hash of a node path (at the top level, of the id given to the builder).
    ///
    /// It exists for the vocabulary API; storage and messages show the readable path.
    TaskId
}

hash_id! {
    /// The hash of a workflow's name.
    WorkflowId
}

hash_id! {
    /// The identity of a definition: the SHA-256 of its name, version and graph structure.
    ///
    /// Text of 64 hexadecimal digits converts to that hash, any other text is hashed; a
    /// `DefinitionHash` compares with text by the same rule.
    ///
    /// ```
    /// use sayiir_core::DefinitionHash;
    /// let hash = DefinitionHash::from("orders, first version");
    /// assert_eq!(DefinitionHash::from(hash.to_hex()), hash);
    /// assert_eq!(hash, "orders, first version");
    /// ```
    DefinitionHash
}

impl From<&str> for TaskId {
    fn from(path: &str) -> Self {
        Self(sha256(path.as_bytes()))
    }
}

impl TaskId {
    /// The id of the node that a stored label names: its path without iterations and keys, or `@` and
    /// the id itself where only that was known.
    ///
    /// ```
    /// use sayiir_core::TaskId;
    /// assert_eq!(TaskId::of_label("pages[2]/fetch"), TaskId::from("pages/fetch"));
    /// assert_eq!(TaskId::of_label(&TaskId::from("fetch").to_label()), TaskId::from("fetch"));
    /// ```
    pub fn of_label(label: &str) -> Self {
        if let Some(id) = Self::from_label(label) {
            return id;
        }
        if !label.contains('[') {
            return Self::from(label);
        }
        let mut pieces = label.split('[');
        let first = pieces.next().unwrap_or_default().to_owned();
        let path = pieces.fold(first, |path, piece| path + piece.split_once(']').map_or(piece, |(_slot, rest)| rest));
        Self::from(path.as_str())
    }

    /// The id that a label stands for, if it is one that [`TaskId::to_label`] made and no node path.
    pub fn from_label(label: &str) -> Option<Self> {
        label.strip_prefix('@').and_then(parse_hex).map(Self)
    }

    /// The id of the name that ends a stored label: what was given to the builder as the task's own id,
    /// wherever the task stands.
    ///
    /// ```
    /// use sayiir_core::TaskId;
    /// assert_eq!(TaskId::of_name_in("ship/charge#2"), TaskId::from("charge"));
    /// assert_eq!(TaskId::of_name_in("all/pages[2]"), TaskId::from("pages"));
    /// ```
    pub fn of_name_in(label: &str) -> Self {
        let name = label.rsplit('/').next().unwrap_or_default();
        let name = name.split(['[', '#']).next().unwrap_or_default();
        Self::from(crate::plan::unescape(name))
    }

    /// The label of a node of which only the id is known.
    pub fn to_label(&self) -> String {
        format!("@{self}")
    }
}

impl From<&str> for WorkflowId {
    fn from(name: &str) -> Self {
        Self(sha256(name.as_bytes()))
    }
}

impl From<&str> for DefinitionHash {
    fn from(text: &str) -> Self {
        Self(parse_hex(text).unwrap_or_else(|| sha256(text.as_bytes())))
    }
}

impl PartialEq<str> for DefinitionHash {
    fn eq(&self, other: &str) -> bool {
        *self == Self::from(other)
    }
}

impl PartialEq<&str> for DefinitionHash {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq<String> for DefinitionHash {
    fn eq(&self, other: &String) -> bool {
        *self == *other.as_str()
    }
}

impl PartialEq<DefinitionHash> for str {
    fn eq(&self, other: &DefinitionHash) -> bool {
        other == self
    }
}

impl PartialEq<DefinitionHash> for &str {
    fn eq(&self, other: &DefinitionHash) -> bool {
        other == *self
    }
}

impl PartialEq<DefinitionHash> for String {
    fn eq(&self, other: &DefinitionHash) -> bool {
        other == self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_hash_is_parsed_or_hashed() {
        let hex = "00ff".repeat(16);
        let hash = DefinitionHash::from(hex.as_str());
        assert_eq!(hash.to_hex(), hex);
        assert_eq!(hash, hex);
        assert_eq!(DefinitionHash::from(hex.to_uppercase()), hash);
        assert_ne!(DefinitionHash::from("orders"), hash);
        assert!("orders".parse::<DefinitionHash>().is_err());
        assert!(DefinitionHash::from_hex(&"é".repeat(32)).is_err());
    }

    #[test]
    fn instance_ids_have_limits() {
        assert!(validate_instance_id(&"x".repeat(256)).is_ok());
        assert_eq!(validate_instance_id(&"x".repeat(257)), Err(InvalidInstanceId::TooLong(257)));
        assert_eq!(validate_instance_id("a\0b"), Err(InvalidInstanceId::Nul("a\0b".into())));
    }
}
