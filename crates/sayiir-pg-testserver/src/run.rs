//! Running a program to its end, and what can go wrong.

use std::io;
use std::process::{Command, Stdio};

/// Why a cluster could not be made, stopped or started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The programs are not installed.
    #[error("{}", crate::HOW_TO_INSTALL)]
    Missing,
    /// A program could not be started.
    #[error("could not run {program}")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// A program did not do what it was asked.
    #[error("{program} failed: {output}")]
    Failed {
        /// The program.
        program: String,
        /// What it said.
        output: String,
    },
    /// The cluster's files could not be made or handed over.
    #[error("could not {doing} the cluster's folder")]
    Files {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) -> Result<(), ServerError> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null());
    let done = command.output().map_err(|cause| ServerError::Start { program, cause })?;
    if done.status.success() {
        return Ok(());
    }
    let said = [done.stdout, done.stderr].concat();
    let shown = format!("{command:?}");
    Err(ServerError::Failed { program: shown, output: String::from_utf8_lossy(&said).trim().to_owned() })
}
