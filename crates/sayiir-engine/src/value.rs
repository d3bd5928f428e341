//! A value on its way from one node to the next, and which journal row holds it.

use bytes::Bytes;
use sayiir_core::branch::JournalRef;
use sayiir_core::transition::Output;

/// What a node hands on.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    bytes: Bytes,
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Origin {
    /// An earlier row holds it.
    Row(JournalRef),
    /// The node made it.
    Own,
    /// The node made `own`; a loop or route around it made what is handed on.
    Wrapped { own: Bytes },
    /// A loop or route around the node made it of an earlier row's value.
    Rewrapped,
}

impl Value {
    pub(crate) const fn of_row(row: JournalRef, bytes: Bytes) -> Self {
        Self { bytes, origin: Origin::Row(row) }
    }

    pub(crate) const fn own(bytes: Bytes) -> Self {
        Self { bytes, origin: Origin::Own }
    }

    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The value after a loop or route changed it to `bytes`.
    pub(crate) fn wrapped(self, bytes: Bytes) -> Self {
        let origin = match self.origin {
            Origin::Own => Origin::Wrapped { own: self.bytes },
            Origin::Wrapped { own } => Origin::Wrapped { own },
            Origin::Row(_) | Origin::Rewrapped => Origin::Rewrapped,
        };
        Self { bytes, origin }
    }

    /// The row that the next node's head refers to, where this transition's row is `here`.
    pub(crate) fn row(&self, here: JournalRef) -> JournalRef {
        match &self.origin {
            Origin::Row(row) => row.clone(),
            Origin::Own | Origin::Wrapped { .. } | Origin::Rewrapped => here,
        }
    }

    /// What this transition's row holds.
    pub(crate) fn output(self) -> Output {
        match self.origin {
            Origin::Row(row) => Output::SameAs(row),
            Origin::Own | Origin::Rewrapped => Output::Value(self.bytes),
            Origin::Wrapped { own } => Output::Wrapped { own, handed_on: self.bytes },
        }
    }
}
