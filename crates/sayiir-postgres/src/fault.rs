//! What can go wrong inside an operation, and how it is told to the caller: sorted by what the caller can do.
//!
//! Invariant: no text of an error holds a database URL or a password.

use std::io::ErrorKind;

use sayiir_persistence::StoreError;

/// An error inside an operation, before it is sorted.
#[derive(Debug)]
pub(crate) enum Fault {
    /// PostgreSQL's, or the connection's.
    Sql(sqlx::Error),
    /// Ours, already sorted.
    Store(StoreError),
}

pub(crate) type Outcome<T> = Result<T, Fault>;

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a writer does about an error of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Other transactions were in the way, and nothing was written: run it again.
    Again,
    /// One of the values cannot be stored, and nothing was written: run the members of a batch one by one.
    OneByOne,
    /// A statement, or a wait for a lock, took longer than it may, and nothing was written: members that have nothing to do with each
    /// other are run for themselves.
    Apart,
    /// Tell the caller.
    Tell,
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

    pub(crate) fn remedy(&self) -> Remedy {
        let Self::Sql(sqlx::Error::Database(error)) = self else {
            // What cannot even be sent is one member's fault, too.
            return if matches!(self, Self::Sql(sqlx::Error::Encode(_))) { Remedy::OneByOne } else { Remedy::Tell };
        };
        match error.code().as_deref() {
            Some("40P01" | "40001") => Remedy::Again,
            Some("55P03" | "57014") => Remedy::Apart,
            Some(code) if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) => Remedy::OneByOne,
            Some(_) | None => Remedy::Tell,
        }
    }
}

/// Sorts an error of the database or of the way to it.
pub(crate) fn sort(error: sqlx::Error) -> StoreError {
    if let sqlx::Error::Database(told) = &error {
        let (code, message) = (told.code().unwrap_or_default().into_owned(), told.message().to_owned());
        return sort_told(&code, &message, error);
    }
    if matches!(&error, sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_)) {
        return StoreError::misused(format!("a value cannot be sent to PostgreSQL ({error})"));
    }
    if is_unreadable(&error) {
        let reason = "a stored value is not what this build can read".to_owned();
        return StoreError::Corrupt { reason, source: Some(error.into()) };
    }
    StoreError::Unavailable { reason: why_no_answer(&error).to_owned(), source: Some(error.into()) }
}

const fn is_unreadable(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::RowNotFound
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
    )
}

#[allow(clippy::wildcard_enum_match_arm, reason = "another crate's errors, which may become more")]
fn why_no_answer(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::PoolTimedOut => {
            "no connection of the pool came free within the acquire timeout; is max_connections large enough, and does the server answer?"
        }
        sqlx::Error::PoolClosed => "the pool of connections is closed; connect again",
        // What rustls says of a certificate comes as this.
        sqlx::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            "no encrypted connection to the server could be made; is its certificate signed by sslrootcert, and for the host of the URL?"
        }
        sqlx::Error::Io(_) => "the connection to the server was lost, or could not be made",
        sqlx::Error::Tls(_) => "no encrypted connection to the server could be made",
        _ => "the connection to the server failed",
    }
}

/// Sorts what the server itself said, by its code (see PostgreSQL's appendix of error codes).
fn sort_told(code: &str, message: &str, error: sqlx::Error) -> StoreError {
    let reason = match code {
        "25006" => return StoreError::ReadOnly { reason: format!("the server accepts no writes ({message})") },
        "42501" => {
            let advice = "grant the role what the guide to PostgreSQL lists";
            return StoreError::misused(format!("the database role lacks a privilege ({message}); {advice}"));
        }
        "3D000" => return StoreError::misused(format!("there is no such database ({message}); create it first")),
        "3F000" | "42P01" => {
            return StoreError::Schema {
                found: "gone".to_owned(),
                supported: crate::schema::VERSION.to_string(),
                advice: format!("a table of the store is missing ({message}); connect again, which creates it"),
            };
        }
        "XX001" | "XX002" => {
            let reason = "the server found damaged data; restore it from a backup".to_owned();
            return StoreError::Corrupt { reason, source: Some(error.into()) };
        }
        "08P01" if message.contains("startup parameter") => {
            let advice = "connect to the server itself, or see the guide to PostgreSQL on PgBouncer";
            return StoreError::misused(format!(
                "a pooler on the way to the server refuses what the connection is opened with ({message}); {advice}"
            ));
        }
        "26000" | "42P05" => {
            "a prepared statement is not where this connection left it: a pooler on the way to the server must keep sessions (pool_mode=session)"
        }
        "53100" => "the server's disk is full; free space and ask again",
        "53300" => "the server has no connection free (its max_connections); ask again, or use smaller pools",
        "57014" => "the server cancelled the statement (its timeout); ask again",
        "57P01" | "57P02" => "the server shuts down, or ended this connection; ask again",
        "57P03" => "the server is starting or stopping; ask again",
        "40P01" | "40001" => "other transactions were in the way; ask again",
        "55P03" => "a lock was not given in time; ask again",
        "58030" => "the server's disk reported an i/o error",
        _ => return sort_class(code, message, error),
    };
    StoreError::Unavailable { reason: reason.to_owned(), source: Some(error.into()) }
}

fn sort_class(code: &str, message: &str, error: sqlx::Error) -> StoreError {
    match code.get(..2).unwrap_or_default() {
        "28" => StoreError::misused(format!("the server refuses the role or its password ({message})")),
        "22" => StoreError::misused(format!("PostgreSQL cannot hold a value ({message})")),
        "54" => StoreError::misused(format!("a value goes beyond a limit of PostgreSQL ({message})")),
        "23" => {
            let reason = "stored rows contradict each other (a constraint was violated)".to_owned();
            StoreError::Corrupt { reason, source: Some(error.into()) }
        }
        "08" => StoreError::Unavailable { reason: "the connection to the server was lost".to_owned(), source: Some(error.into()) },
        "53" => StoreError::Unavailable { reason: "the server is out of resources; ask again".to_owned(), source: Some(error.into()) },
        _ => StoreError::Unavailable { reason: "the server refused the request".to_owned(), source: Some(error.into()) },
    }
}
