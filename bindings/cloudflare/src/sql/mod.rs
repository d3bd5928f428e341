//! SQLite behind a door that only opens for whole transactions: what D1, a Durable Object and a test's file have in common.
//!
//! Invariant: nothing is decided between two statements of a transaction. What depends on what is stored is decided in SQL;
//! a transaction that must not happen is ended by its first statement, which breaks a named `CHECK`.

mod columns;
mod value;

use std::borrow::Cow;

use sayiir_core::error::BoxError;
use sayiir_core::future::{BoxFuture, MaybeSend, MaybeSync};

pub(crate) use columns::Columns;
pub use value::{Row, Value};

/// A database that runs lists of statements, each list as one transaction.
///
/// The columns of a statement have different names, of which none is a number where there are several: D1 gives them by name.
///
/// Of SQLite it asks `RETURNING`, `json_each` and recursive queries; of a statement, at most 100 parameters.
pub trait Sql: MaybeSend + MaybeSync + 'static {
    /// Runs the statements in order as one transaction: all of them, or none if one fails. Gives the rows of each.
    fn batch(&self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, SqlError>>;
}

/// A statement with what is bound to its parameters `?1`, `?2` and so on.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The text.
    pub sql: Cow<'static, str>,
    /// What is bound, in order.
    pub params: Vec<Value>,
}

/// Why a transaction was not done.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// A named `CHECK` was broken; nothing was written.
    #[error("the check {0:?} was broken")]
    Check(String),
    /// A table is not there; nothing was written.
    #[error("the table {0:?} is not there")]
    NoTable(String),
    /// A value is larger than the database takes; nothing was written.
    #[error("a value is too large for the database")]
    TooLarge(#[source] BoxError),
    /// The database refused a statement for another reason; nothing was written.
    #[error("the database refused a statement")]
    Refused(#[source] BoxError),
    /// There was no answer: the transaction may have been done.
    #[error("the database did not answer")]
    NoAnswer(#[source] BoxError),
}

impl SqlError {
    /// Sorts what a database said in words: SQLite's own messages, perhaps with something around them.
    pub fn sort(message: String) -> Self {
        let after = |marker: &str| message.split_once(marker).map(|(_, rest)| word(rest));
        if let Some(check) = after("CHECK constraint failed: ") {
            Self::Check(check)
        } else if let Some(table) = after("no such table: ") {
            Self::NoTable(table)
        } else if message.contains("SQLITE_TOOBIG") || message.contains("string or blob too big") {
            Self::TooLarge(message.into())
        } else if message.contains("SQLITE_ERROR") || message.contains("SQLITE_CONSTRAINT") || message.contains("SQLITE_MISMATCH") {
            Self::Refused(message.into())
        } else {
            Self::NoAnswer(message.into())
        }
    }
}

/// The name at the begin of a text.
fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// A statement of this text with these values.
macro_rules! statement {
    ($sql:expr $(, $param:expr)* $(,)?) => {
        $crate::sql::Statement { sql: ::std::borrow::Cow::from($sql), params: vec![$($crate::sql::Value::from($param)),*] }
    };
}
pub(crate) use statement;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_says_is_sorted() {
        let sorted = |message: &str| SqlError::sort(message.to_owned());
        assert!(matches!(sorted("D1_ERROR: CHECK constraint failed: moved: SQLITE_CONSTRAINT"), SqlError::Check(why) if why == "moved"));
        assert!(matches!(sorted("CHECK constraint failed: ended"), SqlError::Check(why) if why == "ended"));
        assert!(matches!(sorted("D1_ERROR: no such table: sayiir_meta: SQLITE_ERROR"), SqlError::NoTable(table) if table == "sayiir_meta"));
        assert!(matches!(sorted("D1_ERROR: string or blob too big: SQLITE_TOOBIG"), SqlError::TooLarge(_)));
        assert!(matches!(sorted("D1_ERROR: near \"x\": syntax error at offset 0: SQLITE_ERROR"), SqlError::Refused(_)));
        assert!(matches!(sorted("D1_ERROR: Network connection lost."), SqlError::NoAnswer(_)));
    }
}
