//! What can go wrong inside an operation, and how it is told to the caller.

use sayiir_persistence::StoreError;

use crate::sql::SqlError;

/// Why a transaction was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// Its guard ended it, for this reason; nothing was written.
    Guard(String),
    /// Something else.
    Store(StoreError),
}

pub(super) type Outcome<T> = Result<T, Fault>;

impl Fault {
    pub(super) fn corrupt(reason: impl Into<String>) -> Self {
        Self::Store(StoreError::corrupt(reason))
    }

    pub(super) fn misused(reason: impl Into<String>) -> Self {
        Self::Store(StoreError::misused(reason))
    }

    /// The caller's error. A guard's reason that nobody asked for is a mistake of ours.
    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            Self::Guard(why) => StoreError::corrupt(format!("the tables answered {why:?}, which this build does not know")),
            Self::Store(error) => error,
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SqlError> for Fault {
    fn from(error: SqlError) -> Self {
        Self::Store(match error {
            SqlError::Check(why) => return Self::Guard(why),
            SqlError::NoTable(table) => StoreError::corrupt(format!("the table {table:?} is gone")),
            SqlError::TooLarge(source) => {
                StoreError::misused(format!("a row would be larger than the database takes, about 2 MB ({source})"))
            }
            SqlError::Refused(source) => {
                StoreError::Corrupt { reason: "the database refused a statement".to_owned(), source: Some(source) }
            }
            SqlError::NoAnswer(source) => {
                StoreError::Unavailable { reason: "the database did not answer".to_owned(), source: Some(source) }
            }
        })
    }
}
