//! How a verb ends: what it says last, and its exit code. No message ever holds a store's password.

use std::io;
use std::process::ExitCode;

use sayiir::RuntimeError;
use sayiir::persistence::StoreError;

use crate::store::redact;

/// How a verb ended that had its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It did what was asked: 0.
    Done,
    /// It found what is not as it should be, or could not do all of it, and has said so: 1.
    NotDone,
    /// The time to wait is over: 3.
    TimedOut,
}

/// Why a verb broke off.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was used wrongly: 2.
    Usage(String),
    /// It could not be done: 1.
    Failed(anyhow::Error),
    /// Nobody reads its output any more: it ends quietly.
    NobodyReads,
}

/// How a verb ends.
pub(crate) type Verdict = Result<Ending, Failure>;

/// A failure with this one line.
pub(crate) fn failed(line: impl Into<String>) -> Failure {
    Failure::Failed(anyhow::Error::msg(line.into()))
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::NobodyReads } else { Self::Failed(error.into()) }
    }
}

/// Says what there is left to say, in one line, and gives the exit code.
pub(crate) fn conclude(verdict: Verdict) -> ExitCode {
    match verdict {
        Ok(Ending::Done) | Err(Failure::NobodyReads) => ExitCode::SUCCESS,
        Ok(Ending::NotDone) => ExitCode::FAILURE,
        Ok(Ending::TimedOut) => ExitCode::from(3),
        Err(Failure::Failed(error)) => {
            eprintln!("error: {}", redact(&crate::text::clean(&format!("{error:#}"))));
            ExitCode::FAILURE
        }
        Err(Failure::Usage(line)) => {
            eprintln!("error: {}", redact(&crate::text::clean(&line)));
            ExitCode::from(2)
        }
    }
}
