//! What can go wrong inside an operation, and how it is told to the caller: sorted by what the caller can do.

use rusqlite::ErrorCode;
use sayiir_persistence::StoreError;

/// An error inside an operation, before it is sorted.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite's.
    Sql(rusqlite::Error),
    /// Ours, already sorted.
    Store(StoreError),
}

pub(crate) type Outcome<T> = Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    pub(crate) fn corrupt(reason: impl Into<String>) -> Self {
        Self::Store(StoreError::corrupt(reason))
    }

    pub(crate) fn misused(reason: impl Into<String>) -> Self {
        Self::Store(StoreError::misused(reason))
    }

    /// The caller's error.
    pub(crate) fn into_store_error(self) -> StoreError {
        match self {
            Self::Sql(error) => sort(error),
            Self::Store(error) => error,
        }
    }
}

/// Sorts an error of SQLite's.
pub(crate) fn sort(error: rusqlite::Error) -> StoreError {
    let Some(code) = error.sqlite_error_code() else {
        let reason = "a stored value is not what this build can read".to_owned();
        return StoreError::Corrupt { reason, source: Some(error.into()) };
    };
    let reason = match () {
        () if code == ErrorCode::DatabaseBusy || code == ErrorCode::DatabaseLocked => {
            "the file is locked: another connection held it for longer than the busy timeout"
        }
        () if code == ErrorCode::DiskFull => "the disk is full (or the file has its largest allowed size); free space and ask again",
        () if code == ErrorCode::ReadOnly => {
            return StoreError::ReadOnly { reason: format!("the file or its directory cannot be written ({error})") };
        }
        () if code == ErrorCode::NotADatabase => {
            return StoreError::Corrupt { reason: "the file is not an SQLite database".to_owned(), source: Some(error.into()) };
        }
        () if code == ErrorCode::DatabaseCorrupt => {
            return StoreError::Corrupt { reason: "the file is damaged; restore it from a backup".to_owned(), source: Some(error.into()) };
        }
        () if code == ErrorCode::CannotOpen => "a file of the database cannot be opened",
        () if code == ErrorCode::OutOfMemory => "SQLite is out of memory",
        () if code == ErrorCode::SystemIoFailure => "the disk reported an i/o error",
        () => "SQLite refused the request",
    };
    StoreError::Unavailable { reason: reason.to_owned(), source: Some(error.into()) }
}
